//! Any answers of the Hub, to any calls that are made of it. Nobody is accepted whom no page listed as waiting, no call leaves the
//! Hub's origin, and whatever is wrong is told without the token.
//!
//! The first line of the input says what is asked for. Each answer begins with a line of its status; then its headers, one
//! a line, an empty line, and its body, until a line `%%`.

#![no_main]

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use hub_doorman::hub::{Answer, Hub, Problem, Transport};
use hub_doorman::model::{Identity, Repo, RepoType, Status};
use hub_doorman::plan::Mode;
use hub_doorman::policy::Policy;
use hub_doorman::review::review;
use hub_doorman::secret::Secret;
use hub_doorman_fuzz::hub::checked;
use hub_doorman_fuzz::{ENDPOINT, KEYRING, TOKEN, block_on, config, withstand};
use lambda_http::http;
use libfuzzer_sys::fuzz_target;
use reqwest::{Method, Request, Response};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::Instant;

fuzz_target!(|script: &[u8]| {
    LazyLock::force(&KEYRING);
    withstand(|| block_on(ask(script)));
});

static STAFF: LazyLock<Policy> = LazyLock::new(|| config().policy);

static EVERYBODY: LazyLock<Policy> = LazyLock::new(|| {
    let everybody = r#"{"rules": [{"name": "all", "then": "accept", "if": "true"}]}"#;
    Policy::parse(everybody).expect("a policy")
});

async fn ask(script: &[u8]) {
    let (what, answers) = split_once(script, b"\n");
    let hub =
        ScriptedHub { script: Arc::new(Mutex::new(Script { answers: read(answers), ..Script::default() })) };
    let hub = Hub::new(hub, ENDPOINT.parse().expect("a URL"), Arc::clone(&KEYRING), 4);
    let repo = Repo::new(RepoType::Model, "acme/model").expect("a name within the grammar");
    let deadline = Instant::now() + Duration::from_secs(60);
    let (calls, account) = (hub.repo(&repo, deadline), hub.account(deadline));
    let id = Identity::UserId("u-1".to_owned());
    match what {
        b"repos" => {
            let listing = hub.gated_repos(&"acme".into(), RepoType::Dataset, deadline, &mut |_| ()).await;
            let are_acmes = listing.repos.iter().all(|repo| repo.is_owned_by(&"acme".into()));
            assert!(are_acmes, "repos of somebody else: {:?}", listing.repos);
            told(&listing.error);
        }
        b"people" => told(&calls.list(Status::Accepted, Some("a b&c"), None).await),
        b"grant" => told(&calls.grant(&id).await),
        b"report" => told(&calls.access_report().await),
        b"whoami" => told(&account.who_am_i().await),
        b"repo" => told(&account.repo_info(&repo).await),
        b"groups" => told(&account.gating_groups(&[repo]).await.error),
        b"webhooks" => told(&account.webhooks().await),
        b"create" => told(&account.create_webhook("https://x.example", &[], &Secret::new("s")).await),
        b"enable" => told(&account.enable_webhook("id", true).await),
        b"delete" => told(&account.delete_webhook("id").await),
        b"handle" => told(&calls.handle(&id, &REJECT, None).await),
        b"batch" => {
            let two = [id, Identity::RequestId("r-2".to_owned())];
            let handled = calls.batch(&two, &REJECT, None).await;
            assert!(handled.as_ref().map_or(2, Vec::len) == 2, "{handled:?}");
            assert!(!format!("{handled:?}").contains(TOKEN), "{handled:?}");
        }
        _ => {
            let policy = if what == b"all" { &*EVERYBODY } else { &*STAFF };
            let report = review(&repo, policy, &hub, Mode::Apply, deadline, &mut |_| ()).await;
            let report = serde_json::to_string(&report).expect("JSON");
            assert!(!report.contains(TOKEN), "{report}");
        }
    }
}

const REJECT: Answer = Answer { status: Status::Rejected, reason: None };

/// Neither does what is told of an error hold the token.
fn told(answered: &impl Debug) {
    let told = format!("{answered:?}");
    assert!(!told.contains(TOKEN) || !told.contains("HubError"), "{told}");
}

#[derive(Debug)]
struct ScriptedHub {
    script: Arc<Mutex<Script>>,
}

