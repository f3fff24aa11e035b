//! How decisions are written: by which identity, in a batch or alone, and what happens if the Hub refuses them.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::hub::{Batch, Fault, Hub, Status};
use crate::support::{
    ask, bodies, count, deliver, doorman, doorman_with, first_error, hub_with_staff, payload, review, staff,
    stranger, sweep_within, writes,
};

#[tokio::test]
async fn request_is_written_by_its_id_or_else_by_its_user() {
    let hub = Hub::start().await;
    let bob = || json!([{"requestId": "request-bob"}]);
    let both = || json!([{"requestId": "request-eve"}, {"requestId": "request-kim"}]);
    for (names, requests) in [(&["bob"][..], bob()), (&["eve", "kim"], both())] {
        ask(&hub, "acme/model", names.iter().map(|name| staff(name)));
        review(&hub).await;
        let batches = bodies(&hub, "/batch");
        assert_eq!(batches.last(), Some(&json!({"status": "accepted", "requests": requests})));
    }
    hub.model().repo("acme/model").has_request_ids = false;
    ask(&hub, "acme/model", [staff("ada")]);
    review(&hub).await;
    assert_eq!(bodies(&hub, "/handle"), [json!({"userId": "id-ada", "status": "accepted"})]);
    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada", "bob", "eve", "kim"]);
}

#[tokio::test]
async fn user_without_an_id_is_written_by_name() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    let entries = json!([{"user": {"user": "ada", "email": "ada@acme.com"}, "status": "pending"}]);
    hub.model().repo("acme/model").raw_page = Some(entries.to_string());
    review(&hub).await;
    assert_eq!(bodies(&hub, "/handle"), [json!({"user": "ada", "status": "accepted"})]);
}

/// The Hub's batch takes no request ids. So requests without a user are written alone, and the others still in a batch.
#[tokio::test]
async fn requests_without_a_user_leave_the_others_in_a_batch() {
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
async fn missing_feature_of_batch_is_learned_once() {
    for (batch, hides_requesters) in [(Batch::NoRequestId, true), (Batch::Unknown, false)] {
        let hub = hub_with_staff(400).await;
        hub.model().batch = batch;
        hub.model().repo("acme/model").hides_requesters = hides_requesters;
        let policy = r#"{"rules": [], "default": "accept"}"#;
        let variables = [("APPROVAL_POLICY", policy), ("CONCURRENCY", "1")];
        let (status, _) = deliver(&doorman_with(&hub, &variables), &payload("acme/model")).await;
        assert_eq!((status, hub.users("acme/model", Status::Accepted).len()), (200, 400), "{batch:?}");
        assert_eq!((bodies(&hub, "/batch").len(), bodies(&hub, "/handle").len()), (1, 400), "{batch:?}");
    }
}

/// The batch reports every request as gone, while the list still shows them all.
#[tokio::test]
async fn batch_that_denies_request_ids_is_written_by_user_ids() {
    let hub = Hub::start().await;
    hub.model().batch = Batch::DeniesRequestId;
    ask(&hub, "acme/model", ["ada", "bob", "eve"].map(staff));
    let doorman = doorman(&hub);
    let (status, report) = deliver(&doorman, &payload("acme/model")).await;
    assert_eq!((status, count(&report, "accepted"), count(&report, "calls")), (200, 3, 4), "{report}");

    // The process remembers it.
    ask(&hub, "acme/model", ["may", "sue"].map(staff));
    let (status, report) = deliver(&doorman, &payload("acme/model")).await;
    assert_eq!((status, count(&report, "accepted"), count(&report, "calls")), (200, 2, 2), "{report}");
}

#[tokio::test]
async fn listed_request_that_is_gone_is_written_by_user_id() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    hub.model().batch = Batch::DeniesRequestId;
    let (status, report) = review(&hub).await;
    assert_eq!((status, count(&report, "accepted"), count(&report, "gone")), (200, 1, 0), "{report}");
    let batch = json!({"requests": [{"requestId": "request-ada"}], "status": "accepted"});
    assert_eq!(bodies(&hub, "/batch"), [batch]);
    assert_eq!(bodies(&hub, "/handle"), [json!({"userId": "id-ada", "status": "accepted"})]);
}

#[tokio::test]
async fn request_that_is_gone_by_both_ids_is_stuck() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada"), stranger("bob")]);
    let body = json!({"error": "No access request found matching your criteria"}).to_string();
    hub.model().batch = Batch::DeniesRequestId;
    hub.model().faults("/handle", &Fault::Answer(404, Vec::new(), body), 10);
    let (status, report) = review(&hub).await;
    assert_eq!((status, count(&report, "stuck"), count(&report, "gone")), (202, 1, 0), "{report}");
    assert!(first_error(&report).contains("the request of `ada`"), "{report}");
    assert_eq!((report["repos"][0]["complete"].clone(), writes(&hub)), (json!(false), 2));
}

