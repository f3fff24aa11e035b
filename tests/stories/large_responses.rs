//! Responses of the Hub that are too long, too deep or endless. They are not read to their end, nobody is accepted because of
//! them, and no run waits forever.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::hub::{Fault, Hub, Status};
use crate::support::{ask, error, first_error, hub_with_six, review, review_within, staff};

const MB: usize = 1024 * 1024;

/// Checks that the next run decides everybody once the Hub is well again.
async fn assert_next_run_succeeds(hub: &Hub) {
    hub.model().heal();
    assert_eq!(review(hub).await.0, 200);
    assert_eq!(hub.users("acme/model", Status::Accepted).len(), 5);
    assert_eq!(hub.users("acme/model", Status::Pending), ["mallory"]);
}

#[tokio::test]
async fn endless_response_is_not_read_to_its_end() {
    // If `Content-Length` is too large, not even the first byte is waited for.
    let promise = (Some(1 << 30), Duration::from_secs(3600));
    for (call, (promised, pause)) in
        [("/pending", (None, Duration::ZERO)), ("/pending", promise), ("/batch", (None, Duration::ZERO))]
    {
        let hub = hub_with_six().await;
        let endless = Fault::Endless { status: 200, promised, chunk: MB, pause };
        hub.model().faults(call, &endless, 100);
        let (status, report) = review(&hub).await;
        let numbers = &report["repos"][0];
        assert_eq!((status, &numbers["complete"]), (202, &json!(false)), "{call}: {report}");
        let limit = if call == "/batch" { 128 } else { 4096 };
        let expected = format!("the Hub's response is larger than {limit} KB, and was not read");
        assert!(error(numbers).ends_with(&expected), "{report}");
        // The list shows that nothing was written. Another attempt would get the same response, so there is none.
        let failed = if call == "/batch" { 5 } else { 0 };
        assert_eq!((&numbers["failed"], &numbers["accepted"]), (&json!(failed), &json!(0)), "{report}");
        // Each attempt reads 4 MB, and the buffers of the network hold some more.
        let (attempts, max_bytes) = (if call == "/batch" { 1 } else { 3 }, 20 * MB);
        let streamed = hub.model().streamed.load(Ordering::Relaxed);
        assert!(streamed <= attempts * max_bytes, "{call}: {streamed} bytes");
        assert_eq!(hub.users("acme/model", Status::Accepted), [""; 0]);
        assert_next_run_succeeds(&hub).await;
    }
}

#[tokio::test]
async fn endless_error_response_is_known_by_its_status() {
    let hub = hub_with_six().await;
    let endless = Fault::Endless { status: 403, promised: None, chunk: MB, pause: Duration::ZERO };
    hub.model().fault("/pending", endless);
    let (_, report) = review(&hub).await;
    assert!(first_error(&report).contains("the Hub answered 403; give HF_TOKEN write access"), "{report}");
    assert_next_run_succeeds(&hub).await;
}

#[tokio::test]
async fn trickling_response_is_given_up_before_the_deadline() {
    for call in ["/pending", "/batch"] {
        let hub = hub_with_six().await;
        let trickle =
            Fault::Endless { status: 200, promised: None, chunk: 1, pause: Duration::from_millis(10) };
        hub.model().faults(call, &trickle, 100);
        let (status, report) = review_within(&hub, Duration::from_millis(1500)).await;
        assert_eq!((status, &report["repos"][0]["complete"]), (202, &json!(false)), "{call}");
        assert!(first_error(&report).contains("the time for this run was up"), "{report}");
        assert!(hub.model().streamed.load(Ordering::Relaxed) > 1, "it was streamed slowly");
        assert_next_run_succeeds(&hub).await;
    }
}

#[tokio::test]
async fn headers_of_a_megabyte_are_refused() {
    for call in ["/pending", "/batch"] {
        let hub = hub_with_six().await;
        let headers = vec![("Link", "x".repeat(MB))];
        hub.model().faults(call, &Fault::Answer(200, headers, "[]".to_owned()), 100);
        let (status, report) = review_within(&hub, Duration::from_secs(2)).await;
        assert_eq!((status, &report["repos"][0]["complete"]), (202, &json!(false)), "{call}: {report}");
        assert!(first_error(&report).contains("message head is too large"), "{report}");
        assert_eq!(hub.users("acme/model", Status::Accepted), [""; 0]);
        assert_next_run_succeeds(&hub).await;
    }
}

