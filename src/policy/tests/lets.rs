//! `let`, `unless` and `repos`.

use super::{Policy, ada, at, decide, nobody, policy};
use crate::model::{Decision, Grounds, Repo, RepoType, Verdict};

/// The decision about Ada, in words.
fn decided(text: &str) -> String {
    shown(&decide(&policy(text), &ada()))
}

fn shown(decision: &Decision) -> String {
    format!("{}: {}", decision.verdict.as_str(), decision.explanation())
}

fn faults(text: &str) -> Vec<String> {
    Policy::parse(text).err().unwrap_or_else(|| panic!("{text} is accepted"))
}

/// A policy with these `let`s, that accepts if this is true.
fn with_lets(lets: &str, condition: &str) -> String {
    format!("[let]\n{lets}\n[[rules]]\nname = 'r'\nthen = 'accept'\nif = \"\"\"{condition}\"\"\"\n")
}

#[test]
fn rule_reads_a_let_by_its_name() {
    let cases = [
        ("staff = \"user.domain.under('acme.com')\"", "staff && user.pro"),
        ("a = 'user.pro'\nb = 'a'\nc = 'a && b'", "c"),
        ("_a = 'user.pro'", "_a"),
        // The order does not matter.
        ("c = 'a && b'\nb = 'a'\na = 'user.pro'", "c && b"),
        ("name = 'user.name'", "name == 'ADA'"),
        ("answer = \"fields['Country']\"", "answer == 'CH' && answer != 'ch' && answer in ['CH']"),
        ("answer = \"fields['Country']\"", "answer + user.name == 'chADA'"),
        ("orgs = 'user.orgs + user.verified_orgs'", "'EPFL' in orgs && orgs.exists(o, o == 'Acme')"),
        ("age = \"int(fields['Age'])\"", "age > 35 && age < 37"),
        ("old = \"now - requested_at\"", "old == duration('48h')"),
        // Constants are part of the expressions that read them.
        ("pattern = \"'^a' + 'da$'\"", "user.name.matches(pattern)"),
        ("begin = \"'^A'\"\npattern = \"begin + 'DA$'\"", "user.name.matches(pattern)"),
        ("ends = \"['.edu', '.COM']\"", "ends.exists(e, user.domain.endsWith(e))"),
        ("domains = \"['epfl.ch', 'acme.com']\"", "user.domain.under(domains)"),
        ("patterns = \"['^a', '^b'].map(p, p + 'da$')\"", "patterns.exists(p, user.name.matches(p))"),
        (
            "short = 'true'\nof = '2u'\nto = '1.5'",
            "user.name.matches(short && of > 1u && to > 1.0 ? '^a' : '^b')",
        ),
        ("limit = '18 * 2'", "int(fields['Age']) == limit"),
        ("yes = 'true'", "yes"),
        ("start = \"timestamp('2026-11-01T00:00:00Z')\"", "requested_at > start"),
    ];
    for (lets, condition) in cases {
        assert_eq!(decided(&with_lets(lets, condition)), "accept: rule `r`", "{lets}: {condition}");
    }
}

#[test]
fn let_that_cannot_be_evaluated_is_missing_where_it_is_read() {
    let lets = "a = \"fields['Purpose'] == 'x'\"\nb = 'a && user.pro'";
    let cases = [
        ("a", "hold: rule `r` could not be evaluated: `a`: the request has no `Purpose`"),
        ("b", "hold: rule `r` could not be evaluated: `b`: `a`: the request has no `Purpose`"),
        ("a || user.pro", "accept: rule `r`"),
        ("b && !user.pro", "hold: no rule matched"),
        ("user.pro ? true : b", "accept: rule `r`"),
    ];
    for (condition, expected) in cases {
        assert_eq!(decided(&with_lets(lets, condition)), expected, "{condition}");
    }
}

