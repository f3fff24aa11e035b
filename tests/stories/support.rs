//! What the stories share.

use std::collections::HashMap;
use std::env::VarError;
use std::io::{self, Write};
use std::sync::Once;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use hub_doorman::config::Config;
use hub_doorman::handler::{Doorman, InvocationError};
use hub_doorman::log;
use hub_doorman::metrics::Metrics;
use lambda_http::{Body, Context, Request, RequestExt, Response};
use serde_json::{Value, json};

use crate::hub::{Hub, Person, kept};

pub const SECRET: &str = "sesame-that-must-never-be-seen";

/// Accepts acme.com, rejects and resets by an answer, holds the others.
pub const POLICY: &str = r#"{"rules": [
    {"name": "embargo", "then": "reject", "if": "'Country' in fields && fields['Country'] == 'KP'", "reason": "We cannot."},
    {"name": "vague", "then": "reset", "if": "'Purpose' in fields && size(fields['Purpose']) < 5", "reason": "Say more."},
    {"name": "staff", "then": "accept", "if": "user.domain == 'acme.com'"}]}"#;

/// The configuration of a doorman before this Hub, with these environment variables besides or instead of what it needs.
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
    Config::from_lookup(get).expect("a configuration without faults")
}

/// Where output is kept, all that is ever logged is kept, and what must not be in it.
fn keep_output(environment: &HashMap<&str, &str>) {
    static STARTED: Once = Once::new();
    let Some(file) = kept::writer() else { return };
    STARTED.call_once(|| log::start("trace", file));
    for name in ["HF_TOKEN", "WEBHOOK_SECRET", "WEBHOOK_SECRET_PREVIOUS"] {
        environment.get(name).into_iter().for_each(|secret| kept::seeded(secret));
    }
}

/// A doorman with it.
pub fn doorman_with(hub: &Hub, variables: &[(&str, &str)]) -> Doorman {
    let metrics: Box<dyn Write + Send> = match kept::writer() {
        Some(file) => Box::new(file),
        None => Box::new(io::sink()),
    };
    let ready = Doorman::new(config_with(hub, variables), Metrics::new(metrics)).now_or_never();
    ready.expect("no secret that has to be read first").expect("a client")
}

pub fn doorman(hub: &Hub) -> Doorman {
    doorman_with(hub, &[])
}

/// Somebody of acme.com.
pub fn staff(name: &str) -> Person {
    Person::new(name, &format!("{name}@acme.com"))
}

/// Somebody of nowhere in particular.
pub fn stranger(name: &str) -> Person {
    Person::new(name, &format!("{name}@example.org"))
}

/// Has these people ask for access to a repo, which is there from then on.
pub fn ask(hub: &Hub, repo: &str, people: impl IntoIterator<Item = Person>) {
    let mut model = hub.model();
    if !model.repos.contains_key(repo) {
        model.add(repo);
    }
    for person in people {
        model.repo(repo).ask(person);
    }
}

/// A payload of the Hub about a repo, `acme/model` or `datasets/acme/corpus`.
pub fn payload(repo: &str) -> Value {
    let (repo_type, name) = type_and_name(repo);
    json!({
        "event": {"action": "create", "scope": "discussion"},
        "repo": {"type": repo_type, "name": name, "id": "id-repo", "private": false,
            "url": {"web": "https://huggingface.co", "api": "https://huggingface.co/api"}, "owner": {"id": "id-owner"}},
        "webhook": {"id": "id-webhook", "version": 3},
    })
}

pub fn request(method: &str, secret: Option<&str>, body: impl Into<Body>) -> Request {
    let mut request = lambda_http::http::Request::builder().method(method).uri("https://doorman.example/");
    if let Some(secret) = secret {
        request = request.header("X-Webhook-Secret", secret);
    }
    request.body(body.into()).expect("a request")
}

/// The request as Lambda hands it over when this much time is left.
pub fn with_time_left(request: Request, left: Duration) -> Request {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let mut context = Context::default();
    context.deadline = u64::try_from((now + left).as_millis()).expect("before the year 584942417");
    request.with_lambda_context(context)
}

