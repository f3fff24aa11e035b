//! The binary as Lambda runs it: a process with environment variables that requests its events from a Runtime API. The
//! Runtime API is a stand-in that does what AWS documents.

use std::io;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc};

use crate::hub::{Hub, Server, Status, kept, listen};
use crate::support::{POLICY, staff};

const REQUEST_ID: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";

/// A Runtime API that hands out events one after the other. `posts` yields what the function posts to it: the last part of
/// the path, and the body.
pub struct RuntimeApi {
    address: String,
    events: mpsc::UnboundedSender<String>,
    posts: mpsc::UnboundedReceiver<(String, Value)>,
    _server: Server,
}

impl RuntimeApi {
    pub async fn start(events: impl IntoIterator<Item = String>) -> Self {
        let (sender, queue) = mpsc::unbounded_channel();
        let (post, posts) = mpsc::unbounded_channel();
        let queue = Arc::new(Mutex::new(queue));
        let (address, server) =
            listen(move |request| respond(Arc::clone(&queue), post.clone(), request)).await;
        let api = Self { address: address.to_string(), events: sender, posts, _server: server };
        events.into_iter().for_each(|event| api.hand_over(event));
        api
    }

    /// Adds an event, which the function gets when it asks for its next one.
    pub fn hand_over(&self, event: String) {
        self.events.send(event).expect("the Runtime API is there");
    }

    /// The next post of the function: the last part of the path, and the body.
    pub async fn next_post(&mut self) -> (String, Value) {
        let post = tokio::time::timeout(Duration::from_secs(30), self.posts.recv()).await;
        post.expect("a post of the function within 30 s").expect("the Runtime API is there")
    }
}

