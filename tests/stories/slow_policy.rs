//! Policies that take so long that a run cannot decide every request.

use std::time::Duration;

use crate::hub::{Hub, Person, Status};
use crate::support::{ask, deliver_within, doorman_with, first_error, payload, staff, stranger};

/// Accepts acme.com at once. For anybody else, the time grows with the square of the number of organizations.
const SLOW_POLICY: &str = r#"{"rules": [{"name": "slow", "then": "hold",
    "if": "user.domain != 'acme.com' && !user.orgs.exists(a, user.orgs.exists(b, a + 'x' == b))"}],
    "default": "accept"}"#;

/// A person outside of acme.com who is in this many organizations.
fn with_orgs(number: usize, orgs: usize) -> Person {
    let mut person = stranger(&format!("user{number}"));
    person.orgs = (0..orgs).map(|org| format!("org{org}")).collect();
    person
}

/// A run has time to decide some of the requests. Each run begins with other ones.
#[tokio::test]
async fn runs_with_a_slow_policy_reach_everybody_in_the_end() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", (0..40).map(|number| with_orgs(number, 250)));
    ask(&hub, "acme/model", [staff("ada")]);
    let (doorman, payload) = (doorman_with(&hub, &[("APPROVAL_POLICY", SLOW_POLICY)]), payload("acme/model"));
    let mut runs = 0;
    while hub.users("acme/model", Status::Accepted).is_empty() {
        deliver_within(&doorman, &payload, Duration::from_millis(1900)).await;
        runs += 1;
        assert!(runs < 60, "ada is never reached");
    }
}

/// A request that is held is not decided again in the same run. So even with a slow policy, the run reaches the end of the list.
#[tokio::test]
async fn slow_policy_reaches_the_end_of_a_long_list() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", (0..1000).map(|number| with_orgs(number, 60)));
    ask(&hub, "acme/model", [staff("ada")]);
    let doorman = doorman_with(&hub, &[("APPROVAL_POLICY", SLOW_POLICY)]);
    let (_, report) = deliver_within(&doorman, &payload("acme/model"), Duration::from_secs(60)).await;
    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada"], "{report}");
}

#[tokio::test]
async fn run_with_a_slow_policy_decides_some_requests() {
    let hub = Hub::start().await;
    hub.model().add("acme/model");
    for number in 0..150 {
        let mut person = staff(&format!("user{number}"));
        person.orgs = (0..150).map(|org| format!("org{org}")).collect();
        hub.model().repo("acme/model").ask(person);
    }
    let slow = r#"{"rules": [{"name": "slow", "then": "accept",
        "if": "!user.orgs.exists(a, user.orgs.exists(b, a == b + 'x'))"}]}"#;
    let doorman = doorman_with(&hub, &[("APPROVAL_POLICY", slow)]);
    let (status, report) = deliver_within(&doorman, &payload("acme/model"), Duration::from_secs(3)).await;
    let accepted = hub.users("acme/model", Status::Accepted).len();
    assert!(accepted > 0, "{report}");
    // A fast machine decides all of them in time.
    if accepted < 150 {
        assert_eq!(status, 202);
        assert!(first_error(&report).contains("deciding takes too long"), "{report}");
    }
}
