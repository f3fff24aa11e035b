//! Any text as `APPROVAL_POLICY`. What compiles decides some people: without a panic, in bounded time and stack, and always in the
//! same way.

#![no_main]

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use hub_doorman::model::{AccessRequest, Grounds, Repo, RepoType, User, Verdict};
use hub_doorman::policy::Policy;
use hub_doorman_fuzz::withstand;
use libfuzzer_sys::fuzz_target;

static REPO: LazyLock<Repo> =
    LazyLock::new(|| Repo::new(RepoType::Dataset, "acme/corpus").expect("a name within the grammar"));

static PEOPLE: LazyLock<Vec<AccessRequest>> = LazyLock::new(people);

/// The time of day changes nothing.
const NOW: DateTime<Utc> = DateTime::from_timestamp_nanos(1_795_348_800_000_000_000);

fuzz_target!(|policy: &str| withstand(|| judge(policy)));

fn judge(text: &str) {
    let Ok(policy) = Policy::parse(text) else { return };
    for person in PEOPLE.iter() {
        let decision = policy.decide(person, &REPO, NOW);
        assert_eq!(decision, policy.decide(person, &REPO, NOW), "the same request is decided in two ways");
        if let Grounds::Unknown { why, .. } = &decision.grounds {
            assert_eq!(decision.verdict, Verdict::Hold, "what cannot be known is held");
            assert!(!why.contains("mallory"), "{why}");
        }
        let told = decision.reason.as_deref().unwrap_or_default();
        assert!(told.encode_utf16().count() <= 200, "the Hub takes no such reason");
        let may_be_told = matches!(decision.verdict, Verdict::Reject | Verdict::Reset);
        assert!(may_be_told || decision.reason.is_none(), "nobody is told a reason for that");
    }
}

fn people() -> Vec<AccessRequest> {
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
        },
        requested_at: Some(NOW - chrono::TimeDelta::hours(30)),
        fields: [("Country", "CH"), ("Affiliation", "EPFL"), ("Age", "36"), ("Born", "1990-12-10T00:00:00Z")]
            .map(|(label, answer)| (label.to_owned(), answer.to_owned()))
            .into(),
        doubt: None,
    };
    let mut mallory = ada.clone();
    mallory.user.name = text("mallory");
    mallory.user.email = text("mallory@\u{212a}evil.mallory(");
    (mallory.user.orgs, mallory.user.verified_orgs) = (names(30), names(0));
    mallory.fields.extend(["Country", "Age", "Born"].map(|label| (label.to_owned(), "(mallory*".to_owned())));
    let nobody = AccessRequest { request_id: text("r-2"), ..AccessRequest::default() };
    vec![ada, mallory, nobody]
}
