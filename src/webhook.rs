//! The Hub's webhook: verify, then parse. What is not verified cannot be parsed, for [`Verified`] is made nowhere else; what a
//! webhook that has started a Job left in its environment needs no secret.
//!
//! A webhook is authenticated by nothing but its secret, so nothing is taken from it but the name of a repo to look at.

use serde_json::{Map, Value};

use crate::model::{Repo, RepoType};
use crate::secret::WebhookSecrets;

/// The header that the Hub sends the secret in, verbatim.
pub const SECRET_HEADER: &str = "X-Webhook-Secret";

/// The header with the Hub's id of a delivery, the same on its retries and on a manual replay.
pub const DELIVERY_HEADER: &str = "Webhook-Id";

/// The body of a webhook that showed the secret.
#[derive(Clone, Copy, Debug)]
pub struct Verified<'a>(&'a [u8]);

/// What a webhook asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// To look at this repo.
    Review(Repo),
    /// Nothing, and why.
    Ignore(&'static str),
}

/// Lets a body through if what was shown with it is the secret.
#[must_use]
pub fn verify<'a>(secrets: &WebhookSecrets, shown: &[u8], body: &'a [u8]) -> Option<Verified<'a>> {
    secrets.include(shown).then_some(Verified(body))
}

/// The payload of the webhook that has started a Hugging Face Job. The Hub puts it into the Job's environment, and who sets
/// that has nothing to prove.
#[must_use]
pub fn of_a_job(payload: &[u8]) -> Verified<'_> {
    Verified(payload)
}

/// Reads what a webhook asks for. The payload is of version 3, or of version 2, in which `event` is the action and `scope` stands
/// beside it. An error says which part of the body is not as the Hub writes it.
///
/// Only what is needed is looked at, so that nothing new in a payload can turn it into an error, which the Hub would count
/// towards the suspension of the webhook. An unknown scope or action is a reason to look like any other: the Hub's
/// documentation asks to read it as an update.
pub fn parse(Verified(body): Verified) -> Result<Delivery, String> {
    let payload: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|e| format!("the body is not a JSON object (line {}, column {})", e.line(), e.column()))?;
    let version = payload.get("webhook").map_or(&Value::Null, |webhook| &webhook["version"]);
    if version.is_null() || version == 2 || version == 3 {
        return read(&payload);
    }
    match read(&payload) {
        Ok(Delivery::Ignore(_)) if !payload.contains_key("repo") => Ok(Delivery::Ignore(
            "the event is about no repo, or its payload is of a version that is not read here",
        )),
        Err(fault) => {
            Err(format!("{fault}; the payload is of another version than 2 and 3, which are read here"))
        }
        read => read,
    }
}

fn read(payload: &Map<String, Value>) -> Result<Delivery, String> {
    let (scope, action) = match payload.get("event") {
        Some(Value::Object(event)) => (text(event, "scope"), text(event, "action")),
        Some(Value::String(action)) if payload.contains_key("scope") => {
            (text(payload, "scope"), Some(&**action))
        }
        _ => return Err("`event` is missing or not an object".to_owned()),
    };
    let repo = match payload.get("repo") {
        None | Some(Value::Null) => return Ok(Delivery::Ignore("the event is about no repo")),
        Some(repo) => repo.as_object().ok_or("`repo` is not an object")?,
    };
    let repo_type = match text(repo, "type").ok_or("`repo.type` is missing or not a string")? {
        "model" => RepoType::Model,
        "dataset" => RepoType::Dataset,
        "space" => return Ok(Delivery::Ignore("a Space cannot be gated")),
        _ => return Ok(Delivery::Ignore("only models and datasets can be gated")),
    };
    let moved_to = payload.get("movedTo").and_then(Value::as_object);
    let (part, name) = match (scope, action, moved_to) {
        (Some("repo"), Some("delete"), _) => return Ok(Delivery::Ignore("the repo was deleted")),
        (Some("repo"), Some("move"), Some(moved_to)) => ("movedTo.name", text(moved_to, "name")),
        _ => ("repo.name", text(repo, "name")),
    };
    let name = name.ok_or_else(|| format!("`{part}` is missing or not a string"))?;
    Repo::new(repo_type, name).map(Delivery::Review).map_err(|error| format!("`{part}`: {error}"))
}

fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    object.get(key)?.as_str()
}