#[derive(Debug, Default)]
struct Script {
    answers: VecDeque<http::Response<Vec<u8>>>,
    /// Whom the pages so far have listed as waiting, with how each may be named.
    waiting: HashSet<(&'static str, String)>,
}

impl Transport for ScriptedHub {
    fn carry(&self, call: Request) -> Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send + '_>> {
        let path = checked(&call);
        let mut script = self.script.lock().expect("no panic while it was held");
        if call.method() == Method::POST && path.contains("/user-access-request/") {
            check_write(&call, path, &script.waiting);
        }
        let answer = script.answers.pop_front();
        let is_page =
            |answer: &&http::Response<Vec<u8>>| path.ends_with("/pending") && answer.status().is_success();
        if let Some(answer) = answer.as_ref().filter(is_page) {
            let waiting = waiting(answer.body());
            script.waiting.extend(waiting);
        }
        let answer = answer.map(Response::from);
        Box::pin(std::future::ready(answer.ok_or(Problem::Unreachable("no more answers".to_owned()))))
    }
}

/// Nobody is accepted who does not wait.
fn check_write(call: &Request, path: &str, waiting: &HashSet<(&'static str, String)>) {
    assert!(path.starts_with("/api/models/acme/model/user-access-request/"), "another repo: {path}");
    let body = call.body().and_then(reqwest::Body::as_bytes).expect("a body");
    let body: Value = serde_json::from_slice(body).expect("JSON");
    if body["status"] != "accepted" {
        return;
    }
    let requests = body["requests"].as_array().cloned().unwrap_or_else(|| vec![body]);
    for request in requests {
        let names = ["userId", "requestId", "user"];
        let named = names.iter().find_map(|key| Some((*key, request.get(key)?.as_str()?.to_owned())));
        assert!(waiting.contains(&named.expect("somebody")), "nobody listed {request}");
    }
}

/// Whom a page lists as waiting, as loosely read as can be.
fn waiting(page: &[u8]) -> Vec<(&'static str, String)> {
    type Object<'a> = HashMap<String, &'a RawValue>;
    let entries: Vec<&RawValue> = serde_json::from_slice(page).unwrap_or_default();
    let mut waiting = Vec::new();
    for entry in entries {
        let Ok(entry) = serde_json::from_str::<Object>(entry.get()) else { continue };
        let text = |of: &Object, key: &str| serde_json::from_str::<String>(of.get(key)?.get()).ok();
        if text(&entry, "status").is_some_and(|status| status != "pending") {
            continue;
        }
        let user: Object =
            entry.get("user").and_then(|user| serde_json::from_str(user.get()).ok()).unwrap_or_default();
        waiting.extend(text(&user, "_id").map(|id| ("userId", id)));
        waiting.extend(text(&entry, "requestId").map(|id| ("requestId", id)));
        waiting.extend(text(&user, "user").map(|name| ("user", name)));
    }
    waiting
}

fn read(answers: &[u8]) -> VecDeque<http::Response<Vec<u8>>> {
    let (mut answers, mut rest) = (VecDeque::new(), answers);
    while !rest.is_empty() {
        let (answer, after) = split_once(rest, b"\n%%\n");
        rest = after;
        let (head, body) = split_once(answer, b"\n\n");
        let mut lines = head.split(|byte| *byte == b'\n');
        let status = lines.next().and_then(|status| http::StatusCode::from_bytes(status).ok());
        let mut response = http::Response::new(body.to_vec());
        *response.status_mut() = status.unwrap_or_default();
        for line in lines {
            let (name, value) = split_once(line, b": ");
            if let (Ok(name), Ok(value)) =
                (http::HeaderName::from_bytes(name), http::HeaderValue::from_bytes(value))
            {
                response.headers_mut().append(name, value);
            }
        }
        answers.push_back(response);
    }
    answers
}

/// What stands before and behind this, or all and nothing.
fn split_once<'a>(text: &'a [u8], separator: &[u8]) -> (&'a [u8], &'a [u8]) {
    let place = text.windows(separator.len()).position(|window| window == separator);
    place.map_or((text, &[]), |place| (&text[..place], &text[place + separator.len()..]))
}
