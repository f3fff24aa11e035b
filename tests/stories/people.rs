//! Who asks, and how they are named: people of whom the Hub tells little, people who are gone, very many people.

use std::time::Duration;

use serde_json::{Value, json};

use crate::hub::{Batch, Fault, Hub, Status};
use crate::support::{ask, deliver, doorman, doorman_with, payload, staff, stranger};

/// The bodies of the calls to an endpoint.
fn bodies(hub: &Hub, endpoint: &str) -> Vec<Value> {
    let model = hub.model();
    let calls = model.calls.iter().filter(|call| call.path.ends_with(endpoint));
    calls.map(|call| call.body.clone()).collect()
}

#[tokio::test]
async fn requests_are_named_by_their_ids_else_by_their_users() {
    let hub = Hub::start().await;
    let bob = || json!([{"requestId": "request-bob"}]);
    let both = || json!([{"requestId": "request-eve"}, {"requestId": "request-kim"}]);
    for (names, requests) in [(&["bob"][..], bob()), (&["eve", "kim"], both())] {
        ask(&hub, "acme/model", names.iter().map(|name| staff(name)));
        deliver(&doorman(&hub), &payload("acme/model")).await;
        let batches = bodies(&hub, "/batch");
        assert_eq!(batches.last(), Some(&json!({"status": "accepted", "requests": requests})));
    }
    hub.model().repo("acme/model").has_request_ids = false;
    ask(&hub, "acme/model", [staff("ada")]);
    deliver(&doorman(&hub), &payload("acme/model")).await;
    assert_eq!(bodies(&hub, "/handle"), [json!({"userId": "id-ada", "status": "accepted"})]);
    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada", "bob", "eve", "kim"]);
}

#[tokio::test]
async fn every_call_names_this_project_and_its_version() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    deliver(&doorman(&hub), &payload("acme/model")).await;
    let expected = format!("hub-doorman/{}", env!("CARGO_PKG_VERSION"));
    assert!(hub.model().calls.iter().all(|call| call.user_agent == expected));
}

#[tokio::test]
async fn requesters_whom_the_repo_hides_are_held_where_the_policy_has_to_know_them() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada"), staff("bob")]);
    hub.model().repo("acme/model").hides_requesters = true;
    let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
    assert_eq!((status, &report["repos"][0]["held"]), (200, &json!(2)));
    assert_eq!(hub.users("acme/model", Status::Pending), ["ada", "bob"]);
}

#[tokio::test]
async fn requesters_whom_the_repo_hides_are_decided_by_their_answers_and_named_by_their_requests() {
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

#[tokio::test]
async fn who_can_be_named_in_a_batch_is_not_kept_out_of_it_by_who_cannot() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", ["ada", "bob", "eve", "may"].map(staff));
    let policy = r#"{"rules": [], "default": "accept"}"#;
    let entries = json!([
        {"requestId": "request-ada", "status": "pending"},
        {"user": {"_id": "id-bob"}, "status": "pending"},
        {"requestId": "request-eve", "status": "pending"},
        {"user": {"_id": "id-may"}, "status": "pending"},
    ]);
    hub.model().repo("acme/model").raw_page = Some(entries.to_string());
    hub.model().batch = Batch::NoRequestId;
    let (status, _) =
        deliver(&doorman_with(&hub, &[("APPROVAL_POLICY", policy)]), &payload("acme/model")).await;
    assert_eq!((status, hub.users("acme/model", Status::Accepted).len()), (200, 4));
    assert_eq!((bodies(&hub, "/batch").len(), bodies(&hub, "/handle").len()), (2, 2));
}

#[tokio::test]
async fn who_is_listed_twice_and_not_the_same_is_left_to_a_person() {
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
    let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
    let count = |name: &str| report["repos"][0][name].as_u64().expect("a number");
    assert_eq!((status, count("accepted"), count("held")), (200, 1, 1), "{report}");
    assert_eq!(hub.users("acme/model", Status::Accepted), ["bob"]);
}

#[tokio::test]
async fn what_batch_cannot_do_is_found_out_once_and_not_forgotten() {
    for (batch, hides_requesters) in [(Batch::NoRequestId, true), (Batch::Unknown, false)] {
        let hub = Hub::start().await;
        hub.model().batch = batch;
        ask(&hub, "acme/model", (0..400).map(|number| staff(&format!("user{number}"))));
        hub.model().repo("acme/model").hides_requesters = hides_requesters;
        let policy = r#"{"rules": [], "default": "accept"}"#;
        let variables = [("APPROVAL_POLICY", policy), ("CONCURRENCY", "1")];
        let (status, _) = deliver(&doorman_with(&hub, &variables), &payload("acme/model")).await;
        assert_eq!((status, hub.users("acme/model", Status::Accepted).len()), (200, 400), "{batch:?}");
        assert_eq!((bodies(&hub, "/batch").len(), bodies(&hub, "/handle").len()), (1, 400), "{batch:?}");
    }
}

