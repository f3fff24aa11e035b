//! Tables of expressions and policies, with their results. The sample request is Ada's.

mod constants;
mod cost;
mod faults;
mod guide;
mod lets;
mod lists;
mod names;
mod parser;
mod patterns;
mod properties;
mod readable;
mod results;
mod shapes;
mod slips;
mod text_functions;
mod uses;
mod warnings;

use chrono::{DateTime, Utc};

use super::Policy;
use crate::model::{AccessRequest, Decision, Grounds, Repo, RepoType, User, Verdict};

fn at(time: &str) -> DateTime<Utc> {
    time.parse().expect("a time")
}

/// The request of Ada, of acme.com, with answers to the form.
fn ada() -> AccessRequest {
    let text = |s: &str| Some(s.to_owned());
    AccessRequest {
        request_id: text("r-1"),
        user: User {
            id: text("u-1"),
            name: text("ada"),
            fullname: text("Ada Lovelace"),
            email: text("Ada@Lab.ACME.com"),
            pro: Some(true),
            verified_orgs: Some(vec!["epfl".to_owned(), "acme".to_owned()]),
            orgs: Some(vec!["ladies".to_owned()]),
            service_account: text(""),
        },
        requested_at: Some(at("2026-11-20T12:00:00Z")),
        fields: [("Country", "CH"), ("Affiliation", "EPFL"), ("Age", "36"), ("Agree", "true")]
            .map(|(label, answer)| (label.to_owned(), answer.to_owned()))
            .into(),
        unreadable: None,
    }
}

/// A request without any attributes or answers.
fn nobody() -> AccessRequest {
    AccessRequest { request_id: Some("r-2".to_owned()), ..AccessRequest::default() }
}

fn dataset() -> Repo {
    Repo::new(RepoType::Dataset, "acme/corpus").expect("a name")
}

fn policy(json: &str) -> Policy {
    Policy::parse(json).unwrap_or_else(|faults| panic!("{json}: {faults:?}"))
}

/// A policy of rules that are written as `verdict: expression`. Their names are 1, 2 and so on.
fn rules(rules: &[&str]) -> Policy {
    let rules: Vec<_> = rules
        .iter()
        .enumerate()
        .map(|(index, rule)| {
            let (then, condition) = rule.split_once(": ").expect("a verdict and an expression");
            serde_json::json!({"name": format!("{}", index + 1), "then": then, "if": condition})
        })
        .collect();
    policy(&serde_json::json!({ "rules": rules }).to_string())
}

fn decide(policy: &Policy, request: &AccessRequest) -> Decision {
    policy.decide(request, &dataset(), at("2026-11-22T12:00:00Z"))
}

/// The result of an expression: `yes`, `no`, or why it cannot be evaluated.
fn answer(expression: &str, request: &AccessRequest) -> String {
    let decision = decide(&rules(&[&format!("accept: {expression}")]), request);
    match (decision.verdict, decision.grounds) {
        (Verdict::Accept, Grounds::Rule(_)) => "yes".to_owned(),
        (Verdict::Hold, Grounds::NoRule) => "no".to_owned(),
        (Verdict::Hold, Grounds::Unknown { why, .. }) => why,
        other => panic!("{expression}: {other:?}"),
    }
}

