//! The webhooks of an account.

use std::collections::BTreeSet;

use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::HubError;
use super::super::call::CallOptions;
use super::{Account, parse};
use crate::model::{Name, Repo, RepoPattern, RepoType};
use crate::secrets::Secret;

/// A webhook, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Webhook {
    /// The Hub's id of the webhook.
    pub id: String,
    /// The URL to which it is delivered, without the parts that may be secret. A webhook that starts a Job has no URL.
    pub url: Option<String>,
    /// The repos, users and organizations that it watches.
    pub watched: Vec<Watched>,
    /// The kinds of events that it is for: `repo`, `discussion`.
    pub domains: Vec<String>,
    /// Whether the Hub sends a secret with each delivery.
    pub has_secret: bool,
    /// Whether the Hub delivers the webhook.
    pub state: WebhookState,
}

/// Whether the Hub delivers a webhook. In the Hub's response, `disabled` is a boolean, or a text if the Hub itself has
/// suspended the webhook (the Hub's OpenAPI description, 2026-07-29).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WebhookState {
    /// Delivered.
    Enabled,
    /// Not delivered, because its owner has disabled it.
    Disabled,
    /// Not delivered, because the Hub has suspended it after too many deliveries failed.
    Suspended,
}

impl WebhookState {
    /// `enabled`, `disabled` or `suspended`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Suspended => "suspended",
        }
    }
}

/// A repo, a user or an organization that a webhook watches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// `model`, `dataset`, `space`, `user` or `org`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The name of the repo, the user or the organization.
    pub name: Name,
}

impl Webhook {
    /// Whether it is delivered to this URL.
    #[must_use]
    pub fn is_delivered_to(&self, url: &Url) -> bool {
        self.url == Some(without_secrets(url.as_str()))
    }
}

impl Watched {
    /// Whether some event in a repo of `pattern` is delivered.
    #[must_use]
    pub fn concerns(&self, pattern: &RepoPattern) -> bool {
        self.repos().is_some_and(|watched| watched.overlaps(pattern))
    }

    /// Whether every event in every repo of `pattern` is delivered.
    #[must_use]
    pub fn covers(&self, pattern: &RepoPattern) -> bool {
        match (self.repos(), pattern) {
            (Some(watched), RepoPattern::One(repo)) => watched.covers(repo),
            (Some(RepoPattern::Namespace { owner: watched, .. }), RepoPattern::Namespace { owner, .. }) => {
                watched == *owner
            }
            _ => false,
        }
    }

    /// The watched repos, if any of them can be gated.
    fn repos(&self) -> Option<RepoPattern> {
        let repo = |repo_type| Repo::new(repo_type, self.name.as_str()).ok().map(RepoPattern::One);
        match self.kind.as_str() {
            "user" | "org" => {
                Some(RepoPattern::Namespace { owner: self.name.clone(), only: None, except: BTreeSet::new() })
            }
            "model" => repo(RepoType::Model),
            "dataset" => repo(RepoType::Dataset),
            _ => None,
        }
    }
}

impl Account<'_> {
    /// Reads all webhooks: `GET /api/settings/webhooks`.
    pub async fn webhooks(&self) -> Result<Vec<Webhook>, HubError> {
        self.get("/api/settings/webhooks", |value| {
            let webhooks = value.as_array().ok_or("it is not a list")?;
            webhooks.iter().map(read_webhook).collect()
        })
        .await
    }

    /// Creates a webhook that the Hub delivers to `url` with this secret for every event in a watched repo. If the response is
    /// lost, the call is not repeated, because a second webhook could be created.
    pub async fn create_webhook(
        &self,
        url: &str,
        watched: &[Watched],
        secret: &Secret,
    ) -> Result<Webhook, HubError> {
        #[derive(Serialize)]
        struct Body<'a> {
            url: &'a str,
            watched: &'a [Watched],
            domains: [&'static str; 2],
            secret: &'a str,
        }
        let body = Body { url, watched, domains: ["repo", "discussion"], secret: secret.expose() };
        let options = CallOptions { is_repeatable: false, ..CallOptions::default() };
        let Self(calls) = self;
        calls.post("/api/settings/webhooks", &body, &options, read_changed_webhook).await
    }

    /// Enables or disables a webhook.
    pub async fn enable_webhook(&self, id: &str, enable: bool) -> Result<Webhook, HubError> {
        let change = if enable { "enable" } else { "disable" };
        let (Self(calls), path) = (self, format!("/api/settings/webhooks/{id}/{change}"));
        calls.post(&path, &serde_json::Map::new(), &CallOptions::default(), read_changed_webhook).await
    }

    /// Deletes a webhook.
    pub async fn delete_webhook(&self, id: &str) -> Result<(), HubError> {
        let (Self(calls), path) = (self, format!("/api/settings/webhooks/{id}"));
        match calls.delete(&path).await {
            Err(error) if error.status() == Some(404) && error.may_be_done => Ok(()),
            deleted => deleted,
        }
    }
}

/// Reads the response to the creation or change of a webhook.
fn read_changed_webhook(body: &[u8]) -> Result<Webhook, String> {
    read_webhook(&parse(body)?["webhook"])
}

fn read_webhook(value: &Value) -> Result<Webhook, String> {
    let list = |key: &str| value[key].as_array().into_iter().flatten();
    Ok(Webhook {
        id: value["id"].as_str().ok_or("it lists a webhook without an id")?.to_owned(),
        url: value["url"].as_str().map(without_secrets),
        watched: list("watched").filter_map(|watched| Watched::deserialize(watched).ok()).collect(),
        domains: list("domains").filter_map(Value::as_str).map(str::to_owned).collect(),
        has_secret: value["hasSecret"].as_bool().unwrap_or_default(),
        state: match &value["disabled"] {
            Value::Null | Value::Bool(false) => WebhookState::Enabled,
            Value::Bool(true) => WebhookState::Disabled,
            _ => WebhookState::Suspended,
        },
    })
}

/// A URL without its query, user name and password.
fn without_secrets(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return "an invalid URL".to_owned() };
    url.set_query(None);
    url.set_fragment(None);
    // These fail only for URLs that cannot have a user name.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}
