//! The calls that a requester makes. Here that is the account of the token.

use chrono::Utc;
use serde_json::{Value, json};

use super::api::{HubResponse, visible};
use super::model::Model;
use super::repo::{Gating, Status};
use super::resolve::redirect;
use super::settings::account;

/// Answers a `POST` of `ask-access`. It "also takes JSON with a token" (seen 2026-10), and answers with a redirect to the repo
/// (reported by others, 2026-10). It is unknown how the real Hub stores the answers. This one stores them as they are.
pub fn ask(model: &mut Model, name: &str, answers: &Value) -> HubResponse {
    let key = match visible(model, name, true) {
        Ok((key, _)) => key.to_owned(),
        Err(refusal) => return refusal,
    };
    let mut person = account();
    person.fields = answers.as_object().map(|answers| answers.clone().into_iter().collect());
    let id = person.id.clone();
    let repo = model.repo(&key);
    let was_pending = repo.find_mut("userId", &id).is_some_and(|request| request.status == Status::Pending);
    if repo.gating != Gating::Off {
        repo.ask_at(person, Utc::now());
    }
    // "Only `manual` leaves requests pending" (the Hub's documentation).
    if repo.gating == Gating::Auto
        && !was_pending
        && let Some(request) =
            repo.find_mut("userId", &id).filter(|request| request.status == Status::Pending)
    {
        request.set(Status::Accepted, None);
    }
    redirect(303, &format!("{}/{key}", model.origin), Vec::new())
}

/// Answers a `POST` of `cancel`: "a requester may withdraw a pending request" (seen 2026-10). The bodies were reported by others.
pub fn withdraw(model: &mut Model, key: &str) -> HubResponse {
    match model.repo(key).find_mut("userId", &account().id) {
        Some(request) if request.status == Status::Pending => {
            request.withdrawn = true;
            HubResponse::ok(&json!({"ok": true}))
        }
        _ => HubResponse::error(404, None, "No pending access request found for this repo and this user"),
    }
}
