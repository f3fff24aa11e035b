//! The mails that the Hub sends about access requests: how often, and to whom.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::HubError;
use super::Account;
use crate::model::Repo;

/// How often the Hub mails about new requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotificationMode {
    /// One mail about the requests of a day. This is the default of the Hub.
    Bulk,
    /// A mail for each request.
    RealTime,
}

/// The notifications of a gating group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notifications {
    /// How often the Hub mails. `None` if the value is not documented.
    pub mode: Option<NotificationMode>,
    /// The address, if one was set. It may be a secret.
    pub email: Option<String>,
}

impl NotificationMode {
    /// The mode as the Hub writes it: `bulk` or `real-time`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bulk => "bulk",
            Self::RealTime => "real-time",
        }
    }
}

impl Notifications {
    /// Reads the value of the key `notifications` of a gate, if there is one.
    pub(super) fn read(value: &Value) -> Option<Self> {
        value.as_object()?;
        let mode = NotificationMode::deserialize(&value["mode"]).ok();
        Some(Self { mode, email: value["email"].as_str().map(str::to_owned) })
    }
}

impl Account<'_> {
    /// Sets how often the Hub mails about the requests of a repo, and to which address: `PUT /api/{models|datasets}/{name}/settings`.
    ///
    /// No call reads what was set before, and none removes an address (the Hub's OpenAPI, 2026-08).
    pub async fn set_notifications(
        &self,
        repo: &Repo,
        mode: NotificationMode,
        email: &str,
    ) -> Result<(), HubError> {
        let path = format!("/api/{}s/{}/settings", repo.repo_type().as_str(), repo.name());
        let body = json!({"gatedNotificationsMode": mode.as_str(), "gatedNotificationsEmail": email});
        let Self(calls) = self;
        calls.put(&path, &body).await
    }
}
