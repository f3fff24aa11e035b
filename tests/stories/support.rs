//! Shared by the stories, and by the tests of the command line. Neither uses all of it.
#![allow(dead_code)]

use std::collections::HashMap;
use std::env::VarError;
use std::io::{self, Write};
use std::sync::Once;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use hub_doorman::config::Config;
use hub_doorman::handler::{Handler, InvocationError};
use hub_doorman::log;
use hub_doorman::report::metrics::Metrics;
use lambda_http::{Body, Context, Request, RequestExt, Response};
use serde_json::{Value, json};

use crate::hub::{Fault, Hub, Person, Status, kept};

pub const SECRET: &str = "sesame-that-must-never-be-seen";

/// Accepts acme.com, rejects and resets by an answer, holds the others.
pub const POLICY: &str = r#"{"rules": [
    {"name": "embargo", "then": "reject", "if": "'Country' in fields && fields['Country'] == 'KP'", "reason": "We cannot."},
    {"name": "vague", "then": "reset", "if": "'Purpose' in fields && size(fields['Purpose']) < 5", "reason": "Say more."},
    {"name": "staff", "then": "accept", "if": "user.domain == 'acme.com'"}]}"#;

/// The configuration of a doorman for this Hub. The variables are added to the required ones, or replace them.
pub fn config_with(hub: &Hub, variables: &[(&str, &str)]) -> Config {
    let endpoint = hub.endpoint();
    let mut environment: HashMap<&str, &str> = HashMap::from([
        ("HF_ENDPOINT", endpoint.as_str()),
        ("HF_TOKEN", Hub::TOKEN),
        ("WEBHOOK_SECRET", SECRET),
        ("APPROVAL_POLICY", POLICY),
    ]);
    environment.extend(variables.iter().copied());
    keep_output(&environment);
    let get = |name: &str| environment.get(name).map(|value| (*value).to_owned()).ok_or(VarError::NotPresent);
    Config::from_lookup(get, &|_| Err("there are no files".to_owned()))
        .expect("a configuration without faults")
}

/// If `KEEP_OUTPUT` is set, keeps everything that is logged, and the secrets that must not be in it.
fn keep_output(environment: &HashMap<&str, &str>) {
    static STARTED: Once = Once::new();
    let Some(file) = kept::writer() else { return };
    STARTED.call_once(|| log::start("trace", file));
    for name in ["HF_TOKEN", "WEBHOOK_SECRET", "WEBHOOK_SECRET_PREVIOUS"] {
        environment.get(name).into_iter().for_each(|secret| kept::seeded(secret));
    }
}

/// A doorman for this Hub, with [`config_with`] these variables.
pub fn doorman_with(hub: &Hub, variables: &[(&str, &str)]) -> Handler {
    let metrics: Box<dyn Write + Send> = match kept::writer() {
        Some(file) => Box::new(file),
        None => Box::new(io::sink()),
    };
    let ready = Handler::new(config_with(hub, variables), Metrics::new(metrics)).now_or_never();
    ready.expect("no secret that has to be read first").expect("a client")
}

/// A doorman for this Hub with the required variables only.
pub fn doorman(hub: &Hub) -> Handler {
    doorman_with(hub, &[])
}

/// A person whom [`POLICY`] accepts.
pub fn staff(name: &str) -> Person {
    Person::new(name, &format!("{name}@acme.com"))
}

/// A person whom [`POLICY`] holds.
pub fn stranger(name: &str) -> Person {
    Person::new(name, &format!("{name}@example.org"))
}

/// Makes these people request access to a repo. If there is no such repo, it is added.
pub fn ask(hub: &Hub, repo: &str, people: impl IntoIterator<Item = Person>) {
    let mut model = hub.model();
    if !model.repos.contains_key(repo) {
        model.add(repo);
    }
    for person in people {
        model.repo(repo).ask(person);
    }
}

