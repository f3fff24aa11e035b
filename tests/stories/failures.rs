//! The Hub, the network or the clock is against us: nothing is lost, and nobody is let in for it.

use std::time::{Duration, Instant};

use chrono::Utc;
use futures_util::future::join_all;
use hub_doorman::handler::Doorman;
use hub_doorman::metrics::Metrics;
use serde_json::{Value, json};

use crate::hub::{Cursor, Fault, Hub, Role, Status};
use crate::support::{
    SECRET, answer, ask, config_with, deliver, deliver_within, doorman, doorman_with, payload, staff,
    stranger, sweep_within,
};

/// A Hub on which five of acme.com and a stranger wait for `acme/model`.
async fn six_waiting() -> Hub {
    let hub = Hub::start().await;
    let mut model = hub.model();
    let repo = model.add("acme/model");
    (0..5).for_each(|number| repo.ask(staff(&format!("user{number}"))));
    repo.ask(stranger("mallory"));
    drop(model);
    hub
}

fn error(report: &Value) -> &str {
    report["repos"][0]["error"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_failure_that_lasts_is_reported_and_never_a_5xx_and_the_next_run_heals_it() {
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
        let hub = six_waiting().await;
        hub.model().faults(call, fault, 100);
        let doorman = doorman(&hub);
        let (status, report) = deliver_within(&doorman, &payload("acme/model"), Duration::from_secs(2)).await;
        assert_eq!((status, &report["status"]), (202, &json!("deferred")), "{call} {fault:?}: {report}");
        let numbers = &report["repos"][0];
        assert_eq!(numbers["complete"], false, "{call} {fault:?}");
        assert!(error(&report).contains("/api/models/acme/model/user-access-request"), "{report}");
        let count = |name: &str| numbers[name].as_u64().expect("a number");
        let (listed, undone) = if call == "/batch" { (6, 5) } else { (0, 0) };
        assert_eq!((count("listed"), count("failed") + count("unknown")), (listed, undone), "{report}");
        let may_be_done = matches!(
            fault,
            Fault::Status(500 | 502 | 503) | Fault::DropBefore | Fault::DropAfter | Fault::Garbage
        );
        assert_eq!(count("unknown"), if may_be_done { undone } else { 0 }, "{call} {fault:?}: {report}");

        hub.model().heal();
        assert_eq!(deliver(&doorman, &payload("acme/model")).await.0, 200, "{call} {fault:?}");
        assert_eq!(hub.users("acme/model", Status::Accepted).len(), 5, "{call} {fault:?}");
        assert_eq!(hub.users("acme/model", Status::Pending), ["mallory"], "{call} {fault:?}");
    };
    let stories = faults.iter().flat_map(|fault| ["/pending", "/batch"].map(|call| story(call, fault)));
    join_all(stories).await;
}

#[tokio::test]
async fn an_error_of_the_hub_is_told_with_all_that_the_hub_says_of_it() {
    let hub = six_waiting().await;
    let headers =
        vec![("X-Error-Code", "SomethingOdd".to_owned()), ("X-Error-Message", "It is Tuesday".to_owned())];
    hub.model().fault("/pending", Fault::Answer(409, headers, String::new()));
    let (_, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
    let expected = "GET /api/models/acme/model/user-access-request/pending: the Hub answered 409 SomethingOdd: \
                    It is Tuesday (request id Root=1-00000001)";
    assert_eq!(error(&report), expected);
}

#[tokio::test]
async fn a_token_that_is_refused_says_what_to_do_about_it() {
    for (role, expected) in
        [(Role::Read, "give HF_TOKEN write access to the repo"), (Role::None, "does not see it")]
    {
        let hub = six_waiting().await;
        hub.model().repo("acme/model").role = role;
        let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
        assert_eq!(status, 202);
        assert!(error(&report).contains(expected), "{report}");
        assert_eq!(hub.calls().len(), 1);
    }
    let hub = six_waiting().await;
    hub.model().token = "another".to_owned();
    let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
    assert_eq!(status, 202);
    assert!(error(&report).contains("put a valid token into HF_TOKEN"), "{report}");
}

#[tokio::test]
async fn once_writing_is_refused_no_other_write_is_tried() {
    let hub = Hub::start().await;
    hub.model().add("acme/model");
    (0..2000).for_each(|number| hub.model().repo("acme/model").ask(staff(&format!("user{number}"))));
    for _ in 0..20 {
        hub.model().fault("/batch", Fault::Status(403));
    }
    let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
    let numbers = &report["repos"][0];
    assert_eq!((status, &numbers["complete"], &numbers["accepted"]), (202, &json!(false), &json!(0)));
    assert_eq!(numbers["failed"], numbers["listed"]);
    let batches = hub.calls().iter().filter(|call| call.ends_with("/batch")).count();
    assert!(batches <= 8, "no more than were in flight at once: {batches}");
}

#[tokio::test]
async fn the_next_page_is_read_from_no_other_origin_and_from_no_other_list() {
    let elsewhere = Hub::start().await;
    elsewhere.model().add("acme/model").ask(staff("planted"));
    let hub = six_waiting().await;
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
        let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
        assert_eq!(status, 202);
        assert!(
            error(&report).contains(&format!("the next page is said to be {origin}/api/models/")),
            "{report}"
        );
        assert!(error(&report).contains("which is not of the same list"), "{report}");
    }
    assert_eq!(elsewhere.calls(), [""; 0]);
    assert_eq!(hub.users("other/secret", Status::Pending), ["planted"]);
}

#[tokio::test]
async fn no_redirect_is_followed_neither_to_another_origin_nor_to_another_repo() {
    let elsewhere = Hub::start().await;
    for status in [301, 302, 303, 307, 308] {
        for origin in [elsewhere.endpoint(), String::new()] {
            let hub = six_waiting().await;
            hub.model().add("other/secret").ask(staff("planted"));
            for call in ["pending", "batch"] {
                let target = format!("{origin}/api/models/other/secret/user-access-request/{call}?x=1");
                let to = vec![("Location", target)];
                hub.model().fault(
                    &format!("acme/model/user-access-request/{call}"),
                    Fault::Answer(status, to, String::new()),
                );
                let (answered, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
                assert_eq!(answered, 202, "{status}");
                let expected = format!(
                    "answered {status}: it redirects to {origin}/api/models/other/secret/user-access-request/{call}, which"
                );
                assert!(error(&report).contains(&expected), "{report}");
                assert!(error(&report).contains("if the repo was renamed, name it so in REPOS"), "{report}");
            }
            assert_eq!(hub.users("acme/model", Status::Pending).len(), 6);
            assert_eq!(hub.users("other/secret", Status::Pending), ["planted"]);
        }
    }
    assert_eq!(elsewhere.calls(), [""; 0]);
}

#[tokio::test]
async fn however_slow_a_policy_is_every_run_gets_somewhere() {
    let hub = Hub::start().await;
    hub.model().add("acme/model");
    for number in 0..150 {
        let mut person = staff(&format!("user{number}"));
        person.orgs = (0..150).map(|org| format!("org{org}")).collect();
        hub.model().repo("acme/model").ask(person);
    }
    let slow = r#"{"rules": [{"name": "slow", "then": "accept",
        "if": "!user.orgs.exists(a, user.orgs.exists(b, a == b + 'x'))"}]}"#;
    let doorman = doorman_with(&hub, &[("APPROVAL_POLICY", slow)]);
    let (status, report) = deliver_within(&doorman, &payload("acme/model"), Duration::from_secs(3)).await;
    let accepted = hub.users("acme/model", Status::Accepted).len();
    assert!(accepted > 0, "{report}");
    // A machine that is fast enough has decided them all.
    if accepted < 150 {
        assert_eq!(status, 202);
        assert!(error(&report).contains("deciding takes too long"), "{report}");
    }
}