#[tokio::test]
async fn refused_batch_leaves_the_other_batches_alone() {
    let hub = hub_with_staff(400).await;
    hub.model().repo("acme/model").has_request_ids = false;
    hub.model().fault("/batch", Fault::Status(400));
    let doorman = doorman_with(&hub, &[("CONCURRENCY", "1")]);
    assert_eq!(deliver(&doorman, &payload("acme/model")).await.0, 200);
    assert_eq!((bodies(&hub, "/batch").len(), bodies(&hub, "/handle").len()), (4, 100));
}

#[tokio::test]
async fn refused_batch_is_written_one_by_one() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada"), staff("bob"), staff("eve")]);
    hub.model().faults("/batch", &Fault::Status(400), 2);
    let (status, report) = review(&hub).await;
    assert_eq!((status, &report["repos"][0]["accepted"]), (200, &json!(3)));
    assert_eq!(bodies(&hub, "/handle").len(), 3);
}

/// The Hub reports an error for one request of a batch that is not documented.
#[tokio::test]
async fn unknown_error_in_a_batch_is_reported() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada"), staff("bob")]);
    let results =
        r#"[{"userId": "id-ada", "ok": true}, {"userId": "id-bob", "ok": false, "error": "full_moon"}]"#;
    hub.model().fault("/batch", Fault::Answer(200, Vec::new(), results.to_owned()));
    let (status, report) = review(&hub).await;
    let numbers = &report["repos"][0];
    assert_eq!((status, &numbers["accepted"], &numbers["failed"]), (202, &json!(1), &json!(1)), "{report}");
    assert_eq!(numbers["error"], "the Hub refused a decision of a batch: full_moon");
}

/// However the Hub fails on one request, the other requests of the batch are accepted. The run reports that one is left.
#[tokio::test]
async fn batch_with_one_failing_request_accepts_the_others() {
    let faults =
        [500, 502, 503, 504, 408, 413, 422].map(Fault::Status).into_iter().chain([Fault::DropBefore]);
    let stories = faults.map(|fault| async move {
        let hub = Hub::start().await;
        ask(&hub, "acme/model", (0..30).map(|number| staff(&format!("user{number:02}"))));
        hub.model().chokes_on = Some(("user07".to_owned(), fault.clone()));
        let doorman = doorman_with(&hub, &[("REPOS", "acme/*")]);
        let report = sweep_within(&doorman, Duration::from_secs(60)).await;
        let numbers = &report["repos"][0];
        let seen = (&numbers["accepted"], &numbers["complete"]);
        assert_eq!(seen, (&json!(29), &json!(false)), "{fault:?}: {report}");
        assert_eq!(hub.users("acme/model", Status::Pending), ["user07"], "{fault:?}");
        assert!(hub.calls().len() < 70, "{fault:?}: {} calls", hub.calls().len());
        // A user may have made a newer request meanwhile, so only the failing request is written by user id.
        let model = hub.model();
        let by_user = model.calls.iter().filter_map(|call| call.body["userId"].as_str());
        assert!(
            by_user.clone().all(|user| user == "id-user07"),
            "{fault:?}: {:?}",
            by_user.collect::<Vec<_>>()
        );
    });
    join_all(stories).await;
}

#[tokio::test]
async fn refusal_of_every_write_costs_few_calls() {
    let hub = hub_with_staff(300).await;
    hub.model().faults("POST", &Fault::Status(400), 100);
    let (status, report) = review(&hub).await;
    assert_eq!((status, &report["repos"][0]["failed"]), (202, &json!(300)));
    // A page; for each hundred a batch and three of its requests; and one to three batches by request id before the first refusal.
    assert!((1 + 3 * 4 + 1..=1 + 3 * 4 + 3).contains(&hub.calls().len()), "{:?}", hub.calls());
}

/// After a 403, only the batches that were in flight are sent.
#[tokio::test]
async fn refused_write_access_stops_all_writes() {
    let hub = hub_with_staff(2000).await;
    hub.model().faults("/batch", &Fault::Status(403), 20);
    let (status, report) = review(&hub).await;
    let numbers = &report["repos"][0];
    assert_eq!((status, &numbers["complete"], &numbers["accepted"]), (202, &json!(false), &json!(0)));
    assert_eq!(numbers["failed"], numbers["listed"]);
    let batches = hub.calls().iter().filter(|call| call.ends_with("/batch")).count();
    assert!(batches <= 8, "more than were in flight: {batches}");
}
