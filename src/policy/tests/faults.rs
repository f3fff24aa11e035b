//! What is found at start-up: the policies that never start, and what they are told.

use super::{Policy, ada, decide, policy};

#[test]
fn an_expression_with_a_slip_in_it_never_starts() {
    let cases = [
        ("", "not a CEL expression: line 1, column 1"),
        ("user.pro &&", "not a CEL expression: line 1, column 12"),
        ("user.pro AND true", "not a CEL expression: line 1, column 10"),
        ("'abc", "not a CEL expression"),
        (
            "usr.pro",
            "there is no variable `usr`; there are `user`, `fields`, `repo`, `requested_at` and `now`",
        ),
        ("Country == 'KP'", "there is no variable `Country`"),
        ("user.emial == 'x'", "`user` has no attribute `emial`; it has `name`, `id`"),
        ("has(user.emial)", "`user` has no attribute `emial`"),
        ("user['emial'] == 'x'", "`user` has no attribute `emial`"),
        ("'emial' in user", "`user` has no attribute `emial`"),
        ("user[fields['x']] == 'x'", "which attribute of `user` is meant must be said outright"),
        ("repo.private", "`repo` has no attribute `private`; it has `name`, `owner` and `type`"),
        ("false && user.emial == 'x'", "`user` has no attribute `emial`"),
        ("true || usr.pro", "there is no variable `usr`"),
        ("user.orgs.exists(o, p == 'x')", "there is no variable `p`"),
        ("user.orgs.exists(o, o == 'x') && o == 'y'", "there is no variable `o`"),
        ("user.name.first == 'x'", "`.first`: text has no attributes"),
        ("user.name", "it gives text, but a condition gives a bool"),
        ("size(fields)", "it gives an int, but a condition gives a bool"),
        ("user.orgs", "it gives a list (text), but a condition gives a bool"),
        ("'yes'", "it gives text"),
        ("null", "it gives null"),
        ("user.pro ? 'yes' : 'no'", "it gives text"),
        ("user.pro && 1", "`&&` does not apply to a bool and an int"),
        ("user.name || true", "`||` does not apply to text and a bool"),
        ("!user.name", "`!` does not apply to text"),
        ("fields['Age'] == 18", "`==` does not apply to text and an int"),
        ("fields['Agree'] == true", "`==` does not apply to text and a bool"),
        ("user.pro == 'true'", "`==` does not apply to a bool and text"),
        ("user.email != null", "nothing here is ever null; `has(user.email)` tells whether there is one"),
        ("fields['Country'] in [1, 2]", "`in` does not apply to text and a list (an int)"),
        ("fields['Country'] in 'KP SY'", "`in` does not apply to text and text"),
        ("user.verified_orgs in 'epfl'", "`in` does not apply"),
        ("user.verified_orgs == 'epfl'", "`==` does not apply to a list (text) and text"),
        ("fields['Age'] > 18", "`>` does not apply to text and an int"),
        ("now - requested_at > 3600", "`>` does not apply to a duration and an int"),
        ("user.name.lower() == 'x'", "there is no function `lower`; there are size, contains"),
        ("contains(user.name, 'x')", "`contains` does not apply to text and text; it is written `text.c"),
        ("user.name.startswith('x')", "there is no function `startswith`"),
        ("fields['Affiliation'].matches('(')", "unclosed group"),
        ("now - requested_at > duration('1 day')", "duration"),
        ("requested_at > timestamp('yesterday')", "timestamp"),
        ("fields.?Country == 'x'", "unsupported syntax"),
        ("-duration('1h') < duration('1h')", "`-` does not apply to a duration"),
        ("user.pro ? 'a' : 1", "`?_:` does not apply to a bool and text and an int"),
        ("user.orgs.map(o, size(o))[0]", "it gives an int"),
        ("user.orgs.map(o, size(o)).exists(n, n == 'x')", "`==` does not apply to an int and text"),
        ("user.orgs.filter(o, size(o) > 3)[0] == 3", "`==` does not apply to text and an int"),
        (
            "(user.pro ? user : repo).emial == 'x'",
            "`user` is no value by itself; say which attribute is meant",
        ),
        ("[user, repo][0].emial == 'x'", "`user` is no value by itself"),
        ("!has({'u': user}.u.emial)", "`user` is no value by itself"),
        ("user == repo", "`user` is no value by itself"),
        ("size(user) > 0", "`user` is no value by itself"),
        ("fields['Age'] in [18, 'n/a']", "an int and text stand in one list or map"),
        ("[fields['Age'], 1][0] == 18", "text and an int stand in one list or map"),
        ("{'CH': 'yes'}[fields['Country']] == true", "`==` does not apply to text and a bool"),
        ("{'CH': 'yes', 'KP': 1}['CH'] == 'yes'", "text and an int stand in one list or map"),
        ("{'CH': 'yes'}[1] == 'yes'", "`[_]` does not apply to a map (text to text) and an int"),
        ("fields.exists(k, v, v == 'x')", "`exists` is not written so"),
        ("dyn(fields['Age']) == 18", "there is no function `dyn`"),
        ("user.name.string() == 'x'", "`string` does not apply to text; it is written `int(x)`"),
        ("now.getHours('Europe/Zurihc') > 8", "Europe/Zurihc"),
        ("{'CH': 1, 'CH': 2}[fields['Country']] == 1", "repeated key"),
        ("{now: 1}[now] == 1", "a timestamp cannot be the key of a map"),
        ("['a'][5] == 'a'", "out of bounds"),
        ("{'a': true}.b", "No such key: b"),
        ("{'a': true}['b']", "No such key: b"),
        ("user.pro && 1 / (1 - 1) == 1", "Division by zero"),
        ("now - requested_at > duration('1' + ' day')", "duration"),
        ("_foo(user.name)", "there is no function `_foo`"),
        ("user.exists(k, k == 'pro')", "one can go over a list or over `fields`, not over `user`"),
        ("Person{name: 'x'}.name == 'x'", "there is no type `Person`"),
        (".user.pro", "there is no variable `.user`"),
    ];
    for (expression, expected) in cases {
        let json =
            serde_json::json!({"rules": [{"name": "slip", "then": "accept", "if": expression}]}).to_string();
        let faults = Policy::parse(&json).expect_err(expression);
        assert!(faults[0].starts_with("rule `slip`: `if`: "), "{expression}: {faults:?}");
        assert!(faults[0].contains(expected), "{expression}: {faults:?}");
    }
}

