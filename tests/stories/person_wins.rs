//! A person who decides during a run is not overruled, and a newer request is not decided as the older one.

use std::time::Duration;

use serde_json::{Value, json};

use crate::hub::{AccessRequest, Fault, Hub, Quota, Status};
use crate::support::{
    ask, count, deliver, deliver_within, doorman, first_error, hub_with_staff, payload,
    reject_ada_while_her_page_is_late, retry_after, review, review_within, staff, stranger, writes,
};

/// The response to the first write is lost in one of several ways. A person rejects Ada before a second write could be made.
#[tokio::test]
async fn lost_response_does_not_overrule_a_person() {
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
async fn late_page_is_read_again() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    hub.model().way_back = Duration::from_millis(1600);
    let (doorman, payload) = (doorman(&hub), payload("acme/model"));
    let review = deliver(&doorman, &payload);
    let ((status, report), ()) = tokio::join!(review, reject_ada_while_her_page_is_late(&hub));
    assert_eq!((status, writes(&hub), hub.calls().len()), (200, 0, 2), "{report}");
}

#[tokio::test]
async fn pages_that_are_always_late_decide_nobody() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    hub.model().way_back = Duration::from_millis(1600);
    let time = Duration::from_secs(5);
    let (status, report) = review_within(&hub, time).await;
    assert_eq!((status, writes(&hub)), (202, 0), "{report}");
    assert!(first_error(&report).contains("too old to be decided from"), "{report}");
}

/// A run ends while its write is in doubt. Another one begins at once, and the list still shows Ada.
#[tokio::test]
async fn next_run_does_not_write_a_request_in_doubt() {
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

/// Ada is accepted. Another run begins at once, and the list still shows her as pending. A person may have rejected her meanwhile.
#[tokio::test]
async fn next_run_does_not_write_again_while_the_list_lags() {
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

/// All requests of a batch are withdrawn, so the response is the same as from a Hub whose batch denies request ids.
#[tokio::test]
async fn withdrawn_batch_does_not_decide_newer_requests() {
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

/// A write fails. Before the next attempt, Ada withdraws her request and makes another one that the policy rejects.
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
async fn wait_for_the_window_does_not_overrule_a_person() {
    let hub = hub_with_staff(1000).await;
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
    assert_eq!(report["repos"][0]["gone"], rejected);
}

#[tokio::test]
async fn request_that_a_person_decided_first_is_gone() {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", [staff("ada")]);
    hub.model().repo("acme/model").has_request_ids = false;
    // A person has just accepted her, and the list lags. So `handle` does not find the request.
    hub.model().lag = Duration::from_secs(1);
    hub.model().repo("acme/model").find_mut("user", "ada").expect("ada").set(Status::Accepted, None);
    let (status, report) = review(&hub).await;
    let numbers = &report["repos"][0];
    assert_eq!((status, &numbers["gone"], &numbers["error"]), (200, &json!(1), &Value::Null));
    assert_eq!(hub.model().repo("acme/model").request("ada").writes, 1);
}

#[tokio::test]
async fn lagging_list_leads_to_no_second_write() {
    let hub = Hub::start().await;
    hub.model().lag = Duration::from_secs(1);
    ask(&hub, "acme/model", [staff("ada"), staff("bob"), stranger("kim").answer("Country", "KP")]);
    for _ in 0..3 {
        assert_eq!(review(&hub).await.0, 200);
    }
    assert_eq!(hub.users("acme/model", Status::Accepted), ["ada", "bob"]);
    assert_eq!(hub.users("acme/model", Status::Rejected), ["kim"]);
    for user in ["ada", "bob", "kim"] {
        assert_eq!(hub.model().repo("acme/model").request(user).writes, 1, "{user}");
    }
}
