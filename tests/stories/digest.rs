//! The digest: who is named, where it is sent, and what a failure of one destination does to the others.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{Datelike, TimeDelta, Utc, Weekday};
use http_body_util::{BodyExt, Full};
use hub_doorman::handler::Handler;
use hyper::Response;
use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::aws::{Aws, PARAMETER, SECRET as KEPT, TOPIC};
use crate::hub::{Fault, Hub, Server, Status, listen};
use crate::logs::Logs;
use crate::support::{
    HALF_A_MINUTE, POLICY, ask, deliver, doorman_with, hub_with, invoke, model, staff, stranger, writes,
};

/// The part of each URL that nobody may see.
const KEY: &str = "key-of-the-webhook-7c1f";

/// What the receiver does with a message.
#[derive(Clone, Copy)]
pub enum Reply {
    Status(u16),
    RetryAfter(u16, &'static str),
    Stall,
}

/// A chat service. It accepts each message, after the replies that a test has put here.
pub struct Receiver {
    address: SocketAddr,
    messages: Arc<Mutex<Vec<Value>>>,
    _server: Server,
}

impl Receiver {
    pub async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let messages: Arc<Mutex<Vec<Value>>> = Arc::default();
        let replies = Arc::new(Mutex::new(VecDeque::from_iter(replies)));
        let kept = Arc::clone(&messages);
        let (address, server) = listen(move |request| {
            let (messages, replies) = (Arc::clone(&kept), Arc::clone(&replies));
            async move {
                assert_eq!(request.headers()["content-type"], "application/json");
                let body = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
                messages.lock().expect("no panic").push(serde_json::from_slice(&body)?);
                let reply = replies.lock().expect("no panic").pop_front();
                let response = match reply.unwrap_or(Reply::Status(200)) {
                    Reply::Status(status) => Response::builder().status(status),
                    Reply::RetryAfter(status, after) => {
                        Response::builder().status(status).header("Retry-After", after)
                    }
                    Reply::Stall => std::future::pending().await,
                };
                Ok(response.body(Full::new(Bytes::from_static(b"ok"))).expect("a response"))
            }
        })
        .await;
        Self { address, messages, _server: server }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hooks/{KEY}", self.address)
    }

    fn messages(&self) -> Vec<Value> {
        self.messages.lock().expect("no panic").clone()
    }

    /// The text of the only message.
    fn text(&self) -> String {
        let messages = self.messages();
        assert_eq!(messages.len(), 1, "{messages:?}");
        messages[0]["text"].as_str().expect("a text").replace('\u{200b}', "")
    }
}

/// A doorman for all repos of acme that sends the digest to these destinations.
fn doorman_to(hub: &Hub, digest_to: &str, variables: &[(&str, &str)]) -> Handler {
    let mut all = vec![
        ("REPOS", "acme/*"),
        ("DIGEST_TO", digest_to),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI"),
    ];
    all.extend(variables);
    doorman_with(hub, &all)
}

async fn send_within(doorman: &Handler, time: Duration) -> Value {
    invoke(doorman, &json!({"digest": true}), time).await.expect("a digest never fails")
}

async fn send(doorman: &Handler) -> Value {
    send_within(doorman, HALF_A_MINUTE).await
}

/// A Hub on which the policy holds mallory and eve, who asked before her, and accepts ada.
async fn hub_with_two_held() -> Hub {
    let hub = hub_with(1).await;
    let asked = |name: &str, days| {
        (stranger(name).answer("Purpose", "my secret purpose"), Utc::now() - TimeDelta::days(days))
    };
    for (person, time) in [asked("mallory", 3), asked("eve", 9)] {
        hub.model().repo("acme/model000").ask_at(person, time);
    }
    ask(&hub, "acme/model000", [staff("ada")]);
    hub
}

#[tokio::test]
async fn digest_names_who_is_held_the_oldest_first() {
    let (hub, receiver) = (hub_with_two_held().await, Receiver::start([]).await);
    let report = send(&doorman_to(&hub, &receiver.url(), &[])).await;
    let expected = json!({"status": "sent", "held": 2, "destinations": 1, "failures": []});
    assert_eq!(report, expected);
    let text = receiver.text();
    let (eve, mallory) = (text.find("eve <").expect("eve"), text.find("mallory <").expect("mallory"));
    assert!(eve < mallory && text.contains("(9 days): no rule matched"), "{text}");
    assert!(text.contains(&format!("{}/acme/model000/settings", hub.endpoint())), "{text}");
    assert!(!text.contains("ada"), "{text}");
    assert_eq!(writes(&hub), 0);
    assert_eq!(hub.users("acme/model000", Status::Pending).len(), 3);
}

