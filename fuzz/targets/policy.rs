//! Any text as a policy, in TOML or JSON, with any text in the files of its lists. If it is a policy, it decides some requests
//! without a panic, in bounded time and stack, and twice in the same way. If it is none, its faults name places in the text.

#![no_main]

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use hub_doorman::model::{AccessRequest, Grounds, Repo, RepoType, User, Verdict};
use hub_doorman::policy::Policy;
use hub_doorman_fuzz::report_uncaught_panic;
use libfuzzer_sys::fuzz_target;

static REPO: LazyLock<Repo> =
    LazyLock::new(|| Repo::new(RepoType::Dataset, "acme/corpus").expect("a name within the grammar"));

static REQUESTS: LazyLock<Vec<AccessRequest>> = LazyLock::new(requests);

/// A fixed time, so that a finding can be repeated.
const NOW: DateTime<Utc> = DateTime::from_timestamp_nanos(1_795_348_800_000_000_000);

/// The text before this line is the policy, and the text behind it is that of its files.
const FILES: &str = "\n--- files ---\n";

fuzz_target!(|text: &str| report_uncaught_panic(|| decide_all(text)));

fn decide_all(text: &str) {
    let (text, files) = text.split_once(FILES).unwrap_or((text, ""));
    let read_file =
        |name: &str| if name.contains('!') { Err("no file".to_owned()) } else { Ok(files.into()) };
    let policy = match Policy::parse_with_files(text, &read_file) {
        Ok(policy) => policy,
        Err(faults) => return check_faults(text, &faults),
    };
    for warning in policy.warnings() {
        assert!(!warning.subject.is_empty() && !warning.text.is_empty(), "{warning:?}");
    }
    for request in REQUESTS.iter() {
        let decision = policy.decide(request, &REPO, NOW);
        assert_eq!(decision, policy.decide(request, &REPO, NOW), "the same request is decided in two ways");
        if let Grounds::Unknown { why, .. } = &decision.grounds {
            assert_eq!(
                decision.verdict,
                Verdict::Hold,
                "a request is not held although a rule cannot be evaluated"
            );
            assert!(text.contains("mallory") || !why.contains("mallory"), "{why}");
        }
        let names: Vec<&str> = policy.rule_names().collect();
        for excepted in &decision.excepted {
            assert!(names.contains(&&**excepted), "no rule is called {excepted}");
            assert!(policy.applies(excepted, &REPO), "{excepted} does not apply to this repo");
            let is_grounds = matches!(&decision.grounds, Grounds::Rule(name) if name == excepted);
            assert!(!is_grounds, "{excepted} decides, although its exception applies");
        }
        let reason = decision.reason.as_deref().unwrap_or_default();
        assert!(reason.encode_utf16().count() <= 200, "the Hub takes no reason of this length");
        let may_have_reason = matches!(decision.verdict, Verdict::Reject | Verdict::Reset);
        assert!(may_have_reason || decision.reason.is_none(), "a reason for this verdict");
    }
}

/// Each fault begins with its line and column, which have to exist in the text.
fn check_faults(text: &str, faults: &[String]) {
    assert!(!faults.is_empty(), "a policy is refused without a fault");
    for fault in faults.iter().filter(|fault| fault.starts_with("line ")) {
        let number = |word: &str| {
            let (_, rest) = fault.split_once(word)?;
            rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<usize>().ok()
        };
        let (Some(line), Some(column)) = (number("line "), number("column ")) else { panic!("{fault}") };
        let written = text.split('\n').nth(line - 1);
        assert!(written.is_some_and(|line| column <= line.chars().count() + 1), "{fault}");
    }
}

/// Requests of an ordinary user, of one who attacks the policy, and of one who shows nothing.
fn requests() -> Vec<AccessRequest> {
    let text = |text: &str| Some(text.to_owned());
    let names = |count: usize| Some((0..count).map(|number| format!("mallory-{number}")).collect());
    let ada = AccessRequest {
        request_id: text("r-1"),
        user: User {
            id: text("u-1"),
            name: text("ada"),
            fullname: text("Ada Lovelace"),
            email: text("ada@acme.com"),
            pro: Some(true),
            verified_orgs: Some(vec!["epfl".to_owned()]),
            orgs: Some(vec!["acme".to_owned(), "ladies".to_owned()]),
            service_account: text(""),
        },
        requested_at: Some(NOW - chrono::TimeDelta::hours(30)),
        fields: [("Country", "CH"), ("Affiliation", "EPFL"), ("Age", "36"), ("Born", "1990-12-10T00:00:00Z")]
            .map(|(label, answer)| (label.to_owned(), answer.to_owned()))
            .into(),
        unreadable: None,
    };
    let mut mallory = ada.clone();
    mallory.user.name = text("mallory");
    mallory.user.email = text("mallory@\u{212a}evil.mallory(");
    (mallory.user.orgs, mallory.user.verified_orgs) = (names(30), names(0));
    mallory.fields.extend(["Country", "Age", "Born"].map(|label| (label.to_owned(), "(mallory*".to_owned())));
    let nobody = AccessRequest { request_id: text("r-2"), ..AccessRequest::default() };
    vec![ada, mallory, nobody]
}
