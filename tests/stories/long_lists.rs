//! Long lists: many pages, with both kinds of cursor, while the list lags behind the writes.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::hub::{Cursor, Fault, Hub, Person, Status};
use crate::support::{
    ask, count, deliver, deliver_within, doorman, doorman_with, first_error, hub_with_six, payload, review,
    staff, stranger,
};

/// A person whom the policy holds, accepts or rejects, by the remainder of the number divided by three.
fn person(number: usize) -> Person {
    let name = format!("user{number}");
    match number % 3 {
        0 => stranger(&name),
        1 => staff(&name),
        _ => stranger(&name).answer("Country", "KP"),
    }
}

/// A Hub on which this many people have requested `acme/model`.
async fn hub_with(people: usize, cursor: Cursor, page: usize, lag: Duration) -> Hub {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", (0..people).map(person));
    let mut model = hub.model();
    (model.cursor, model.max_page, model.lag) = (cursor, page, lag);
    drop(model);
    hub
}

fn assert_each_request_has_its_status(hub: &Hub) {
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

fn assert_nobody_was_written_with_two_verdicts(hub: &Hub) {
    let mut verdicts = std::collections::HashMap::new();
    for call in &hub.model().calls {
        for request in call.body["requests"].as_array().into_iter().flatten().chain([&call.body]) {
            if let Some(id) = request["userId"].as_str() {
                let verdict = call.body["status"].clone();
                let before = verdicts.insert(id.to_owned(), verdict.clone());
                assert!(before.is_none_or(|before| before == verdict), "{id}");
            }
        }
    }
}

/// With an offset cursor, a request that leaves the list shifts the next page. Each lag makes it happen at another moment.
#[tokio::test]
async fn every_request_of_a_long_list_is_decided() {
    let lags = [0, 1, 10, 30, 60, 100, 200, 300, 2000];
    for (cursor, lag) in [(Cursor::Key, 0)].into_iter().chain(lags.map(|lag| (Cursor::Offset, lag))) {
        let hub = hub_with(950, cursor, 100, Duration::from_millis(lag)).await;
        hub.model().repo("acme/model").requests[3].anonymous = true;
        let (status, report) = review(&hub).await;
        let numbers = &report["repos"][0];
        assert_eq!((status, &numbers["complete"]), (200, &json!(true)), "{report}");
        let counts = ["listed", "accepted", "rejected", "held"].map(|name| numbers[name].as_u64());
        assert_eq!(counts, [Some(950), Some(317), Some(316), Some(317)], "{report}");
        assert_each_request_has_its_status(&hub);
    }
}

#[tokio::test]
async fn list_lag_of_an_hour_is_reported_without_second_writes() {
    for cursor in [Cursor::Key, Cursor::Offset] {
        let hub = hub_with(950, cursor, 100, Duration::from_secs(3600)).await;
        let (status, report) = review(&hub).await;
        let error = report["repos"][0]["error"].as_str().unwrap_or_default();
        assert!(status == 202 && error.contains("still lists the requests"), "{report}");
        assert_each_request_has_its_status(&hub);
    }
}

/// Nearly every third call fails, in one of many ways.
#[tokio::test]
async fn flaky_hub_completes_after_some_runs() {
    for (cursor, seed) in [(Cursor::Key, 1), (Cursor::Offset, 2)] {
        let hub = hub_with(950, cursor, 100, Duration::from_secs(2)).await;
        hub.model().flaky(0.3, seed);
        let doorman = doorman(&hub);
        let mut deliveries = 0;
        while deliver(&doorman, &payload("acme/model")).await.0 != 200 {
            deliveries += 1;
            assert!(deliveries < 10, "after {} calls", hub.calls().len());
        }
        assert!(!hub.model().fault_counts.is_empty());
        assert_each_request_has_its_status(&hub);
        assert_nobody_was_written_with_two_verdicts(&hub);
    }
}

#[tokio::test]
async fn ten_thousand_requests_take_few_calls() {
    let hub = Hub::start().await;
    hub.model().latency = Duration::from_millis(10);
    let person = |number| {
        let person = staff(&format!("user{number}"));
        if number % 3 == 0 { person.answer("Country", "KP") } else { person }
    };
    ask(&hub, "acme/model", (0..10_000).map(person));
    let (status, report) = review(&hub).await;
    let numbers = &report["repos"][0];
    assert_eq!((status, &numbers["accepted"], &numbers["rejected"]), (200, &json!(6666), &json!(3334)));
    // Ten pages, a hundred batches, and one more reading to see that no request was skipped.
    let calls = numbers["calls"].as_u64().expect("a number");
    assert!((111..=125).contains(&calls), "{calls}");
}

#[tokio::test]
async fn concurrency_bounds_the_calls_in_flight() {
    for concurrency in [1, 2, 5] {
        let hub = hub_with(1500, Cursor::Key, 1000, Duration::ZERO).await;
        hub.model().latency = Duration::from_millis(50);
        let doorman = doorman_with(&hub, &[("CONCURRENCY", &concurrency.to_string())]);
        assert_eq!(deliver(&doorman, &payload("acme/model")).await.0, 200);
        assert_each_request_has_its_status(&hub);
        let most = hub.model().most_in_flight;
        assert!(most <= concurrency && (most > 1 || concurrency == 1), "{most} of {concurrency}");
        // With one call at a time, a page is written before the next one is read.
        assert!(concurrency > 1 || hub.calls()[1].starts_with("POST"));
    }
}

#[tokio::test]
async fn several_reviews_share_the_concurrency() {
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
async fn page_is_written_although_a_later_one_fails() {
    let hub = hub_with(60, Cursor::Key, 10, Duration::ZERO).await;
    hub.model().fault("cursor=20", Fault::Status(418));
    let (status, report) = review(&hub).await;
    assert_eq!((status, &report["repos"][0]["listed"]), (202, &json!(20)));
    assert_eq!(hub.users("acme/model", Status::Accepted).len(), 7);
    let is_write = |call: &&String| call.starts_with("POST");
    let calls = hub.calls();
    let failed = calls.iter().position(|call| call.contains("cursor=20")).expect("the page was asked for");
    assert!(calls[..=failed].iter().any(|call| is_write(&call)), "{calls:?}");
}

#[tokio::test]
async fn request_made_during_a_later_reading_is_decided() {
    let hub = hub_with(60, Cursor::Offset, 10, Duration::from_secs(1)).await;
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
async fn next_page_is_read_while_the_first_is_written() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", (0..3000).map(|number| staff(&format!("user{number}"))));
    hub.model().latency = Duration::from_millis(20);
    assert_eq!(review(&hub).await.0, 200);
    let calls = hub.calls();
    let second_page = calls.iter().position(|call| call.contains("&cursor=")).expect("a second page");
    let written_before = calls[..second_page].iter().filter(|call| call.starts_with("POST ")).count();
    assert!(written_before < 10, "{calls:#?}");
}

/// The Hub lists 1,000 of 1,200 requests, without a link to a next page.
#[tokio::test]
async fn full_page_without_a_link_skips_no_request() {
    for newest_first in [false, true] {
        let hub = Hub::start().await;
        hub.model().add("acme/model");
        let first = chrono::Utc::now() - chrono::TimeDelta::days(2);
        for number in 0..1200 {
            let person = if number % 4 == 0 { staff } else { stranger }(&format!("user{number}"));
            hub.model().repo("acme/model").ask_at(person, first + chrono::TimeDelta::seconds(number));
        }
        (hub.model().links_pages, hub.model().newest_first) = (false, newest_first);
        let (status, report) = review(&hub).await;
        assert_eq!((status, count(&report, "accepted"), count(&report, "held")), (200, 300, 900), "{report}");
    }
}

/// The Hub ignores the parameters `before` and `after`.
#[tokio::test]
async fn full_page_that_may_hide_requests_is_reported() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [stranger("bob")]);
    let entry = |number: usize| {
        let (id, time) = (format!("r{number}"), "2026-11-24T08:00:00.000Z");
        json!({"requestId": id, "status": "pending", "timestamp": time})
    };
    let page: Vec<Value> = (0..1000).map(entry).collect();
    hub.model().repo("acme/model").raw_page = Some(json!(page).to_string());
    let (status, report) = review(&hub).await;
    assert_eq!((status, count(&report, "held")), (202, 1000), "{report}");
    assert!(first_error(&report).contains("more requests may be listed behind it"), "{report}");
}

/// People make requests forever, so no reading proves that no request was skipped.
#[tokio::test]
async fn list_that_keeps_changing_is_given_up_in_time() {
    let hub = hub_with_six().await;
    hub.model().lag = Duration::from_millis(700);
    hub.model().max_page = 2;
    hub.model().cursor = Cursor::Offset;
    let time = Duration::from_secs(4);
    let started = Instant::now();
    let doorman = doorman(&hub);
    let payload = payload("acme/model");
    let review = deliver_within(&doorman, &payload, time);
    let newcomers = async {
        for number in 0.. {
            ask(&hub, "acme/model", [staff(&format!("late{number}"))]);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let (status, report) = tokio::select! {
        response = review => response,
        () = newcomers => unreachable!("it never ends"),
    };
    assert!(started.elapsed() < time, "{report}");
    assert_eq!((status, &report["repos"][0]["complete"]), (202, &json!(false)), "{report}");
}
