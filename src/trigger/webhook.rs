//! The Hub's webhook: first it is verified, then it is parsed. Only [`verify`] makes a [`Verified`], so an unverified payload cannot be
//! parsed.
//!
//! A webhook is authenticated by its secret alone. So the only thing taken from it is the name of a repo to review.

use serde_json::{Map, Value};

use super::{Trigger, order};
use crate::hub::is_commit;
use crate::model::{Repo, RepoType};
use crate::secrets::AcceptedSecrets;

/// The header in which the Hub sends the secret, verbatim.
pub const SECRET_HEADER: &str = "X-Webhook-Secret";

/// The header with the Hub's id of a delivery. A retry or a manual replay has the same id.
pub const DELIVERY_HEADER: &str = "Webhook-Id";

/// The body of a webhook that showed the secret.
#[derive(Clone, Copy, Debug)]
pub struct Verified<'a>(&'a [u8]);

/// Returns the body if `shown` is one of the secrets.
#[must_use]
pub fn verify<'a>(secrets: &AcceptedSecrets, shown: &[u8], body: &'a [u8]) -> Option<Verified<'a>> {
    secrets.include(shown).then_some(Verified(body))
}

/// Reads the trigger from a webhook, or from an order in its place: a form's script or a mail worker can send one. An error says which
/// part of the body differs from the Hub's format.
///
/// The payload has version 3, or version 2, in which `event` is the action and `scope` stands beside it. Only the needed parts are
/// read, so an addition to the payload causes no error. Errors count towards the suspension of the webhook by the Hub. An unknown
/// scope or action starts a review, because the Hub's documentation asks to read it as an update.
pub fn parse(Verified(body): Verified) -> Result<Trigger, String> {
    let payload: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|e| format!("the body is not a JSON object (line {}, column {})", e.line(), e.column()))?;
    // An order has nothing of a webhook. A webhook has no `sweep`.
    if let (false, Some(order)) = (payload.contains_key("repo"), order::parse(&payload)) {
        return order;
    }
    let version = payload.get("webhook").map_or(&Value::Null, |webhook| &webhook["version"]);
    if version.is_null() || version == 2 || version == 3 {
        return read(&payload);
    }
    match read(&payload) {
        Ok(Trigger::Ignore(_)) if !payload.contains_key("repo") => Ok(Trigger::Ignore(
            "the event is about no repo, or its payload is of a version that cannot be read",
        )),
        Err(fault) => {
            Err(format!("{fault}; the payload's version is neither 2 nor 3, the versions that can be read"))
        }
        read => read,
    }
}

/// The change of a repo that a webhook is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// The repos that it is about: the repo, and if the repo was renamed, also the repo with its new name.
    repos: Vec<Repo>,
    /// Whether the repo was renamed or deleted.
    pub is_gone: bool,
    /// The newest commit of the branch `main` (`repo.headSha`).
    head: Option<String>,
    /// The references that were changed (`updatedRefs`).
    refs: Option<Vec<UpdatedRef>>,
}

/// A reference that was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct UpdatedRef {
    /// Such as `refs/heads/main`.
    name: String,
    /// Its commit before and after the change.
    old: Option<String>,
    new: Option<String>,
}

impl Push {
    /// Whether the webhook is about this repo.
    #[must_use]
    pub fn is_about(&self, repo: &Repo) -> bool {
        self.repos.contains(repo)
    }

    /// Whether the webhook does not say that it is about another branch.
    #[must_use]
    pub fn may_change(&self, branch: &str) -> bool {
        self.refs.is_none() || self.updated(branch).is_some()
    }

    /// The newest commit of a branch, as far as the webhook says it.
    #[must_use]
    pub fn commit(&self, branch: &str) -> Option<&str> {
        let head = self.head.as_deref().filter(|_| branch == "main");
        self.updated(branch).and_then(|updated| updated.new.as_deref()).or(head)
    }

