//! The policy uses the newer one of the crate's two parsers. Here it is compared with the older one.

use cel::parser::PrattParser;

use super::Policy;
use crate::policy::functions::environment;

/// The structure of an expression, without the ids that the parser gives to its parts.
fn shape(expression: &cel::parser::Expression) -> String {
    let text = format!("{expression:?}");
    let mut parts = text.split("id: ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |shape, part| shape + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

const EXPRESSIONS: [&str; 14] = [
    "fields['Country'] in ['KP', 'SY']",
    "size(fields['Affiliation']) < 3 || 'Affiliation' in fields",
    "user.domain == 'acme.com' || user.domain.endsWith('.acme.com')",
    "'epfl' in user.verified_orgs && repo.type == 'dataset'",
    "now - requested_at > duration('24h') && now.getHours() % 2 == 0",
    "has(user.email) ? user.pro : !user.pro",
    "user.orgs.exists(org, org == 'x' && !(org in ['y', \"z\"]))",
    "int(fields['Age']) >= 18 && -1 < 2 - 1 * 3 / 4",
    "{'a': 1}['a'] == 1 && [1, 2][0] != 0x1F",
    "[1, 2].all(x, x > 0) && user.name.matches(r'^[a-z\\d]+$')",
    "user.orgs.filter(o, o.startsWith('a')).map(o, size(o)).exists_one(n, n == 1u)",
    "user.fullname.contains('\\u00e9\\n') || 1.5e3 > .5 || b'x' == b'y' || null == null",
    "true // nothing more\n && 'a' <= '''b''' || (((false)))",
    "user.verified_orgs == ['epfl'] || user.id >= \"6\" || 2u + 3u == 5u",
];

/// Texts that are inserted into an expression to make it faulty.
const SLIPS: [&str; 44] = [
    "", " ", "\n", "\t", "'", "\"", "\\", "`", "(", ")", "[", "]", "{", "}", ".", ",", "?", ":", "=", "==",
    "!", "-", "+", "*", "/", "//", "%", "&", "&&", "|", "||", "<", " in ", "1", "0x", "u", "e", "r'", "b'",
    "'''", "é", "has(", ".all(", "user",
];

fn compile(source: &str) -> Result<Policy, Vec<String>> {
    let rule = serde_json::json!({"name": "x", "then": "hold", "if": source});
    Policy::parse(&serde_json::json!({ "rules": [rule] }).to_string())
}

#[test]
fn accepted_expression_is_the_same_to_both_parsers() {
    let env = environment().expect("an environment");
    let mut random = fastrand::Rng::with_seed(7);
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..3000 {
        let mut source = EXPRESSIONS[round % EXPRESSIONS.len()].to_owned();
        for _ in 0..round / EXPRESSIONS.len() % 4 {
            let places: Vec<usize> =
                source.char_indices().map(|(place, _)| place).chain([source.len()]).collect();
            let mut ends = [random.choice(&places), random.choice(&places)].map(|end| *end.expect("a place"));
            ends.sort_unstable();
            let end = if ends[1] - ends[0] < 4 { ends[1] } else { ends[0] };
            source.replace_range(ends[0]..end, random.choice(SLIPS).expect("a slip"));
        }
        let other = env.compile(&source).ok();
        // Only expressions that pass the check have to be the same to both parsers.
        if compile(&source).is_ok() {
            let ours = PrattParser::new().parse(&source).expect("just parsed");
            let other = other.unwrap_or_else(|| panic!("only our parser accepts {source:?}"));
            assert_eq!(shape(&ours), shape(other.expression()), "{source:?}");
            accepted += 1;
        } else {
            refused += 1;
        }
    }
    assert!(accepted > 500 && refused > 500, "{accepted} accepted, {refused} refused");
}

#[test]
fn text_with_a_line_break_is_refused() {
    let faults = compile("user.name == 'a\nb'").expect_err("a fault");
    assert!(
        faults[0].ends_with(
            "a text contains a line break; add the missing quote, or write the line break as `\\n`"
        )
    );
    // This text is correct. It is refused because the source has a line break elsewhere.
    assert!(compile("user.fullname ==\n'a\\nb'").is_err());
    assert!(compile("user.fullname == 'a\\nb'").is_ok());
    assert!(compile("user.fullname ==\n'ab'").is_ok());
}