#[tokio::test]
async fn pages_that_go_in_a_circle_are_not_read_for_ever() {
    let hub = six_waiting().await;
    hub.model().max_page = 2;
    hub.model().next_page =
        Some("/api/models/acme/model/user-access-request/pending?limit=1000&cursor=2".to_owned());
    let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
    assert_eq!(status, 202);
    assert!(error(&report).contains("go in a circle"), "{report}");
    assert_eq!(report["repos"][0]["accepted"], 4, "those on the pages that were read: {report}");
}

#[tokio::test]
async fn what_every_write_is_refused_for_costs_few_calls() {
    let hub = Hub::start().await;
    hub.model().add("acme/model");
    (0..300).for_each(|number| hub.model().repo("acme/model").ask(staff(&format!("user{number}"))));
    for _ in 0..100 {
        hub.model().fault("POST", Fault::Status(400));
    }
    let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
    assert_eq!((status, &report["repos"][0]["failed"]), (202, &json!(300)));
    // The batches by request ids that were sent before the first refusal come on top.
    let of_each_hundred = "a page, then a batch and three of its requests for each hundred";
    assert!((1 + 3 * 4 + 1..=1 + 3 * 4 + 3).contains(&hub.calls().len()), "{of_each_hundred}");
}

/// However the Hub fails on one request, the other requests of the batch are accepted. The run reports that one is left.
#[tokio::test]
async fn batch_with_one_failing_request_lets_all_others_in() {
    let faults =
        [500, 502, 503, 504, 408, 413, 422].map(Fault::Status).into_iter().chain([Fault::DropBefore]);
    let stories = faults.map(|fault| async move {
        let hub = Hub::start().await;
        ask(&hub, "acme/model", (0..30).map(|number| staff(&format!("user{number:02}"))));
        hub.model().chokes_on = Some(("user07".to_owned(), fault.clone()));
        let doorman = doorman_with(&hub, &[("REPOS", "acme/*")]);
        let report = sweep_within(&doorman, Duration::from_secs(60)).await;
        let numbers = &report["repos"][0];
        let seen = (&numbers["accepted"], &numbers["complete"]);
        assert_eq!(seen, (&json!(29), &json!(false)), "{fault:?}: {report}");
        assert_eq!(hub.users("acme/model", Status::Pending), ["user07"], "{fault:?}");
        assert!(hub.calls().len() < 70, "{fault:?}: {} calls", hub.calls().len());
        // A user may have asked again meanwhile, so nobody else is named by user.
        let model = hub.model();
        let by_user = model.calls.iter().filter_map(|call| call.body["userId"].as_str());
        assert!(
            by_user.clone().all(|user| user == "id-user07"),
            "{fault:?}: {:?}",
            by_user.collect::<Vec<_>>()
        );
    });
    join_all(stories).await;
}