#[test]
fn expressions_see_the_request_the_repo_and_the_time() {
    let cases = [
        ("true", "yes"),
        ("false", "no"),
        ("user.name == 'ada'", "yes"),
        ("user.name == 'Ada'", "yes"),
        ("user.id == 'u-1'", "yes"),
        ("user.fullname.startsWith('Ada')", "yes"),
        ("user.email == 'Ada@Lab.ACME.com'", "yes"),
        ("user.domain == 'lab.acme.com'", "yes"),
        ("user.domain == 'acme.com' || user.domain.endsWith('.acme.com')", "yes"),
        ("user.domain.endsWith('acme.com') && user.domain.contains('evil')", "no"),
        ("user.pro", "yes"),
        ("!user.pro", "no"),
        ("user.pro == true", "yes"),
        ("'epfl' in user.verified_orgs", "yes"),
        ("'mit' in user.verified_orgs", "no"),
        ("user.verified_orgs.exists(o, o.startsWith('ep'))", "yes"),
        ("user.verified_orgs.all(o, o in ['epfl', 'acme'])", "yes"),
        ("size(user.orgs) == 1", "yes"),
        ("user.orgs[0] == 'ladies'", "yes"),
        ("user['name'] == 'ada'", "yes"),
        ("has(user.email)", "yes"),
        ("'email' in user", "yes"),
        ("fields['Country'] in ['KP', 'SY']", "no"),
        ("fields['Country'] in ['CH', 'SY']", "yes"),
        ("fields.Country == 'CH'", "yes"),
        ("size(fields['Affiliation']) < 3", "no"),
        ("'Country' in fields", "yes"),
        ("'Purpose' in fields", "no"),
        ("has(fields.Purpose)", "no"),
        ("'Purpose' in fields && fields['Purpose'] == 'x'", "no"),
        ("fields.exists(label, fields[label] == 'EPFL')", "yes"),
        ("fields['Affiliation'].matches('(?i)^epfl$')", "yes"),
        ("int(fields['Age']) >= 18", "yes"),
        ("bool(fields['Agree'])", "yes"),
        ("user.pro ? fields['Country'] == 'CH' : false", "yes"),
        ("repo.name == 'acme/corpus'", "yes"),
        ("repo.owner == 'acme'", "yes"),
        ("repo.type == 'dataset'", "yes"),
        ("repo.type == 'model'", "no"),
        ("now - requested_at > duration('24h')", "yes"),
        ("now - requested_at > duration('72h')", "no"),
        ("requested_at < timestamp('2026-11-21T00:00:00Z')", "yes"),
        ("now.getFullYear() == 2026", "yes"),
        ("age('2000-11-22') == 26", "yes"),
        ("{'CH': 'yes'}[fields['Country']] == 'yes'", "yes"),
        ("now.getHours('Europe/Zurich') == 13", "yes"),
        ("user.verified_orgs.filter(o, o == 'acme').size() == 1", "yes"),
        ("user.verified_orgs.map(o, o + '.org').exists_one(o, o == 'epfl.org')", "yes"),
    ];
    for (expression, expected) in cases {
        assert_eq!(answer(expression, &ada()), expected, "{expression}");
    }
}

#[test]
fn rule_that_reads_a_missing_value_cannot_be_evaluated() {
    let cases = [
        (
            "user.email == 'x@y.org'",
            "the request has no `email`: its e-mail address is not shared with the owner of the repo",
        ),
        (
            "user.domain == 'acme.com'",
            "the request has no `domain`: its e-mail address is not shared with the owner of the repo",
        ),
        ("user['pro']", "the request has no `pro`"),
        ("!user.pro", "the request has no `pro`"),
        ("user.name != 'mallory'", "the request has no `name`"),
        ("'epfl' in user.verified_orgs", "the request has no `verified_orgs`"),
        ("!('evil' in user.orgs)", "the request has no `orgs`"),
        ("fields['Country'] == 'KP'", "the request has no `Country`"),
        ("fields['Country'] != 'KP'", "the request has no `Country`"),
        ("!(fields.Country in ['KP'])", "the request has no `Country`"),
        ("requested_at < now", "the request has no `requested_at`"),
        ("has(user.email)", "no"),
        ("'Country' in fields", "no"),
        ("size(fields) == 0", "yes"),
        // If the result is the same whatever the missing answer is, the rule is evaluated normally, as in CEL.
        ("fields['Country'] == 'KP' || true", "yes"),
        ("fields['Country'] == 'KP' && false", "no"),
        ("fields['Country'] == 'KP' || false", "the request has no `Country`"),
    ];
    for (expression, expected) in cases {
        assert_eq!(answer(expression, &nobody()), expected, "{expression}");
    }
}

#[test]
fn explanation_never_shows_what_the_requester_wrote() {
    let mut mallory = ada();
    mallory.fields.insert("Age".to_owned(), "secret-answer".to_owned());
    mallory.user.email = Some("secret@answer.com".to_owned());
    let cases = [
        ("int(fields['Age']) > 18", "`int` cannot read a value of the request"),
        ("timestamp(fields['Age']) < now", "`timestamp` cannot read a value of the request"),
        ("{'a': true}[fields['Age']]", "the request has no such attribute or answer"),
        ("fields[user.email] == 'x'", "the request has no such attribute or answer"),
        (
            "{'a': true}[fields['Age']] || user.name == 'secret-answer'",
            "the request has no such attribute or answer",
        ),
        ("user.orgs[7] == 'x'", "a list is shorter than the rule expects"),
        ("1 / (size(user.orgs) - 1) == 1", "the rule divides by zero"),
        ("9223372036854775807 + size(user.orgs) > 0", "a number is too large"),
    ];
    for (expression, expected) in cases {
        assert_eq!(answer(expression, &mallory), expected, "{expression}");
    }
}

