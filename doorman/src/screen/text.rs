//! Text for a terminal, a pipe or a spreadsheet, and safe there although strangers have written some of it.

use chrono::{DateTime, SecondsFormat, Utc};

/// The text on one line, without characters that control a terminal: those that clear the screen, reverse the direction of
/// writing or hide what follows.
pub fn clean(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.trim().chars() {
        match c {
            c if c.is_whitespace() => {
                if !line.ends_with(' ') {
                    line.push(' ');
                }
            }
            c if is_control(c) => line.push(char::REPLACEMENT_CHARACTER),
            c => line.push(c),
        }
    }
    line
}

/// Whether this is a control character, or an invisible one that changes how others are shown.
pub fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text for a cell of a spreadsheet, with a `'` before each formula. A formula may begin after any separator, because the
/// separator of a spreadsheet depends on the country.
pub(super) fn for_spreadsheet(text: &str) -> String {
    let is_separator = |c: char| matches!(c, ',' | ';' | '\t' | '\n' | '|');
    // Some spreadsheets read the full-width characters as the usual ones.
    let is_formula = |c: char| "=+-@\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}".contains(c);
    let (mut safe, mut is_first) = (String::with_capacity(text.len()), true);
    for c in text.chars().filter(|c| matches!(c, '\n' | '\t') || !is_control(*c)) {
        if is_first && (is_formula(c) || safe.is_empty() && is_separator(c) && c.is_whitespace()) {
            safe.push('\'');
        }
        safe.push(c);
        // Blanks and quotes may precede a formula.
        is_first = is_separator(c) || is_first && matches!(c, ' ' | '"' | '\'' | '\u{3000}');
    }
    safe
}

/// The day on a terminal, and the day and time in a pipe.
pub fn time(time: Option<DateTime<Utc>>, is_terminal: bool) -> String {
    match time {
        None => String::new(),
        Some(time) if is_terminal => time.format("%Y-%m-%d").to_string(),
        Some(time) => rfc3339(time),
    }
}

/// `2026-11-22T12:00:00Z`.
pub fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// `1 call`, `2 calls`.
pub fn count(number: impl Into<u64>, noun: &str) -> String {
    let number = number.into();
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// `1,234,567`.
pub fn grouped(number: impl Into<u64>) -> String {
    let digits = number.into().to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_text_cannot_control_a_terminal() {
        let cases = [
            ("Ada Lovelace", "Ada Lovelace"),
            ("\u{1b}[2J\u{1b}]0;owned\u{7}", "\u{fffd}[2J\u{fffd}]0;owned\u{fffd}"),
            (" a\r\n\tb  c ", "a b c"),
            ("\u{9b}31mred", "\u{fffd}31mred"),
            ("acme\u{202e}moc", "acme\u{fffd}moc"),
            ("李雷 👩\u{200d}🔬 עדה", "李雷 👩\u{200d}🔬 עדה"),
        ];
        for (text, expected) in cases {
            assert_eq!(clean(text), expected, "{text:?}");
        }
    }

    #[test]
    fn formula_gets_a_leading_quote() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)"] {
            assert_eq!(for_spreadsheet(text), format!("'{text}"));
        }
        assert_eq!(for_spreadsheet("\t=1"), "'\t'=1");
        assert_eq!(for_spreadsheet("\r=1"), "'=1");
        assert_eq!(for_spreadsheet("a=1\nb"), "a=1\nb");
        let hidden = [
            ("a;=1", "a;'=1"),
            ("a,b; +1", "a,b; '+1"),
            ("x\t\"@SUM(A1)", "x\t\"'@SUM(A1)"),
            ("x\n-1", "x\n'-1"),
            ("\u{ff1d}1", "'\u{ff1d}1"),
            (" =1", " '=1"),
        ];
        for (text, expected) in hidden {
            assert_eq!(for_spreadsheet(text), expected);
        }
        for text in ["Müller-Lüdenscheid", "ada+x@acme.com", "a; b, c", "2026-01-01"] {
            assert_eq!(for_spreadsheet(text), text);
        }
    }

    #[test]
    fn digits_are_grouped_by_three() {
        let cases = [(0_u32, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")];
        for (number, expected) in cases {
            assert_eq!(grouped(number), expected);
        }
    }

    #[test]
    fn noun_is_plural_unless_there_is_one() {
        assert_eq!((count(1_u32, "call"), count(2_u32, "call")), ("1 call".to_owned(), "2 calls".to_owned()));
    }
}
