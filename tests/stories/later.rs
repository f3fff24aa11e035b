//! A person wins, and no request is forgotten: what a run does after an answer that was lost or that contradicts the list.

use std::time::Duration;

use serde_json::{Value, json};

use crate::hub::{Batch, Fault, Hub, Person, Status};
use crate::support::{
    ask, deliver, deliver_within, doorman, doorman_with, error, payload, report_on, staff, stranger, sweep,
};

/// The number of writes so far.
fn writes(hub: &Hub) -> usize {
    hub.calls().iter().filter(|call| call.starts_with("POST")).count()
}

fn count(report: &Value, name: &str) -> u64 {
    report["repos"][0][name].as_u64().expect("a number")
}

fn retry_after(status: u16, seconds: &str) -> Fault {
    Fault::Answer(status, vec![("Retry-After", seconds.to_owned())], String::new())
}

/// The answer of the first write is lost in one of several ways. A person rejects Ada before a second write could be made.
#[tokio::test]
async fn lost_answer_does_not_overrule_a_person() {
    for fault in [Fault::Status(503), Fault::Status(504), Fault::DropBefore, retry_after(503, "1")] {
        let hub = Hub::start().await;
        ask(&hub, "acme/model", [staff("ada")]);
        hub.model().fault("/batch", fault.clone());
        let (doorman, payload) = (doorman(&hub), payload("acme/model"));
        let review = deliver(&doorman, &payload);
        let person = async {
            while writes(&hub) < 1 || hub.model().in_flight > 0 {
                tokio::task::yield_now().await;
            }
            hub.model().repo("acme/model").find_mut("user", "ada").expect("ada").set(Status::Rejected, None);
        };
        let ((status, report), ()) = tokio::join!(review, person);
        assert_eq!(
            (status, hub.users("acme/model", Status::Rejected)),
            (200, vec!["ada".to_owned()]),
            "{fault:?}"
        );
        assert_eq!((count(&report, "unknown"), writes(&hub)), (1, 1), "{fault:?}: {report}");
    }
}

/// A person rejects Ada while the page that lists her is on its way.
#[tokio::test]
async fn page_that_is_late_is_read_again() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    hub.model().way_back = Duration::from_millis(1600);
    let (doorman, payload) = (doorman(&hub), payload("acme/model"));
    let review = deliver(&doorman, &payload);
    let person = async {
        while hub.calls().is_empty() {
            tokio::task::yield_now().await;
        }
        let mut model = hub.model();
        model.way_back = Duration::ZERO;
        model.repo("acme/model").find_mut("user", "ada").expect("ada").set(Status::Rejected, None);
    };
    let ((status, report), ()) = tokio::join!(review, person);
    assert_eq!((status, writes(&hub), hub.calls().len()), (200, 0, 2), "{report}");
}

#[tokio::test]
async fn pages_that_are_always_late_are_not_decided_from() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    hub.model().way_back = Duration::from_millis(1600);
    let time = Duration::from_secs(5);
    let (status, report) = deliver_within(&doorman(&hub), &payload("acme/model"), time).await;
    assert_eq!((status, writes(&hub)), (202, 0), "{report}");
    assert!(error(&report["repos"][0]).contains("too old to be decided from"), "{report}");
}

/// A run ends before it can know what became of its write. Another one begins at once, and the list still shows Ada.
#[tokio::test]
async fn next_run_waits_until_the_list_shows_what_is_in_doubt() {
    let hub = Hub::start().await;
    hub.model().lag = Duration::from_millis(1900);
    ask(&hub, "acme/model", [staff("ada")]);
    hub.model().fault("/batch", Fault::DropAfter);
    let (doorman, payload) = (doorman(&hub), payload("acme/model"));
    let (status, report) = deliver_within(&doorman, &payload, Duration::from_millis(1800)).await;
    assert_eq!((status, count(&report, "unknown")), (202, 1), "{report}");
    hub.model().repo("acme/model").find_mut("user", "ada").expect("ada").set(Status::Rejected, None);
    deliver(&doorman, &payload).await;
    assert_eq!((writes(&hub), hub.users("acme/model", Status::Rejected)), (1, vec!["ada".to_owned()]));
}