#[test]
fn a_policy_with_a_fault_never_starts() {
    let rule = |rest: &str| format!(r#"{{"rules": [{{"name": "r", {rest}}}]}}"#);
    let long = "x".repeat(201);
    let cases = [
        (String::new(), "a policy is a JSON object"),
        ("accept".to_owned(), "a policy is a JSON object"),
        ("[]".to_owned(), "a policy is a JSON object; a policy looks like"),
        (r#"[[["a", "accept", "true", null]], "hold"]"#.to_owned(), "a policy is a JSON object"),
        (r#"{"rules": [["a", "accept", "true", null]]}"#.to_owned(), "rule number 1: a rule is a JSON object"),
        ("{}".to_owned(), "missing field `rules`"),
        (r#"{"rules": [], "defalt": "accept"}"#.to_owned(), "unknown field `defalt`"),
        (r#"{"rules": [], "default": "allow"}"#.to_owned(), "`default`: unknown variant `allow`, expected one of `accept`"),
        (r#"{"rules": [], "default": "hold", "default": "accept"}"#.to_owned(), "duplicate field `default`"),
        (r#"{"rules": {}}"#.to_owned(), "expected a sequence"),
        (r#"{"rules": []} x"#.to_owned(), "trailing characters"),
        (rule(r#""then": "accept""#), "rule `r`: missing field `if`"),
        (rule(r#""if": "true""#), "rule `r`: missing field `then`"),
        (rule(r#""then": "Accept", "if": "true""#), "is `accept` meant?"),
        (rule(r#""then": "acept", "if": "true""#), "is `accept` meant?"),
        (rule(r#""then": "accept", "if": "true", "unless": "false""#), "rule `r`: unknown field `unless`"),
        (rule(r#""then": "accept", "if": true"#), "rule `r`: invalid type: boolean `true`, expected a string"),
        (rule(r#""then": "accept", "if": "false", "if": "true""#), "rule `r`: duplicate field `if`"),
        (rule(r#""then": "accept", "if": "true", "reason": "x""#), "rule `r`: `reason` is given, but nobody is told"),
        (rule(r#""then": "hold", "if": "true", "reason": "x""#), "rule `r`: `reason` is given, but nobody is told"),
        (rule(r#""then": "reset", "if": "true", "reason": " ""#), "rule `r`: `reason` is empty"),
        (
            rule(&format!(r#""then": "reject", "if": "true", "reason": "{long}""#)),
            "rule `r`: `reason` has 201 characters; the Hub takes at most 200",
        ),
        (r#"{"rules": [{"then": "accept", "if": "true"}]}"#.to_owned(), "rule number 1: missing field `name`"),
        (r#"{"rules": [{"name": " ", "then": "accept", "if": "true"}]}"#.to_owned(), "rule number 1: `name` is empty"),
        (r#"{"rules": [7]}"#.to_owned(), "rule number 1: a rule is a JSON object"),
        (
            r#"{"rules": [{"name": "a", "then": "accept", "if": "true"}, {"name": "a", "then": "reject", "if": "true"}]}"#
                .to_owned(),
            "rule `a`: another rule has this name",
        ),
    ];
    for (json, expected) in cases {
        let faults = Policy::parse(&json).expect_err(&json);
        assert!(faults.len() == 1 && faults[0].contains(expected), "{json}: {faults:?}");
    }
}

#[test]
fn a_reason_of_200_characters_is_taken() {
    let reason = "é".repeat(200);
    let json = serde_json::json!({"rules": [{"name": "r", "then": "reset", "if": "true", "reason": reason}]});
    assert_eq!(decide(&policy(&json.to_string()), &ada()).reason.as_deref(), Some(reason.as_str()));
}

#[test]
fn all_faults_are_told_at_once() {
    let json = r#"{"rules": [
        {"name": "a", "then": "accept", "if": "usr.pro"},
        {"name": "b", "then": "accept", "if": "true", "reason": "x"},
        {"name": "a", "then": "accept", "if": "true"},
        {"name": "c", "then": "reset", "if": "user.nme == 'x'", "reason": ""}],
        "default": "perhaps"}"#;
    let faults = Policy::parse(json).expect_err("faults");
    let about: Vec<&str> = faults.iter().map(|fault| &fault[..8]).collect();
    assert_eq!(about, ["rule `a`", "rule `b`", "rule `a`", "rule `c`", "rule `c`", "`default"], "{faults:?}");
}

#[test]
fn lists_are_gone_through_two_deep_and_no_deeper() {
    let fault = |expression: &str| {
        let json = serde_json::json!({"rules": [{"name": "deep", "then": "accept", "if": expression}]});
        Policy::parse(&json.to_string()).err()
    };
    let over = |inner: &str| format!("user.orgs.exists(o, {inner})");
    assert_eq!(fault(&over(&over("o == 'x'"))), None);
    let side_by_side = format!("{} && {}", over(&over("o == 'x'")), over(&over("o == 'y'")));
    assert_eq!(fault(&side_by_side), None);
    let faults = fault(&over(&over(&over("o == 'x'")))).expect("a fault");
    assert!(faults[0].contains("nest at most two of them"), "{faults:?}");
}
