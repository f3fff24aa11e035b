//! The patterns of `matches`: the accepted and refused ones, and their meaning.

use super::{Policy, ada, answer};
use crate::model::AccessRequest;

fn faults(expressions: &[String]) -> Vec<String> {
    let rules = expressions.iter().enumerate().map(
        |(number, expression)| serde_json::json!({"name": number.to_string(), "then": "reject", "if": expression}),
    );
    let json = serde_json::json!({ "rules": rules.collect::<Vec<_>>() }).to_string();
    Policy::parse(&json).err().unwrap_or_default()
}

fn fault(expression: &str) -> String {
    faults(&[expression.to_owned()]).join("; ")
}

/// A request with this answer.
fn with_answer(text: &str) -> AccessRequest {
    let mut request = ada();
    request.fields.insert("A".to_owned(), text.to_owned());
    request
}

#[test]
fn control_characters_in_patterns_are_refused() {
    let backspace = r"the pattern contains a backspace, because `\b` in a CEL text is a backspace; write `\\b`, or a raw text such as r'\b'";
    let cases = [
        (r"fields['A'].matches('(?i)\bmilitary\b')", backspace),
        (r"matches(fields['A'], '\b')", backspace),
        (r"fields['A'].matches('\bmil' + 'itary')", backspace),
        (r"['x', '\b'].exists(p, fields['A'].matches(p))", backspace),
        (r"['x', 'y'].exists(p, fields['A'].matches('\b' + p))", backspace),
        (r"fields['A'].matches('a\tb')", r"contains a tab, because `\t` in a CEL text is a tab; write `\\t`"),
        (r"fields['A'].matches('a\nb')", r"contains a line feed, because `\n` in a CEL text"),
        (r"fields['A'].matches('\a')", r"contains a bell, because `\a` in a CEL text"),
        (r"fields['A'].matches('\v')", r"contains a vertical tab, because `\v` in a CEL text"),
        (r"fields['A'].matches('\r')", r"contains a carriage return, because `\r` in a CEL text"),
        (r"fields['A'].matches('\f')", r"contains a form feed, because `\f` in a CEL text"),
        (r"fields['A'].matches('\u0000')", r"contains a control character; write it as `\\x{0}`"),
        (r"fields['A'].matches('\u0085')", r"contains a control character; write it as `\\x{85}`"),
    ];
    for (expression, expected) in cases {
        assert!(fault(expression).contains(expected), "{expression}: {}", fault(expression));
    }
    for pattern in [r"'(?i)\\bmilitary\\b'", r"r'(?i)\bmilitary\b'", r"'(?i)\\bmil' + r'itary\b'"] {
        let expression = format!("fields['A'].matches({pattern})");
        assert_eq!(answer(&expression, &with_answer("for MILITARY use")), "yes", "{pattern}");
        assert_eq!(answer(&expression, &with_answer("paramilitary")), "no", "{pattern}");
    }
}

#[test]
fn bad_pattern_is_refused_wherever_it_is_written() {
    let cases = [
        ("user.name.matches('(')", "`(` is not a pattern: unclosed group"),
        ("matches(user.name, 'a' + '[')", "`a[` is not a pattern: unclosed character class"),
        ("['x', '*'].exists(p, user.name.matches(p))", "`*` is not a pattern: repetition operator missing"),
        ("{'(': true}.exists(p, user.name.matches(p))", "unclosed group"),
        ("['x'].map(p, p + '(').exists(p, user.name.matches(p))", "unclosed group"),
        ("[['x'], ['(']].exists(l, l.exists(p, user.name.matches(p)))", "unclosed group"),
        ("['x', '('].exists(p, [p].exists(p, user.name.matches(p)))", "unclosed group"),
        ("['(', 'x'].exists(p, ['y'].exists(q, user.name.matches(p + q)))", "unclosed group"),
        ("user.orgs.exists(o, ['('].exists(p, o.matches(p)))", "unclosed group"),
        ("user.pro || user.name.matches('(?<=a)b')", "look-around, including"),
        (r"user.name.matches('(a)\\1')", "backreferences are not supported"),
        ("'x'.matches('(')", "unclosed group"),
        (r"user.name.matches('(?-u:\\xff)')", "is not a pattern"),
        (
            "user.name.matches('a'.matches('b') ? 'c' : 'd')",
            "a pattern depends on the result of another `matches`",
        ),
        ("user.name.matches(['a'][1])", "out of bounds"),
    ];
    for (expression, expected) in cases {
        assert!(fault(expression).contains(expected), "{expression}: {}", fault(expression));
    }
}

