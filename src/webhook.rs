//! The Hub's webhook: verify, then parse. What is not verified cannot be parsed, for [`Verified`] is made nowhere else.
//!
//! A webhook is authenticated by nothing but its secret, so nothing is taken from it but the name of a repo to look at.

use serde::Deserialize;
use serde_json::Value;

use crate::model::{Repo, RepoType};
use crate::secret::WebhookSecrets;

/// The header that the Hub sends the secret in, verbatim.
pub const SECRET_HEADER: &str = "X-Webhook-Secret";

/// The body of a webhook that showed the secret.
#[derive(Clone, Copy, Debug)]
pub struct Verified<'a>(&'a [u8]);

/// What a webhook asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// To look at this repo.
    Review(Repo),
    /// Nothing, and why.
    Ignore(String),
}

/// Lets a body through if what was shown with it is the secret.
#[must_use]
pub fn verify<'a>(secrets: &WebhookSecrets, shown: Option<&[u8]>, body: &'a [u8]) -> Option<Verified<'a>> {
    secrets.include(shown?).then_some(Verified(body))
}

/// A payload of the Hub, version 3. Only what is needed; other keys and unknown scopes and actions are fine.
#[derive(Deserialize)]
struct Payload {
    event: Event,
    #[serde(default)]
    repo: Option<PayloadRepo>,
    #[serde(default, rename = "movedTo")]
    moved_to: Option<MovedTo>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    action: String,
    #[serde(default)]
    scope: String,
}

#[derive(Deserialize)]
struct PayloadRepo {
    #[serde(rename = "type")]
    repo_type: String,
    #[serde(default)]
    name: Option<Value>,
}

#[derive(Deserialize)]
struct MovedTo {
    name: String,
}

/// Reads what a webhook asks for; an error says which part of the body is not as the Hub writes it.
///
/// An unknown scope or action is a reason to look like any other: the Hub's documentation asks to read it as an update.
pub fn parse(Verified(body): Verified) -> Result<Delivery, String> {
    let Payload { event, repo, moved_to } = serde_json::from_slice(body)
        .map_err(|error| format!("the body is not a payload of the Hub: {error}"))?;
    let Some(PayloadRepo { repo_type, name }) = repo else {
        return Ok(Delivery::Ignore("the event is about no repo".to_owned()));
    };
    let repo_type = match repo_type.as_str() {
        "model" => RepoType::Model,
        "dataset" => RepoType::Dataset,
        "space" => return Ok(Delivery::Ignore("a Space cannot be gated".to_owned())),
        _ => return Ok(Delivery::Ignore("only models and datasets can be gated".to_owned())),
    };
    let name = match (name, event.scope.as_str(), event.action.as_str(), moved_to) {
        (_, "repo", "delete", _) => return Ok(Delivery::Ignore("the repo was deleted".to_owned())),
        (_, "repo", "move", Some(moved_to)) => moved_to.name,
        (Some(Value::String(name)), ..) => name,
        (Some(_), ..) => return Err("`repo.name` is not a string".to_owned()),
        (None, ..) => return Err("`repo` has no `name`".to_owned()),
    };
    Repo::new(repo_type, &name).map(Delivery::Review).map_err(|error| format!("`repo.name`: {error}"))
}
