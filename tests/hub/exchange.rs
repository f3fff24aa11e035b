//! One call in, and one reply out: the response of the model, or a fault that a test has asked for.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use serde_json::Value;

use super::api::{self, HubResponse};
use super::fault::Fault;
use super::files::MAIN;
use super::model::{Call, Model};
use super::repo::Status;

/// The reply that the client receives after a call.
pub enum Reply {
    Response(HubResponse),
    /// The first half of a response; then the connection is closed.
    Cut(HubResponse),
    /// The first half of a response of HTTP/1.0 without a length.
    Half(HubResponse),
    Endless(Endless),
    /// The connection is closed without a response.
    Closed,
    /// The connection stays open without a response.
    Silence,
}

/// A response whose body is blanks, without an end if there is no `length`.
pub struct Endless {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    /// The length of the body, in bytes.
    pub length: Option<u64>,
    /// The `Content-Length`, in bytes.
    pub promised: Option<u64>,
    /// The bytes of one chunk, and the pause before each.
    pub chunk: usize,
    pub pause: Duration,
    /// How many bytes were sent.
    pub streamed: Arc<AtomicUsize>,
}

/// Passes a call with this token to the model. Returns the reply, and the fault if there was one.
pub fn exchange(model: &mut Model, call: &Call, token: Option<&str>) -> (Reply, Option<Fault>) {
    model.call_count += 1;
    if model.keeps_calls {
        model.calls.push(call.clone());
    }
    let fault = model.take_fault(call);
    (reply(model, call, token, fault.as_ref()), fault)
}

fn reply(model: &mut Model, call: &Call, token: Option<&str>, fault: Option<&Fault>) -> Reply {
    let number = model.call_count;
    let numbered = |mut response: HubResponse| {
        response.headers.push(("X-Request-Id", api::request_id(number)));
        response
    };
    let mut response = match fault {
        Some(Fault::DropBefore) => return Reply::Closed,
        Some(&Fault::Endless { status, promised, chunk, pause }) => {
            let streamed = Arc::clone(&model.streamed);
            let (headers, length) = (Vec::new(), None);
            return Reply::Endless(Endless { status, headers, length, promised, chunk, pause, streamed });
        }
        Some(Fault::Status(status)) => HubResponse::error(*status, None, "something went wrong on purpose"),
        Some(Fault::Answer(status, headers, body)) => {
            HubResponse { status: *status, headers: headers.clone(), body: body.clone().into() }
        }
        Some(Fault::Redirect(to)) => {
            HubResponse { status: 307, headers: vec![("Location", to.clone())], body: "".into() }
        }
        Some(Fault::HalfDone(_)) => half(model, call, token),
        Some(Fault::Behind(repo)) => behind(model, repo, call, token),
        _ => api::respond_to(model, call, token),
    };
    match fault {
        Some(Fault::DropAfter) => return Reply::Closed,
        Some(Fault::Stall) => return Reply::Silence,
        Some(Fault::Cut) => return Reply::Cut(numbered(response)),
        Some(Fault::Half) => return Reply::Half(numbered(response)),
        Some(&Fault::Lost(status)) => response = HubResponse::error(status, None, "lost on the way"),
        Some(Fault::Garbage) => response.body = "<html>\u{fffd}".into(),
        Some(Fault::ThenCommit(repo, changes)) => {
            model.commit(repo, changes.clone());
        }
        Some(&Fault::Blanks(bytes)) => {
            let HubResponse { status, headers, .. } = numbered(response);
            return Reply::Endless(Endless {
                status,
                headers,
                length: Some(bytes),
                promised: None,
                chunk: 16 << 10,
                pause: Duration::ZERO,
                streamed: Arc::clone(&model.streamed),
            });
        }
        Some(Fault::DecidedListed) => add_decided(model, call, &mut response),
        Some(Fault::Duplicates) => duplicate(&mut response),
        Some(Fault::OlderVersions) => add_older_versions(call, &mut response),
        Some(&Fault::HalfDone(Some(status))) => {
            response = HubResponse::error(status, None, "half of it is done");
        }
        Some(Fault::NextElsewhere) => link_to(&mut response, "https://elsewhere.example/api/models"),
        Some(Fault::NextIsThis) => link_to(&mut response, &format!("{}{}", model.origin, call.path)),
        Some(
            Fault::DropBefore
            | Fault::Endless { .. }
            | Fault::HalfDone(None)
            | Fault::Behind(_)
            | Fault::Status(_)
            | Fault::Answer(..)
            | Fault::Redirect(_),
        )
        | None => {}
    }
    Reply::Response(numbered(response))
}