#[test]
fn patterns_have_the_meaning_of_cel_go() {
    let cases = [
        // These are limited to ASCII letters, digits and white space.
        (r"^\w$", "a", true),
        (r"^\w$", "é", false),
        (r"^\W$", "é", true),
        (r"^\d$", "7", true),
        (r"^\d$", "٣", false),
        (r"^\D$", "٣", true),
        (r"^\s$", "\t", true),
        (r"^\s$", "\u{a0}", false),
        (r"^\s$", "\u{b}", false),
        (r"^\S$", "\u{a0}", true),
        (r"^[\w-]+$", "a-b", true),
        (r"^[\w-]+$", "é", false),
        (r"^[^\w]$", "é", true),
        (r"^[^\W\d]$", "a", true),
        (r"^[^\W\d]$", "7", false),
        (r"^[[\d]x]+$", "7x", true),
        (r"^(\w|é)+$", "aé", true),
        (r"^(?:\d\d?){2}$", "123", true),
        (r"\bx\b", "éxé", true),
        (r"\bx\b", "axb", false),
        (r"a\Bb", "ab", true),
        // Everything else uses Unicode.
        ("^.$", "é", true),
        ("^..$", "é", false),
        ("^[^x]$", "é", true),
        ("(?i)^É$", "é", true),
        (r"^\p{Greek}+$", "αβ", true),
        (r"^\pL$", "é", true),
        ("^[à-ü]$", "é", true),
        // Case matters.
        ("^CH$", "CH", true),
        ("^CH$", "ch", false),
        ("^[C][H-J]$", "CH", true),
        ("^[[:upper:]]$", "C", true),
        (r"^\p{Lu}[\p{Lu}]$", "CH", true),
        (r"^\p{Lu}$", "c", false),
        (r"^[\p{Lu}]$", "c", false),
        // Lines.
        ("^b$", "a\nb", false),
        ("(?m)^b$", "a\nb", true),
        ("a.b", "a\nb", false),
        ("(?s)a.b", "a\nb", true),
        ("(?x) a b # no more", "ab", true),
        ("", "", true),
        ("", "x", true),
        ("x|", "", true),
    ];
    for (pattern, text, expected) in cases {
        let expected = if expected { "yes" } else { "no" };
        let request = with_answer(text);
        assert_eq!(
            answer(&format!("fields['A'].matches(r'{pattern}')"), &request),
            expected,
            "{pattern} {text:?}"
        );
        let choice = format!("['(never)', r'{pattern}'].exists(p, matches(fields['A'], p))");
        assert_eq!(answer(&choice, &request), expected, "{pattern} {text:?}");
    }
}

#[test]
fn text_above_8_kb_cannot_be_evaluated() {
    let expression = "fields['A'].matches('x$')";
    assert_eq!(answer(expression, &with_answer(&"x".repeat(8192))), "yes");
    assert_eq!(
        answer(expression, &with_answer(&"x".repeat(8193))),
        "`matches` cannot read a value of the request"
    );
    assert_eq!(answer(&format!("user.pro || {expression}"), &with_answer(&"x".repeat(8193))), "yes");
}

#[test]
fn too_large_patterns_are_refused() {
    let large = "the pattern is larger than 256 KB when compiled; use smaller repetitions";
    for pattern in [".{1,1000}", "(a{1000}){1000}", "((a{100}){100}){100}", "[^x]{1000}", r"\pL{50}"] {
        let fault = fault(&format!("user.email.matches(r'{pattern}')"));
        assert!(fault.contains(large), "{pattern}: {fault}");
    }
    for pattern in
        [r"\w{3,500}", "(a?){100}", "((){1000}){1000}", "([^ ] *){20}", r"^[\w.+-]+@([\w-]+\.)+\w{2,63}$"]
    {
        assert_eq!(fault(&format!("user.email.matches(r'{pattern}')")), "", "{pattern}");
    }
    let letters = |number| (0..number).map(|letter| format!("'{letter}'")).collect::<Vec<_>>().join(", ");
    let pairs = |ones, others| {
        let (ones, others) = (letters(ones), letters(others));
        format!("[{ones}].exists(a, [{others}].exists(b, user.name.matches(a + b)))")
    };
    // 1 + 27 + 27 × 36 values are evaluated, and then 1 + 25 + 25 × 39.
    assert_eq!(fault(&pairs(27, 36)), "");
    assert!(fault(&pairs(25, 39)).contains("has more than 1000 patterns"));
    let many: Vec<String> =
        (0..400).map(|number| format!("user.name.matches('[a-z]{{3000}}{number}')")).collect();
    let faults = faults(&many);
    let expected = "the patterns of the policy are larger than 16 MB when compiled";
    assert!(faults.iter().any(|fault| fault.contains(expected)), "{:?}", faults.first());
}
