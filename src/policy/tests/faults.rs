//! Policies that are refused at start-up, and their faults.

use super::{Policy, ada, decide, policy};
use crate::policy::suggest::did_you_mean;

/// Expressions, and a part of the fault.
const FAULTY_EXPRESSIONS: &[(&str, &str)] = &[
    ("", "not a CEL expression: at its character 1"),
    ("user.pro &&", "not a CEL expression: at its character 12"),
    ("user.pro AND true", "not a CEL expression: at its character 10"),
    ("user.pro and true", "; write `&&` instead of `and`"),
    ("user.pro or user.name == 'a and b'", "; write `||` instead of `or`"),
    ("not user.pro", "; write `!` instead of `not`"),
    ("user.name = 'ada'", "; write `==` instead of `=`"),
    ("user.name='ada'", "; write `==` instead of `=`"),
    ("user.name is 'ada'", "; write `==` instead of `is`"),
    ("has(fields['x'])", "to test for an answer, write `'Label' in fields`"),
    ("fields.get('x') == 'y'", "there is no function `get`; write `fields['…']`"),
    ("now - requested_at > duration('3d')", "write days in hours, such as '72h'"),
    ("now - requested_at > duration('10d')", "such as '240h'"),
    ("now > timestamp('2026-11-01')", "write it with a zone, such as '2026-11-01T00:00:00Z'"),
    (
        "now - requested_at > duration(fields['Wait'])",
        "`duration` reads `fields['Wait']`, which the requester writes",
    ),
    ("now.getHours(fields['Zone']) > 3", "reads `fields['Zone']`, which the requester writes"),
    ("'abc", "not a CEL expression"),
    ("usr.pro", "there is no variable `usr`; did you mean `user`?"),
    ("Country == 'KP'", "there is no variable `Country`; choose from `user`, `fields`, `repo`"),
    ("user.emial == 'x'", "`user` has no attribute `emial`; did you mean `email`?"),
    ("has(user.emial)", "`user` has no attribute `emial`"),
    ("user['emial'] == 'x'", "`user` has no attribute `emial`"),
    ("'emial' in user", "`user` has no attribute `emial`"),
    (
        "user[fields['x']] == 'x'",
        "the attribute of `user` is not constant; write its name, such as `user['email']`",
    ),
    ("repo.private", "`repo` has no attribute `private`; choose from `name`, `owner`, `type`"),
    ("false && user.emial == 'x'", "`user` has no attribute `emial`"),
    ("true || usr.pro", "there is no variable `usr`"),
    ("user.orgs.exists(o, p == 'x')", "there is no variable `p`"),
    ("user.orgs.exists(o, o == 'x') && o == 'y'", "there is no variable `o`"),
    (
        "user.name.first == 'x'",
        "`.first`: text has no attributes; only `user`, `repo`, `fields` and maps have them",
    ),
    ("user.name", "the expression gives text, but a condition has to give a bool"),
    ("size(fields)", "the expression gives an int, but a condition has to give a bool"),
    ("user.orgs", "the expression gives a list (text), but a condition has to give a bool"),
    ("'yes'", "the expression gives text"),
    ("null", "the expression gives null"),
    ("user.pro ? 'yes' : 'no'", "the expression gives text"),
    ("user.pro && 1", "`&&` does not apply to a bool and an int"),
    ("user.name || true", "`||` does not apply to text and a bool"),
    ("!user.name", "`!` does not apply to text"),
    ("fields['Age'] == 18", "`==` does not apply to text and an int"),
    ("fields['Agree'] == true", "`==` does not apply to text and a bool"),
    ("user.pro == 'true'", "`==` does not apply to a bool and text"),
    (
        "user.email != null",
        "no value is ever null; test for a missing value with `has`, such as `has(user.email)`",
    ),
    ("fields['Country'] in [1, 2]", "`in` does not apply to text and a list (an int)"),
    ("fields['Country'] in 'KP SY'", "`in` does not apply to text and text"),
    ("user.verified_orgs in 'epfl'", "`in` does not apply"),
    ("user.verified_orgs == 'epfl'", "`==` does not apply to a list (text) and text"),
    ("fields['Age'] > 18", "`>` does not apply to text and an int"),
    ("now - requested_at > 3600", "`>` does not apply to a duration and an int"),
    ("user.name.lower() == 'x'", "there is no function `lower`; did you mean `lowerAscii`?"),
    (
        "contains(user.name, 'x')",
        "`contains` does not apply to text and text; write it as `text.contains('x')`",
    ),
    ("user.name.startswith('x')", "there is no function `startswith`; did you mean `startsWith`?"),
    ("fields['Affiliation'].matches('(')", "unclosed group"),
    ("now - requested_at > duration('1 day')", "duration"),
    ("requested_at > timestamp('yesterday')", "timestamp"),
    ("fields.?Country == 'x'", "unsupported syntax"),
    ("-duration('1h') < duration('1h')", "`-` does not apply to a duration"),
    ("user.pro ? 'a' : 1", "`? :` does not apply to a bool and text and an int"),
    ("user.orgs.map(o, size(o))[0]", "the expression gives an int"),
    ("user.orgs.map(o, size(o)).exists(n, n == 'x')", "`==` does not apply to an int and text"),
    ("user.orgs.filter(o, size(o) > 3)[0] == 3", "`==` does not apply to text and an int"),
    (
        "(user.pro ? user : repo).emial == 'x'",
        "`user` is not a value; use one of its attributes, such as `user.name`",
    ),
    ("[user, repo][0].emial == 'x'", "`user` is not a value"),
    ("!has({'u': user}.u.emial)", "`user` is not a value"),
    ("user == repo", "`user` is not a value"),
    ("size(user) > 0", "`user` is not a value"),
    ("fields['Age'] in [18, 'n/a']", "one list or map contains both an int and text; use only one type"),
    ("[fields['Age'], 1][0] == 18", "one list or map contains both text and an int"),
    ("{'CH': 'yes'}[fields['Country']] == true", "`==` does not apply to text and a bool"),
    ("{'CH': 'yes', 'KP': 1}['CH'] == 'yes'", "one list or map contains both text and an int"),
    ("{'CH': 'yes'}[1] == 'yes'", "`[ ]` does not apply to a map (text to text) and an int"),
    ("fields.exists(k, v, v == 'x')", "`exists` has wrong arguments; write it like `user.orgs.exists("),
    ("dyn(fields['Age']) == 18", "there is no function `dyn`"),
    ("user.name.string() == 'x'", "`string` does not apply to text; write it as `string(x)`"),
    ("now.getHours('Europe/Zurihc') > 8", "Europe/Zurihc"),
    ("{'CH': 1, 'CH': 2}[fields['Country']] == 1", "repeated key"),
    ("{now: 1}[now] == 1", "a timestamp cannot be a key of a map; use text, a bool or an int"),
    ("['a'][5] == 'a'", "out of bounds"),
    ("{'a': true}.b", "No such key: b"),
    ("{'a': true}['b']", "No such key: b"),
    ("user.pro && 1 / (1 - 1) == 1", "Division by zero"),
    ("now - requested_at > duration('1' + ' day')", "duration"),
    ("len(user.name) > 3", "there is no function `len`; did you mean `size`?"),
    ("user.name.strip() == 'x'", "there is no function `strip`; did you mean `trim`?"),
    ("has(user.email, user.name)", "`has` has wrong arguments; write it like `has(user.email)`"),
    (
        "fields['Birth'].age() > 18",
        "`age` does not apply to text; write it as `age(fields['Date of birth'])`",
    ),
    ("_foo(user.name)", "there is no function `_foo`"),
    ("user.exists(k, k == 'pro')", "a macro iterates over a list, a map or `fields`, not over `user`"),
    ("Person{name: 'x'}.name == 'x'", "there is no type `Person`"),
    (".user.pro", "there is no variable `.user`"),
];

