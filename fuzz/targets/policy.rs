//! Any text as `APPROVAL_POLICY`. If it is a policy, it decides some requests without a panic, in bounded time and stack, and
//! twice in the same way.

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

fuzz_target!(|policy: &str| report_uncaught_panic(|| decide_all(policy)));

fn decide_all(text: &str) {
    let Ok(policy) = Policy::parse(text) else { return };
    for request in REQUESTS.iter() {
        let decision = policy.decide(request, &REPO, NOW);
        assert_eq!(decision, policy.decide(request, &REPO, NOW), "the same request is decided in two ways");
        if let Grounds::Unknown { why, .. } = &decision.grounds {
            assert_eq!(
                decision.verdict,
                Verdict::Hold,
                "a request is not held although a rule cannot be evaluated"
            );
            assert!(!why.contains("mallory"), "{why}");
        }
        let reason = decision.reason.as_deref().unwrap_or_default();
        assert!(reason.encode_utf16().count() <= 200, "the Hub takes no reason of this length");
        let may_have_reason = matches!(decision.verdict, Verdict::Reject | Verdict::Reset);
        assert!(may_have_reason || decision.reason.is_none(), "a reason for this verdict");
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
