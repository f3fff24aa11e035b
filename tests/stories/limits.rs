//! The brake: the limits of a policy, and a paused policy.

use std::time::Duration;

use hub_doorman::handler::Handler;
use serde_json::{Value, json};

use crate::hub::{Cursor, Fault, Hub, Status};
use crate::support::{
    POLICY, ask, count, deliver, deliver_within, doorman_with, first_error, hub_with_staff, payload,
    reject_ada_while_her_page_is_late, report_on, staff, stranger, sweep, writes,
};

/// A doorman whose policy has these members besides those of [`POLICY`].
fn doorman_with_policy(hub: &Hub, members: &str, variables: &[(&str, &str)]) -> Handler {
    let policy = POLICY.replacen('{', &format!("{{{members}, "), 1);
    let variables: Vec<_> = [("APPROVAL_POLICY", &*policy)].iter().chain(variables).copied().collect();
    doorman_with(hub, &variables)
}

fn doorman_with_limits(hub: &Hub, limits: &Value) -> Handler {
    doorman_with_policy(hub, &format!(r#""limits": {limits}"#), &[])
}

/// A Hub whose list has 300 requests on three pages: on each page 90 to accept, 5 to reject, 3 to reset and 2 to hold.
async fn hub_with_three_pages() -> Hub {
    let hub = Hub::start().await;
    let people = (0..300).map(|number| match number % 100 {
        0..90 => staff(&format!("staff{number}")),
        90..95 => stranger(&format!("embargo{number}")).answer("Country", "KP"),
        95..98 => stranger(&format!("vague{number}")).answer("Purpose", "?"),
        _ => stranger(&format!("stranger{number}")),
    });
    ask(&hub, "acme/model", people);
    hub.model().max_page = 100;
    hub
}

/// The numbers of accepted, rejected, reset and pending requests.
fn statuses(hub: &Hub) -> [usize; 4] {
    [Status::Accepted, Status::Rejected, Status::Reset, Status::Pending]
        .map(|status| hub.users("acme/model", status).len())
}

fn limits_reached(report: &Value) -> &Value {
    &report["repos"][0]["limits_reached"]
}

#[tokio::test]
async fn limit_of_a_long_list_decides_all_or_nobody() {
    let accept = |limit| json!([{"verdict": "accept", "limit": limit, "requests": 270, "left": 270}]);
    let reject = |limit| json!([{"verdict": "reject", "limit": limit, "requests": 15, "left": 15}]);
    let cases = [
        (json!({"accept": 270, "reject": 15}), [270, 15, 9, 6], Value::Null),
        (json!({"accept": 269, "reject": 15}), [0, 15, 9, 276], accept(269)),
        (json!({"accept": 269}), [0, 15, 9, 276], accept(269)),
        (json!({"accept": 0}), [0, 15, 9, 276], accept(0)),
        (json!({"accept": 270, "reject": 14}), [270, 0, 9, 21], reject(14)),
    ];
    for (limits, expected, reached) in cases {
        for cursor in [Cursor::Key, Cursor::Offset] {
            let hub = hub_with_three_pages().await;
            hub.model().cursor = cursor;
            let doorman = doorman_with_limits(&hub, &limits);
            let (status, report) = deliver(&doorman, &payload("acme/model")).await;
            assert_eq!((status, statuses(&hub)), (200, expected), "{limits} {cursor:?}: {report}");
            assert_eq!(*limits_reached(&report), reached, "{report}");
            assert_eq!((&report["status"], first_error(&report)), (&json!("reviewed"), ""), "{report}");
            let over = expected[3] as u64 - 6;
            assert_eq!((count(&report, "over_limit"), count(&report, "listed")), (over, 300), "{report}");
            let first_write = hub.calls().iter().position(|call| call.starts_with("POST"));
            assert!(first_write >= Some(4), "three pages are counted before the first page is written");
        }
    }
}

#[tokio::test]
async fn reached_limit_is_stable_and_cheap() {
    let hub = hub_with_three_pages().await;
    let doorman = doorman_with_policy(&hub, r#""limits": {"accept": 100}"#, &[("REPOS", "acme/model")]);
    deliver(&doorman, &payload("acme/model")).await;
    let before = (statuses(&hub), writes(&hub));
    tokio::time::sleep(Duration::from_millis(2100)).await;
    for _ in 0..3 {
        let calls = hub.calls().len();
        let report = sweep(&doorman).await;
        assert_eq!((&report["status"], first_error(&report)), (&json!("reviewed"), ""), "{report}");
        assert_eq!((count(&report, "over_limit"), count(&report, "held")), (270, 6), "{report}");
        assert_eq!(((statuses(&hub), writes(&hub)), hub.calls().len() - calls), (before, 3));
    }
}

#[tokio::test]
async fn short_list_is_counted_without_a_second_reading() {
    for (limit, accepted, calls) in [(3, 3, 2), (2, 0, 1)] {
        let hub = Hub::start().await;
        ask(&hub, "acme/model", ["ada", "bob", "eve"].map(staff));
        let doorman = doorman_with_limits(&hub, &json!({"accept": limit}));
        let (status, report) = deliver(&doorman, &payload("acme/model")).await;
        assert_eq!((status, count(&report, "accepted")), (200, accepted), "{report}");
        assert_eq!(count(&report, "over_limit"), 3 - accepted, "{report}");
        assert_eq!(hub.calls().len(), calls);
    }
}

/// A request comes in after the list was counted. The limit still holds.
#[tokio::test]
async fn request_after_the_counting_does_not_exceed_the_limit() {
    for newest_first in [false, true] {
        let hub = hub_with_three_pages().await;
        hub.model().newest_first = newest_first;
        hub.model().cursor = Cursor::Offset;
        hub.model().latency = Duration::from_millis(50);
        let doorman = doorman_with_limits(&hub, &json!({"accept": 270}));
        let payload = payload("acme/model");
        let review = deliver(&doorman, &payload);
        let requesters = async {
            while hub.calls().len() < 3 || hub.model().in_flight > 0 {
                tokio::task::yield_now().await;
            }
            assert_eq!(writes(&hub), 0);
            ask(&hub, "acme/model", ["late0", "late1"].map(staff));
        };
        let ((status, report), ()) = tokio::join!(review, requesters);
        assert_eq!((status, statuses(&hub)), (200, [270, 15, 9, 8]), "{report}");
        let expected = json!([{"verdict": "accept", "limit": 270, "requests": 272, "left": 2}]);
        assert_eq!(*limits_reached(&report), expected, "{report}");
        assert_eq!((&report["repos"][0]["complete"], count(&report, "over_limit")), (&json!(true), 2));
    }
}

/// A person decides requests after the list was counted.
#[tokio::test]
async fn person_wins_between_counting_and_writing() {
    let hub = hub_with_three_pages().await;
    hub.model().latency = Duration::from_millis(50);
    let doorman = doorman_with_limits(&hub, &json!({"accept": 270}));
    let payload = payload("acme/model");
    let review = deliver(&doorman, &payload);
    let person = async {
        while hub.calls().len() < 3 || hub.model().in_flight > 0 {
            tokio::task::yield_now().await;
        }
        for number in 0..90 {
            let user = format!("staff{number}");
            let mut model = hub.model();
            model.repo("acme/model").find_mut("user", &user).expect("staff").set(Status::Rejected, None);
        }
    };
    let ((status, report), ()) = tokio::join!(review, person);
    assert_eq!((status, statuses(&hub)), (200, [180, 105, 9, 6]), "{report}");
    let rewritten = hub.model().repo("acme/model").requests.iter().filter(|one| one.writes > 1).count();
    assert_eq!(rewritten, 0, "{report}");
}

#[tokio::test]
async fn repeated_writes_count_once() {
    let hub = hub_with_three_pages().await;
    hub.model().faults("/batch", &Fault::Status(503), 3);
    let doorman = doorman_with_limits(&hub, &json!({"accept": 270, "reject": 15}));
    let (status, report) = deliver(&doorman, &payload("acme/model")).await;
    assert_eq!((status, statuses(&hub)), (200, [270, 15, 9, 6]), "{report}");
    assert_eq!(*limits_reached(&report), Value::Null, "{report}");
}

#[tokio::test]
async fn list_without_links_is_counted_to_its_end() {
    for (limit, expected) in [(1100, [1100, 0, 0, 0]), (1099, [0, 0, 0, 1100])] {
        let hub = hub_with_staff(1100).await;
        hub.model().links_pages = false;
        let doorman = doorman_with_limits(&hub, &json!({"accept": limit}));
        let (status, report) = deliver(&doorman, &payload("acme/model")).await;
        assert_eq!((status, statuses(&hub)), (200, expected), "{report}");
    }
}

#[tokio::test]
async fn list_that_cannot_be_counted_in_time_is_left() {
    let hub = hub_with_three_pages().await;
    hub.model().way_back = Duration::from_millis(700);
    let doorman = doorman_with_limits(&hub, &json!({"accept": 270}));
    let time = Duration::from_millis(2500);
    let (status, report) = deliver_within(&doorman, &payload("acme/model"), time).await;
    assert_eq!((status, writes(&hub), count(&report, "failed")), (202, 0, 0), "{report}");
    assert!(report["repos"][0]["oldest_pending_s"].is_u64(), "{report}");
}

/// The page of a short list is on its way for so long that it may only be counted.
#[tokio::test]
async fn late_page_is_counted_but_not_written() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", ["ada", "bob"].map(staff));
    hub.model().way_back = Duration::from_millis(1600);
    let (doorman, payload) = (doorman_with_limits(&hub, &json!({"accept": 2})), payload("acme/model"));
    let review = deliver(&doorman, &payload);
    let ((status, report), ()) = tokio::join!(review, reject_ada_while_her_page_is_late(&hub));
    assert_eq!((status, statuses(&hub)), (200, [1, 1, 0, 0]), "{report}");
    assert_eq!(hub.model().repo("acme/model").request("ada").writes, 1);
}

#[tokio::test]
async fn dry_run_shows_the_limit() {
    for (limit, accepted) in [(270, 270), (269, 0)] {
        let hub = hub_with_three_pages().await;
        let limits = format!(r#""limits": {{"accept": {limit}}}"#);
        let doorman = doorman_with_policy(&hub, &limits, &[("DRY_RUN", "true")]);
        let (status, report) = deliver(&doorman, &payload("acme/model")).await;
        assert_eq!((status, hub.calls().len()), (200, 3), "{report}");
        assert_eq!((count(&report, "accepted"), count(&report, "over_limit")), (accepted, 270 - accepted));
        assert_eq!((count(&report, "rejected"), count(&report, "reset")), (15, 9), "{report}");
        assert_eq!(limits_reached(&report).is_null(), accepted > 0, "{report}");
    }
}

#[tokio::test]
async fn limit_holds_for_each_repo() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", ["ada", "bob"].map(staff));
    ask(&hub, "datasets/acme/corpus", ["ada"].map(staff));
    let variables = [("REPOS", "acme/model datasets/acme/corpus")];
    let report = sweep(&doorman_with_policy(&hub, r#""limits": {"accept": 1}"#, &variables)).await;
    assert_eq!(report_on(&report, "acme/model")["over_limit"], 2, "{report}");
    assert_eq!(report_on(&report, "datasets/acme/corpus")["accepted"], 1, "{report}");
}

#[tokio::test]
async fn paused_policy_writes_nothing_and_says_so() {
    let hub = hub_with_three_pages().await;
    let doorman = doorman_with_policy(&hub, r#""paused": true"#, &[("REPOS", "acme/model")]);
    let (status, report) = deliver(&doorman, &payload("acme/model")).await;
    assert_eq!(
        (status, &report["paused"], &report["dry_run"]),
        (200, &json!(true), &json!(true)),
        "{report}"
    );
    let report = sweep(&doorman).await;
    assert_eq!((&report["paused"], &report["status"]), (&json!(true), &json!("reviewed")), "{report}");
    assert_eq!((writes(&hub), statuses(&hub)), (0, [0, 0, 0, 300]));
}