/// Ada was let in. Another run begins at once, and the list still shows her as pending. A person may have rejected her meanwhile.
#[tokio::test]
async fn next_run_does_not_write_again_what_the_list_still_shows() {
    for has_request_ids in [true, false] {
        let hub = Hub::start().await;
        hub.model().lag = Duration::from_millis(1900);
        ask(&hub, "acme/model", [staff("ada")]);
        hub.model().repo("acme/model").has_request_ids = has_request_ids;
        let (doorman, payload) = (doorman(&hub), payload("acme/model"));
        let (_, report) = deliver(&doorman, &payload).await;
        assert_eq!((count(&report, "accepted"), writes(&hub)), (1, 1), "{report}");
        let (status, report) = deliver(&doorman, &payload).await;
        assert_eq!((status, count(&report, "listed"), writes(&hub)), (200, 0, 1), "{report}");
    }
}

/// All requests of a batch were withdrawn, which looks like a Hub that does not take request ids.
#[tokio::test]
async fn users_who_asked_again_are_not_decided_by_old_requests() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", ["ada", "bob"].map(staff));
    hub.model().latency = Duration::from_millis(100);
    let (doorman, payload) = (doorman(&hub), payload("acme/model"));
    let review = deliver(&doorman, &payload);
    let requesters = async {
        while hub.calls().is_empty() {
            tokio::task::yield_now().await;
        }
        for name in ["ada", "bob"] {
            hub.model().repo("acme/model").withdraw(name);
            ask(&hub, "acme/model", [staff(name).answer("Country", "KP")]);
        }
    };
    let ((_, report), ()) = tokio::join!(review, requesters);
    assert_eq!(hub.users("acme/model", Status::Rejected), ["ada", "bob"], "{report}");
}

/// The write is refused for a while. Meanwhile Ada withdraws and asks again, as somebody whom the policy rejects.
#[tokio::test]
async fn new_request_is_not_decided_as_the_old_one() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    hub.model().fault("/batch", Fault::Status(503));
    let (doorman, payload) = (doorman(&hub), payload("acme/model"));
    let review = deliver(&doorman, &payload);
    let requester = async {
        while writes(&hub) < 1 || hub.model().in_flight > 0 {
            tokio::task::yield_now().await;
        }
        hub.model().repo("acme/model").withdraw("ada");
        ask(&hub, "acme/model", [staff("ada").answer("Country", "KP")]);
    };
    let ((_, report), ()) = tokio::join!(review, requester);
    assert_eq!(hub.users("acme/model", Status::Rejected), ["ada"], "{report}");
}

#[tokio::test]
async fn batch_that_denies_request_ids_is_written_by_users() {
    let hub = Hub::start().await;
    hub.model().batch = Batch::DeniesRequestId;
    ask(&hub, "acme/model", ["ada", "bob", "eve"].map(staff));
    let doorman = doorman(&hub);
    let (status, report) = deliver(&doorman, &payload("acme/model")).await;
    assert_eq!((status, count(&report, "accepted"), count(&report, "calls")), (200, 3, 4), "{report}");

    // The process has learned it.
    ask(&hub, "acme/model", ["may", "sue"].map(staff));
    let (status, report) = deliver(&doorman, &payload("acme/model")).await;
    assert_eq!((status, count(&report, "accepted"), count(&report, "calls")), (200, 2, 2), "{report}");
}

#[tokio::test]
async fn gone_request_that_is_listed_is_written_by_other_identity() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    hub.model().batch = Batch::DeniesRequestId;
    let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
    assert_eq!((status, count(&report, "accepted"), count(&report, "gone")), (200, 1, 0), "{report}");
    let model = hub.model();
    let bodies: Vec<_> =
        model.calls.iter().filter(|call| call.method == "POST").map(|call| &call.body).collect();
    assert_eq!(*bodies[0], json!({"requests": [{"requestId": "request-ada"}], "status": "accepted"}));
    assert_eq!(*bodies[1], json!({"userId": "id-ada", "status": "accepted"}));
}