#[tokio::test]
async fn digest_counts_the_decisions_since_yesterday() {
    let (hub, receiver) = (hub_with_two_held().await, Receiver::start([]).await);
    let statuses = [Status::Accepted, Status::Accepted, Status::Accepted, Status::Reset, Status::Rejected];
    for (number, status) in statuses.into_iter().enumerate() {
        let name = format!("user{number}");
        ask(&hub, "acme/model000", [staff(&name)]);
        let mut model = hub.model();
        let request = model.repo("acme/model000").find_mut("user", &name).expect("a request");
        request.set(status, None);
        if number == 0 {
            request.reviewed_at = Some(Utc::now() - TimeDelta::hours(25));
        }
    }
    send(&doorman_to(&hub, &receiver.url(), &[])).await;
    let text = receiver.text();
    assert!(text.contains("Since yesterday: 2 accepted, 1 reset, 1 rejected.\n"), "{text}");
}

#[tokio::test]
async fn failing_destination_affects_no_other() {
    let hub = hub_with_two_held().await;
    let missing = Receiver::start([Reply::Status(404)]).await;
    let shaky = Receiver::start([Reply::Status(500), Reply::Status(502)]).await;
    let busy = Receiver::start([Reply::RetryAfter(429, "1")]).await;
    let long_busy = Receiver::start([Reply::RetryAfter(429, "3600")]).await;
    let silent = Receiver::start([Reply::Stall, Reply::Stall]).await;
    let moved = Receiver::start([Reply::Status(302)]).await;
    let good = Receiver::start([]).await;
    let all = [&missing, &shaky, &busy, &long_busy, &silent, &moved, &good];
    let digest_to = all.map(Receiver::url).join("\n");
    let (logs, _guard) = Logs::capture();
    let report = send_within(&doorman_to(&hub, &digest_to, &[]), Duration::from_secs(6)).await;
    assert_eq!((&report["status"], &report["destinations"]), (&json!("failed"), &json!(7)));
    let failures = report["failures"].as_array().expect("a list");
    let failures: Vec<_> = failures
        .iter()
        .map(|failure| (failure["destination"].as_str(), failure["error"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(failures.len(), 4, "{failures:?}");
    assert_eq!(failures[0], (Some("1 (webhook)"), "the service answered 404"));
    assert_eq!(failures[1], (Some("4 (webhook)"), "the service answered 429"));
    assert!(
        failures[2].0 == Some("5 (webhook)") && failures[2].1.contains("cannot be reached"),
        "{failures:?}"
    );
    assert_eq!(failures[3], (Some("6 (webhook)"), "the service answered 302"));
    let received = all.map(|receiver| receiver.messages().len());
    assert_eq!(
        (received[0], received[1], received[2], received[3], received[6]),
        (1, 3, 2, 1, 1),
        "{received:?}"
    );
    assert!(good.text().contains("mallory"));
    assert_eq!(logs.lines("the digest could not be sent").len(), 4);
    let seen = format!("{}{report}", logs.text());
    assert!(!seen.contains(KEY), "{seen}");
}

#[tokio::test]
async fn digest_about_nobody_is_sent_on_mondays_only() {
    let (hub, receiver) = (hub_with(2).await, Receiver::start([]).await);
    let is_monday = Utc::now().weekday() == Weekday::Mon;
    let report = send(&doorman_to(&hub, &receiver.url(), &[])).await;
    assert_eq!(report["status"], if is_monday { "sent" } else { "quiet" }, "{report}");
    assert_eq!(receiver.messages().len(), usize::from(is_monday));
}

#[tokio::test]
async fn ten_thousand_held_people_make_one_message() {
    let (hub, receiver) = (Hub::start().await, Receiver::start([]).await);
    ask(&hub, "acme/model", (0..10_000).map(|number| stranger(&format!("user{number}"))));
    let report = send(&doorman_to(&hub, &receiver.url(), &[])).await;
    assert_eq!((&report["status"], &report["held"]), (&json!("sent"), &json!(10_000)));
    let text = receiver.text();
    assert!(text.len() < 16_383 && text.matches("\n- ").count() == 50, "{} bytes", text.len());
    assert!(text.contains("And 9950 more."), "{text}");
}

#[tokio::test]
async fn digest_goes_to_topics_and_to_urls_that_aws_keeps() {
    let (hub, aws, receiver) = (hub_with_two_held().await, Aws::start().await, Receiver::start([]).await);
    aws.keep(KEPT, &format!("{}\n", receiver.url()));
    aws.keep(PARAMETER, "no URL");
    let other_topic = format!("{TOPIC}-old");
    let digest_to = format!("{TOPIC} {KEPT} {PARAMETER} {other_topic}");
    let endpoint = aws.endpoint();
    aws.model().faults.push((503, "ServiceUnavailable", "try again"));
    let (logs, _guard) = Logs::capture();
    let report = send(&doorman_to(&hub, &digest_to, &[("AWS_ENDPOINT_URL", &endpoint)])).await;
    let failures = report["failures"].as_array().expect("a list").clone();
    let named: Vec<_> =
        failures.iter().map(|failure| failure["destination"].as_str().unwrap_or_default()).collect();
    assert_eq!(named, ["3 (secret)", "4 (SNS)"], "{report}");
    assert!(
        failures[1]["error"].as_str().expect("an error").contains("404 NotFound Topic does not exist"),
        "{report}"
    );
    let published = aws.model().published.clone();
    assert_eq!(published.len(), 1);
    assert_eq!(published[0]["Subject"], "2 access requests are held for you.");
    assert!(published[0]["Message"].replace('\u{200b}', "").contains("mallory <"), "{published:?}");
    assert!(receiver.text().contains("mallory"));
    let seen = format!("{}{report}", logs.text());
    assert!(!seen.contains(KEY) && !seen.contains("wJalrXUtnFEMI"), "{seen}");
}

/// The message has names. The log and the response have neither names nor anything else about a person.
#[tokio::test]
async fn digest_shows_no_address_answer_or_secret() {
    let (hub, receiver) = (hub_with_two_held().await, Receiver::start([]).await);
    let (logs, _guard) = Logs::capture();
    let report = send(&doorman_to(&hub, &receiver.url(), &[])).await;
    let text = receiver.text();
    let seen = format!("{}{report}{text}", logs.text());
    for hidden in ["example.org", "secret purpose", Hub::TOKEN, KEY, crate::support::SECRET] {
        assert!(!seen.contains(hidden), "{hidden} is in {seen}");
    }
    assert!(!format!("{}{report}", logs.text()).contains("mallory"));
}

#[tokio::test]
async fn digest_says_why_nobody_is_decided() {
    let paused = POLICY.replacen('{', r#"{"paused": true, "#, 1);
    let limited = POLICY.replacen('{', r#"{"limits": {"accept": 0}, "#, 1);
    let place = "hf://datasets/acme/gate/policy.toml";
    let cases = [
        ("APPROVAL_POLICY", &*paused, "The policy is paused, so no request is decided.", 2),
        ("DRY_RUN", "true", "DRY_RUN is true, so no decision is written.", 2),
        ("APPROVAL_POLICY", &*limited, "1 request over a limit of the policy.", 2),
        ("APPROVAL_POLICY", place, "The policy cannot be used, so everybody is held: ", 3),
    ];
    for (name, value, words, held) in cases {
        let (hub, receiver) = (hub_with_two_held().await, Receiver::start([]).await);
        let report = send(&doorman_to(&hub, &receiver.url(), &[(name, value)])).await;
        assert_eq!((&report["status"], &report["held"]), (&json!("sent"), &json!(held)), "{words}: {report}");
        let text = receiver.text();
        assert!(text.contains(words), "{words}: {text}");
        assert_eq!(writes(&hub), 0, "{words}");
    }
}

#[tokio::test]
async fn repo_that_cannot_be_read_is_named() {
    let (hub, receiver) = (hub_with_two_held().await, Receiver::start([]).await);
    hub.model().add(&model(1));
    hub.model().faults("acme/model001/", &Fault::Status(500), 1000);
    let doorman = doorman_to(&hub, &receiver.url(), &[("REPOS", "acme/model000 acme/model001")]);
    let report = send_within(&doorman, Duration::from_secs(6)).await;
    assert_eq!((&report["status"], &report["held"]), (&json!("sent"), &json!(2)), "{report}");
    let text = receiver.text();
    assert!(text.contains("Not everything could be read: acme/model001."), "{text}");
    assert!(text.contains("The decisions in 1 repo could not be counted."), "{text}");
}

#[tokio::test]
async fn digest_without_repos_or_destinations_is_ignored() {
    let (hub, receiver) = (hub_with_two_held().await, Receiver::start([]).await);
    for (missing, variables) in [("REPOS", [("REPOS", "")]), ("DIGEST_TO", [("DIGEST_TO", "")])] {
        let report = send(&doorman_to(&hub, &receiver.url(), &variables)).await;
        assert_eq!(report["status"], "ignored", "{report}");
        assert!(report["reason"].as_str().expect("a reason").starts_with(missing), "{report}");
    }
    assert_eq!((hub.calls().len(), receiver.messages().len()), (0, 0));
}

#[tokio::test]
async fn order_with_the_webhook_secret_sends_the_digest() {
    let (hub, receiver) = (hub_with_two_held().await, Receiver::start([]).await);
    let doorman = doorman_to(&hub, &receiver.url(), &[]);
    let (status, report) = deliver(&doorman, &json!({"digest": true})).await;
    assert_eq!((status, &report["status"]), (200, &json!("sent")), "{report}");
    for order in [json!({"digest": false}), json!({"digest": true, "sweep": true})] {
        let (status, answer) = deliver(&doorman, &order).await;
        assert!(status == 400 && answer.to_string().contains("`digest` is not `true`"), "{answer}");
    }
    assert_eq!(receiver.messages().len(), 1);
}