/// The entries of a page.
fn entries(response: &HubResponse) -> Option<Vec<Value>> {
    serde_json::from_slice(&response.body).ok().filter(|_| response.status == 200)
}

fn add_decided(model: &mut Model, call: &Call, response: &mut HubResponse) {
    let Some(mut entries) =
        entries(response).filter(|_| call.method == "GET" && call.path.contains("/user-access-request/"))
    else {
        return;
    };
    let name = call.path.split("/user-access-request/").next().unwrap_or_default();
    let name = name.trim_start_matches("/api/").trim_start_matches("models/");
    let repo = model.repo(name);
    for status in [Status::Accepted, Status::Rejected, Status::Reset] {
        let decided = repo.requests.iter().filter(|request| request.status == status).take(3);
        entries
            .extend(decided.map(|request| serde_json::to_value(repo.entry(request, status)).expect("JSON")));
    }
    response.body = Value::from(entries).to_string().into();
}

fn duplicate(response: &mut HubResponse) {
    if let Some(entries) = entries(response) {
        response.body = Value::from([entries.clone(), entries].concat()).to_string().into();
    }
}

/// Adds older versions of some entries: with an earlier timestamp, and without answers to the form.
fn add_older_versions(call: &Call, response: &mut HubResponse) {
    let Some(mut entries) = entries(response).filter(|_| call.path.contains("/pending")) else { return };
    for place in (0..entries.len()).step_by(4) {
        let mut older = entries[place].clone();
        older["timestamp"] = Value::from("2024-10-03T00:00:00.000Z");
        older["fields"] = Value::Null;
        entries.push(older);
    }
    response.body = Value::from(entries).to_string().into();
}

/// Writes the first half of a batch, and answers that the second half failed.
fn half(model: &mut Model, call: &Call, token: Option<&str>) -> HubResponse {
    let mut first = call.clone();
    let Some(requests) = first.body["requests"].as_array_mut().filter(|requests| requests.len() > 1) else {
        return api::respond_to(model, call, token);
    };
    let others = requests.split_off(requests.len() / 2);
    let mut response = api::respond_to(model, &first, token);
    if let Some(mut results) = entries(&response) {
        results.extend(others.into_iter().map(|mut item| {
            item["ok"] = Value::Bool(false);
            item["error"] = Value::from("internal_error");
            item
        }));
        response.body = Value::from(results).to_string().into();
    }
    response
}

/// Answers as if the newest commit of this repo had not been made yet.
fn behind(model: &mut Model, repo: &str, call: &Call, token: Option<&str>) -> HubResponse {
    let newest = model.repo(repo).files.head().clone();
    let point_to = |model: &mut Model, commit: String| {
        model.repo(repo).files.refs.insert(MAIN.to_owned(), commit);
    };
    point_to(model, newest.parent.expect("a commit before it"));
    let response = api::respond_to(model, call, token);
    point_to(model, newest.id);
    response
}

fn link_to(response: &mut HubResponse, url: &str) {
    if response.status == 200 {
        response.headers.retain(|(name, _)| *name != "Link");
        response.headers.push(("Link", format!(r#"<{url}>; rel="next""#)));
    }
}
