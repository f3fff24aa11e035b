//! Calls about the account and its repos: the owner of the token, the gate and the form of a repo, gating groups, and webhooks.

mod form;
mod groups;
mod notifications;
mod webhooks;

use serde_json::Value;
use tokio::time::Instant;

use super::call::{CallOptions, Calls};
use super::{Hub, HubError, wire};
use crate::model::{Name, Repo};
pub use form::{Form, Question};
pub use groups::{GatingGroup, GroupSearchResult};
pub use notifications::{NotificationMode, Notifications};
pub use webhooks::{Watched, Webhook, WebhookState};

/// The calls of an owner about the account and its repos.
#[derive(Debug)]
pub struct Account<'a>(Calls<'a>);

/// The owner of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhoAmI {
    /// The user, or the organization.
    pub name: Name,
    /// `write`, `read` or `fineGrained`, if the Hub says so.
    pub role: Option<String>,
    /// The organizations of the account, if the Hub lists them.
    pub orgs: Option<Vec<Name>>,
}

/// The gate and the form of a repo, which an owner checks before a policy decides its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoInfo {
    /// The name of the repo as the Hub writes it.
    pub name: String,
    /// Whether only its owners see the repo. If the Hub does not say so, the repo counts as public.
    pub is_private: bool,
    /// How access to the repo is decided.
    pub gating: GatingMode,
    /// The form of the gate.
    pub form: Form,
}

/// How access to a repo is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatingMode {
    /// The repo has no gate.
    Off,
    /// The Hub accepts each request at once.
    Auto,
    /// A request stays pending until a person or a policy decides it.
    Manual,
    /// A value that the Hub does not document.
    Other,
}

impl Hub {
    /// The calls of an owner about the account. None lasts beyond `deadline`.
    pub fn account(&self, deadline: Instant) -> Account<'_> {
        Account(Calls::new(self, deadline))
    }
}

impl Account<'_> {
    /// Reads the owner of the token: `GET /api/whoami-v2`.
    pub async fn who_am_i(&self) -> Result<WhoAmI, HubError> {
        self.get("/api/whoami-v2", |value| {
            let name = value["name"].as_str().ok_or("it does not name the owner of the token")?;
            let orgs = value["orgs"].as_array();
            let name_of = |org: &Value| org["name"].as_str().map(Name::from);
            Ok(WhoAmI {
                name: name.into(),
                role: value["auth"]["accessToken"]["role"].as_str().map(str::to_owned),
                orgs: orgs.map(|orgs| orgs.iter().filter_map(name_of).collect()),
            })
        })
        .await
    }

    /// Reads the gate and the form of a repo: `GET /api/models/{name}`, or the same for a dataset.
    pub async fn repo_info(&self, repo: &Repo) -> Result<RepoInfo, HubError> {
        let path = format!("/api/{}s/{}", repo.repo_type().as_str(), repo.name());
        self.get(&path, |value| {
            let gating = match &value["gated"] {
                Value::Null | Value::Bool(false) => GatingMode::Off,
                gated if gated == "auto" => GatingMode::Auto,
                gated if gated == "manual" => GatingMode::Manual,
                _ => GatingMode::Other,
            };
            let form = Form::read(&value["cardData"]["extra_gated_fields"]);
            let name = value["id"].as_str().unwrap_or_else(|| repo.name()).to_owned();
            Ok(RepoInfo { name, is_private: value["private"] == true, gating, form })
        })
        .await
    }

    async fn get<T>(&self, path: &str, read: impl Fn(&Value) -> Result<T, String>) -> Result<T, HubError> {
        let Self(calls) = self;
        calls.get(path, &CallOptions::default(), |body| read(&parse(body)?)).await
    }
}

fn parse(body: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(body).map_err(|error| wire::describe(&error))
}
