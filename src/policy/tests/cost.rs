//! The cost of deciding a request. It is bounded when the policy is read, and counted while a request is decided.

use cel::common::ast::Expr;

use super::*;
use crate::policy::check::cost;
use crate::policy::compile::parse;
use crate::policy::functions::{ANSWER, FOLD};
use crate::policy::patterns::Patterns;

/// The request of Ada, with this number of answers of this length. Each is a random text of two letters.
fn ada_with(answers: usize, length: usize) -> AccessRequest {
    let mut random = fastrand::Rng::with_seed(7);
    let mut answer = || (0..length).map(|_| if random.bool() { 'a' } else { 'b' }).collect();
    let mut request = ada();
    request.fields = (0..answers).map(|number| (format!("label {number}"), answer())).collect();
    request.user.orgs = Some((0..300).map(|number| format!("organization-{number}")).collect());
    request
}

fn decide(rule: &str, request: &AccessRequest) -> Decision {
    rules(&[&format!("accept: {rule}")]).decide(request, &dataset(), at("2026-11-25T12:00:00Z"))
}

/// A hard pattern. The number of states doubles with each repetition, so nearly every byte of an answer leads to a new state.
const HARD: &str = "fields.exists(label, fields[label].matches('[ab]*a[ab]{200}c'))";

#[test]
fn request_that_exceeds_the_cost_limit_is_held() {
    let steps = "user.orgs.exists(a, user.orgs.exists(b, a + b + a + b + a + b == b + a + a))";
    let failing_steps =
        "user.orgs.exists(a, user.orgs.exists(b, user.orgs[size(user.orgs) + 1000] == a + b + a + b))";
    let many = ada_with(290, 330);
    for (rule, request) in [
        (HARD, &many),
        (HARD, &ada_with(12, 8000)),
        (steps, &many),
        (failing_steps, &many),
        ("user.orgs.map(a, user.orgs.filter(b, size(a + b + a + b + a + b + a + b) == 1)) == []", &many),
        ("user.orgs.exists_one(a, user.orgs.map(b, user.pro, a + b + a + b + a + b + a + b) == [])", &many),
    ] {
        // If the cost limit were an error, `||` would absorb it.
        for rule in [rule, &format!("{rule} || true")] {
            let decision = decide(rule, request);
            let why = "rule `1` could not be evaluated: its evaluation for this request exceeds the cost limit; a person has to decide";
            assert_eq!((decision.verdict, &*decision.grounds.to_string()), (Verdict::Hold, why), "{rule}");
        }
    }
    assert_eq!(decide(HARD, &ada()).grounds, Grounds::NoRule);
}

#[test]
fn ordinary_rules_on_long_answers_stay_within_the_limit() {
    for (rule, request) in [
        // Easy patterns on the longest answers.
        ("!fields.exists(l, fields[l].matches('(?i)\\\\bmilitary\\\\b'))", &ada_with(12, 8000)),
        (
            "!fields.exists(l, fields[l].matches('^[a-z0-9._%+-]+@[a-z0-9.-]+$') && user.pro)",
            &ada_with(290, 330),
        ),
        ("fields.exists(l, fields.exists(m, l == m))", &ada_with(290, 330)),
        ("user.orgs.all(o, fields.exists(l, l != o))", &ada_with(290, 330)),
        ("!fields.exists(l, fields[l] in ['a', 'b', user.name])", &ada_with(290, 330)),
    ] {
        assert_eq!(decide(rule, request).grounds.rule(), Some("1"), "{rule}");
    }
}

#[test]
fn costs_of_all_rules_are_added_up() {
    let two = rules(&[&format!("accept: {HARD}"), &format!("reject: {}", HARD.replace("c')", "d')"))]);
    let half = ada_with(60, 400);
    let decide = |policy: &Policy| policy.decide(&half, &dataset(), at("2026-11-25T12:00:00Z"));
    assert!(two.may_be_slow() && !rules(&["accept: user.pro"]).may_be_slow());
    assert!(matches!(decide(&two).grounds, Grounds::Unknown { .. }));
    assert!(matches!(decide(&rules(&[&format!("accept: {HARD}")])).grounds, Grounds::NoRule));
    // A `let` is evaluated once.
    let read_twice = serde_json::json!({"let": {"hard": HARD}, "rules": [
        {"name": "1", "then": "accept", "if": "hard"}, {"name": "2", "then": "hold", "if": "hard"}]});
    assert!(matches!(decide(&policy(&read_twice.to_string())).grounds, Grounds::NoRule));
}

