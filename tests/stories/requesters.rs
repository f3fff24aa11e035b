//! Requests about which the Hub shows little, or contradictory things.

use serde_json::json;

use crate::hub::{Batch, Hub, Status};
use crate::support::{ask, bodies, count, deliver, doorman_with, payload, review, staff};

#[tokio::test]
async fn hidden_requester_is_held_if_a_rule_needs_the_user() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada"), staff("bob")]);
    hub.model().repo("acme/model").hides_requesters = true;
    let (status, report) = review(&hub).await;
    assert_eq!((status, &report["repos"][0]["held"]), (200, &json!(2)));
    assert_eq!(hub.users("acme/model", Status::Pending), ["ada", "bob"]);
}

/// The repo shares nothing about its requesters. They are decided by their answers, and written by request id.
#[tokio::test]
async fn hidden_requester_is_decided_by_the_answers() {
    let policy = r#"{"rules": [{"name": "swiss", "then": "accept", "if": "fields['Country'] == 'CH'"}]}"#;
    for (batch, handles) in [(Batch::Any, 0), (Batch::NoRequestId, 3), (Batch::Unknown, 3)] {
        let hub = Hub::start().await;
        ask(&hub, "acme/model", ["ada", "bob", "eve"].map(|name| staff(name).answer("Country", "CH")));
        ask(&hub, "acme/model", [staff("kim").answer("Country", "KP")]);
        hub.model().repo("acme/model").hides_requesters = true;
        hub.model().batch = batch;
        let (status, report) =
            deliver(&doorman_with(&hub, &[("APPROVAL_POLICY", policy)]), &payload("acme/model")).await;
        assert_eq!((status, &report["repos"][0]["accepted"]), (200, &json!(3)), "{batch:?}: {report}");
        assert_eq!(hub.users("acme/model", Status::Accepted), ["ada", "bob", "eve"], "{batch:?}");
        assert_eq!(bodies(&hub, "/handle").len(), handles, "{batch:?}");
    }
}

/// Two entries of a user that are equal count as one. If they differ, the user is held.
#[tokio::test]
async fn user_listed_twice_with_different_data_is_held() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", ["ada", "bob"].map(staff));
    let entry = |name: &str, email: &str| json!({"user": {"_id": name, "email": email}, "status": "pending"});
    let entries = json!([
        entry("id-ada", "ada@acme.com"),
        entry("id-bob", "bob@acme.com"),
        entry("id-ada", "ada@example.org"),
        entry("id-bob", "bob@acme.com"),
    ]);
    hub.model().repo("acme/model").raw_page = Some(entries.to_string());
    let (status, report) = review(&hub).await;
    assert_eq!((status, count(&report, "accepted"), count(&report, "held")), (200, 1, 1), "{report}");
    assert_eq!(hub.users("acme/model", Status::Accepted), ["bob"]);
}

#[tokio::test]
async fn unreadable_entry_is_held_and_stops_no_other() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    let entries = json!([
        {"requestId": "r1", "status": "pending", "timestamp": "2026-10-05T08:00:00Z"},
        {"status": "pending", "timestamp": "2026-10-05T08:00:00Z"},
        {"user": {"_id": "id-may", "user": "may"}, "status": "pending", "timestamp": "2026-10-05T08:00:00Z"},
        {"user": {"user": "eve", "email": 7}, "status": "pending", "timestamp": "2026-10-05T08:00:00Z"},
        17,
        null,
        {"user": {"_id": "id-ada", "email": "ada@acme.com"}, "status": "pending"},
        {"user": {"_id": "id-old", "user": "old", "email": "old@acme.com"}, "status": "accepted"},
    ]);
    hub.model().repo("acme/model").raw_page = Some(entries.to_string());
    let (status, report) = review(&hub).await;
    let numbers = &report["repos"][0];
    assert_eq!(
        (status, &numbers["listed"], &numbers["held"], &numbers["accepted"]),
        (200, &json!(7), &json!(6), &json!(1))
    );
    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada"]);
    assert_eq!(bodies(&hub, "/handle"), [json!({"userId": "id-ada", "status": "accepted"})]);
}