#[tokio::test]
async fn deeply_nested_json_cannot_be_read() {
    let story = async |call: &str, body: String| {
        let hub = hub_with_six().await;
        let is_list = call == "/pending" && body.starts_with('[') && body.ends_with(']');
        hub.model().faults(call, &Fault::Answer(200, Vec::new(), body), 10);
        let (status, report) = review_within(&hub, Duration::from_secs(6)).await;
        // A list of one unreadable entry is held.
        assert_eq!(status, if is_list { 200 } else { 202 }, "{call}: {report}");
        assert_eq!(hub.users("acme/model", Status::Accepted), [""; 0], "{call}: {report}");
        assert_next_run_succeeds(&hub).await;
    };
    for depth in [129, 100_000] {
        let deep = |open: &str, close: &str| open.repeat(depth) + "1" + &close.repeat(depth);
        let bodies = [deep("[", "]"), "[".repeat(depth), deep("{\"x\":", "}"), deep("[{\"error\":", "}]")];
        let stories =
            bodies.iter().flat_map(|body| ["/pending", "/batch"].map(|call| story(call, body.clone())));
        join_all(stories).await;
    }
}

#[tokio::test]
async fn deeply_nested_entry_is_held_and_stops_no_other() {
    let hub = hub_with_six().await;
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let entry = |name: &str, fields: &str| {
        format!(r#"{{"user": {{"user": "{name}", "email": "{name}@acme.com"}}, "fields": {fields}}}"#)
    };
    let entries = [entry("user0", &deep), entry("user2", &format!(r#"{{"Why": {deep}}}"#)), deep.clone()];
    let entries = entries.join(", ");
    let page = format!(r#"[{entries}, {{"user": {{"user": "user1", "email": "user1@acme.com"}}}}]"#);
    hub.model().repo("acme/model").raw_page = Some(page);
    let (status, report) = review(&hub).await;
    assert_eq!((status, &report["repos"][0]["held"]), (200, &json!(3)), "{report}");
    assert_eq!(hub.users("acme/model", Status::Accepted), ["user1"]);
}

#[tokio::test]
async fn page_of_too_many_entries_is_refused() {
    let hub = hub_with_six().await;
    let page = format!("[{}]", vec!["{}"; 20_000].join(","));
    hub.model().repo("acme/model").raw_page = Some(page);
    let (status, report) = review_within(&hub, Duration::from_secs(2)).await;
    assert_eq!((status, &report["repos"][0]["listed"]), (202, &json!(0)), "{report}");
    assert!(first_error(&report).contains("it lists more than 2000 entries"), "{report}");
}

#[tokio::test]
async fn compressed_response_is_reported() {
    let hub = hub_with_six().await;
    let gzip = Fault::Answer(200, vec![("Content-Encoding", "gzip".to_owned())], "\u{1f}\u{8b}".to_owned());
    hub.model().faults("/pending", &gzip, 100);
    let time = Duration::from_secs(2);
    let (status, report) = review_within(&hub, time).await;
    assert_eq!(status, 202);
    assert!(first_error(&report).contains("encoded as `gzip`, which was not requested"), "{report}");
}

#[tokio::test]
async fn too_large_page_is_requested_in_smaller_ones() {
    let hub = Hub::start().await;
    // Twelve such answers are more than the 4 MB that are read at once, and ten are less.
    let long = "x".repeat(7 * MB / 20);
    ask(&hub, "acme/model", (0..12).map(|number| staff(&format!("long{number}")).answer("Purpose", &*long)));
    ask(&hub, "acme/model", (0..188).map(|number| staff(&format!("short{number}"))));
    let (status, report) = review(&hub).await;
    assert_eq!((status, &report["repos"][0]["accepted"]), (200, &json!(188)), "{report}");
    assert_eq!(report["repos"][0]["held"], 12, "an answer above 100 KB is held: {report}");
    let calls = hub.calls();
    let asked = calls.iter().filter_map(|call| call.split_once("/pending?"));
    let asked: Vec<&str> = asked.map(|(_, query)| query).take(5).collect();
    assert_eq!(
        asked,
        ["limit=1000", "limit=100", "limit=10", "cursor=10&limit=100", "cursor=110&limit=1000"]
    );
}

#[tokio::test]
async fn too_large_entry_is_reported_and_earlier_ones_are_decided() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", (0..10).map(|number| staff(&format!("user{number}"))));
    ask(&hub, "acme/model", [staff("longest").answer("Purpose", "x".repeat(5 * MB))]);
    let (status, report) = review(&hub).await;
    assert_eq!((status, &report["repos"][0]["accepted"]), (202, &json!(10)), "{report}");
    assert!(first_error(&report).contains("larger than 4096 KB"), "{report}");
    assert_eq!(hub.users("acme/model", Status::Pending), ["longest"]);
}
