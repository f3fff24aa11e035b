//! The Hub or the network fails, or time runs out: nothing is lost, and nobody is accepted because of it.

use std::time::{Duration, Instant};

use chrono::Utc;
use futures_util::future::join_all;
use hub_doorman::handler::Handler;
use hub_doorman::report::metrics::Metrics;
use serde_json::{Value, json};

use crate::hub::{Fault, Hub, Status};
use crate::support::{
    SECRET, ask, config_with, count, deliver, deliver_within, doorman, first_error, hub_with_six, payload,
    review, review_within, send, staff,
};

/// No failure becomes a 5xx, because the Hub suspends webhooks that fail.
#[tokio::test]
async fn lasting_failure_gets_a_202_and_the_next_run_succeeds() {
    let faults = [
        Fault::Status(500),
        Fault::Status(502),
        Fault::Status(503),
        Fault::Status(429),
        Fault::Status(418),
        Fault::DropBefore,
        Fault::DropAfter,
        Fault::Garbage,
    ];
    let story = async |call: &str, fault: &Fault| {
        let hub = hub_with_six().await;
        hub.model().faults(call, fault, 100);
        let doorman = doorman(&hub);
        let (status, report) = deliver_within(&doorman, &payload("acme/model"), Duration::from_secs(2)).await;
        assert_eq!((status, &report["status"]), (202, &json!("deferred")), "{call} {fault:?}: {report}");
        let numbers = &report["repos"][0];
        assert_eq!(numbers["complete"], false, "{call} {fault:?}");
        assert!(first_error(&report).contains("/api/models/acme/model/user-access-request"), "{report}");
        let (listed, undone) = if call == "/batch" { (6, 5) } else { (0, 0) };
        assert_eq!(
            (count(&report, "listed"), count(&report, "failed") + count(&report, "unknown")),
            (listed, undone),
            "{report}"
        );
        let may_be_done = matches!(
            fault,
            Fault::Status(500 | 502 | 503) | Fault::DropBefore | Fault::DropAfter | Fault::Garbage
        );
        assert_eq!(
            count(&report, "unknown"),
            if may_be_done { undone } else { 0 },
            "{call} {fault:?}: {report}"
        );

        hub.model().heal();
        assert_eq!(deliver(&doorman, &payload("acme/model")).await.0, 200, "{call} {fault:?}");
        assert_eq!(hub.users("acme/model", Status::Accepted).len(), 5, "{call} {fault:?}");
        assert_eq!(hub.users("acme/model", Status::Pending), ["mallory"], "{call} {fault:?}");
    };
    let stories = faults.iter().flat_map(|fault| ["/pending", "/batch"].map(|call| story(call, fault)));
    join_all(stories).await;
}

/// A `Link` header may point to another server, repo or list. It is reported and not followed.
#[tokio::test]
async fn next_page_of_another_origin_or_list_is_not_read() {
    let elsewhere = Hub::start().await;
    elsewhere.model().add("acme/model").ask(staff("planted"));
    let hub = hub_with_six().await;
    hub.model().add("other/secret").ask(staff("planted"));
    hub.model().max_page = 2;
    let list = "/api/models/acme/model/user-access-request/pending?limit=1000&cursor=2";
    let places = [
        (elsewhere.endpoint(), format!("{}{list}", elsewhere.endpoint())),
        (
            hub.endpoint().replace("http:", "https:"),
            format!("{}{list}", hub.endpoint().replace("http:", "https:")),
        ),
        (hub.endpoint(), "/api/models/other/secret/user-access-request/pending".to_owned()),
        (hub.endpoint(), "/api/models/acme/model/user-access-request/accepted".to_owned()),
    ];
    for (origin, link) in places {
        hub.model().next_page = Some(link);
        let (status, report) = review(&hub).await;
        assert_eq!(status, 202);
        assert!(
            first_error(&report)
                .contains(&format!("the link to the next page leads to {origin}/api/models/")),
            "{report}"
        );
        assert!(first_error(&report).contains("which is not the same list"), "{report}");
    }
    assert_eq!(elsewhere.calls(), [""; 0]);
    assert_eq!(hub.users("other/secret", Status::Pending), ["planted"]);
}

#[tokio::test]
async fn redirect_is_not_followed() {
    let elsewhere = Hub::start().await;
    for status in [301, 302, 303, 307, 308] {
        for origin in [elsewhere.endpoint(), String::new()] {
            let hub = hub_with_six().await;
            hub.model().add("other/secret").ask(staff("planted"));
            for call in ["pending", "batch"] {
                let target = format!("{origin}/api/models/other/secret/user-access-request/{call}?x=1");
                let to = vec![("Location", target)];
                hub.model().fault(
                    &format!("acme/model/user-access-request/{call}"),
                    Fault::Answer(status, to, String::new()),
                );
                let (answered, report) = review(&hub).await;
                assert_eq!(answered, 202, "{status}");
                let expected = format!(
                    "answered {status}: it redirects to {origin}/api/models/other/secret/user-access-request/{call}, which"
                );
                assert!(first_error(&report).contains(&expected), "{report}");
                assert!(
                    first_error(&report).contains("if the repo was renamed, use its new name in REPOS"),
                    "{report}"
                );
            }
            assert_eq!(hub.users("acme/model", Status::Pending).len(), 6);
            assert_eq!(hub.users("other/secret", Status::Pending), ["planted"]);
        }
    }
    assert_eq!(elsewhere.calls(), [""; 0]);
}