/// The payload of a webhook about a repo, `acme/model` or `datasets/acme/corpus`.
pub fn payload(repo: &str) -> Value {
    let (repo_type, name) = type_and_name(repo);
    json!({
        "event": {"action": "create", "scope": "discussion"},
        "repo": {"type": repo_type, "name": name, "id": "id-repo", "private": false,
            "url": {"web": "https://huggingface.co", "api": "https://huggingface.co/api"}, "owner": {"id": "id-owner"}},
        "webhook": {"id": "id-webhook", "version": 3},
    })
}

/// A request to the doorman, with this secret in its header.
pub fn request(method: &str, secret: Option<&str>, body: impl Into<Body>) -> Request {
    let mut request = lambda_http::http::Request::builder().method(method).uri("https://doorman.example/");
    if let Some(secret) = secret {
        request = request.header("X-Webhook-Secret", secret);
    }
    request.body(body.into()).expect("a request")
}

/// The request with a Lambda deadline that is this far away.
pub fn with_time_left(request: Request, left: Duration) -> Request {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let mut context = Context::default();
    context.deadline = u64::try_from((now + left).as_millis()).expect("before the year 584942417");
    request.with_lambda_context(context)
}

/// The report for an event that is not HTTP, if Lambda leaves this much time.
pub async fn invoke(doorman: &Handler, event: &Value, time: Duration) -> Result<Value, InvocationError> {
    let event = lambda_http::request::from_str(&event.to_string()).expect("passed through");
    let handled = doorman.handle(with_time_left(event, time)).await;
    handled.inspect_err(|error| kept::output(format!("{error}\n"))).map(|response| read(&response).1)
}

/// Enough time for any sweep in these tests.
pub const HALF_A_MINUTE: Duration = Duration::from_secs(30);

/// The report of a sweep over all of `REPOS`, with [`HALF_A_MINUTE`] of time.
pub async fn sweep(doorman: &Handler) -> Value {
    sweep_within(doorman, HALF_A_MINUTE).await
}

/// The report of a sweep over all of `REPOS`, if Lambda leaves this much time.
pub async fn sweep_within(doorman: &Handler, time: Duration) -> Value {
    invoke(doorman, &json!({"source": "aws.scheduler", "detail-type": "Scheduled Event"}), time)
        .await
        .expect("no failure")
}

/// The part of a report about a repo, or null.
pub fn report_on<'a>(report: &'a Value, repo: &str) -> &'a Value {
    let (repo_type, name) = type_and_name(repo);
    let mut repos = report["repos"].as_array().expect("a list").iter();
    repos.find(|one| one["repo"] == name && one["type"] == repo_type).unwrap_or(&Value::Null)
}

fn type_and_name(repo: &str) -> (&str, &str) {
    repo.strip_prefix("datasets/").map_or(("model", repo), |name| ("dataset", name))
}

/// A Hub on which this many people whom [`POLICY`] accepts, `user0`, `user1`, …, have requested `acme/model`.
pub async fn hub_with_staff(people: usize) -> Hub {
    let hub = Hub::start().await;
    ask(&hub, "acme/model", (0..people).map(|number| staff(&format!("user{number}"))));
    hub
}

/// [`hub_with_staff`] of five, and `mallory`, whom [`POLICY`] holds.
pub async fn hub_with_six() -> Hub {
    let hub = hub_with_staff(5).await;
    ask(&hub, "acme/model", [stranger("mallory")]);
    hub
}

/// A Hub on which acme has this many gated models, without requests.
pub async fn hub_with(models: usize) -> Hub {
    let hub = Hub::start().await;
    for number in 0..models {
        hub.model().add(&model(number));
    }
    hub
}

/// The name of a model of [`hub_with`].
pub fn model(number: usize) -> String {
    format!("acme/model{number:03}")
}

/// The number of calls that searched for repos, and the repos whose first page was read, in the order of the calls.
pub fn searches_and_reviews(hub: &Hub) -> (usize, Vec<String>) {
    let calls = hub.calls();
    let first_page = |call: &String| {
        let path = call.strip_prefix("GET /api/")?.strip_suffix("/user-access-request/pending?limit=1000")?;
        Some(path.replace("models/", ""))
    };
    let searches = calls.iter().filter(|call| call.contains("?author=")).count();
    (searches, calls.iter().filter_map(first_page).collect())
}