#[test]
fn wrong_let_is_refused_once() {
    let cases = [
        (
            "a = 'b'\nb = 'c'\nc = 'a'",
            "true",
            &["let `a`: it depends on itself, directly or through another `let`"][..],
        ),
        ("a = 'a'", "a", &["line 2, column 5: let `a`: it depends on itself"]),
        (
            "a = 'user.nme'\nb = 'a == 1'",
            "a == 2 || b",
            &["line 2, column 5: let `a`: `user` has no attribute `nme`"],
        ),
        ("a = 'user'", "a.pro", &["let `a`: `user` is not a value"]),
        ("user = 'true'", "user", &["line 2, column 1: let `user`: this name has a meaning already"]),
        ("'a b' = 'true'", "true", &["let `a b`: a name consists of letters"]),
        ("'1a' = 'true'", "true", &["let `1a`: a name consists of letters"]),
        ("a = true", "true", &["let `a`: this is `true` or `false`, but it has to be text in quotes"]),
        ("staff = 'user.pro'", "staf", &["there is no variable `staf`; did you mean `staff`?"]),
        ("a = 'user.pro'", "user.orgs.exists(a, a == 'x')", &["the variable of a macro is called `a`"]),
        (
            "a = \"fields['Pattern']\"",
            "user.name.matches(a)",
            &["the pattern in `user.name.matches(…)` reads `a`"],
        ),
        ("a = \"fields['Age']\"", "a == 36", &["`==` does not apply to text and an int"]),
        ("a = \"'@acme.com'\"", "user.domain == a", &["contains no `@`; write 'acme.com'"]),
        ("december = '12'", "now.getMonth() == december", &["`getMonth` is from 0 to 11"]),
    ];
    for (lets, condition, expected) in cases {
        let faults = faults(&with_lets(lets, condition));
        assert_eq!(faults.len(), expected.len(), "{faults:?}");
        assert!(faults[0].contains(expected[0]), "{lets}: {faults:?}");
    }
}

#[test]
fn chain_of_lets_cannot_grow_without_a_bound() {
    let lets: Vec<String> = (1..40).map(|n| format!("a{n} = 'a{} + a{}'", n - 1, n - 1)).collect();
    let lets = lets.join("\n");
    let constant = faults(&with_lets(&format!("a0 = \"'x'\"\n{lets}"), "a39 == user.fullname"));
    assert!(constant[0].contains("could build more than 48 MB"), "{constant:?}");
    let read = faults(&with_lets(&format!("a0 = 'user.fullname'\n{lets}"), "a39 == user.fullname"));
    assert!(read[0].contains("could build more than 48 MB"), "{read:?}");
}

/// A longer text is not part of the expressions that read it, so it cannot be a pattern.
#[test]
fn constant_has_at_most_4096_bytes() {
    let doubled = |length: usize| {
        let half = "x".repeat(length / 2);
        with_lets(&format!("half = \"'{half}'\"\nwhole = 'half + half'"), "user.name.matches(whole)")
    };
    assert_eq!(decided(&doubled(4096)), "hold: no rule matched");
    let faults = faults(&doubled(4098));
    assert!(faults[0].contains("the value of `whole` is too large to be part of a pattern"), "{faults:?}");
}

#[test]
fn unless_excepts_a_request_as_and_not_would() {
    let (yes, no, error) = ("true", "false", "fields['Purpose'] == 'x'");
    let missing = "rule `r` could not be evaluated: the request has no `Purpose`";
    let cases = [
        (yes, yes, "hold: no rule matched; excepted from rule `r`".to_owned()),
        (yes, no, "reject: rule `r`".to_owned()),
        (
            yes,
            error,
            "hold: rule `r` could not be evaluated: its `unless`: the request has no `Purpose`".to_owned(),
        ),
        (no, yes, "hold: no rule matched".to_owned()),
        (no, no, "hold: no rule matched".to_owned()),
        (no, error, "hold: no rule matched".to_owned()),
        (error, yes, "hold: no rule matched; excepted from rule `r`".to_owned()),
        (error, no, format!("hold: {missing}")),
        (error, error, format!("hold: {missing}")),
    ];
    for (condition, unless, expected) in cases {
        let text = format!(
            "[[rules]]\nname = 'r'\nthen = 'reject'\nif = \"{condition}\"\nunless = \"{unless}\"\nreason = 'No.'"
        );
        assert_eq!(decided(&text), expected, "{condition} unless {unless}");
        // The same as one expression, but for the explanation.
        let both = format!("[[rules]]\nname = 'r'\nthen = 'reject'\nif = \"({condition}) && !({unless})\"");
        assert_eq!(decide(&policy(&text), &ada()).verdict, decide(&policy(&both), &ada()).verdict);
    }
}