/// The maximum cost of an expression and the maximum size of its value, with the maximum and the mean length of texts. Functions
/// of our own are written in capitals.
fn estimate(expression: &str) -> (u64, String) {
    let mut parsed = parse(expression).expect("an expression");
    if let Expr::Call(call) = &mut parsed.expr
        && let Some(own) = [FOLD, ANSWER].into_iter().find(|own| own[1..].to_uppercase() == call.func_name)
    {
        own.clone_into(&mut call.func_name);
    }
    let (size, cost) = cost::check(&mut parsed, &Patterns::default(), &|_| None).expect("a small expression");
    let size = format!("{size:?}").replace("Length { max: ", "").replace(", mean: ", "/").replace(" }", "");
    (cost, size)
}

#[test]
fn size_and_cost_of_an_expression_are_bounded() {
    let cases: [(&str, u64, &str); 29] = [
        ("user.name", 50, "Text(200/200)"),
        ("user.email", 50, "Text(318/318)"),
        ("user.orgs", 50, "List(300, Text(200/200))"),
        ("repo.name", 50, "Text(100000/100000)"),
        ("fields.email", 50, "Text(100000/100000)"),
        ("has(fields.email)", 50, "Text(0/0)"),
        ("fields['A']", 75, "Text(100000/100000)"),
        ("ANSWER(fields, user.name)", 2500, "Text(100000/100000)"),
        ("FOLD(fields['A'])", 25100, "Text(100000/100000)"),
        ("string(fields['A'])", 25100, "Text(100000/100000)"),
        ("string(1)", 50, "Text(64/64)"),
        ("size('abc')", 50, "Text(0/0)"),
        ("'abc' + 'de'", 76, "Text(5/5)"),
        ("['abc', 'de'] + ['f']", 163, "List(3, Text(3/3))"),
        ("{'abc': 'de'}", 75, "List(1, Text(3/3))"),
        ("user.pro ? 'abc' : 'abcdefgh'", 125, "Text(8/8)"),
        ("fields['A'].trim()", 50100, "Text(100000/100000)"),
        ("'abcdefgh'.split(', ')", 99, "List(5, Text(8/2))"),
        ("'abcdefgh'.split('')", 115, "List(9, Text(8/1))"),
        ("'abcdefgh'.split(user.name)", 190, "List(9, Text(8/1))"),
        ("['abcdefgh', 'abc'].join(', ')", 142, "Text(20/20)"),
        ("['abcdefgh', 'abc'].join()", 116, "Text(16/16)"),
        ("'abcdefgh'.replace('ab', 'xyz')", 108, "Text(23/23)"),
        ("'abcdefghijkl'.indexOf('ab')", 87, "Text(0/0)"),
        ("'abcdefghijkl'.indexOf('abcdef')", 93, "Text(0/0)"),
        ("user.orgs.map(org, org + 'x')", 143_825, "List(300, Text(201/201))"),
        // One answer may be long, but not all of them.
        ("fields.map(l, fields[l].trim())", 205_900, "List(300, Text(100000/333))"),
        ("user.orgs.map(l, fields[l])", 7_613_825, "List(300, Text(100000/100000))"),
        ("fields.map(l, fields.map(m, fields[m])[l])", 52_196_200, "List(300, Text(100000/100000))"),
    ];
    for (expression, cost, size) in cases {
        assert_eq!(estimate(expression), (cost, size.to_owned()), "{expression}");
    }
}

/// The cost of a look-up does not depend on the list, nor that of an easy pattern on the other patterns.
#[test]
fn costs_of_other_lists_and_patterns_do_not_count() {
    let listed = "user.orgs.exists(o, o in lists.l || o in lists.l || o in lists.l)";
    let hard = "user.fullname.matches('[ab]*a[ab]{12}c')";
    let easy = "fields.exists(l, fields[l].matches('x'))";
    let rules =
        [listed, hard, easy].map(|rule| serde_json::json!({"name": rule, "then": "hold", "if": rule}));
    let document = serde_json::json!({"lists": {"l": ["x"]}, "rules": rules});
    assert!(!policy(&document.to_string()).may_be_slow());
}

#[test]
fn rule_that_could_cost_too_much_is_refused() {
    for rule in [
        "fields.exists(l, fields.exists(m, fields['Why'].contains('x')))",
        "fields.exists(l, fields.exists(m, fields[m].matches('[ab]*a[ab]{200}c')))",
        "user.orgs.exists(o, fields['Why'].matches('[ab]*a[ab]{1200}c'))",
    ] {
        let json = format!(r#"{{"rules": [{{"name": "slow", "then": "accept", "if": "{rule}"}}]}}"#);
        let faults = Policy::parse(&json).expect_err(rule);
        assert!(
            faults[0].contains(
                ": rule `slow`: together with the rules before it, this rule could cost too much for a request"
            ),
            "{faults:?}"
        );
    }
}
