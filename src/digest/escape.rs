//! The texts of a digest that others than the owner may have chosen, made safe: no service reads mark-up, links or mentions in them.

/// The most characters of such a text.
const MAX_CHARS: usize = 200;

/// Stands behind a character that begins a mention, a channel, a URL or an emoji. Services look for these in the text that results
/// from Markdown, where a backslash is gone.
const ZERO_WIDTH_SPACE: char = '\u{200b}';

/// A text on one line, without characters that control the terminal or the direction of the text, and not too long.
pub(super) fn shown(text: &str) -> String {
    let is_control = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e007f}')
    };
    let clean = |c: char| if is_control(c) { char::REPLACEMENT_CHARACTER } else { c };
    let mut short: String = text.chars().take(MAX_CHARS).map(clean).collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        short.push('…');
    }
    short
}

/// Escapes a text for Markdown as GitHub and Mattermost read it. Mattermost knows fewer escapes with a backslash than
/// GitHub, and both know references such as `&lt;`.
pub(super) fn for_markdown(text: &str) -> String {
    escape(text, |c, next, escaped| match c {
        '\\' | '`' | '*' | '_' | '[' | ']' | '|' => escaped.extend(['\\', c]),
        '~' | '#' => escaped.extend(['\\', c, ZERO_WIDTH_SPACE]),
        '<' => escaped.push_str("&lt;"),
        '>' => escaped.push_str("&gt;"),
        '&' => escaped.push_str("&amp;"),
        // Between two of them, Mattermost and GitHub read a formula.
        '$' => escaped.push_str("&#36;"),
        // Mattermost makes a link of a host without a scheme, too.
        '.' if next.is_some_and(char::is_alphabetic) => escaped.extend(['\\', c]),
        _ => push_without_mention(c, next, escaped),
    })
}

/// Escapes a text for Discord, which knows no references, and a backslash before every punctuation mark.
pub(super) fn for_discord(text: &str) -> String {
    escape(text, |c, next, escaped| match c {
        '@' => escaped.extend(['\\', c, ZERO_WIDTH_SPACE]),
        ':' if next.is_some_and(|next| !next.is_whitespace()) => escaped.extend(['\\', c]),
        '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '<' | '>' => escaped.extend(['\\', c]),
        c => escaped.push(c),
    })
}

/// Replaces what some service may read as mark-up, for a service that is not known. It may show a backslash.
pub(super) fn for_any_service(text: &str) -> String {
    let mut last = None;
    escape(text, |c, next, escaped| {
        let is_inside_word = [last, next].iter().all(|c: &Option<char>| c.is_some_and(char::is_alphanumeric));
        match c {
            '`' => escaped.push('\''),
            '*' => escaped.push('∗'),
            '_' if !is_inside_word => escaped.push('＿'),
            '[' => escaped.push('［'),
            ']' => escaped.push('］'),
            '|' => escaped.push('¦'),
            '\\' => escaped.push('＼'),
            '~' | '#' | '<' => escaped.extend([c, ZERO_WIDTH_SPACE]),
            '.' if next.is_some_and(char::is_alphabetic) => escaped.extend([c, ZERO_WIDTH_SPACE]),
            _ => push_without_mention(c, next, escaped),
        }
        last = Some(c);
    })
}

/// Keeps the text run of an Adaptive Card from being read as a date or a time, `{{DATE(…)}}`. It reads no other mark-up.
pub(super) fn for_teams(text: &str) -> String {
    text.replace('{', "{\u{200b}")
}

/// Writes each character with `write`, which gets the next one, too.
fn escape(text: &str, mut write: impl FnMut(char, Option<char>, &mut String)) -> String {
    let mut escaped = String::with_capacity(text.len() * 2);
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        write(c, rest.clone().next(), &mut escaped);
    }
    escaped
}

fn push_without_mention(c: char, next: Option<char>, escaped: &mut String) {
    escaped.push(c);
    if c == '@' || c == ':' && next.is_some_and(|next| !next.is_whitespace()) {
        escaped.push(ZERO_WIDTH_SPACE);
    }
}