#[tokio::test]
async fn a_hub_without_batch_is_told_one_by_one() {
    let hub = Hub::start().await;
    hub.model().batch = Batch::Unknown;
    ask(&hub, "acme/model", (0..5).map(|number| staff(&format!("user{number}"))));
    let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
    assert_eq!((status, &report["repos"][0]["accepted"]), (200, &json!(5)));
    assert_eq!((bodies(&hub, "/batch").len(), bodies(&hub, "/handle").len()), (1, 5));
}

#[tokio::test]
async fn an_entry_that_tells_next_to_nothing_is_held_and_keeps_nobody_else_out() {
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
    let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
    let numbers = &report["repos"][0];
    assert_eq!(
        (status, &numbers["listed"], &numbers["held"], &numbers["accepted"]),
        (200, &json!(7), &json!(6), &json!(1))
    );
    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada"]);
    assert_eq!(bodies(&hub, "/handle"), [json!({"userId": "id-ada", "status": "accepted"})]);
}

#[tokio::test]
async fn whoever_has_only_a_name_is_named_by_it() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    let entries = json!([{"user": {"user": "ada", "email": "ada@acme.com"}, "status": "pending"}]);
    hub.model().repo("acme/model").raw_page = Some(entries.to_string());
    deliver(&doorman(&hub), &payload("acme/model")).await;
    assert_eq!(bodies(&hub, "/handle"), [json!({"user": "ada", "status": "accepted"})]);
}

#[tokio::test]
async fn entries_from_before_requests_had_ids_are_fine() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada"), stranger("bob")]);
    hub.model().repo("acme/model").has_request_ids = false;
    assert_eq!(deliver(&doorman(&hub), &payload("acme/model")).await.0, 200);
    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada"]);
}

#[tokio::test]
async fn it_is_no_failure_if_somebody_was_faster() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    hub.model().repo("acme/model").has_request_ids = false;
    // A person has just accepted her, and the list lags: handle says that there is no such request.
    hub.model().lag = Duration::from_secs(1);
    hub.model().repo("acme/model").find_mut("user", "ada").expect("ada").set(Status::Accepted, None);
    let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
    let numbers = &report["repos"][0];
    assert_eq!((status, &numbers["gone"], &numbers["error"]), (200, &json!(1), &Value::Null));
    assert_eq!(hub.model().repo("acme/model").request("ada").writes, 1);
}

#[tokio::test]
async fn a_list_that_lags_makes_nobody_be_decided_differently() {
    let hub = Hub::start().await;
    hub.model().lag = Duration::from_secs(1);
    ask(&hub, "acme/model", [staff("ada"), staff("bob"), stranger("kim").answer("Country", "KP")]);
    for _ in 0..3 {
        assert_eq!(deliver(&doorman(&hub), &payload("acme/model")).await.0, 200);
    }
    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada", "bob"]);
    assert_eq!(hub.users("acme/model", Status::Rejected), ["kim"]);
    for user in ["ada", "bob", "kim"] {
        assert_eq!(hub.model().repo("acme/model").request(user).writes, 1, "{user}");
    }
}

#[tokio::test]
async fn what_one_batch_is_refused_for_is_not_held_against_the_others() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", (0..400).map(|number| staff(&format!("user{number}"))));
    hub.model().repo("acme/model").has_request_ids = false;
    hub.model().fault("/batch", Fault::Status(400));
    let doorman = doorman_with(&hub, &[("CONCURRENCY", "1")]);
    assert_eq!(deliver(&doorman, &payload("acme/model")).await.0, 200);
    assert_eq!((bodies(&hub, "/batch").len(), bodies(&hub, "/handle").len()), (4, 100));
}

#[tokio::test]
async fn a_verdict_of_a_batch_that_the_hub_does_not_take_is_a_failure_that_is_told() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada"), staff("bob")]);
    let results =
        r#"[{"userId": "id-ada", "ok": true}, {"userId": "id-bob", "ok": false, "error": "full_moon"}]"#;
    hub.model().fault("/batch", Fault::Answer(200, Vec::new(), results.to_owned()));
    let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
    let numbers = &report["repos"][0];
    assert_eq!((status, &numbers["accepted"], &numbers["failed"]), (202, &json!(1), &json!(1)), "{report}");
    assert_eq!(numbers["error"], "the Hub did not take a verdict of a batch: full_moon");
}

#[tokio::test]
async fn a_batch_that_is_refused_for_one_keeps_nobody_else_out() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada"), staff("bob"), staff("eve")]);
    hub.model().faults("/batch", &Fault::Status(400), 2);
    let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
    assert_eq!((status, &report["repos"][0]["accepted"]), (200, &json!(3)));
    assert_eq!(bodies(&hub, "/handle").len(), 3);
}
