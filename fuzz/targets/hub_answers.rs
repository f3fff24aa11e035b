//! Any responses of the Hub, to all calls of the library. Only requests that a page listed as pending are accepted, no call leaves
//! the Hub's origin, and no error shows the token.
//!
//! The first line of the input names the calls. Each response begins with a line of its status. Its headers follow, one a line,
//! then an empty line and its body, until a line `%%`.

#![no_main]

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Debug;
use std::future::ready;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use hub_doorman::hub::{Hub, Problem, StatusChange, Transport};
use hub_doorman::model::{Identity, Repo, RepoType, Status};
use hub_doorman::plan::Mode;
use hub_doorman::policy::Policy;
use hub_doorman::review::review;
use hub_doorman::secrets::Secret;
use hub_doorman::source::Place;
use hub_doorman_fuzz::hub::checked_path;
use hub_doorman_fuzz::{ENDPOINT, KEYRING, TOKEN, block_on, config, report_uncaught_panic};
use lambda_http::http;
use libfuzzer_sys::fuzz_target;
use reqwest::{Method, Request, Response};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::Instant;

fuzz_target!(|script: &[u8]| {
    LazyLock::force(&KEYRING);
    report_uncaught_panic(|| block_on(call(script)));
});

static STAFF: LazyLock<Arc<Policy>> = LazyLock::new(|| match config().policy {
    Place::Given(policy) => policy,
    place => panic!("{place}"),
});

static EVERYBODY: LazyLock<Arc<Policy>> = LazyLock::new(|| {
    let everybody = r#"{"rules": [{"name": "all", "then": "accept", "if": "true"}]}"#;
    Arc::new(Policy::parse(everybody).expect("a policy"))
});

async fn call(script: &[u8]) {
    let (what, responses) = split_once(script, b"\n");
    let script = Script { responses: read(responses), ..Script::default() };
    let hub =
        Hub::new(ScriptedHub(Mutex::new(script)), ENDPOINT.parse().expect("a URL"), Arc::clone(&KEYRING), 4);
    let repo = Repo::new(RepoType::Model, "acme/model").expect("a name within the grammar");
    let deadline = Instant::now() + Duration::from_secs(60);
    let (calls, account) = (hub.repo(&repo, deadline), hub.account(deadline));
    let id = Identity::UserId("u-1".to_owned());
    match what {
        b"repos" => {
            let listing = hub.gated_repos(&"acme".into(), RepoType::Dataset, deadline, &mut |_| true).await;
            let are_acmes = listing.repos.iter().all(|repo| repo.is_owned_by(&"acme".into()));
            assert!(are_acmes, "repos of another owner: {:?}", listing.repos);
            assert_no_token(&listing.error);
        }
        b"people" => assert_no_token(&calls.list(Status::Accepted, Some("a b&c"), None).await),
        b"grant" => assert_no_token(&calls.grant(&id).await),
        b"report" => assert_no_token(&calls.access_report().await),
        b"whoami" => assert_no_token(&account.who_am_i().await),
        b"repo" => assert_no_token(&account.repo_info(&repo).await),
        b"groups" => assert_no_token(&account.gating_groups(&[repo]).await.error),
        b"webhooks" => assert_no_token(&account.webhooks().await),
        b"create" => {
            assert_no_token(&account.create_webhook("https://x.example", &[], &Secret::new("s")).await)
        }
        b"enable" => assert_no_token(&account.enable_webhook("id", true).await),
        b"delete" => assert_no_token(&account.delete_webhook("id").await),
        b"handle" => assert_no_token(&calls.handle(&id, &REJECT, None).await),
        b"batch" => {
            let two = [id, Identity::RequestId("r-2".to_owned())];
            let handled = calls.batch(&two, &REJECT, None).await;
            assert!(handled.as_ref().map_or(2, Vec::len) == 2, "{handled:?}");
            assert!(!format!("{handled:?}").contains(TOKEN), "{handled:?}");
        }
        _ => {
            let policy = if what == b"all" { &*EVERYBODY } else { &*STAFF };
            let report = review(&repo, ready(Arc::clone(policy)), &hub, Mode::Apply, deadline, &mut |_| ()).await;
            let report = serde_json::to_string(&report).expect("JSON");
            assert!(!report.contains(TOKEN), "{report}");
        }
    }
}