#[test]
fn expression_with_a_fault_is_refused() {
    for (expression, expected) in FAULTY_EXPRESSIONS {
        let json =
            serde_json::json!({"rules": [{"name": "slip", "then": "accept", "if": expression}]}).to_string();
        let faults = Policy::parse(&json).expect_err(expression);
        assert!(faults[0].starts_with("line 1, column 17: rule `slip`: `if`: "), "{expression}: {faults:?}");
        assert!(faults[0].contains(expected), "{expression}: {faults:?}");
    }
}

#[test]
fn policy_with_a_fault_is_refused() {
    let rule = |rest: &str| format!(r#"{{"rules": [{{"name": "r", {rest}}}]}}"#);
    let long = "x".repeat(201);
    let cases = [
        (String::new(), "line 1, column 1: `rules` is missing; if there are none, write `rules = []`"),
        ("accept".to_owned(), "line 1, column 7: this is not valid TOML: key with no value, expected `=`"),
        ("[]".to_owned(), "this is not valid TOML"),
        (r#"{"rules": [["a", "accept", "true", null]]}"#.to_owned(), "rule number 1: this is a list, but it has to be a table of keys and values"),
        ("{}".to_owned(), "`rules` is missing"),
        (r#"{"rules": [], "defalt": "accept"}"#.to_owned(), "line 1, column 15: there is no key `defalt`; did you mean `default`?"),
        (r#"{"rules": [], "default": "allow"}"#.to_owned(), "line 1, column 26: `default`: there is no verdict `allow`; choose from `accept`, `hold`"),
        (r#"{"rules": [], "default": "hold", "default": "accept"}"#.to_owned(), "line 1, column 34: the key `default` is there twice; remove one of the two"),
        (r#"{"rules": null}"#.to_owned(), "`rules`: this is null, but it has to be a list in brackets"),
        (r#"{"rules": [[[[[[[[[0]]]]]]]]]}"#.to_owned(), "rule number 1: this is a list"),
        (r#"{"rules": {}}"#.to_owned(), "`rules`: this is a table, but it has to be a list in brackets"),
        (r#"{"rules": []} x"#.to_owned(), "line 1, column 15: this is not valid JSON: trailing characters"),
        (rule(r#""then": "accept""#), "line 1, column 12: rule `r`: `if` is missing; it is the condition"),
        (rule(r#""if": "true""#), "rule `r`: `then` is missing; it is the verdict"),
        (rule(r#""then": "Accept", "if": "true""#), "did you mean `accept`?"),
        (rule(r#""then": "acept", "if": "true""#), "did you mean `accept`?"),
        (rule(r#""then": "accept", "if": "true", "unles": "false""#), "rule `r`: there is no key `unles`; did you mean `unless`?"),
        ("[[rules]]\nname = 'r'\nthen = 'accept'\nif = 'true'\ndefault = 'hold'".to_owned(), "line 5, column 1: rule `r`: there is no key `default`; it is a key of the policy itself, and in TOML such a key stands above the first `[`"),
        (rule(r#""then": "accept", "if": "true", "unless": "use.pro""#), "rule `r`: `unless`: there is no variable `use`"),
        (rule(r#""then": "accept", "if": "true", "repos": []"#), "rule `r`: `repos`: it names no repo"),
        (rule(r#""then": "accept", "if": "true", "repos": ["a b"]"#), "rule `r`: `repos`: `a b` is not the name of a repo"),
        (rule(r#""then": "accept", "if": "true", "repos": "acme/x""#), "rule `r`: `repos`: this is text, but it has to be a list"),
        (rule(r#""then": "accept", "if": true"#), "rule `r`: `if`: this is `true` or `false`, but it has to be text in quotes"),
        (rule(r#""then": "accept", "if": "false", "if": "true""#), "rule `r`: the key `if` is there twice"),
        (rule(r#""then": "accept", "if": "true", "reason": "x""#), "rule `r`: `reason`: it has no effect with"),
        (rule(r#""then": "hold", "if": "true", "reason": "x""#), "rule `r`: `reason`: it has no effect with"),
        (rule(r#""then": "reset", "if": "true", "reason": " ""#), "rule `r`: `reason`: it is empty"),
        (
            rule(&format!(r#""then": "reject", "if": "true", "reason": "{long}""#)),
            "rule `r`: `reason`: it has 201 characters; shorten it to 200, the maximum on the Hub",
        ),
        (r#"{"rules": [{"then": "accept", "if": "true"}]}"#.to_owned(), "rule number 1: `name` is missing; it is the name for the audit log"),
        (r#"{"rules": [{"name": " ", "then": "accept", "if": "true"}]}"#.to_owned(), "rule number 1: `name` is empty"),
        (r#"{"rules": [7]}"#.to_owned(), "rule number 1: this is a number, but it has to be a table"),
        (
            r#"{"rules": [{"name": "a", "then": "accept", "if": "true"}, {"name": "a", "then": "reject", "if": "true"}]}"#
                .to_owned(),
            "rule `a`: another rule has the same name",
        ),
    ];
    for (json, expected) in cases {
        let faults = Policy::parse(&json).expect_err(&json);
        assert!(faults.len() == 1 && faults[0].contains(expected), "{json}: {faults:?}");
    }
}

#[test]
fn reason_of_200_characters_is_accepted() {
    let reason = "é".repeat(200);
    let json = serde_json::json!({"rules": [{"name": "r", "then": "reset", "if": "true", "reason": reason}]});
    assert_eq!(decide(&policy(&json.to_string()), &ada()).reason.as_deref(), Some(reason.as_str()));
}

#[test]
fn all_faults_are_reported_at_once() {
    let json = r#"{"rules": [
        {"name": "a", "then": "accept", "if": "usr.pro"},
        {"name": "b", "then": "accept", "if": "true", "reason": "x"},
        {"name": "a", "then": "accept", "if": "true"},
        {"name": "c", "then": "reset", "if": "user.nme == 'x'", "reason": ""}],
        "default": "perhaps"}"#;
    let faults = Policy::parse(json).expect_err("faults");
    let about: Vec<&str> = faults.iter().map(|fault| &fault[..28]).collect();
    let expected = [
        "line 2, column 47: rule `a`:",
        "line 3, column 65: rule `b`:",
        "line 4, column 9: rule `a`: ",
        "line 5, column 46: rule `c`:",
        "line 5, column 75: rule `c`:",
        "line 6, column 20: `default`",
    ];
    assert_eq!(about, expected, "{faults:?}");
}

#[test]
fn message_lists_at_most_eight_candidates() {
    let words = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    let listed = "; choose from `a`, `b`, `c`, `d`, `e`, `f`, `g`, `h`";
    assert_eq!(did_you_mean("zzz", words.into_iter().take(8)), listed);
    assert_eq!(did_you_mean("zzz", words), format!("{listed} and others"));
    assert_eq!(did_you_mean("zzz", []), "");
}

#[test]
fn macros_may_be_nested_two_deep_but_not_three() {
    let fault = |expression: &str| {
        let json = serde_json::json!({"rules": [{"name": "deep", "then": "accept", "if": expression}]});
        Policy::parse(&json.to_string()).err()
    };
    let over = |inner: &str| format!("user.orgs.exists(o, {inner})");
    assert_eq!(fault(&over(&over("o == 'x'"))), None);
    let side_by_side = format!("{} && {}", over(&over("o == 'x'")), over(&over("o == 'y'")));
    assert_eq!(fault(&side_by_side), None);
    let faults = fault(&over(&over(&over("o == 'x'")))).expect("a fault");
    assert!(faults[0].contains("nested more than 2 deep"), "{faults:?}");
}

#[test]
fn rule_without_a_verdict_shows_its_other_faults() {
    let rule =
        "[[rules]]\nname = 'r'\nthen = 'acept'\nif = \"user.nam == 'a'\"\nunless = \"user.emial == 'x'\"\n";
    let faults = Policy::parse(rule).expect_err("three faults");
    let expected = ["there is no verdict `acept`", "has no attribute `nam`", "has no attribute `emial`"];
    assert!(faults.iter().zip(expected).all(|(fault, expected)| fault.contains(expected)), "{faults:?}");
    assert_eq!(faults.len(), 3, "{faults:?}");
    let faults = Policy::parse("[[rules]]\nunless = 'user.nam == 1'").expect_err("four faults");
    assert!(faults.len() == 4 && faults[3].contains("has no attribute `nam`"), "{faults:?}");
}

#[test]
fn at_most_100_faults_are_shown() {
    let rules: Vec<String> =
        (0..103).map(|number| format!("[[rules]]\nname = 'r{number}'\nthen = 'hold'\nif = 'x'\n")).collect();
    let faults = Policy::parse(&rules.concat()).expect_err("103 faults");
    let expected = "line 404, column 6: here and below are 3 more faults";
    assert_eq!((faults.len(), &*faults[100]), (101, expected));
}
