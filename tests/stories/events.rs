//! Every file of `events/`, as Lambda would hand it over.

use std::path::Path;

use base64::Engine;
use lambda_http::request;
use serde_json::{Value, json};

use crate::hub::{Hub, Status};
use crate::support::{answer, doorman_with, staff};

fn event(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("events").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).expect(name)).expect(name)
}

/// The answer to an event, before a Hub on which ada waits for the model and for the dataset.
async fn replay(event: &Value) -> (u16, Value, Hub) {
    let hub = Hub::start().await;
    hub.model().add("acme/gated-model").ask(staff("ada"));
    hub.model().add("datasets/acme/gated-corpus").ask(staff("ada"));
    hub.model().add("acme/quiet-model");
    let doorman = doorman_with(&hub, &[("WEBHOOK_SECRET", "sample-webhook-secret"), ("REPOS", "acme/*")]);
    let request = request::from_str(&event.to_string()).expect("an event");
    let (status, body) = answer(&doorman, request).await;
    (status, body, hub)
}

const MODEL: &[&str] = &["acme/gated-model"];
const DATASET: &[&str] = &["datasets/acme/gated-corpus"];
const BOTH: &[&str] = &["acme/gated-model", "datasets/acme/gated-corpus"];

/// What is to become of each file, and which repos ada is let in to for it.
const EVENTS: [(&str, u16, Option<&str>, &[&str]); 17] = [
    ("alb.json", 200, Some("reviewed"), MODEL),
    ("base64-body.json", 200, Some("reviewed"), MODEL),
    ("comment-added.json", 200, Some("reviewed"), MODEL),
    ("dataset.json", 200, Some("reviewed"), DATASET),
    ("discussion-opened.json", 200, Some("reviewed"), MODEL),
    ("http-api.json", 200, Some("reviewed"), MODEL),
    ("malformed-body.json", 400, None, &[]),
    ("push-to-main.json", 200, Some("reviewed"), MODEL),
    ("repo-deleted.json", 200, Some("ignored"), &[]),
    ("repo-moved.json", 200, Some("reviewed"), MODEL),
    ("rest-api.json", 200, Some("reviewed"), MODEL),
    ("settings-changed.json", 200, Some("reviewed"), MODEL),
    ("space.json", 200, Some("ignored"), &[]),
    ("sweep-some.json", 200, Some("reviewed"), DATASET),
    ("sweep.json", 200, Some("reviewed"), BOTH),
    ("unknown-scope.json", 200, Some("reviewed"), MODEL),
    ("wrong-secret.json", 401, None, &[]),
];

#[tokio::test]
async fn every_sample_event_is_answered_as_it_should_be() {
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
fn no_sample_event_is_left_out_above() {
    let files = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("events")).expect("a directory");
    let mut names: Vec<_> =
        files.map(|file| file.expect("a file").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    assert_eq!(names, EVENTS.map(|(name, ..)| name));
}

#[tokio::test]
async fn every_shape_of_event_may_have_a_base64_body_and_only_the_right_secret() {
    for name in ["discussion-opened.json", "http-api.json", "rest-api.json", "alb.json"] {
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
async fn a_load_balancer_may_send_headers_of_several_values() {
    let mut event = event("alb.json");
    let headers = event["headers"].take();
    let fields = event.as_object_mut().expect("an object");
    fields.remove("headers");
    let several =
        headers.as_object().expect("an object").iter().map(|(name, value)| (name.clone(), json!([value])));
    fields.insert("multiValueHeaders".to_owned(), Value::Object(several.collect()));
    let (status, _, hub) = replay(&event).await;
    assert_eq!((status, hub.users("acme/gated-model", Status::Accepted).len()), (200, 1));
}
