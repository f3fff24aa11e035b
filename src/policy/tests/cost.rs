//! The cost of deciding a request. It is bounded when the policy is read, and counted while a request is decided.

use super::*;

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
    assert!(matches!(decide(&two).grounds, Grounds::Unknown { .. }));
    assert!(matches!(decide(&rules(&[&format!("accept: {HARD}")])).grounds, Grounds::NoRule));
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
