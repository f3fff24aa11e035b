//! A call in, and what becomes of it: the model's answer, or what goes wrong on purpose.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use serde_json::Value;

use super::api::{self, Answer};
use super::model::{Call, Fault, Model, Status};

/// What comes back of a call.
pub enum Reply {
    /// This.
    Answer(Answer),
    /// The beginning of this.
    Cut(Answer),
    /// White space for ever.
    Endless(Endless),
    /// Nothing, and the connection is closed.
    Closed,
    /// Nothing, ever.
    Silence,
}

/// An answer without an end.
pub struct Endless {
    pub status: u16,
    /// How long it says it is, in bytes.
    pub promised: Option<u64>,
    /// So many bytes at a time, and so long before each.
    pub chunk: usize,
    pub pause: Duration,
    /// The bytes that went out.
    pub streamed: Arc<AtomicUsize>,
}

/// Has the model take a call of whoever shows this token: what comes back, and what went wrong on purpose.
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
    let numbered = |mut answer: Answer| {
        answer.headers.push(("X-Request-Id", api::request_id(number)));
        answer
    };
    let mut answer = match fault {
        Some(Fault::DropBefore) => return Reply::Closed,
        Some(&Fault::Endless { status, promised, chunk, pause }) => {
            let streamed = Arc::clone(&model.streamed);
            return Reply::Endless(Endless { status, promised, chunk, pause, streamed });
        }
        Some(Fault::Status(status)) => Answer::error(*status, None, "something went wrong on purpose"),
        Some(Fault::Answer(status, headers, body)) => {
            Answer { status: *status, headers: headers.clone(), body: body.clone() }
        }
        Some(Fault::Half(_)) => half(model, call, token),
        _ => api::answer(model, call, token),
    };
    match fault {
        Some(Fault::DropAfter) => return Reply::Closed,
        Some(Fault::Stall) => return Reply::Silence,
        Some(Fault::Cut) => return Reply::Cut(numbered(answer)),
        Some(&Fault::Lost(status)) => answer = Answer::error(status, None, "lost on the way"),
        Some(Fault::Garbage) => "<html>\u{fffd}".clone_into(&mut answer.body),
        Some(Fault::Strays) => with_strays(model, call, &mut answer),
        Some(Fault::Twice) => twice(&mut answer),
        Some(Fault::Older) => with_older_ones(call, &mut answer),
        Some(&Fault::Half(Some(status))) => answer = Answer::error(status, None, "half of it is done"),
        Some(Fault::Elsewhere) => link_to(&mut answer, "https://elsewhere.example/api/models"),
        Some(Fault::Circle) => link_to(&mut answer, &format!("{}{}", model.origin, call.path)),
        Some(
            Fault::DropBefore
            | Fault::Endless { .. }
            | Fault::Half(None)
            | Fault::Status(_)
            | Fault::Answer(..),
        )
        | None => {}
    }
    Reply::Answer(numbered(answer))
}

/// The entries of a page.
fn entries(answer: &Answer) -> Option<Vec<Value>> {
    serde_json::from_str(&answer.body).ok().filter(|_| answer.status == 200)
}

fn with_strays(model: &mut Model, call: &Call, answer: &mut Answer) {
    let Some(mut entries) =
        entries(answer).filter(|_| call.method == "GET" && call.path.contains("/user-access-request/"))
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
    answer.body = Value::from(entries).to_string();
}

fn twice(answer: &mut Answer) {
    if let Some(entries) = entries(answer) {
        answer.body = Value::from([entries.clone(), entries].concat()).to_string();
    }
}

/// Some as they were before they asked again: a day earlier, with nothing filled in.
fn with_older_ones(call: &Call, answer: &mut Answer) {
    let Some(mut entries) = entries(answer).filter(|_| call.path.contains("/pending")) else { return };
    for place in (0..entries.len()).step_by(4) {
        let mut older = entries[place].clone();
        older["timestamp"] = Value::from("2024-10-03T00:00:00.000Z");
        older["fields"] = Value::Null;
        entries.push(older);
    }
    answer.body = Value::from(entries).to_string();
}

/// Does the first half of a batch.
fn half(model: &mut Model, call: &Call, token: Option<&str>) -> Answer {
    let mut first = call.clone();
    let Some(requests) = first.body["requests"].as_array_mut().filter(|requests| requests.len() > 1) else {
        return api::answer(model, call, token);
    };
    let others = requests.split_off(requests.len() / 2);
    let mut answer = api::answer(model, &first, token);
    if let Some(mut results) = entries(&answer) {
        results.extend(others.into_iter().map(|mut one| {
            one["ok"] = Value::Bool(false);
            one["error"] = Value::from("internal_error");
            one
        }));
        answer.body = Value::from(results).to_string();
    }
    answer
}

fn link_to(answer: &mut Answer, url: &str) {
    if answer.status == 200 {
        answer.headers.retain(|(name, _)| *name != "Link");
        answer.headers.push(("Link", format!(r#"<{url}>; rel="next""#)));
    }
}