#[tokio::test]
async fn pages_in_a_circle_are_not_read_forever() {
    let hub = hub_with_six().await;
    hub.model().max_page = 2;
    hub.model().next_page =
        Some("/api/models/acme/model/user-access-request/pending?limit=1000&cursor=2".to_owned());
    let (status, report) = review(&hub).await;
    assert_eq!(status, 202);
    assert!(first_error(&report).contains("go in a circle"), "{report}");
    assert_eq!(report["repos"][0]["accepted"], 4, "the pages that were read are decided: {report}");
}

#[tokio::test]
async fn silent_hub_is_given_up_before_the_deadline() {
    for call in ["/pending", "/batch"] {
        let hub = hub_with_six().await;
        hub.model().fault(call, Fault::Stall);
        let started = Instant::now();
        let (status, report) = review_within(&hub, Duration::from_millis(1500)).await;
        assert!(started.elapsed() < Duration::from_millis(1500), "{call}");
        assert_eq!((status, &report["repos"][0]["complete"]), (202, &json!(false)), "{call}");
        assert!(first_error(&report).contains("the time for this run was up"), "{report}");
    }
}

/// Every attempt of the first call stalls.
#[tokio::test]
async fn silent_hub_delays_a_webhook_by_20_s_at_most() {
    let hub = hub_with_six().await;
    hub.model().faults("/pending", &Fault::Stall, 100);
    let started = Instant::now();
    let (status, report) = review(&hub).await;
    assert_eq!((status, &report["repos"][0]["calls"]), (202, &json!(3)), "{report}");
    assert!(started.elapsed() < Duration::from_secs(21));
}

/// The Hub waits 30 s for a response. A webhook that arrives in the function after 29 s can no longer be answered in time.
#[tokio::test]
async fn webhook_that_the_hub_gave_up_makes_no_call() {
    let hub = Hub::start().await;
    ask(&hub, "acme/gated-model", [staff("ada")]);
    for (seconds, calls) in [(5, 2), (29, 0)] {
        hub.model().calls.clear();
        let mut event: Value =
            serde_json::from_str(include_str!("../../events/discussion-opened.json")).expect("JSON");
        event["headers"]["x-webhook-secret"] = SECRET.into();
        event["requestContext"]["timeEpoch"] = (Utc::now().timestamp_millis() - seconds * 1000).into();
        let webhook = lambda_http::request::from_str(&event.to_string()).expect("a request");
        send(&doorman(&hub), webhook).await;
        assert_eq!(hub.calls().len(), calls, "{seconds} s after it arrived");
        hub.model().repo("acme/gated-model").ask(staff("eve"));
    }
}

#[tokio::test]
async fn run_without_time_makes_no_call() {
    let hub = hub_with_six().await;
    let (status, report) = review_within(&hub, Duration::from_millis(500)).await;
    assert_eq!((status, &report["repos"][0]["calls"]), (202, &json!(0)), "{report}");
    assert_eq!(hub.calls(), [""; 0]);
}

#[tokio::test]
async fn unreachable_hub_is_reported() {
    let hub = hub_with_six().await;
    let doorman = doorman(&hub);
    drop(hub);
    let (status, report) = deliver_within(&doorman, &payload("acme/model"), Duration::from_secs(2)).await;
    assert_eq!(status, 202);
    assert!(first_error(&report).contains("no connection to the Hub: "), "{report}");
    assert!(report["repos"][0]["calls"].as_u64() > Some(1), "it is tried again: {report}");
}

/// A transport that panics at every call.
#[derive(Debug)]
struct Panics;

impl hub_doorman::hub::Transport for Panics {
    fn carry(
        &self,
        _: reqwest::Request,
    ) -> std::pin::Pin<
        Box<dyn Future<Output = Result<reqwest::Response, hub_doorman::hub::Problem>> + Send + '_>,
    > {
        panic!("on purpose")
    }
}

#[tokio::test]
async fn panicking_review_gets_a_202() {
    let hub = hub_with_six().await;
    let (config, metrics) = (config_with(&hub, &[]), Metrics::new(std::io::sink()));
    let client = hub_doorman::http::client().expect("a client");
    let doorman = Handler::with_transport(config, metrics, &client, Panics).await.expect("a doorman");
    let (status, report) = deliver(&doorman, &payload("acme/model")).await;
    assert_eq!((status, first_error(&report)), (202, "its review panicked; the log says where"), "{report}");
}
