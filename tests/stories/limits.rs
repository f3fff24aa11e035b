//! What is tried again and what is not, and how the Hub's limits are kept.

use std::time::Duration;

use serde_json::{Value, json};

use crate::hub::{AccessRequest, Batch, Fault, Hub, Quota, Status};
use crate::logs::Logs;
use crate::support::{ask, deliver, deliver_within, doorman, doorman_with, payload, staff};

const FIVE_MINUTES: Duration = Duration::from_secs(300);

async fn hub_with(staff_members: usize) -> Hub {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", (0..staff_members).map(|number| staff(&format!("user{number}"))));
    hub
}

fn repo(report: &Value) -> &Value {
    &report["repos"][0]
}

fn error(report: &Value) -> &str {
    repo(report)["error"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn what_may_pass_by_itself_is_tried_again_until_it_does() {
    let mut faults = [408, 425, 429, 500, 502, 503, 504].map(Fault::Status).to_vec();
    faults.extend([Fault::DropBefore, Fault::DropAfter, Fault::Garbage]);
    for call in ["/pending", "/batch"] {
        for fault in &faults {
            let hub = hub_with(5).await;
            hub.model().faults(call, fault, 2);
            let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
            // Before a write is attempted again, the list is read again. It shows whether the write was carried out.
            let was_done = call == "/batch" && matches!(fault, Fault::DropAfter | Fault::Garbage);
            let (outcome, calls) = match (call, was_done) {
                (_, true) => ("unknown", 3),
                ("/batch", _) => ("accepted", 6),
                _ => ("accepted", 4),
            };
            assert_eq!((status, &repo(&report)[outcome]), (200, &json!(5)), "{call} {fault:?}: {report}");
            assert_eq!(
                (&repo(&report)["calls"], hub.calls().len()),
                (&json!(calls), calls),
                "{call} {fault:?}"
            );
            let requests = hub.model().repo("acme/model").requests.clone();
            assert!(requests.iter().all(|request| request.writes == 1), "{call} {fault:?}");
        }
    }
}

#[tokio::test]
async fn what_will_not_pass_is_not_tried_again() {
    for status in [400, 401, 402, 403, 404, 405, 409, 410, 418, 422] {
        let hub = hub_with(1).await;
        hub.model().repo("acme/model").has_request_ids = false;
        hub.model().faults("/handle", &Fault::Status(status), 10);
        let (answered, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
        assert_eq!((answered, &repo(&report)["failed"]), (202, &json!(1)), "{status}: {report}");
        assert_eq!(hub.calls().len(), 2, "{status}");
    }
}

#[tokio::test]
async fn request_that_was_written_with_a_lost_answer_is_unknown() {
    for fault in [Fault::DropAfter, Fault::Garbage, Fault::Stall] {
        let hub = hub_with(1).await;
        hub.model().fault("/batch", fault.clone());
        let (logs, _guard) = Logs::capture();
        let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
        let numbers = (&repo(&report)["unknown"], &repo(&report)["complete"], &repo(&report)["calls"]);
        assert_eq!((status, numbers), (200, (&json!(1), &json!(true), &json!(3))), "{fault:?}: {report}");
        assert_eq!(logs.lines("decided")[0]["outcome"], "unknown", "{fault:?}");
    }
}

#[tokio::test]
async fn a_request_that_somebody_else_moved_while_the_hub_was_down_is_not_claimed() {
    let hub = hub_with(1).await;
    hub.model().fault("/batch", Fault::Status(503));
    let doorman = doorman(&hub);
    let payload = payload("acme/model");
    let review = deliver(&doorman, &payload);
    let person = async {
        while hub.calls().len() < 2 {
            tokio::task::yield_now().await;
        }
        let mut model = hub.model();
        model.repo("acme/model").find_mut("user", "user0").expect("user0").set(Status::Accepted, None);
    };
    let ((status, report), ()) = tokio::join!(review, person);
    assert_eq!((status, &repo(&report)["accepted"], &repo(&report)["unknown"]), (200, &json!(0), &json!(1)));
}

#[tokio::test]
async fn a_write_whose_answer_never_comes_is_counted_as_unknown() {
    for (people, call) in [(1, "/handle"), (5, "/batch")] {
        let hub = hub_with(people).await;
        hub.model().repo("acme/model").has_request_ids = false;
        hub.model().faults(call, &Fault::Stall, 10);
        let (logs, _guard) = Logs::capture();
        let time = Duration::from_millis(1800);
        let (status, report) = deliver_within(&doorman(&hub), &payload("acme/model"), time).await;
        let numbers = (&repo(&report)["unknown"], &repo(&report)["failed"], &repo(&report)["complete"]);
        assert_eq!((status, numbers), (202, (&json!(people), &json!(0), &json!(false))), "{report}");
        assert!(error(&report).contains("the time for this run was up"), "{report}");
        assert!(logs.lines("decided").iter().all(|line| line["outcome"] == "unknown"));
    }
}

#[tokio::test]
async fn a_call_that_stalls_is_given_up_and_made_again() {
    let hub = hub_with(5).await;
    hub.model().fault("/pending", Fault::Stall);
    let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
    assert_eq!((status, &repo(&report)["calls"]), (200, &json!(3)), "{report}");
}

#[tokio::test]
async fn the_limit_is_waited_out_and_hardly_ever_run_into() {
    let hub = hub_with(3000).await;
    hub.model().max_page = 100;
    hub.model().quota = Quota::new(50, Duration::from_secs(5));
    let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
    assert_eq!((status, &repo(&report)["accepted"]), (200, &json!(3000)), "{report}");
    assert!(hub.calls().len() > 60);
    assert!(hub.model().refused_by_quota <= 2, "{} 429s", hub.model().refused_by_quota);
}

#[tokio::test]
async fn what_a_person_decides_while_the_limit_is_waited_out_is_not_overruled() {
    let hub = hub_with(1000).await;
    hub.model().quota = Quota::new(5, Duration::from_secs(8));
    let doorman = doorman(&hub);
    let payload = payload("acme/model");
    let review = deliver(&doorman, &payload);
    let person = async {
        while hub.calls().len() < 5 || hub.model().in_flight > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let mut model = hub.model();
        let pending = |request: &&mut AccessRequest| request.status == Status::Pending;
        let requests = model.repo("acme/model").requests.iter_mut().filter(pending);
        requests.map(|request| request.set(Status::Rejected, None)).count()
    };
    let ((status, report), rejected) = tokio::join!(review, person);
    assert!(rejected >= 500, "{rejected}");
    assert_eq!((status, hub.users("acme/model", Status::Rejected).len()), (200, rejected), "{report}");
    assert_eq!(repo(&report)["gone"], rejected);
}

#[tokio::test]
async fn when_the_limit_is_used_up_for_longer_than_there_is_time_it_is_said_for_how_long() {
    for tells_when in [false, true] {
        let hub = hub_with(3000).await;
        hub.model().quota = Quota { tells_when, ..Quota::new(20, FIVE_MINUTES) };
        let doorman = doorman(&hub);
        let (status, report) = deliver(&doorman, &payload("acme/model")).await;
        assert_eq!((status, &repo(&report)["complete"]), (202, &json!(false)), "{report}");
        assert!(
            error(&report).contains("wants no call with this HF_TOKEN for another 30")
                && error(&report).contains("its 20 calls in 300 s are used up"),
            "{report}"
        );
        assert_eq!((hub.calls().len(), hub.model().refused_by_quota), (20, 0));
        let accepted = hub.users("acme/model", Status::Accepted).len();
        assert_eq!(repo(&report)["accepted"], accepted);

        // It is known of all calls to come.
        let (status, report) = deliver(&doorman, &payload("acme/model")).await;
        assert_eq!((status, &repo(&report)["calls"]), (202, &json!(0)), "{report}");
    }
}

#[tokio::test]
async fn a_limit_that_was_used_up_before_is_run_into_once() {
    for tells_when in [true, false] {
        let hub = hub_with(1).await;
        hub.model().quota = Quota { tells_when, used: 20, ..Quota::new(20, FIVE_MINUTES) };
        let doorman = doorman(&hub);
        let payload = payload("acme/model");
        let reviews = (0..5).map(|_| deliver(&doorman, &payload));
        for (status, report) in futures_util::future::join_all(reviews).await {
            assert_eq!(status, 202);
            assert!(error(&report).contains("for another 30"), "{report}");
        }
        assert_eq!(hub.calls().len(), 1);
    }
}

#[tokio::test]
async fn all_reviews_of_a_process_share_what_is_left() {
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
    for (status, report) in futures_util::future::join_all(reviews).await {
        assert_eq!(status, 202, "{report}");
    }
    assert_eq!((hub.calls().len(), hub.model().refused_by_quota), (30, 0));
}

#[tokio::test]
async fn a_hub_that_asks_for_time_gets_it() {
    for status in [429, 503] {
        let hub = hub_with(5).await;
        let wait =
            |seconds: &str| Fault::Answer(status, vec![("Retry-After", seconds.to_owned())], String::new());
        hub.model().fault("/batch", wait("1"));
        let doorman = doorman(&hub);
        let asked = std::time::Instant::now();
        assert_eq!(deliver(&doorman, &payload("acme/model")).await.0, 200, "{status}");
        assert!(asked.elapsed() >= Duration::from_secs(1), "{status}");

        ask(&hub, "acme/model", [staff("ada"), staff("bob")]);
        hub.model().fault("/batch", wait("3600"));
        let (answered, report) = deliver(&doorman, &payload("acme/model")).await;
        assert_eq!((answered, &repo(&report)["calls"]), (202, &json!(2)), "{status}: {report}");
        assert!(error(&report).contains("only in 3600 s"), "{status}: {report}");
    }
}

/// Another limit of the Hub refuses searches. What it says of the window of calls, and how long searches have to wait, holds up
/// nothing else.
#[tokio::test]
async fn limit_on_one_kind_of_call_holds_up_no_other() {
    let hub = hub_with(5).await;
    let headers = vec![("RateLimit", r#""api";r=912;t=287"#.to_owned()), ("Retry-After", "1".to_owned())];
    hub.model().fault("/api/models?", Fault::Answer(429, headers, String::new()));
    let doorman = doorman_with(&hub, &[("REPOS", "acme/*")]);
    let asked = std::time::Instant::now();
    let sweep = crate::support::sweep(&doorman);
    let webhook = async {
        while hub.calls().is_empty() {
            tokio::task::yield_now().await;
        }
        deliver(&doorman, &payload("acme/model")).await;
        asked.elapsed()
    };
    let (report, webhook) = tokio::join!(sweep, webhook);
    assert_eq!(report["status"], "reviewed", "{report}");
    assert!(webhook < Duration::from_secs(1) && asked.elapsed() >= Duration::from_secs(1), "{webhook:?}");
}

/// The same for writes: until then, no other repo of the token is written either, and then everybody is decided.
#[tokio::test]
async fn limit_on_writes_holds_up_the_writes_of_all_repos() {
    let hub = Hub::start().await;
    for number in 0..4 {
        ask(&hub, &format!("acme/model{number}"), [staff("ada")]);
    }
    let headers = vec![("RateLimit", r#""api";r=912;t=287"#.to_owned()), ("Retry-After", "1".to_owned())];
    hub.model().fault("/batch", Fault::Answer(429, headers, String::new()));
    let doorman = doorman_with(&hub, &[("REPOS", "acme/*"), ("CONCURRENCY", "1")]);
    let writes = || hub.calls().iter().filter(|call| call.starts_with("POST")).count();
    let sweep = crate::support::sweep(&doorman);
    let refused = async {
        while writes() == 0 {
            tokio::task::yield_now().await;
        }
        let refused = std::time::Instant::now();
        while writes() == 1 {
            tokio::task::yield_now().await;
        }
        refused.elapsed()
    };
    let (report, waited) = tokio::join!(sweep, refused);
    assert!(waited >= Duration::from_millis(990), "{waited:?}");
    assert_eq!((&report["status"], writes()), (&json!("reviewed"), 5), "{report}");
}

#[tokio::test]
async fn a_hub_that_tells_of_no_limit_has_none() {
    let hub = hub_with(1500).await;
    hub.model().tells_limits = false;
    hub.model().latency = Duration::from_millis(50);
    assert_eq!(deliver(&doorman(&hub), &payload("acme/model")).await.0, 200);
    assert!(hub.model().most_in_flight > 1);
}