const REJECT: StatusChange = StatusChange { status: Status::Rejected, reason: None };

/// Checks that an error does not show the token. What the Hub returns otherwise may contain it.
fn assert_no_token(result: &impl Debug) {
    let text = format!("{result:?}");
    assert!(!text.contains(TOKEN) || !text.contains("HubError"), "{text}");
}

/// A Hub that gives the responses of the script, one after the other.
#[derive(Debug)]
struct ScriptedHub(Mutex<Script>);

#[derive(Debug, Default)]
struct Script {
    responses: VecDeque<http::Response<Vec<u8>>>,
    /// The pending requests on the pages so far, by each of their identities: the key in a write, and its value.
    pending: HashSet<(&'static str, String)>,
}

impl Transport for ScriptedHub {
    fn carry(&self, call: Request) -> Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send + '_>> {
        let path = checked_path(&call);
        let mut script = self.0.lock().expect("no panic while it was held");
        if call.method() == Method::POST && path.contains("/user-access-request/") {
            check_write(&call, path, &script.pending);
        }
        let response = script.responses.pop_front();
        let is_page = |response: &&http::Response<Vec<u8>>| {
            path.ends_with("/pending") && response.status().is_success()
        };
        if let Some(page) = response.as_ref().filter(is_page) {
            script.pending.extend(pending(page.body()));
        }
        let response = response.map(Response::from);
        Box::pin(std::future::ready(response.ok_or(Problem::Unreachable("no more responses".to_owned()))))
    }
}

/// Checks that a write is about this repo, and accepts pending requests only.
fn check_write(call: &Request, path: &str, pending: &HashSet<(&'static str, String)>) {
    assert!(path.starts_with("/api/models/acme/model/user-access-request/"), "another repo: {path}");
    let body = call.body().and_then(reqwest::Body::as_bytes).expect("a body");
    let body: Value = serde_json::from_slice(body).expect("JSON");
    if body["status"] != "accepted" {
        return;
    }
    let requests = body["requests"].as_array().cloned().unwrap_or_else(|| vec![body]);
    for request in requests {
        let keys = ["userId", "requestId", "user"];
        let identity = keys.iter().find_map(|key| Some((*key, request.get(key)?.as_str()?.to_owned())));
        assert!(pending.contains(&identity.expect("an identity")), "no page listed {request}");
    }
}

/// The pending requests of a page, by each of their identities. Reads as leniently as possible.
fn pending(page: &[u8]) -> Vec<(&'static str, String)> {
    type Object<'a> = HashMap<String, &'a RawValue>;
    let entries: Vec<&RawValue> = serde_json::from_slice(page).unwrap_or_default();
    let mut pending = Vec::new();
    for entry in entries {
        let Ok(entry) = serde_json::from_str::<Object>(entry.get()) else { continue };
        let text = |of: &Object, key: &str| serde_json::from_str::<String>(of.get(key)?.get()).ok();
        if text(&entry, "status").is_some_and(|status| status != "pending") {
            continue;
        }
        let user: Object =
            entry.get("user").and_then(|user| serde_json::from_str(user.get()).ok()).unwrap_or_default();
        pending.extend(text(&user, "_id").map(|id| ("userId", id)));
        pending.extend(text(&entry, "requestId").map(|id| ("requestId", id)));
        pending.extend(text(&user, "user").map(|name| ("user", name)));
    }
    pending
}

/// The responses of a script.
fn read(script: &[u8]) -> VecDeque<http::Response<Vec<u8>>> {
    let (mut responses, mut rest) = (VecDeque::new(), script);
    while !rest.is_empty() {
        let (response, after) = split_once(rest, b"\n%%\n");
        rest = after;
        let (head, body) = split_once(response, b"\n\n");
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
        responses.push_back(response);
    }
    responses
}

/// The text before and after the first separator. Without a separator, all of it and nothing.
fn split_once<'a>(text: &'a [u8], separator: &[u8]) -> (&'a [u8], &'a [u8]) {
    let place = text.windows(separator.len()).position(|window| window == separator);
    place.map_or((text, &[]), |place| (&text[..place], &text[place + separator.len()..]))
}
