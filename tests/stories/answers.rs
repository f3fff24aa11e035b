//! What comes back from the Hub is too much: too long, too deep, or it never ends. Nothing of it is swallowed, nobody is let
//! in for it, and nobody has to wait for ever.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::hub::{Fault, Hub, Status};
use crate::support::{ask, deliver, deliver_within, doorman, error, payload, staff, stranger};

const MB: usize = 1024 * 1024;

/// A Hub on which five of acme.com and a stranger wait for `acme/model`.
async fn six_waiting() -> Hub {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", (0..5).map(|number| staff(&format!("user{number}"))));
    ask(&hub, "acme/model", [stranger("mallory")]);
    hub
}

/// The Hub answers right again, and so all is as it should have been.
async fn heals(hub: &Hub) {
    hub.model().heal();
    assert_eq!(deliver(&doorman(hub), &payload("acme/model")).await.0, 200);
    assert_eq!(hub.users("acme/model", Status::Accepted).len(), 5);
    assert_eq!(hub.users("acme/model", Status::Pending), ["mallory"]);
}

#[tokio::test]
async fn an_answer_without_an_end_is_not_swallowed_and_the_next_run_heals_it() {
    // Of what promises to be too long not even the first byte is waited for.
    let promise = (Some(1 << 30), Duration::from_secs(3600));
    for (call, (promised, pause)) in
        [("/pending", (None, Duration::ZERO)), ("/pending", promise), ("/batch", (None, Duration::ZERO))]
    {
        let hub = six_waiting().await;
        let endless = Fault::Endless { status: 200, promised, chunk: MB, pause };
        hub.model().faults(call, &endless, 100);
        let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
        let numbers = &report["repos"][0];
        assert_eq!((status, &numbers["complete"]), (202, &json!(false)), "{call}: {report}");
        let limit = if call == "/batch" { 128 } else { 4096 };
        let expected = format!("the Hub's answer is larger than {limit} KB, and was not read");
        assert!(error(numbers).ends_with(&expected), "{report}");
        // The list shows that nothing was done, and another attempt would be answered at such length again.
        let failed = if call == "/batch" { 5 } else { 0 };
        assert_eq!((&numbers["failed"], &numbers["accepted"]), (&json!(failed), &json!(0)), "{report}");
        // Besides the 4 MB there is what the network holds.
        let (times, most) = (if call == "/batch" { 1 } else { 3 }, 20 * MB);
        let streamed = hub.model().streamed.load(Ordering::Relaxed);
        assert!(streamed <= times * most, "{call}: {streamed} bytes");
        assert_eq!(hub.users("acme/model", Status::Accepted), [""; 0]);
        heals(&hub).await;
    }
}

