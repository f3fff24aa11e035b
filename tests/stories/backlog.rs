//! Very many wait, on many pages of a list whose cursor may do this or that and which lags behind.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::hub::{Cursor, Fault, Hub, Person, Status};
use crate::support::{ask, deliver, doorman, doorman_with, payload, staff, stranger};

/// Of three people one is to be held, one to be accepted and one to be rejected.
fn person(number: usize) -> Person {
    let name = format!("user{number}");
    match number % 3 {
        0 => stranger(&name),
        1 => staff(&name),
        _ => stranger(&name).answer("Country", "KP"),
    }
}

async fn hub_with(people: usize, cursor: Cursor, page: usize, lag: Duration) -> Hub {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", (0..people).map(person));
    let mut model = hub.model();
    (model.cursor, model.max_page, model.lag) = (cursor, page, lag);
    drop(model);
    hub
}

fn assert_everybody_is_where_they_belong(hub: &Hub) {
    for request in &hub.model().repo("acme/model").requests {
        let name = &request.person.name;
        let expected = match name.trim_start_matches("user").parse::<usize>().expect("a number") % 3 {
            0 => (Status::Pending, 0),
            1 => (Status::Accepted, 1),
            _ => (Status::Rejected, 1),
        };
        assert_eq!((request.status, request.writes as usize), expected, "{name}");
    }
}

/// The verdict that each call asked for, by user: nobody may be asked two.
fn assert_nobody_was_given_two_verdicts(hub: &Hub) {
    let mut verdicts = std::collections::HashMap::new();
    for call in &hub.model().calls {
        for one in call.body["requests"].as_array().into_iter().flatten().chain([&call.body]) {
            if let Some(id) = one["userId"].as_str() {
                let verdict = call.body["status"].clone();
                let before = verdicts.insert(id.to_owned(), verdict.clone());
                assert!(before.is_none_or(|before| before == verdict), "{id}");
            }
        }
    }
}

async fn everybody_is_decided(cursor: Cursor, lag: u64) {
    let hub = hub_with(950, cursor, 100, Duration::from_millis(lag)).await;
    hub.model().repo("acme/model").requests[3].anonymous = true;
    let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
    let numbers = &report["repos"][0];
    assert_eq!((status, &numbers["complete"]), (200, &json!(true)), "{report}");
    let counts = ["listed", "accepted", "rejected", "held"].map(|name| numbers[name].as_u64());
    assert_eq!(counts, [Some(950), Some(317), Some(316), Some(317)], "{report}");
    assert_everybody_is_where_they_belong(&hub);
}

#[tokio::test]
async fn everybody_on_every_page_is_decided_where_the_cursor_points() {
    everybody_is_decided(Cursor::Points, 0).await;
}

#[tokio::test]
async fn everybody_on_every_page_is_decided_where_the_cursor_counts() {
    everybody_is_decided(Cursor::Counts, 0).await;
}

#[tokio::test]
async fn lag_of_an_hour_is_reported_and_nobody_is_written_twice() {
    for cursor in [Cursor::Points, Cursor::Counts] {
        let hub = hub_with(950, cursor, 100, Duration::from_secs(3600)).await;
        let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
        let error = report["repos"][0]["error"].as_str().unwrap_or_default();
        assert!(status == 202 && error.contains("still lists the requests"), "{report}");
        assert_everybody_is_where_they_belong(&hub);
    }
}

#[tokio::test]
async fn everybody_on_every_page_is_decided_where_pages_shift_while_they_are_read_again() {
    for lag in [1, 10, 30, 60, 100, 200, 300] {
        everybody_is_decided(Cursor::Counts, lag).await;
    }
}

#[tokio::test]
async fn everybody_on_every_page_is_decided_where_the_list_lags_by_seconds() {
    everybody_is_decided(Cursor::Counts, 2000).await;
}

/// Nearly every third call fails, in some way or other.
async fn everybody_is_decided_in_the_end(cursor: Cursor, seed: u64) {
    let hub = hub_with(950, cursor, 100, Duration::from_secs(2)).await;
    hub.model().flaky(0.3, seed);
    let doorman = doorman(&hub);
    let mut deliveries = 0;
    while deliver(&doorman, &payload("acme/model")).await.0 != 200 {
        deliveries += 1;
        assert!(deliveries < 10, "after {} calls", hub.calls().len());
    }
    assert_everybody_is_where_they_belong(&hub);
    assert_nobody_was_given_two_verdicts(&hub);
}

#[tokio::test]
async fn whatever_fails_everybody_is_decided_in_the_end_where_the_cursor_points() {
    everybody_is_decided_in_the_end(Cursor::Points, 1).await;
}