/// What comes of an event that is not HTTP, when Lambda gives so much time.
pub async fn invoke(doorman: &Doorman, event: &Value, time: Duration) -> Result<Value, InvocationError> {
    let event = lambda_http::request::from_str(&event.to_string()).expect("passed through");
    let handled = doorman.handle(with_time_left(event, time)).await;
    handled.inspect_err(|error| kept::output(format!("{error}\n"))).map(|response| read(&response).1)
}

/// Time enough for a sweep.
pub const HALF_A_MINUTE: Duration = Duration::from_secs(30);

/// The report of a sweep over all that is looked after, which may take half a minute.
pub async fn sweep(doorman: &Doorman) -> Value {
    sweep_within(doorman, HALF_A_MINUTE).await
}

/// The same, when Lambda gives so much time.
pub async fn sweep_within(doorman: &Doorman, time: Duration) -> Value {
    invoke(doorman, &json!({"source": "aws.scheduler", "detail-type": "Scheduled Event"}), time)
        .await
        .expect("no failure")
}

/// What a report says of a repo.
pub fn report_on<'a>(report: &'a Value, repo: &str) -> &'a Value {
    let (repo_type, name) = type_and_name(repo);
    let mut repos = report["repos"].as_array().expect("a list").iter();
    repos.find(|one| one["repo"] == name && one["type"] == repo_type).unwrap_or(&Value::Null)
}

fn type_and_name(repo: &str) -> (&str, &str) {
    repo.strip_prefix("datasets/").map_or(("model", repo), |name| ("dataset", name))
}

/// A Hub on which acme has so many gated models, and nobody waits.
pub async fn hub_with(models: usize) -> Hub {
    let hub = Hub::start().await;
    for number in 0..models {
        hub.model().add(&model(number));
    }
    hub
}

/// The name of one of them.
pub fn model(number: usize) -> String {
    format!("acme/model{number:03}")
}

/// The calls for pages of repos, and those for first pages of pending requests: the names of the repos, in their order.
pub fn looks(hub: &Hub) -> (usize, Vec<String>) {
    let calls = hub.calls();
    let first_page = |call: &String| {
        let path = call.strip_prefix("GET /api/")?.strip_suffix("/user-access-request/pending?limit=1000")?;
        Some(path.replace("models/", ""))
    };
    let searches = calls.iter().filter(|call| call.contains("?author=")).count();
    (searches, calls.iter().filter_map(first_page).collect())
}

/// The names of the repos in a report.
pub fn names(report: &Value) -> Vec<&str> {
    let repos = report["repos"].as_array().expect("a list").iter();
    repos.map(|repo| repo["repo"].as_str().expect("a name")).collect()
}

/// The repos that a report calls incomplete, with what it says of them.
pub fn incomplete(report: &Value) -> Vec<(&str, &str)> {
    let repos = report["repos"].as_array().expect("a list").iter();
    let incomplete = repos.filter(|repo| repo["complete"] == false);
    incomplete.map(|repo| (repo["repo"].as_str().expect("a name"), error(repo))).collect()
}

/// What a report says of a repo that went wrong.
pub fn error(repo: &Value) -> &str {
    repo["error"].as_str().unwrap_or_default()
}

/// The status and the body of the answer to a request.
pub async fn answer(doorman: &Doorman, request: Request) -> (u16, Value) {
    read(&doorman.handle(request).await.expect("no failure"))
}

pub fn read(response: &Response<Body>) -> (u16, Value) {
    kept::output(response.body());
    let body = match response.body() {
        Body::Empty => Value::Null,
        body => serde_json::from_slice(body).expect("a JSON body"),
    };
    (response.status().as_u16(), body)
}

/// The status and the body of the answer to a payload that comes with the secret.
pub async fn deliver(doorman: &Doorman, payload: &Value) -> (u16, Value) {
    answer(doorman, request("POST", Some(SECRET), payload.to_string())).await
}

/// The same, when Lambda gives so much time.
pub async fn deliver_within(doorman: &Doorman, payload: &Value, time: Duration) -> (u16, Value) {
    let webhook = request("POST", Some(SECRET), payload.to_string());
    answer(doorman, with_time_left(webhook, time)).await
}