#[test]
fn rule_applies_only_to_its_repos() {
    let text = "[[rules]]\nname = 'r'\nthen = 'accept'\nif = 'true'\nrepos = ['datasets/Acme/*', 'acme/model', '!datasets/acme/secret']";
    let policy = policy(text);
    let decide = |repo_type, name| {
        let repo = Repo::new(repo_type, name).expect("a name");
        let verdict = policy.decide(&ada(), &repo, at("2026-11-22T12:00:00Z")).verdict;
        assert_eq!(policy.applies("r", &repo), verdict == Verdict::Accept);
        verdict
    };
    assert_eq!(decide(RepoType::Dataset, "acme/corpus"), Verdict::Accept);
    assert_eq!(decide(RepoType::Model, "ACME/Model"), Verdict::Accept);
    assert_eq!(decide(RepoType::Model, "acme/corpus"), Verdict::Hold);
    assert_eq!(decide(RepoType::Dataset, "acme/secret"), Verdict::Hold);
    assert_eq!(decide(RepoType::Dataset, "zoo/corpus"), Verdict::Hold);
}

#[test]
fn default_may_have_a_reason() {
    let policy = policy("default = { then = 'reset', reason = 'Ask again.' }\nrules = []");
    let decision = decide(&policy, &nobody());
    assert_eq!((decision.verdict, decision.reason.as_deref()), (Verdict::Reset, Some("Ask again.")));
    assert_eq!(decision.grounds, Grounds::NoRule);
    for (text, expected) in [
        ("default = { reason = 'x' }\nrules = []", "`default`: `then` is missing"),
        (
            "default = { then = 'hold', reason = 'x' }\nrules = []",
            "`default`: `reason`: it has no effect with `hold`",
        ),
        (
            "default = { then = 'rest' }\nrules = []",
            "`default`: `then`: there is no verdict `rest`; did you mean `reset`?",
        ),
        ("default = 7\nrules = []", "`default`: this is a number"),
    ] {
        let faults = faults(text);
        assert!(faults.len() == 1 && faults[0].contains(expected), "{faults:?}");
    }
}

#[test]
fn limits_and_pause_are_read() {
    let mut limited = policy("paused = true\nlimits = { accept = 200, reject = 0 }\nrules = []");
    assert_eq!((limited.limits().accept, limited.limits().reject), (Some(200), Some(0)));
    limited.lift_limits();
    assert_eq!(limited.limits(), policy("rules = []").limits());
    assert!(limited.is_paused() && !policy("rules = []").is_paused());
    assert!(policy(r#"{"paused": true, "rules": []}"#).is_paused());
    assert!(!policy(r#"{"paused": false, "rules": []}"#).is_paused());
    for (text, expected) in [
        ("limits = { accept = -1 }\nrules = []", "`limits`: `accept` has to be a whole number"),
        ("limits = { accept = 1.5 }\nrules = []", "`limits`: `accept` has to be a whole number"),
        ("limits = { acept = 1 }\nrules = []", "`limits`: there is no key `acept`; did you mean `accept`?"),
        ("limits = 7\nrules = []", "`limits`: this is a number, but it has to be a table"),
        ("paused = 'yes'\nrules = []", "`paused`: this is text, but it has to be `true` or `false`"),
    ] {
        let faults = faults(text);
        assert!(faults.len() == 1 && faults[0].contains(expected), "{faults:?}");
    }
}

/// The warnings and the search for answers replace each `let` by its expression.
#[test]
fn many_lets_that_read_each_other_are_checked_in_no_time() {
    let doubled: Vec<String> = (1..60).map(|n| format!("a{n} = 'a{} && a{}'", n - 1, n - 1)).collect();
    let lets = format!("a0 = \"fields['Country'] == 'CH'\"\n{}", doubled.join("\n"));
    let policy = policy(&with_lets(&lets, "a59"));
    assert_eq!(shown(&decide(&policy, &ada())), "accept: rule `r`");
    assert!(policy.answers().is_empty() && policy.warnings().is_empty());
    // Five are replaced, and the answer is in the innermost one.
    let chain: Vec<String> = (1..6).map(|n| format!("a{n} = 'a{}'", n - 1)).collect();
    let lets = format!("a0 = \"fields['Country'] == 'CH'\"\n{}", chain.join("\n"));
    for (name, answers) in [("a4", 1), ("a5", 0)] {
        assert_eq!(self::policy(&with_lets(&lets, name)).answers().len(), answers, "{name}");
    }
    let negated: Vec<String> = (1..60).map(|n| format!("a{n} = '{}a{}'", "!".repeat(190), n - 1)).collect();
    let lets = format!("a0 = 'user.pro'\n{}", negated.join("\n"));
    assert_eq!(decided(&with_lets(&lets, "a59")), "accept: rule `r`");
}