    /// The commit of a branch before the push, as far as the webhook says it.
    #[must_use]
    pub fn commit_before(&self, branch: &str) -> Option<&str> {
        self.updated(branch)?.old.as_deref()
    }

    fn updated(&self, branch: &str) -> Option<&UpdatedRef> {
        let name = format!("refs/heads/{branch}");
        self.refs.iter().flatten().find(|updated| updated.name == name)
    }
}

/// Reads which change of a repo a webhook is about. There is none if the webhook is about a discussion. Nothing in it is trusted: it
/// only says whether the policy may have changed.
#[must_use]
pub fn push(Verified(body): Verified) -> Option<Push> {
    let payload: Value = serde_json::from_slice(body).ok()?;
    let scope = payload["event"]["scope"].as_str().or(payload["scope"].as_str()).unwrap_or_default();
    if scope.starts_with("discussion") {
        return None;
    }
    let action = payload["event"]["action"].as_str().or(payload["event"].as_str()).unwrap_or_default();
    let is_gone = scope == "repo" && matches!(action, "move" | "delete");
    let commit = |value: &Value| value.as_str().filter(|id| is_commit(id)).map(str::to_owned);
    let updated = |updated: &Value| {
        let name = updated["ref"].as_str()?.to_owned();
        Some(UpdatedRef { name, old: commit(&updated["oldSha"]), new: commit(&updated["newSha"]) })
    };
    let refs = payload["updatedRefs"].as_array().map(|refs| refs.iter().filter_map(updated).collect());
    let repo = |name: &Value| {
        let repo_type = match payload["repo"]["type"].as_str()? {
            "model" => RepoType::Model,
            "dataset" => RepoType::Dataset,
            _ => return None,
        };
        Repo::new(repo_type, name.as_str()?).ok()
    };
    let repos =
        [&payload["repo"]["name"], &payload["movedTo"]["name"]].into_iter().filter_map(repo).collect();
    Some(Push { repos, is_gone, head: commit(&payload["repo"]["headSha"]), refs })
}

/// Reads the payload of the webhook that has started a Hugging Face Job. The Hub puts it into the Job's environment. Anybody who can
/// set that environment also has the token, so the payload needs no secret. The errors are those of [`parse`].
pub fn parse_job_payload(payload: &str) -> Result<Trigger, String> {
    parse(Verified(payload.as_bytes()))
}

fn read(payload: &Map<String, Value>) -> Result<Trigger, String> {
    let (scope, action) = match payload.get("event") {
        Some(Value::Object(event)) => (text(event, "scope"), text(event, "action")),
        Some(Value::String(action)) if payload.contains_key("scope") => {
            (text(payload, "scope"), Some(&**action))
        }
        _ => {
            return Err(
                "`event` is missing, is not an object, or is a string without `scope` beside it".to_owned()
            );
        }
    };
    let repo = match payload.get("repo") {
        None | Some(Value::Null) => return Ok(Trigger::Ignore("the event is about no repo")),
        Some(repo) => repo.as_object().ok_or("`repo` is not an object")?,
    };
    let repo_type = match text(repo, "type").ok_or("`repo.type` is missing or not a string")? {
        "model" => RepoType::Model,
        "dataset" => RepoType::Dataset,
        "space" => return Ok(Trigger::Ignore("a Space cannot be gated")),
        _ => return Ok(Trigger::Ignore("only models and datasets can be gated")),
    };
    let moved_to = payload.get("movedTo").and_then(Value::as_object);
    let (part, name) = match (scope, action, moved_to) {
        (Some("repo"), Some("delete"), _) => return Ok(Trigger::Ignore("the repo was deleted")),
        (Some("repo"), Some("move"), Some(moved_to)) => ("movedTo.name", text(moved_to, "name")),
        _ => ("repo.name", text(repo, "name")),
    };
    let name = name.ok_or_else(|| format!("`{part}` is missing or not a string"))?;
    Repo::new(repo_type, name).map(Trigger::Review).map_err(|error| format!("`{part}`: {error}"))
}

fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    object.get(key)?.as_str()
}
