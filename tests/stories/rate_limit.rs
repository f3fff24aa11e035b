//! The Hub's rate limit: runs wait for the next window or say how long it takes, and all runs of a process share the calls.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use crate::hub::{Batch, Fault, Hub, Quota, Status};
use crate::support::{
    ask, deliver, doorman, doorman_with, first_error, hub_with_staff, payload, retry_after, review, staff,
    sweep, writes,
};

const FIVE_MINUTES: Duration = Duration::from_secs(300);

#[tokio::test]
async fn run_waits_for_the_next_window() {
    let hub = hub_with_staff(3000).await;
    hub.model().max_page = 100;
    hub.model().quota = Quota::new(50, Duration::from_secs(5));
    let (status, report) = review(&hub).await;
    assert_eq!((status, &report["repos"][0]["accepted"]), (200, &json!(3000)), "{report}");
    assert!(hub.calls().len() > 60);
    assert!(hub.model().refused_by_quota <= 2, "{} 429s", hub.model().refused_by_quota);
}

#[tokio::test]
async fn run_that_cannot_wait_for_the_window_says_how_long() {
    for tells_when in [false, true] {
        let hub = hub_with_staff(3000).await;
        hub.model().quota = Quota { tells_when, ..Quota::new(20, FIVE_MINUTES) };
        let doorman = doorman(&hub);
        let (status, report) = deliver(&doorman, &payload("acme/model")).await;
        assert_eq!((status, &report["repos"][0]["complete"]), (202, &json!(false)), "{report}");
        assert!(
            first_error(&report).contains("takes no calls with this HF_TOKEN for another 30")
                && first_error(&report).contains("its 20 calls in 300 s are used up"),
            "{report}"
        );
        assert_eq!((hub.calls().len(), hub.model().refused_by_quota), (20, 0));
        let accepted = hub.users("acme/model", Status::Accepted).len();
        assert_eq!(report["repos"][0]["accepted"], accepted);

        // The process remembers it for all later calls.
        let (status, report) = deliver(&doorman, &payload("acme/model")).await;
        assert_eq!((status, &report["repos"][0]["calls"]), (202, &json!(0)), "{report}");
    }
}

#[tokio::test]
async fn limit_that_was_used_up_before_costs_one_call() {
    for tells_when in [true, false] {
        let hub = hub_with_staff(1).await;
        hub.model().quota = Quota { tells_when, used: 20, ..Quota::new(20, FIVE_MINUTES) };
        let doorman = doorman(&hub);
        let payload = payload("acme/model");
        let reviews = (0..5).map(|_| deliver(&doorman, &payload));
        for (status, report) in join_all(reviews).await {
            assert_eq!(status, 202);
            assert!(first_error(&report).contains("for another 30"), "{report}");
        }
        assert_eq!(hub.calls().len(), 1);
    }
}

#[tokio::test]
async fn reviews_of_a_process_share_the_remaining_calls() {
    let hub = Hub::start().await;
    let repos = ["a", "b", "c", "d"].map(|name| format!("acme/{name}"));
    for repo in &repos {
        ask(&hub, repo, (0..40).map(|number| staff(&format!("user{number}"))));
    }
    hub.model().batch = Batch::Unknown;
    hub.model().quota = Quota::new(30, FIVE_MINUTES);
    let doorman = doorman(&hub);
    let payloads = repos.map(|repo| payload(&repo));
    let reviews = payloads.iter().map(|payload| deliver(&doorman, payload));
    for (status, report) in join_all(reviews).await {
        assert_eq!(status, 202, "{report}");
    }
    assert_eq!((hub.calls().len(), hub.model().refused_by_quota), (30, 0));
}

#[tokio::test]
async fn retry_after_is_obeyed() {
    for status in [429, 503] {
        let hub = hub_with_staff(5).await;
        hub.model().fault("/batch", retry_after(status, "1"));
        let doorman = doorman(&hub);
        let asked = Instant::now();
        assert_eq!(deliver(&doorman, &payload("acme/model")).await.0, 200, "{status}");
        assert!(asked.elapsed() >= Duration::from_secs(1), "{status}");

        ask(&hub, "acme/model", [staff("ada"), staff("bob")]);
        hub.model().fault("/batch", retry_after(status, "3600"));
        let (answered, report) = deliver(&doorman, &payload("acme/model")).await;
        assert_eq!((answered, &report["repos"][0]["calls"]), (202, &json!(2)), "{status}: {report}");
        assert!(first_error(&report).contains("only in 3600 s"), "{status}: {report}");
    }
}

/// Another limit of the Hub refuses searches. Neither its `RateLimit` header nor its `Retry-After` delays any other call.
#[tokio::test]
async fn limit_on_searches_does_not_delay_a_webhook() {
    let hub = hub_with_staff(5).await;
    let headers = vec![("RateLimit", r#""api";r=912;t=287"#.to_owned()), ("Retry-After", "1".to_owned())];
    hub.model().fault("/api/models?", Fault::Answer(429, headers, String::new()));
    let doorman = doorman_with(&hub, &[("REPOS", "acme/*")]);
    let asked = Instant::now();
    let report = sweep(&doorman);
    let webhook = async {
        while hub.calls().is_empty() {
            tokio::task::yield_now().await;
        }
        deliver(&doorman, &payload("acme/model")).await;
        asked.elapsed()
    };
    let (report, webhook) = tokio::join!(report, webhook);
    assert_eq!(report["status"], "reviewed", "{report}");
    assert!(webhook < Duration::from_secs(1) && asked.elapsed() >= Duration::from_secs(1), "{webhook:?}");
}

/// Another limit of the Hub refuses writes. No repo is written until its `Retry-After` has passed. Then everybody is decided.
#[tokio::test]
async fn limit_on_writes_delays_the_writes_of_all_repos() {
    let hub = Hub::start().await;
    for number in 0..4 {
        ask(&hub, &format!("acme/model{number}"), [staff("ada")]);
    }
    let headers = vec![("RateLimit", r#""api";r=912;t=287"#.to_owned()), ("Retry-After", "1".to_owned())];
    hub.model().fault("/batch", Fault::Answer(429, headers, String::new()));
    let doorman = doorman_with(&hub, &[("REPOS", "acme/*"), ("CONCURRENCY", "1")]);
    let report = sweep(&doorman);
    let refused = async {
        while writes(&hub) == 0 {
            tokio::task::yield_now().await;
        }
        let refused = Instant::now();
        while writes(&hub) == 1 {
            tokio::task::yield_now().await;
        }
        refused.elapsed()
    };
    let (report, waited) = tokio::join!(report, refused);
    assert!(waited >= Duration::from_millis(990), "{waited:?}");
    assert_eq!((&report["status"], writes(&hub)), (&json!("reviewed"), 5), "{report}");
}

#[tokio::test]
async fn hub_without_limit_headers_is_not_limited() {
    let hub = hub_with_staff(1500).await;
    hub.model().tells_limits = false;
    hub.model().latency = Duration::from_millis(50);
    assert_eq!(review(&hub).await.0, 200);
    assert!(hub.model().most_in_flight > 1);
}
