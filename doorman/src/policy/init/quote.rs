//! Texts of the owner's form as literals in CEL and TOML, and in comments. A label may contain anything.

use std::fmt::Write;

use crate::screen::{clean, is_control};

/// The text as a literal in CEL. It has quotes that need no escapes, if there are such.
pub fn cel(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut literal = String::from(quote);
    for c in text.chars() {
        match c {
            '\n' => literal.push_str("\\n"),
            '\\' => literal.push_str("\\\\"),
            c if c == quote => {
                literal.push('\\');
                literal.push(c);
            }
            // An owner who reads the rule must see each character.
            c if is_control(c) => {
                let _ = write!(literal, "\\U{:08x}", u32::from(c));
            }
            c => literal.push(c),
        }
    }
    literal.push(quote);
    literal
}

/// The text as a string in TOML, without escapes if that is possible. It must have no control characters.
pub fn toml(text: &str) -> String {
    if !text.contains(['"', '\\']) {
        format!("\"{text}\"")
    } else if !text.contains('\'') {
        format!("'{text}'")
    } else if !text.contains("''") && !text.ends_with('\'') {
        format!("'''{text}'''")
    } else {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

/// The text within quotation marks, for a sentence in a comment or in a reason. It is cut after so many UTF-16 code units, as the
/// Hub counts.
pub fn quoted(text: &str, max: usize) -> String {
    let text = clean(text);
    let mut units = 0;
    let is_within = |c: &char| {
        units += c.len_utf16();
        units <= max
    };
    let mut short: String = text.chars().take_while(is_within).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("“{short}”")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_needs_few_escapes() {
        let cases = [
            ("Country", "'Country'", "\"'Country'\""),
            ("Don't share", "\"Don't share\"", "'''\"Don't share\"'''"),
            ("a \"b\"", "'a \"b\"'", "\"'a \\\"b\\\"'\""),
            ("'\"", "'\\'\"'", "\"'\\\\'\\\"'\""),
            ("a\nb\\", "'a\\nb\\\\'", "\"'a\\\\nb\\\\\\\\'\""),
            ("\u{202e}\0", "'\\U0000202e\\U00000000'", "\"'\\\\U0000202e\\\\U00000000'\""),
            ("", "''", "\"''\""),
        ];
        for (text, in_cel, in_toml) in cases {
            assert_eq!((cel(text), toml(&cel(text))), (in_cel.to_owned(), in_toml.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn quoted_text_has_one_line_and_a_bounded_length() {
        assert_eq!(quoted("a\n b\u{7}", 10), "“a b\u{fffd}”");
        assert_eq!(quoted("🦀🦀🦀", 4), "“🦀🦀…”");
    }
}
