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

/// Has the model take a call of whoever shows this token.
pub fn exchange(model: &mut Model, call: &Call, token: Option<&str>) -> Reply {
    model.call_count += 1;
    if model.keeps_calls {
        model.calls.push(call.clone());
    }
    let number = model.call_count;
    let numbered = |mut answer: Answer| {
        answer.headers.push(("X-Request-Id", api::request_id(number)));
        answer
    };
    let fault = model.take_fault(call);
    let mut answer = match &fault {
        Some(Fault::DropBefore) => return Reply::Closed,
        &Some(Fault::Endless { status, promised, chunk, pause }) => {
            let streamed = Arc::clone(&model.streamed);
            return Reply::Endless(Endless { status, promised, chunk, pause, streamed });
        }
        Some(Fault::Status(status)) => Answer::error(*status, None, "something went wrong on purpose"),
        Some(Fault::Answer(status, headers, body)) => {
            Answer { status: *status, headers: headers.clone(), body: body.clone() }
        }
        _ => api::answer(model, call, token),
    };
    match fault {
        Some(Fault::DropAfter) => return Reply::Closed,
        Some(Fault::Stall) => return Reply::Silence,
        Some(Fault::Cut) => return Reply::Cut(numbered(answer)),
        Some(Fault::Lost(status)) => answer = Answer::error(status, None, "lost on the way"),
        Some(Fault::Garbage) => "<html>\u{fffd}".clone_into(&mut answer.body),
        Some(Fault::Strays) => with_strays(model, call, &mut answer),
        Some(Fault::Twice) => twice(&mut answer),
        Some(Fault::Elsewhere) => link_to(&mut answer, "https://elsewhere.example/api/models"),
        Some(Fault::Circle) => link_to(&mut answer, &format!("{}{}", model.origin, call.path)),
        Some(Fault::DropBefore | Fault::Endless { .. } | Fault::Status(_) | Fault::Answer(..)) | None => {}
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

fn link_to(answer: &mut Answer, url: &str) {
    if answer.status == 200 {
        answer.headers.retain(|(name, _)| *name != "Link");
        answer.headers.push(("Link", format!(r#"<{url}>; rel="next""#)));
    }
}
