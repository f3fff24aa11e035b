//! Patterns that match more texts than the owner means, because a dot or one of their ends is open.

/// Why a pattern matches more domains than the owner means.
pub(super) fn open_pattern(pattern: &str) -> Option<String> {
    let has_open_dot = pattern.as_bytes().windows(3).any(|part| {
        matches!(part, [before, b'.', after] if before.is_ascii_alphanumeric() && after.is_ascii_alphanumeric())
    });
    if has_open_dot {
        return Some(format!("in `matches('{pattern}')` the dot stands for any character; write `[.]`"));
    }
    let fixed_starts = ["^", "@", "[.]", "[@.]", "[.@]", "\\.", ".*[.]", ".+[.]", ".*\\.", ".+\\."];
    let parts = alternatives(pattern);
    let is_start_open =
        parts.iter().any(|part| !fixed_starts.iter().any(|fixed| start(part).starts_with(fixed)));
    let (way, advice) = match (is_start_open, parts.iter().all(|part| has_end(part))) {
        (true, _) => ("end", "begin the pattern with `(^|[.])`"),
        (false, false) => ("begin", "end the pattern with `$`"),
        (false, true) => return None,
    };
    half_anchored(pattern, &parts).or_else(|| {
        Some(format!(
            "`matches('{pattern}')` is also true of other domains that {way} in this way; {advice}, or write \
             `user.domain.under(…)`"
        ))
    })
}

/// Why a pattern matches an answer with more words than the owner means.
pub(super) fn open_answer_pattern(pattern: &str) -> Option<String> {
    let parts = alternatives(pattern);
    let is_open = parts.iter().any(|part| !start(part).starts_with('^') || !has_end(part));
    is_open.then(|| half_anchored(pattern, &parts).unwrap_or_else(|| open_answer("matches", pattern)))
}

/// A part of a pattern without the brackets and the flag before it.
fn start(part: &str) -> &str {
    part.trim_start_matches("(?i)").trim_start_matches('(')
}

fn has_end(part: &str) -> bool {
    part.trim_end_matches(')').ends_with('$')
}

/// Why the comparison with a part of an answer is true of more answers than the owner means.
pub(super) fn open_answer(function: &str, part: &str) -> String {
    format!(
        "`{function}('{part}')` is also true of an answer that says the opposite in more words; compare the whole answer, such as \
         `fields['…'] in ['…', '…']`"
    )
}

/// `^a|b$` matches each text that begins with `a`, and each that ends in `b`.
fn half_anchored(pattern: &str, parts: &[&str]) -> Option<String> {
    let has_anchor = pattern.starts_with('^') || pattern.ends_with('$');
    (parts.len() > 1 && has_anchor).then(|| {
        format!("in `matches('{pattern}')` the `|` separates `^` from `$`; write `^(…|…)$`, with brackets around the alternatives")
    })
}

/// The parts of a pattern between each `|` that is in no brackets.
fn alternatives(pattern: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts, mut is_escaped, mut is_class) = (0u32, 0, Vec::new(), false, false);
    for (at, c) in pattern.char_indices() {
        match c {
            _ if is_escaped => {}
            '[' => is_class = true,
            ']' => is_class = false,
            _ if is_class => {}
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '|' if depth == 0 => {
                parts.extend(pattern.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    parts.extend(pattern.get(start..));
    parts
}
