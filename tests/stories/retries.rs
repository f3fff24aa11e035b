//! These stories show which calls are retried, and what the outcome of a write is if its response is lost.

use std::time::Duration;

use serde_json::json;

use crate::hub::{Fault, Hub};
use crate::logs::Logs;
use crate::support::{
    ask, doorman_with, first_error, hub_with_staff, report_on, retry_after, review, review_within, staff,
    sweep,
};

#[tokio::test]
async fn transient_failure_leads_to_exactly_one_write() {
    let mut faults = [408, 425, 429, 500, 502, 503, 504].map(Fault::Status).to_vec();
    faults.extend([Fault::DropBefore, Fault::DropAfter, Fault::Garbage]);
    for call in ["/pending", "/batch"] {
        for fault in &faults {
            let hub = hub_with_staff(5).await;
            hub.model().faults(call, fault, 2);
            let (status, report) = review(&hub).await;
            // Before a write is attempted again, the list is read again. It shows whether the write was carried out.
            let was_done = call == "/batch" && matches!(fault, Fault::DropAfter | Fault::Garbage);
            let (outcome, calls) = match (call, was_done) {
                (_, true) => ("unknown", 3),
                ("/batch", _) => ("accepted", 6),
                _ => ("accepted", 4),
            };
            assert_eq!(
                (status, &report["repos"][0][outcome]),
                (200, &json!(5)),
                "{call} {fault:?}: {report}"
            );
            assert_eq!(
                (&report["repos"][0]["calls"], hub.calls().len()),
                (&json!(calls), calls),
                "{call} {fault:?}"
            );
            let requests = hub.model().repo("acme/model").requests.clone();
            assert!(requests.iter().all(|request| request.writes == 1), "{call} {fault:?}");
        }
    }
}

#[tokio::test]
async fn final_failure_is_not_retried() {
    for status in [400, 401, 402, 403, 404, 405, 409, 410, 418, 422] {
        let hub = hub_with_staff(1).await;
        hub.model().repo("acme/model").has_request_ids = false;
        hub.model().faults("/handle", &Fault::Status(status), 10);
        let (answered, report) = review(&hub).await;
        assert_eq!((answered, &report["repos"][0]["failed"]), (202, &json!(1)), "{status}: {report}");
        assert_eq!(hub.calls().len(), 2, "{status}");
    }
}

#[tokio::test]
async fn write_with_a_lost_response_is_unknown() {
    for fault in [Fault::DropAfter, Fault::Garbage, Fault::Stall] {
        let hub = hub_with_staff(1).await;
        hub.model().fault("/batch", fault.clone());
        let (logs, _guard) = Logs::capture();
        let (status, report) = review(&hub).await;
        let numbers =
            (&report["repos"][0]["unknown"], &report["repos"][0]["complete"], &report["repos"][0]["calls"]);
        assert_eq!((status, numbers), (200, (&json!(1), &json!(true), &json!(3))), "{fault:?}: {report}");
        assert_eq!(logs.lines("decided")[0]["outcome"], "unknown", "{fault:?}");
    }
}

#[tokio::test]
async fn write_without_a_response_is_unknown_at_the_deadline() {
    for (number, call) in [(1, "/handle"), (5, "/batch")] {
        let hub = hub_with_staff(number).await;
        hub.model().repo("acme/model").has_request_ids = false;
        hub.model().faults(call, &Fault::Stall, 10);
        let (logs, _guard) = Logs::capture();
        let time = Duration::from_millis(1800);
        let (status, report) = review_within(&hub, time).await;
        let numbers =
            (&report["repos"][0]["unknown"], &report["repos"][0]["failed"], &report["repos"][0]["complete"]);
        assert_eq!((status, numbers), (202, (&json!(number), &json!(0), &json!(false))), "{report}");
        assert!(first_error(&report).contains("the time for this run was up"), "{report}");
        assert!(logs.lines("decided").iter().all(|line| line["outcome"] == "unknown"));
    }
}

#[tokio::test]
async fn write_that_is_always_refused_ends_after_8_attempts() {
    for status in [429, 503] {
        let hub = Hub::start().await;
        ask(&hub, "acme/busy", [staff("ada")]);
        ask(&hub, "acme/model", [staff("bob")]);
        hub.model().faults("acme/busy/user-access-request/batch", &retry_after(status, "1"), 100);
        let doorman = doorman_with(&hub, &[("REPOS", "acme/busy acme/model")]);
        let report = sweep(&doorman).await;
        let busy = report_on(&report, "acme/busy");
        assert_eq!((&busy["failed"], &busy["complete"]), (&json!(1), &json!(false)), "{status}: {report}");
        let posts: Vec<String> = hub.calls().into_iter().filter(|call| call.starts_with("POST")).collect();
        let is_busy = |call: &&String| call.contains("busy");
        assert_eq!(posts.iter().filter(is_busy).count(), 8, "{status}");
        assert!(
            !posts[..2].iter().all(|call| is_busy(&call)),
            "{status}: acme/model does not wait for acme/busy: {posts:?}"
        );
    }
}