#[tokio::test]
async fn of_an_error_without_an_end_the_status_is_enough() {
    let hub = six_waiting().await;
    let endless = Fault::Endless { status: 403, promised: None, chunk: MB, pause: Duration::ZERO };
    hub.model().fault("/pending", endless);
    let (_, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
    assert!(
        error(&report["repos"][0]).contains("the Hub answered 403; give HF_TOKEN write access"),
        "{report}"
    );
    heals(&hub).await;
}

#[tokio::test]
async fn an_answer_that_drips_is_given_up_before_lambda_gives_us_up() {
    for call in ["/pending", "/batch"] {
        let hub = six_waiting().await;
        let drip = Fault::Endless { status: 200, promised: None, chunk: 1, pause: Duration::from_millis(10) };
        hub.model().faults(call, &drip, 100);
        let (status, report) =
            deliver_within(&doorman(&hub), &payload("acme/model"), Duration::from_millis(1500)).await;
        assert_eq!((status, &report["repos"][0]["complete"]), (202, &json!(false)), "{call}");
        assert!(error(&report["repos"][0]).contains("the time for this run was up"), "{report}");
        assert!(hub.model().streamed.load(Ordering::Relaxed) > 1, "it did drip");
        heals(&hub).await;
    }
}

#[tokio::test]
async fn headers_of_a_megabyte_are_not_taken() {
    for call in ["/pending", "/batch"] {
        let hub = six_waiting().await;
        let headers = vec![("Link", "x".repeat(MB))];
        hub.model().faults(call, &Fault::Answer(200, headers, "[]".to_owned()), 100);
        let (status, report) =
            deliver_within(&doorman(&hub), &payload("acme/model"), Duration::from_secs(2)).await;
        assert_eq!((status, &report["repos"][0]["complete"]), (202, &json!(false)), "{call}: {report}");
        assert!(error(&report["repos"][0]).contains("message head is too large"), "{report}");
        assert_eq!(hub.users("acme/model", Status::Accepted), [""; 0]);
        heals(&hub).await;
    }
}

#[tokio::test]
async fn json_that_nests_a_hundred_thousand_deep_is_an_answer_that_cannot_be_read() {
    let story = async |call: &str, body: String| {
        let hub = six_waiting().await;
        let is_list = call == "/pending" && body.starts_with('[') && body.ends_with(']');
        hub.model().faults(call, &Fault::Answer(200, Vec::new(), body), 10);
        let (status, report) =
            deliver_within(&doorman(&hub), &payload("acme/model"), Duration::from_secs(6)).await;
        // A list of one that nobody can be recognized in is held.
        assert_eq!(status, if is_list { 200 } else { 202 }, "{call}: {report}");
        assert_eq!(hub.users("acme/model", Status::Accepted), [""; 0], "{call}: {report}");
        heals(&hub).await;
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
async fn whoever_answers_a_hundred_thousand_deep_is_held_and_keeps_nobody_else_out() {
    let hub = six_waiting().await;
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let entry = |name: &str, fields: &str| {
        format!(r#"{{"user": {{"user": "{name}", "email": "{name}@acme.com"}}, "fields": {fields}}}"#)
    };
    let entries = [entry("user0", &deep), entry("user2", &format!(r#"{{"Why": {deep}}}"#)), deep.clone()];
    let entries = entries.join(", ");
    let page = format!(r#"[{entries}, {{"user": {{"user": "user1", "email": "user1@acme.com"}}}}]"#);
    hub.model().repo("acme/model").raw_page = Some(page);
    let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
    assert_eq!((status, &report["repos"][0]["held"]), (200, &json!(3)), "{report}");
    assert_eq!(hub.users("acme/model", Status::Accepted), ["user1"]);
}

#[tokio::test]
async fn a_page_that_lists_more_than_any_page_is_not_relied_upon() {
    let hub = six_waiting().await;
    let page = format!("[{}]", vec!["{}"; 20_000].join(","));
    hub.model().repo("acme/model").raw_page = Some(page);
    let (status, report) =
        deliver_within(&doorman(&hub), &payload("acme/model"), Duration::from_secs(2)).await;
    assert_eq!((status, &report["repos"][0]["listed"]), (202, &json!(0)), "{report}");
    assert!(error(&report["repos"][0]).contains("it lists more than 2000 entries"), "{report}");
}

#[tokio::test]
async fn answer_that_is_compressed_is_named() {
    let hub = six_waiting().await;
    let gzip = Fault::Answer(200, vec![("Content-Encoding", "gzip".to_owned())], "\u{1f}\u{8b}".to_owned());
    hub.model().faults("/pending", &gzip, 100);
    let time = Duration::from_secs(2);
    let (status, report) = deliver_within(&doorman(&hub), &payload("acme/model"), time).await;
    assert_eq!(status, 202);
    assert!(error(&report["repos"][0]).contains("encoded as `gzip`, which was not asked for"), "{report}");
}

#[tokio::test]
async fn a_page_too_large_to_be_read_is_asked_for_in_smaller_ones_and_everybody_is_reached() {
    let hub = Hub::start().await;
    // Together more than is read at once; ten of them less.
    let long = "x".repeat(7 * MB / 20);
    ask(&hub, "acme/model", (0..12).map(|number| staff(&format!("long{number}")).answer("Purpose", &*long)));
    ask(&hub, "acme/model", (0..188).map(|number| staff(&format!("short{number}"))));
    let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
    assert_eq!((status, &report["repos"][0]["accepted"]), (200, &json!(188)), "{report}");
    assert_eq!(report["repos"][0]["held"], 12, "who writes so much is left to a person: {report}");
    let calls = hub.calls();
    let asked = calls.iter().filter_map(|call| call.split_once("/pending?"));
    let asked: Vec<&str> = asked.map(|(_, query)| query).take(5).collect();
    assert_eq!(
        asked,
        ["limit=1000", "limit=100", "limit=10", "cursor=10&limit=100", "cursor=110&limit=1000"]
    );
}

#[tokio::test]
async fn an_entry_too_large_to_be_read_is_reported_and_those_before_it_get_in() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", (0..10).map(|number| staff(&format!("user{number}"))));
    ask(&hub, "acme/model", [staff("longest").answer("Purpose", "x".repeat(5 * MB))]);
    let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
    assert_eq!((status, &report["repos"][0]["accepted"]), (202, &json!(10)), "{report}");
    assert!(error(&report["repos"][0]).contains("larger than 4096 KB"), "{report}");
    assert_eq!(hub.users("acme/model", Status::Pending), ["longest"]);
}