#[test]
fn any_answer_is_evaluated_or_held_and_never_shown() {
    let answers = [
        "",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "1e400",
        "NaN",
        "-inf",
        "TRUE",
        "9999-12-31T23:59:59Z",
        "+262142-12-31T23:59:59Z",
        "-262143-01-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "9223372036854775807s",
        "-9223372036854775808ns",
        "2562047788015215h",
        "106751d",
        "é",
        "\u{0}",
        "\u{10ffff}",
        "(",
        "a{1000}{1000}{1000}",
        "((((a*)*)*)*)*",
        "\\",
        "America/Nowhere",
        "+25:00",
        "\u{202e}cba",
    ];
    let expressions = [
        "int($a) * int($b) > 0",
        "int($a) + int($b) > 0",
        "int($a) / int($b) > 0",
        "int($a) % int($b) > 0",
        "-int($a) > 0",
        "int(double($a)) > 0",
        "uint($a) > 0u",
        "double($a) / double($b) > 1.0",
        "bool($a)",
        "timestamp($a) - timestamp($b) > duration('1h')",
        "timestamp($a) + duration('1h') > now",
        "timestamp(int($a)) > now",
        "timestamp($a).getHours('Europe/Paris') > 1",
        "timestamp($a).getDayOfYear() > 1",
        "(now - timestamp($a)).getMilliseconds() > 1",
        "string(timestamp($a)) == string(timestamp($b))",
        "int(timestamp($a)) > 0",
        "$a < $b",
        "fields[$a] == $b",
        "{$a: 1}[$b] == 1",
        "user.orgs[int($a)] == $b",
    ];
    for expression in expressions {
        let written = expression.replace("$a", "fields['A']").replace("$b", "fields['B']");
        let policy = rules(&[&format!("accept: {written}")]);
        for a in answers {
            for b in answers {
                let mut request = ada();
                request.fields.extend([("A".to_owned(), a.to_owned()), ("B".to_owned(), b.to_owned())]);
                if let Grounds::Unknown { why, .. } = decide(&policy, &request).grounds {
                    let repeated = [a, b].iter().any(|answer| answer.len() > 2 && why.contains(answer));
                    assert!(!repeated, "{expression} of {a:?} and {b:?}: {why}");
                }
            }
        }
    }
}

#[test]
fn request_that_makes_the_library_panic_is_held() {
    let mut mallory = ada();
    mallory.requested_at = Some(DateTime::<Utc>::MAX_UTC);
    let why = "a value of the request makes the evaluation fail";
    assert_eq!(answer("requested_at + duration('24h') < now", &mallory), why);
}

#[test]
fn variable_of_a_macro_hides_other_variables_of_its_name() {
    let cases = [
        ("user.verified_orgs.exists(user, user == 'epfl')", "yes"),
        ("user.verified_orgs.exists(fields, fields == 'epfl') && fields['Country'] == 'CH'", "yes"),
        ("user.verified_orgs.exists(o, user.orgs.exists(o, o == 'ladies') && o == 'acme')", "yes"),
        ("['ada'].all(name, name == user.name)", "yes"),
        ("user.verified_orgs.exists(o, [1, 2].exists(o, o > 1) && o == 'acme')", "yes"),
    ];
    for (expression, expected) in cases {
        assert_eq!(answer(expression, &ada()), expected, "{expression}");
    }
}

#[test]
fn strictest_verdict_wins_in_any_order() {
    let cases: [(&[&str], Verdict, Option<&str>); 16] = [
        (&[], Verdict::Hold, None),
        (&["accept: false"], Verdict::Hold, None),
        (&["accept: true"], Verdict::Accept, Some("1")),
        (&["hold: true"], Verdict::Hold, Some("1")),
        (&["reset: true"], Verdict::Reset, Some("1")),
        (&["reject: true"], Verdict::Reject, Some("1")),
        (&["accept: true", "reject: true"], Verdict::Reject, Some("2")),
        (&["reject: true", "accept: true"], Verdict::Reject, Some("1")),
        (&["accept: true", "reset: true"], Verdict::Reset, Some("2")),
        (&["accept: true", "hold: true"], Verdict::Hold, Some("2")),
        (&["hold: true", "reset: true"], Verdict::Reset, Some("2")),
        (&["reset: true", "reject: true"], Verdict::Reject, Some("2")),
        (&["reject: true", "reset: true", "hold: true", "accept: true"], Verdict::Reject, Some("1")),
        (&["accept: true", "hold: true", "reset: true", "reject: true"], Verdict::Reject, Some("4")),
        (&["reject: false", "accept: true"], Verdict::Accept, Some("2")),
        // If several rules with the strictest verdict match, the first one gives its name.
        (&["accept: true", "reject: false", "reject: true", "reject: user.pro"], Verdict::Reject, Some("3")),
    ];
    for (written, verdict, rule) in cases {
        let decision = decide(&rules(written), &ada());
        assert_eq!((decision.verdict, decision.grounds.rule()), (verdict, rule), "{written:?}");
    }
}