#[tokio::test]
async fn request_that_no_identity_can_write_is_stuck() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada"), stranger("bob")]);
    let body = json!({"error": "No access request found matching your criteria"}).to_string();
    hub.model().batch = Batch::DeniesRequestId;
    hub.model().faults("/handle", &Fault::Answer(404, Vec::new(), body), 10);
    let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
    assert_eq!((status, count(&report, "stuck"), count(&report, "gone")), (202, 1, 0), "{report}");
    assert!(error(&report["repos"][0]).contains("the request of `ada`"), "{report}");
    assert_eq!((report["repos"][0]["complete"].clone(), writes(&hub)), (json!(false), 2));
}

/// The Hub shows 1,000 of 1,200, and says of no page that another follows.
#[tokio::test]
async fn nobody_behind_a_full_page_without_a_link_is_forgotten() {
    for newest_first in [false, true] {
        let hub = Hub::start().await;
        hub.model().add("acme/model");
        let first = chrono::Utc::now() - chrono::TimeDelta::days(2);
        for number in 0..1200 {
            let person = if number % 4 == 0 { staff } else { stranger }(&format!("user{number}"));
            hub.model().repo("acme/model").ask_at(person, first + chrono::TimeDelta::seconds(number));
        }
        (hub.model().links_pages, hub.model().newest_first) = (false, newest_first);
        let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
        assert_eq!((status, count(&report, "accepted"), count(&report, "held")), (200, 300, 900), "{report}");
    }
}

/// The Hub does not know `before` and `after`.
#[tokio::test]
async fn full_page_that_proves_nothing_is_reported() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [stranger("bob")]);
    let entry = |number: usize| {
        let (id, time) = (format!("r{number}"), "2026-11-24T08:00:00.000Z");
        json!({"requestId": id, "status": "pending", "timestamp": time})
    };
    let page: Vec<Value> = (0..1000).map(entry).collect();
    hub.model().repo("acme/model").raw_page = Some(json!(page).to_string());
    let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
    assert_eq!((status, count(&report, "held")), (202, 1000), "{report}");
    assert!(error(&report["repos"][0]).contains("more requests may be listed behind it"), "{report}");
}

#[tokio::test]
async fn writes_that_are_always_put_off_end_and_hold_up_nobody() {
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
            "{status}: the other does not wait: {posts:?}"
        );
    }
}

/// Accepts the staff, and takes long about anybody else who is in many organizations.
const SLOW_POLICY: &str = r#"{"rules": [{"name": "slow", "then": "hold",
    "if": "user.domain != 'acme.com' && !user.orgs.exists(a, user.orgs.exists(b, a + 'x' == b))"}],
    "default": "accept"}"#;

fn with_orgs(number: usize, orgs: usize) -> Person {
    let mut person = stranger(&format!("user{number}"));
    person.orgs = (0..orgs).map(|org| format!("org{org}")).collect();
    person
}

/// A run has time to decide some of them. It does not always begin with the same ones.
#[tokio::test]
async fn runs_with_a_slow_policy_reach_everybody_in_the_end() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", (0..40).map(|number| with_orgs(number, 250)));
    ask(&hub, "acme/model", [staff("ada")]);
    let (doorman, payload) = (doorman_with(&hub, &[("APPROVAL_POLICY", SLOW_POLICY)]), payload("acme/model"));
    let mut runs = 0;
    while hub.users("acme/model", Status::Accepted).is_empty() {
        deliver_within(&doorman, &payload, Duration::from_millis(1900)).await;
        runs += 1;
        assert!(runs < 60, "ada is never reached");
    }
}

/// A request that is held is not decided again in the same run. So even with a slow policy, the run reaches the end of the list.
#[tokio::test]
async fn slow_policy_reaches_whoever_is_behind_a_thousand_held() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", (0..1000).map(|number| with_orgs(number, 60)));
    ask(&hub, "acme/model", [staff("ada")]);
    let doorman = doorman_with(&hub, &[("APPROVAL_POLICY", SLOW_POLICY)]);
    let (_, report) = deliver_within(&doorman, &payload("acme/model"), Duration::from_secs(60)).await;
    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada"], "{report}");
}