async fn respond(
    events: Arc<Mutex<mpsc::UnboundedReceiver<String>>>,
    post: mpsc::UnboundedSender<(String, Value)>,
    request: Request<Incoming>,
) -> io::Result<Response<Full<Bytes>>> {
    let path = request.uri().path().to_owned();
    if path.ends_with("/invocation/next") {
        // Like Lambda, this responds once there is an event.
        let event = events.lock().await.recv().await.ok_or_else(|| io::Error::other("the test is over"))?;
        let deadline =
            SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970") + Duration::from_secs(30);
        let response = Response::builder()
            .header("Lambda-Runtime-Aws-Request-Id", REQUEST_ID)
            .header("Lambda-Runtime-Deadline-Ms", deadline.as_millis().to_string())
            .header(
                "Lambda-Runtime-Invoked-Function-Arn",
                "arn:aws:lambda:eu-central-1:123456789012:function:doorman",
            )
            .header("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0")
            .body(Full::new(Bytes::from(event)));
        return Ok(response.expect("a response"));
    }
    let body = request.into_body().collect().await.expect("a body").to_bytes();
    kept::output([&*body, b"\n"].concat());
    let kind = path.trim_start_matches("/2018-06-01/runtime/").rsplit('/').take(2).collect::<Vec<_>>();
    let kind = if kind == ["error", "init"] { "init/error" } else { kind[0] };
    let _ = post.send((kind.to_owned(), serde_json::from_slice(&body).unwrap_or_default()));
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

/// The text of a sample event in `events/`.
pub fn event(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("events").join(format!("{name}.json"));
    std::fs::read_to_string(path).expect(name)
}

/// The binary with these variables and those that Lambda sets, and no others.
fn command(api: &RuntimeApi, variables: &[(&str, &str)]) -> Command {
    let secrets = variables.iter().filter(|(name, _)| ["HF_TOKEN", "WEBHOOK_SECRET"].contains(name));
    secrets.for_each(|(_, secret)| kept::seeded(secret));
    let mut command = Command::new(env!("CARGO_BIN_EXE_hub-doorman"));
    command
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", &api.address)
        .env("AWS_LAMBDA_FUNCTION_NAME", "doorman")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .envs(variables.iter().copied())
        .kill_on_drop(true);
    command
}

/// The binary with the settings for this Hub and the sample events.
fn command_for(hub: &Hub, api: &RuntimeApi, rust_log: &str) -> Command {
    let variables = [
        ("HF_ENDPOINT", &*hub.endpoint()),
        ("HF_TOKEN", Hub::TOKEN),
        ("WEBHOOK_SECRET", "sample-webhook-secret"),
        ("APPROVAL_POLICY", POLICY),
        ("REPOS", "acme/*"),
        ("RUST_LOG", rust_log),
    ];
    command(api, &variables)
}

fn start(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts")
}

fn start_for(hub: &Hub, api: &RuntimeApi, rust_log: &str) -> Child {
    start(command_for(hub, api, rust_log))
}

/// Starts the binary with additional variables, for a test that does not read its output.
pub fn start_unread(hub: &Hub, api: &RuntimeApi, variables: &[(&str, &str)]) -> Child {
    let output =
        || kept::writer().map_or_else(Stdio::null, |file| file.try_clone().expect("the same file").into());
    let mut command = command_for(hub, api, "info");
    command.envs(variables.iter().copied()).stdout(output()).stderr(output());
    command.spawn().expect("the binary starts")
}

async fn stop(mut child: Child) -> Output {
    let _ = child.start_kill();
    let output = child.wait_with_output().await.expect("its output");
    kept::output(&output.stdout);
    kept::output(&output.stderr);
    output
}

#[tokio::test]
async fn every_shape_of_event_gets_its_response() {
    let hub = Hub::start().await;
    let names =
        ["discussion-opened", "http-api", "rest-api", "alb", "base64-body", "wrong-secret", "malformed-body"];
    hub.model().add("acme/gated-model").ask(staff("ada"));
    let mut api = RuntimeApi::start(names.map(event)).await;
    let child = start_for(&hub, &api, "trace,lambda_runtime=trace");
    for (name, expected) in names.iter().zip([200, 200, 200, 200, 200, 401, 400]) {
        let (kind, response) = api.next_post().await;
        assert_eq!(
            (kind.as_str(), &response["statusCode"]),
            ("response", &json!(expected)),
            "{name}: {response}"
        );
        if expected == 200 {
            let report: Value =
                serde_json::from_str(response["body"].as_str().expect("a body")).expect("JSON");
            assert_eq!(report["status"], "reviewed", "{name}");
        }
    }
    assert_eq!(hub.users("acme/gated-model", Status::Accepted), ["ada"]);

    let output = stop(child).await;
    let log = String::from_utf8(output.stdout).expect("UTF-8");
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let of_message = |message: &str| lines.iter().filter(|line| line["message"] == message).count();
    assert_eq!(
        (of_message("decided"), of_message("reviewed"), of_message("webhook refused")),
        (1, 5, 1),
        "{log}"
    );
    for secret in [Hub::TOKEN, "sample-webhook-secret", "@acme.com"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

/// The log of a process that gets these sample events.
async fn log_of(events: &[&str], rust_log: &str) -> Vec<Value> {
    let hub = Hub::start().await;
    hub.model().add("acme/gated-model").ask(staff("ada"));
    let mut api = RuntimeApi::start(events.iter().map(|name| event(name))).await;
    let child = start_for(&hub, &api, rust_log);
    for _ in events {
        api.next_post().await;
    }
    let log = String::from_utf8(stop(child).await.stdout).expect("UTF-8");
    log.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[tokio::test]
async fn log_lines_name_request_delivery_and_repo() {
    for line in log_of(&["discussion-opened"], "info").await {
        let is_known = line["requestId"] == REQUEST_ID && line["delivery_id"].is_string();
        assert!(is_known && line["repo"] == "acme/gated-model", "{line}");
    }
    let lines = log_of(&["sweep"], "info").await;
    assert!(lines.iter().all(|line| line["requestId"] == REQUEST_ID), "{lines:?}");
    let about_one = lines.iter().filter(|line| line["message"] == "decided" || line["message"] == "reviewed");
    let repos: Vec<_> = about_one.map(|line| &line["repo"]).collect();
    assert_eq!(repos, ["acme/gated-model"; 2]);
}

#[tokio::test]
async fn start_without_repos_logs_that_there_are_no_sweeps() {
    for (repos, expected) in [("", 1), ("acme/*", 0)] {
        let hub = Hub::start().await;
        let mut api = RuntimeApi::start([event("wrong-secret")]).await;
        let mut command = command_for(&hub, &api, "info");
        command.env("REPOS", repos);
        let child = start(command);
        api.next_post().await;
        let log = String::from_utf8(stop(child).await.stdout).expect("UTF-8");
        let says = "no sweeps, so nobody is decided until a webhook comes";
        assert_eq!(log.matches(says).count(), expected, "{repos}: {log}");
    }
}

#[tokio::test]
async fn metrics_and_ids_are_logged_at_level_warn_too() {
    let lines = log_of(&["wrong-secret", "discussion-opened", "malformed-body"], "warn").await;
    let messages: Vec<_> = lines.iter().map(|line| line["message"].as_str().expect("a message")).collect();
    assert_eq!(messages, ["webhook refused", "metrics", "metrics", "webhook not understood"]);
    let are_known =
        lines.iter().all(|line| line["requestId"] == REQUEST_ID && line["delivery_id"].is_string());
    assert!(are_known, "{lines:?}");
    assert!(lines[1]["FunctionName"] == "doorman" && lines[1]["RejectedWebhooks"] == 1, "{}", lines[1]);
}

#[tokio::test]
async fn unknown_event_fails_and_the_next_one_is_handled() {
    let hub = Hub::start().await;
    hub.model().add("acme/gated-model").ask(staff("ada"));
    let sweep = event("sweep");
    let mut api = RuntimeApi::start([sweep.clone(), r#"{"Records": []}"#.to_owned(), sweep]).await;
    let child = start_for(&hub, &api, "info");
    let (kind, report) = api.next_post().await;
    assert_eq!((kind.as_str(), &report["repos"][0]["accepted"]), ("response", &json!(1)), "{report}");
    let (kind, error) = api.next_post().await;
    assert_eq!((kind.as_str(), &error["errorType"]), ("error", &json!("UnknownEvent")), "{error}");
    let (kind, report) = api.next_post().await;
    assert_eq!((kind.as_str(), &report["status"]), ("response", &json!("reviewed")), "{report}");
    let log = String::from_utf8(stop(child).await.stdout).expect("UTF-8");
    assert!(log.contains(r#""message":"the event is of no known form; expected an HTTP event"#), "{log}");
}

/// `lambda_http` panics at some query strings. Nothing of the event gets into the log.
#[tokio::test]
async fn event_that_panics_lambda_http_gets_a_400() {
    let hub = Hub::start().await;
    let event =
        event("discussion-opened").replace(r#""rawQueryString": """#, r#""rawQueryString": "<unseen""#);
    assert!(event.contains("<unseen"), "{event}");
    let mut api = RuntimeApi::start([event]).await;
    let child = start_for(&hub, &api, "debug");
    let (kind, response) = api.next_post().await;
    assert_eq!((kind.as_str(), &response["statusCode"]), ("response", &json!(400)), "{response}");
    let output = stop(child).await;
    let log = String::from_utf8(output.stdout).expect("UTF-8") + &String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("webhook not understood") && log.contains(r#""RejectedWebhooks":1"#), "{log}");
    assert!(!log.contains("unseen") && !log.contains("sample-webhook-secret"), "{log}");
}

#[tokio::test]
async fn faulty_configuration_is_an_init_error_with_all_faults() {
    let mut api = RuntimeApi::start([]).await;
    let child = start(command(
        &api,
        &[("HF_TOKEN", "hf_unseen"), ("APPROVAL_POLICY", "{}"), ("DRY_RUN", "perhaps"), ("RUST_LOG", "inof")],
    ));
    let (kind, error) = api.next_post().await;
    assert_eq!(kind, "init/error");
    let message = error["errorMessage"].as_str().expect("a message");
    for fault in [
        "WEBHOOK_SECRET: not set",
        "APPROVAL_POLICY: line 1, column 1: `rules` is missing",
        "DRY_RUN: `perhaps` is neither",
    ] {
        assert!(message.contains(fault), "{message}");
    }
    let output = child.wait_with_output().await.expect("it ends");
    assert!(!output.status.success());
    let log = String::from_utf8(output.stdout).expect("UTF-8") + &String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("DRY_RUN") && !log.contains("hf_unseen"), "{log}");
}