#[test]
fn rule_that_cannot_be_evaluated_counts_as_hold() {
    let broken = "fields['Purpose'] == 'bad'";
    for verdict in ["accept", "hold", "reset", "reject"] {
        for (others, strictest) in [
            (&["accept: true"][..], None),
            (&["accept: true", "accept: user.pro"], None),
            (&["reject: true"], Some(Verdict::Reject)),
            (&["reset: true"], Some(Verdict::Reset)),
            (&["accept: true", "reject: true"], Some(Verdict::Reject)),
        ] {
            let broken = format!("{verdict}: {broken}");
            for place in 0..=others.len() {
                let mut written = others.to_vec();
                written.insert(place, &broken);
                let decision = decide(&rules(&written), &ada());
                assert_eq!(decision.verdict, strictest.unwrap_or(Verdict::Hold), "{written:?}");
                if strictest.is_some() {
                    continue;
                }
                let why = "the request has no `Purpose`".to_owned();
                let grounds = Grounds::Unknown { rule: (place + 1).to_string().into(), why };
                assert_eq!(decision.grounds, grounds, "{written:?}");
            }
        }
    }
}

#[test]
fn default_decides_if_no_rule_matches() {
    for (default, verdict) in [
        (r#", "default": "accept""#, Verdict::Accept),
        (r#", "default": "hold""#, Verdict::Hold),
        (r#", "default": "reset""#, Verdict::Reset),
        (r#", "default": "reject""#, Verdict::Reject),
        ("", Verdict::Hold),
    ] {
        let json = format!(r#"{{"rules": [{{"name": "no", "then": "accept", "if": "false"}}]{default}}}"#);
        let decision = decide(&policy(&json), &ada());
        assert_eq!((decision.verdict, decision.grounds), (verdict, Grounds::NoRule), "{json}");
    }
}

#[test]
fn unreadable_request_is_held_whatever_the_rules_are() {
    for verdict in ["accept", "reset", "reject"] {
        let unreadable = AccessRequest { unreadable: Some("half of it is missing"), ..ada() };
        let decision = decide(&rules(&[&format!("{verdict}: true")]), &unreadable);
        assert_eq!(
            (decision.verdict, decision.grounds),
            (Verdict::Hold, Grounds::Unreadable("half of it is missing"))
        );
    }
}

#[test]
fn default_never_overrules_a_rule_that_cannot_be_evaluated() {
    let json = r#"{"rules": [{"name": "a", "then": "reject", "if": "user.pro"}], "default": "accept"}"#;
    assert_eq!(decide(&policy(json), &nobody()).verdict, Verdict::Hold);
}

#[test]
fn reason_is_taken_from_the_rule_that_decided() {
    let json = r#"{"rules": [
        {"name": "a", "then": "reset", "if": "true", "reason": "softly"},
        {"name": "b", "then": "reject", "if": "true", "reason": "firmly"},
        {"name": "c", "then": "reject", "if": "true", "reason": "too late"}]}"#;
    let decision = decide(&policy(json), &ada());
    assert_eq!(decision.reason.as_deref(), Some("firmly"));
    assert_eq!(decision.grounds, Grounds::Rule("b".into()));
}

#[test]
fn repo_without_a_namespace_has_no_owner() {
    let policy = rules(&["accept: repo.owner == 'acme'"]);
    let gpt2 = Repo::new(RepoType::Model, "gpt2").expect("a name");
    let decision = policy.decide(&ada(), &gpt2, at("2026-11-22T12:00:00Z"));
    assert_eq!(
        decision.grounds,
        Grounds::Unknown { rule: "1".into(), why: "the request has no `owner`".to_owned() }
    );
}

#[test]
fn fingerprint_identifies_a_policy() {
    let one = rules(&["accept: true"]);
    let other = rules(&["accept: false"]);
    assert_eq!(one.fingerprint().len(), 12);
    assert_eq!(one.fingerprint(), rules(&["accept: true"]).fingerprint());
    assert_ne!(one.fingerprint(), other.fingerprint());
    let laid_out = policy("{\"rules\": [],\n  \"default\":   \"accept\"}");
    assert_eq!(laid_out.fingerprint(), policy(r#"{"rules":[],"default":"accept"}"#).fingerprint());
}

#[test]
fn debug_output_shows_names_of_rules_but_no_conditions() {
    let policy = rules(&["accept: user.name == 'ada'", "reject: false"]);
    assert_eq!(policy.rule_names().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(format!("{policy:?}"), r#"Policy { rules: ["1", "2"], default: Hold, .. }"#);
}