#[tokio::test]
async fn a_hub_that_never_answers_is_given_up_before_lambda_gives_us_up() {
    for call in ["/pending", "/batch"] {
        let hub = six_waiting().await;
        hub.model().fault(call, Fault::Stall);
        let started = Instant::now();
        let (status, report) =
            deliver_within(&doorman(&hub), &payload("acme/model"), Duration::from_millis(1500)).await;
        assert!(started.elapsed() < Duration::from_millis(1500), "{call}");
        assert_eq!((status, &report["repos"][0]["complete"]), (202, &json!(false)), "{call}");
        assert!(error(&report).contains("the time for this run was up"), "{report}");
    }
}

#[tokio::test]
async fn a_webhook_before_a_silent_hub_is_answered_before_the_hub_gives_it_up() {
    let hub = six_waiting().await;
    hub.model().faults("/pending", &Fault::Stall, 100);
    let started = Instant::now();
    let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
    assert_eq!((status, &report["repos"][0]["calls"]), (202, &json!(3)), "{report}");
    assert!(started.elapsed() < Duration::from_secs(21));
}

#[tokio::test]
async fn a_list_that_never_stands_still_is_given_up_in_time() {
    let hub = six_waiting().await;
    hub.model().lag = Duration::from_millis(700);
    hub.model().max_page = 2;
    hub.model().cursor = Cursor::Counts;
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
        answer = review => answer,
        () = newcomers => unreachable!("they come for ever"),
    };
    assert!(started.elapsed() < time, "{report}");
    assert_eq!((status, &report["repos"][0]["complete"]), (202, &json!(false)), "{report}");
}

#[tokio::test]
async fn a_webhook_for_which_the_hub_waits_no_more_makes_no_call() {
    let hub = Hub::start().await;
    ask(&hub, "acme/gated-model", [staff("ada")]);
    for (seconds, calls) in [(5, 2), (29, 0)] {
        hub.model().calls.clear();
        let mut event: Value =
            serde_json::from_str(include_str!("../../events/discussion-opened.json")).expect("JSON");
        event["headers"]["x-webhook-secret"] = SECRET.into();
        event["requestContext"]["timeEpoch"] = (Utc::now().timestamp_millis() - seconds * 1000).into();
        let webhook = lambda_http::request::from_str(&event.to_string()).expect("a request");
        answer(&doorman(&hub), webhook).await;
        assert_eq!(hub.calls().len(), calls, "{seconds} s after it has arrived");
        hub.model().repo("acme/gated-model").ask(staff("eve"));
    }
}

#[tokio::test]
async fn when_there_is_no_time_left_no_call_is_made() {
    let hub = six_waiting().await;
    let (status, report) =
        deliver_within(&doorman(&hub), &payload("acme/model"), Duration::from_millis(500)).await;
    assert_eq!((status, &report["repos"][0]["calls"]), (202, &json!(0)), "{report}");
    assert_eq!(hub.calls(), [""; 0]);
}

#[tokio::test]
async fn a_hub_that_is_not_there_is_reported() {
    let hub = six_waiting().await;
    let doorman = doorman(&hub);
    drop(hub);
    let (status, report) = deliver_within(&doorman, &payload("acme/model"), Duration::from_secs(2)).await;
    assert_eq!(status, 202);
    assert!(error(&report).contains("no connection to the Hub: "), "{report}");
    assert!(report["repos"][0]["calls"].as_u64() > Some(1), "it may come back: {report}");
}

#[tokio::test]
async fn what_a_batch_has_done_whose_answer_was_lost_is_neither_failed_nor_gone() {
    let hub = six_waiting().await;
    hub.model().fault("/batch", Fault::DropAfter);
    let (status, report) = deliver(&doorman(&hub), &payload("acme/model")).await;
    let count = |name: &str| report["repos"][0][name].as_u64().expect("a number");
    assert_eq!((status, count("unknown"), count("gone"), count("failed")), (200, 5, 0, 0), "{report}");
    let batches = hub.calls().iter().filter(|call| call.ends_with("/batch")).count();
    assert_eq!(batches, 1, "the list shows that nobody is left to be written");
}

/// Carries no call: it panics.
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
async fn webhook_whose_review_panics_is_answered() {
    let hub = six_waiting().await;
    let (config, metrics) = (config_with(&hub, &[]), Metrics::new(std::io::sink()));
    let client = hub_doorman::http::client().expect("a client");
    let doorman = Doorman::with_transport(config, metrics, &client, Panics).await.expect("a doorman");
    let (status, report) = deliver(&doorman, &payload("acme/model")).await;
    assert_eq!((status, error(&report)), (202, "its review panicked; the log says where"), "{report}");
}
