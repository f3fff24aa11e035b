//! Every file of `events/` as Lambda delivers it, and variations of them.

use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use hub_doorman::handler::{Handler, InvocationError};
use lambda_http::request::{self, LambdaRequest};
use lambda_http::{Context, LambdaEvent};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use crate::binary;
use crate::hub::{Hub, Status};
use crate::support::{doorman_with, send, staff};

fn event(name: &str) -> Value {
    serde_json::from_str(&binary::event(name)).expect(name)
}

/// A sample event with another text at this place.
fn changed_event(name: &str, place: &str, text: &str) -> Value {
    let (parent, key) = place.rsplit_once('/').expect("a place");
    let mut event = event(name);
    event.pointer_mut(parent).expect("its parent")[key] = text.into();
    event
}

/// The response to an event, with a Hub on which ada has requested the model and the dataset.
async fn replay(event: &Value) -> (u16, Value, Hub) {
    let hub = Hub::start().await;
    hub.model().add("acme/gated-model").ask(staff("ada"));
    hub.model().add("datasets/acme/gated-corpus").ask(staff("ada"));
    hub.model().add("acme/quiet-model");
    let doorman = doorman_with(
        &hub,
        &[
            ("WEBHOOK_SECRET", "sample-webhook-secret"),
            ("MAIL_SECRET", "sample-mail-secret"),
            ("REPOS", "acme/*"),
        ],
    );
    let request = request::from_str(&event.to_string()).expect("an event");
    let (status, body) = send(&doorman, request).await;
    (status, body, hub)
}

const MODEL: &[&str] = &["acme/gated-model"];
const DATASET: &[&str] = &["datasets/acme/gated-corpus"];
const BOTH: &[&str] = &["acme/gated-model", "datasets/acme/gated-corpus"];

/// For each file the expected response, and the repos for which ada is then accepted.
const EVENTS: [(&str, u16, Option<&str>, &[&str]); 22] = [
    ("alb", 200, Some("reviewed"), MODEL),
    ("base64-body", 200, Some("reviewed"), MODEL),
    ("comment-added", 200, Some("reviewed"), MODEL),
    ("dataset", 200, Some("reviewed"), DATASET),
    ("digest", 200, Some("ignored"), &[]),
    ("discussion-opened", 200, Some("reviewed"), MODEL),
    ("http-api", 200, Some("reviewed"), MODEL),
    ("mail-sns", 200, Some("reviewed"), BOTH),
    ("mail-sqs", 200, Some("reviewed"), BOTH),
    ("mail", 200, Some("reviewed"), MODEL),
    ("malformed-body", 400, None, &[]),
    ("order", 200, Some("reviewed"), DATASET),
    ("push-to-main", 200, Some("reviewed"), MODEL),
    ("repo-deleted", 200, Some("ignored"), &[]),
    ("repo-moved", 200, Some("reviewed"), MODEL),
    ("rest-api", 200, Some("reviewed"), MODEL),
    ("settings-changed", 200, Some("reviewed"), MODEL),
    ("space", 200, Some("ignored"), &[]),
    ("sweep-some", 200, Some("reviewed"), DATASET),
    ("sweep", 200, Some("reviewed"), BOTH),
    ("unknown-scope", 200, Some("reviewed"), MODEL),
    ("wrong-secret", 401, None, &[]),
];

#[tokio::test]
async fn every_sample_event_gets_its_response() {
    for (name, status, word, opened) in EVENTS {
        let (answered, body, hub) = replay(&event(name)).await;
        assert_eq!((answered, body["status"].as_str()), (status, word), "{name}: {body}");
        for repo in BOTH {
            let expected: &[&str] = if opened.contains(repo) { &["ada"] } else { &[] };
            assert_eq!(hub.users(repo, Status::Accepted), expected, "{name}: {repo}");
        }
        assert_eq!(hub.calls().is_empty(), opened.is_empty(), "{name}");
    }
}

#[test]
fn table_of_sample_events_is_complete() {
    let files = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("events")).expect("a directory");
    let mut names: Vec<_> =
        files.map(|file| file.expect("a file").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    assert_eq!(names, EVENTS.map(|(name, ..)| format!("{name}.json")));
}

#[tokio::test]
async fn base64_body_is_read_in_every_shape_of_event() {
    for name in ["discussion-opened", "http-api", "rest-api", "alb"] {
        let mut event = event(name);
        let body = event["body"].as_str().expect("a body").to_owned();
        event["body"] = json!(base64::engine::general_purpose::STANDARD.encode(body));
        event["isBase64Encoded"] = json!(true);
        let (status, _, hub) = replay(&event).await;
        assert_eq!((status, hub.users("acme/gated-model", Status::Accepted).len()), (200, 1), "{name}");

        let wrong = event.to_string().replace("sample-webhook-secret", "sample-webhook-secreT");
        let (status, _, hub) = replay(&serde_json::from_str(&wrong).expect("JSON")).await;
        assert_eq!((status, hub.calls().len()), (401, 0), "{name}");
    }
}

#[tokio::test]
async fn load_balancer_may_send_multi_value_headers() {
    let mut event = event("alb");
    let headers = event["headers"].take();
    let fields = event.as_object_mut().expect("an object");
    fields.remove("headers");
    let several =
        headers.as_object().expect("an object").iter().map(|(name, value)| (name.clone(), json!([value])));
    fields.insert("multiValueHeaders".to_owned(), Value::Object(several.collect()));
    let (status, _, hub) = replay(&event).await;
    assert_eq!((status, hub.users("acme/gated-model", Status::Accepted).len()), (200, 1));
}