/// The owners of the failed searches in a report, and the names of its repos.
pub fn names(report: &Value) -> Vec<&str> {
    searches_and_repos(report).map(|(name, _)| name).collect()
}

/// The failed searches and the incomplete repos in a report, with their errors.
pub fn incomplete(report: &Value) -> Vec<(&str, &str)> {
    let incomplete = searches_and_repos(report).filter(|(_, one)| one["complete"] != true);
    incomplete.map(|(name, one)| (name, error(one))).collect()
}

fn searches_and_repos(report: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let named = |list: &'static str, name: &'static str| {
        let list = report[list].as_array().into_iter().flatten();
        list.map(move |one| (one[name].as_str().expect("a name"), one))
    };
    named("searches", "owner").chain(named("repos", "repo"))
}

/// The error in the part of a report about a repo or a search, or an empty text.
pub fn error(repo: &Value) -> &str {
    repo["error"].as_str().unwrap_or_default()
}

/// The error of the first repo in a report, or an empty text.
pub fn first_error(report: &Value) -> &str {
    error(&report["repos"][0])
}

/// A number of the first repo in a report.
pub fn count(report: &Value, name: &str) -> u64 {
    report["repos"][0][name].as_u64().expect("a number")
}

/// The number of write attempts so far.
pub fn writes(hub: &Hub) -> usize {
    hub.calls().iter().filter(|call| call.starts_with("POST")).count()
}

/// The bodies of the calls so far whose path ends like this.
pub fn bodies(hub: &Hub, end: &str) -> Vec<Value> {
    let model = hub.model();
    model.calls.iter().filter(|call| call.path.ends_with(end)).map(|call| call.body.clone()).collect()
}

/// A response with this status that asks for this many seconds without such a call.
pub fn retry_after(status: u16, seconds: &str) -> Fault {
    Fault::Answer(status, vec![("Retry-After", seconds.to_owned())], String::new())
}

/// The status and the body of the response to a request.
pub async fn send(doorman: &Handler, request: Request) -> (u16, Value) {
    read(&doorman.handle(request).await.expect("no failure"))
}

/// The status and the body of a response. If output is kept, the body is kept as well.
pub fn read(response: &Response<Body>) -> (u16, Value) {
    kept::output(response.body());
    let body = match response.body() {
        Body::Empty => Value::Null,
        body => serde_json::from_slice(body).expect("a JSON body"),
    };
    (response.status().as_u16(), body)
}

/// The status and the body of the response to a webhook with the secret.
pub async fn deliver(doorman: &Handler, payload: &Value) -> (u16, Value) {
    send(doorman, request("POST", Some(SECRET), payload.to_string())).await
}

/// The status and the report of a new doorman for a webhook about `acme/model`.
pub async fn review(hub: &Hub) -> (u16, Value) {
    deliver(&doorman(hub), &payload("acme/model")).await
}

/// Like [`review`], if Lambda leaves this much time.
pub async fn review_within(hub: &Hub, time: Duration) -> (u16, Value) {
    deliver_within(&doorman(hub), &payload("acme/model"), time).await
}

/// The status and the body of the response to a webhook with the secret, if Lambda leaves this much time.
pub async fn deliver_within(doorman: &Handler, payload: &Value, time: Duration) -> (u16, Value) {
    let webhook = request("POST", Some(SECRET), payload.to_string());
    send(doorman, with_time_left(webhook, time)).await
}

/// A person rejects Ada while the page that lists her is on its way. Later pages are fast.
pub async fn reject_ada_while_her_page_is_late(hub: &Hub) {
    while hub.calls().is_empty() {
        tokio::task::yield_now().await;
    }
    let mut model = hub.model();
    model.way_back = Duration::ZERO;
    model.repo("acme/model").find_mut("user", "ada").expect("ada").set(Status::Rejected, None);
}