#[tokio::test]
async fn whatever_fails_everybody_is_decided_in_the_end_where_the_cursor_counts() {
    everybody_is_decided_in_the_end(Cursor::Counts, 2).await;
}

#[tokio::test]
async fn ten_thousand_of_two_verdicts_take_few_calls() {
    let hub = Hub::start().await;
    hub.model().latency = Duration::from_millis(10);
    let person = |number| {
        let person = staff(&format!("user{number}"));
        if number % 3 == 0 { person.answer("Country", "KP") } else { person }
    };
    ask(&hub, "acme/model", (0..10_000).map(person));
    let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
    let numbers = &report["repos"][0];
    assert_eq!((status, &numbers["accepted"], &numbers["rejected"]), (200, &json!(6666), &json!(3334)));
    // Ten pages, a hundred batches, and once more to see that nobody was skipped.
    let calls = numbers["calls"].as_u64().expect("a number");
    assert!((111..=125).contains(&calls), "{calls}");
}

#[tokio::test]
async fn no_more_calls_are_in_flight_than_concurrency_says() {
    for concurrency in [1, 2, 5] {
        let hub = hub_with(1500, Cursor::Points, 1000, Duration::ZERO).await;
        hub.model().latency = Duration::from_millis(50);
        let doorman = doorman_with(&hub, &[("CONCURRENCY", &concurrency.to_string())]);
        assert_eq!(deliver(&doorman, &payload("acme/model")).await.0, 200);
        assert_everybody_is_where_they_belong(&hub);
        let most = hub.model().most_in_flight;
        assert!(most <= concurrency && (most > 1 || concurrency == 1), "{most} of {concurrency}");
        // Where only one call can be made at a time, what was read is written before more is read.
        assert!(concurrency > 1 || hub.calls()[1].starts_with("POST"));
    }
}

#[tokio::test]
async fn several_reviews_share_what_concurrency_allows() {
    let hub = Hub::start().await;
    let repos = ["a", "b", "c", "d"].map(|name| format!("acme/{name}"));
    for repo in &repos {
        ask(&hub, repo, (0..900).map(person));
    }
    hub.model().latency = Duration::from_millis(20);
    let doorman = doorman_with(&hub, &[("CONCURRENCY", "3")]);
    let payloads = repos.map(|repo| payload(&repo));
    for (status, _) in join_all(payloads.iter().map(|payload| deliver(&doorman, payload))).await {
        assert_eq!(status, 200);
    }
    assert!(hub.model().most_in_flight <= 3, "{}", hub.model().most_in_flight);
}

#[tokio::test]
async fn a_page_is_acted_upon_before_the_next_one_is_there() {
    let hub = hub_with(60, Cursor::Points, 10, Duration::ZERO).await;
    hub.model().fault("cursor=20", Fault::Status(418));
    let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
    assert_eq!((status, &report["repos"][0]["listed"]), (202, &json!(20)));
    assert_eq!(hub.users("acme/model", Status::Accepted).len(), 7);
    let is_write = |call: &&String| call.starts_with("POST");
    let calls = hub.calls();
    let failed = calls.iter().position(|call| call.contains("cursor=20")).expect("the page was asked for");
    assert!(calls[..=failed].iter().any(|call| is_write(&call)), "{calls:?}");
}

#[tokio::test]
async fn those_who_ask_while_the_list_is_read_again_are_decided_too() {
    let hub = hub_with(60, Cursor::Counts, 10, Duration::from_secs(1)).await;
    let doorman = doorman(&hub);
    let payload = payload("acme/model");
    let review = deliver(&doorman, &payload);
    let late = async {
        while hub.calls().iter().filter(|call| call.ends_with("limit=1000")).count() < 2 {
            tokio::task::yield_now().await;
        }
        ask(&hub, "acme/model", [staff("late")]);
    };
    let ((status, report), ()) = tokio::join!(review, late);
    assert_eq!((status, &report["repos"][0]["error"]), (200, &Value::Null));
    assert!(hub.users("acme/model", Status::Accepted).contains(&"late".to_owned()));
}

#[tokio::test]
async fn the_next_page_is_read_while_this_one_is_written() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", (0..3000).map(|number| staff(&format!("user{number}"))));
    hub.model().latency = Duration::from_millis(20);
    assert_eq!(deliver(&doorman(&hub), &payload("acme/model")).await.0, 200);
    let calls = hub.calls();
    let second_page = calls.iter().position(|call| call.contains("&cursor=")).expect("a second page");
    let written_before = calls[..second_page].iter().filter(|call| call.starts_with("POST ")).count();
    assert!(written_before < 10, "{calls:#?}");
}