/// The response that the binary gives to the runtime for an event, or none if it is not an event at all.
async fn invoke(doorman: &Arc<Handler>, event: &[u8]) -> Option<Result<Value, InvocationError>> {
    let request: LambdaRequest = serde_json::from_slice(event).ok()?;
    let answer = doorman.answer(LambdaEvent::new(request, Context::default())).await;
    Some(answer.map(|answer| serde_json::to_value(answer).expect("JSON")))
}

/// A Hub on which ada has made a request, and a doorman for it and the sample events.
async fn hub_and_doorman() -> (Hub, Arc<Handler>) {
    let hub = Hub::start().await;
    hub.model().add("acme/gated-model").ask(staff("ada"));
    let settings = [("WEBHOOK_SECRET", "sample-webhook-secret"), ("REPOS", "acme/*")];
    let doorman = doorman_with(&hub, &settings);
    (hub, Arc::new(doorman))
}

/// Events that `lambda_http` refuses or panics at: the sample, the place that is changed, and its new text.
const NO_REQUESTS: [(&str, &str, &str); 5] = [
    ("discussion-opened", "/rawQueryString", "a=<"),
    ("discussion-opened", "/rawQueryString", "a b"),
    ("discussion-opened", "/rawQueryString", "70 KB"),
    ("discussion-opened", "/headers/user-agent", "a\u{1}b"),
    ("base64-body", "/body", "!"),
];

/// The doorman does not read the host that a request was sent to.
#[tokio::test]
async fn malformed_host_name_is_ignored() {
    let hosts = [
        ("discussion-opened", "/headers/host", "doorman.example:70000"),
        ("http-api", "/headers/host", ":"),
        ("rest-api", "/headers/Host", "0123456789.execute-api.{dns_suffix}"),
        ("rest-api", "/requestContext/domainName", "["),
        ("alb", "/headers/host", "a:b"),
    ];
    for (name, place, text) in hosts {
        let (_hub, doorman) = hub_and_doorman().await;
        let event = changed_event(name, place, text).to_string();
        let answer = invoke(&doorman, event.as_bytes()).await.expect("an event").expect("no failure");
        assert_eq!(answer["statusCode"], 200, "{name} {place}: {answer}");
    }
}

#[tokio::test]
async fn event_that_is_no_http_request_gets_a_400() {
    let (hub, doorman) = hub_and_doorman().await;
    for (name, place, text) in NO_REQUESTS {
        let text = if text == "70 KB" { "x".repeat(70_000) } else { text.to_owned() };
        let event = changed_event(name, place, &text).to_string();
        let answer = invoke(&doorman, event.as_bytes()).await.expect("an event").expect("no failure");
        assert_eq!(answer["statusCode"], 400, "{name} {place}: {answer}");
        let body = json!({"error": "this is not an HTTP request that can be read"}).to_string();
        assert_eq!(answer["body"], body, "{name} {place}");
    }
    assert_eq!(hub.calls(), [""; 0]);
}

/// Texts. Some of them are not valid in a URL, a header or a body.
fn text() -> impl Strategy<Value = Value> {
    let hostile =
        select(&["<", "a b", "%", "[::1", ":99999", "//", "\u{e9}", "\u{0}", "=", "acme/quiet-model"][..]);
    prop_oneof![any::<String>().prop_map(Value::from), hostile.prop_map(Value::from)]
}

/// Any JSON value.
fn value() -> impl Strategy<Value = Value> {
    let number = any::<i64>().prop_map(Value::from);
    let leaf = prop_oneof![text(), number, any::<bool>().prop_map(Value::from), Just(Value::Null)];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,6}", inner, 0..3).prop_map(|map| json!(map)),
        ]
    })
}

/// The JSON pointers of all places in a value.
fn places(value: &Value, here: &str) -> Vec<String> {
    let children: Vec<_> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.replace('/', "~1"), value)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(key, value)| (key.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    let below = children.into_iter().flat_map(|(key, value)| places(value, &format!("{here}/{key}")));
    [here.to_owned()].into_iter().chain(below).collect()
}

/// Any bytes, or a sample event in which some values are replaced, mostly texts by texts.
fn any_event() -> impl Strategy<Value = Vec<u8>> {
    let other_text = (any::<Index>(), text(), Just(true));
    let change = prop_oneof![other_text, (any::<Index>(), value(), Just(false))];
    let samples = (select(&EVENTS[..]), prop::collection::vec(change, 1..4));
    let samples = samples.prop_map(|((name, ..), changes)| {
        let mut event = event(name);
        for (place, value, of_a_text) in changes {
            let mut places = places(&event, "");
            places.retain(|place| !of_a_text || event.pointer(place).is_some_and(Value::is_string));
            if !places.is_empty() {
                *event.pointer_mut(place.get::<String>(&places)).expect("a place") = value;
            }
        }
        event.to_string().into_bytes()
    });
    prop_oneof![1 => prop::collection::vec(any::<u8>(), 0..200), 9 => samples]
}

#[test]
fn no_event_makes_an_invocation_panic() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (hub, doorman) = runtime.block_on(hub_and_doorman());
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(event in any_event())| {
        let calls = hub.calls().len();
        let answer = runtime.block_on(invoke(&doorman, &event));
        let event: Value = serde_json::from_slice(&event).unwrap_or_default();
        if event.get("requestContext").is_some() {
            let answer = answer.expect("an event").expect("an HTTP event gets a response");
            prop_assert!(answer["statusCode"].is_u64(), "{}", answer);
            let shows_it = event.to_string().contains("sample-webhook-secret");
            prop_assert!(shows_it || hub.calls().len() == calls, "a call without the secret");
        }
    });
}
