//! What an owner asks about an account: whose the token is, how a repo is gated and what its form asks, and which webhooks
//! there are.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use super::calls::{Calls, Manner};
use super::{Hub, HubError, wire};
use crate::model::{Name, Repo, RepoPattern, RepoType};
use crate::secret::Secret;

/// The calls that are about the account, and about what a repo is rather than who waits for it.
#[derive(Debug)]
pub struct Account<'a>(pub(super) Calls<'a>);

/// Whose a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhoAmI {
    /// The user, or the organization.
    pub name: Name,
    /// `write`, `read` or `fineGrained`, as far as the Hub tells.
    pub role: Option<String>,
}

/// What there is to know of a repo before a policy is let at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoInfo {
    /// Its name as the Hub writes it.
    pub name: String,
    /// How it is gated.
    pub gating: Gating,
    /// What the form at its gate asks.
    pub form: Form,
}

/// The form at the gate of a repo: `extra_gated_fields` of its card, which is a map, or, as in the Hub's template of a dataset
/// card, a list of maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// The questions by their labels.
    pub questions: BTreeMap<String, Question>,
    /// The labels of those that need no answer (`optional: true`).
    pub optional: BTreeSet<String>,
    /// What cannot be read of it.
    pub unread: Vec<String>,
}

/// How a repo is gated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gating {
    /// Not at all.
    Off,
    /// Everybody is let in who asks.
    Auto,
    /// Requests wait until they are decided.
    Manual,
    /// In a way that is not documented.
    Other,
}

/// A question of the form at a gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Answered by any text.
    Text,
    /// To be ticked.
    Checkbox,
    /// Answered by a date.
    Date,
    /// Answered by a country; the Hub knows them by two letters, of ISO 3166-1.
    Country,
    /// Answered by one of these.
    Select(Vec<String>),
    /// Answered by the requester's address on the internet; the form shows no input for it.
    IpLocation,
    /// Of a kind that is not documented.
    Other(String),
}

/// A webhook as it is set up, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Webhook {
    /// What the Hub calls it.
    pub id: String,
    /// Where it is delivered, without what may be a secret in it; one that starts a Job has none.
    pub url: Option<String>,
    /// What it watches.
    pub watched: Vec<Watched>,
    /// `repo` and `discussion`.
    pub domains: Vec<String>,
    /// Whether the Hub sends a secret with it.
    pub has_secret: bool,
    /// Whether it is delivered.
    pub state: WebhookState,
}

/// Whether a webhook is delivered: `disabled` of the Hub's answer, which is a boolean, or a text if the Hub has decided it
/// (the Hub's OpenAPI description, 2026-07-29).
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

/// What a webhook watches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// `model`, `dataset`, `space`, `user` or `org`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The name of the repo, the user or the organization.
    pub name: Name,
}

impl Webhook {
    /// Whether this is where it is delivered.
    #[must_use]
    pub fn is_delivered_to(&self, url: &Url) -> bool {
        self.url == Some(without_secrets(url.as_str()))
    }
}

impl Watched {
    /// Whether it tells of something that may happen in a repo of `pattern`.
    #[must_use]
    pub fn concerns(&self, pattern: &RepoPattern) -> bool {
        self.repos().is_some_and(|watched| watched.overlaps(pattern))
    }

    /// Whether it tells of all that may happen in any repo of `pattern`.
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

    /// The repos that it is about, if any of them can be gated.
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

impl Hub {
    /// The Hub as whoever manages an account sees it; no call lasts longer than `deadline`.
    pub fn account(&self, deadline: Instant) -> Account<'_> {
        Account(Calls::new(self, deadline))
    }
}

impl Account<'_> {
    /// `GET /api/whoami-v2`.
    pub async fn who_am_i(&self) -> Result<WhoAmI, HubError> {
        self.get("/api/whoami-v2", |value| {
            let name = value["name"].as_str().ok_or("it does not say whose the token is")?;
            Ok(WhoAmI {
                name: name.into(),
                role: value["auth"]["accessToken"]["role"].as_str().map(str::to_owned),
            })
        })
        .await
    }

    /// `GET /api/models/{name}`, or the same of a dataset.
    pub async fn repo_info(&self, repo: &Repo) -> Result<RepoInfo, HubError> {
        let path = format!("/api/{}s/{}", repo.repo_type().as_str(), repo.name());
        self.get(&path, |value| {
            let gating = match &value["gated"] {
                Value::Null | Value::Bool(false) => Gating::Off,
                gated if gated == "auto" => Gating::Auto,
                gated if gated == "manual" => Gating::Manual,
                _ => Gating::Other,
            };
            let form = Form::read(&value["cardData"]["extra_gated_fields"]);
            let name = value["id"].as_str().unwrap_or_else(|| repo.name()).to_owned();
            Ok(RepoInfo { name, gating, form })
        })
        .await
    }

    /// `GET /api/settings/webhooks`.
    pub async fn webhooks(&self) -> Result<Vec<Webhook>, HubError> {
        self.get("/api/settings/webhooks", |value| {
            let webhooks = value.as_array().ok_or("it is no list")?;
            webhooks.iter().map(read_webhook).collect()
        })
        .await
    }

    /// Creates a webhook that is delivered at `url` with this secret when anything happens in what is watched. If the answer
    /// is lost, it is not tried again, or there might be two.
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
        let manner = Manner { may_be_repeated: false, ..Manner::default() };
        let Self(calls) = self;
        calls.post("/api/settings/webhooks", &body, &manner, changed_webhook).await
    }

    /// Has a webhook delivered, or not any more.
    pub async fn enable_webhook(&self, id: &str, enable: bool) -> Result<Webhook, HubError> {
        let change = if enable { "enable" } else { "disable" };
        let (Self(calls), path) = (self, format!("/api/settings/webhooks/{id}/{change}"));
        calls.post(&path, &serde_json::Map::new(), &Manner::default(), changed_webhook).await
    }

    /// Deletes a webhook.
    pub async fn delete_webhook(&self, id: &str) -> Result<(), HubError> {
        let (Self(calls), path) = (self, format!("/api/settings/webhooks/{id}"));
        match calls.delete(&path).await {
            Err(error) if error.status() == Some(404) && error.may_be_done => Ok(()),
            deleted => deleted,
        }
    }

    pub(super) async fn get<T>(
        &self,
        path: &str,
        read: impl Fn(&Value) -> Result<T, String>,
    ) -> Result<T, HubError> {
        let Self(calls) = self;
        calls.get(path, &Manner::default(), |body| read(&parse(body)?)).await
    }
}

fn parse(body: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(body).map_err(|error| wire::describe(&error))
}

/// The webhook as it is after a change of it.
fn changed_webhook(body: &[u8]) -> Result<Webhook, String> {
    read_webhook(&parse(body)?["webhook"])
}

fn read_webhook(value: &Value) -> Result<Webhook, String> {
    let list = |key: &str| value[key].as_array().into_iter().flatten();
    Ok(Webhook {
        id: value["id"].as_str().ok_or("it has a webhook without an id")?.to_owned(),
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
    let Ok(mut url) = Url::parse(url) else { return "what is no URL".to_owned() };
    url.set_query(None);
    url.set_fragment(None);
    // These fail only where there can be none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

impl Form {
    fn read(fields: &Value) -> Self {
        let mut form = Self::default();
        match fields {
            Value::Null => {}
            Value::Object(fields) => fields.iter().for_each(|(label, question)| form.add(label, question)),
            Value::Array(fields) => {
                for (place, field) in fields.iter().enumerate() {
                    match field.as_object() {
                        Some(field) => field.iter().for_each(|(label, question)| form.add(label, question)),
                        None => {
                            form.unread
                                .push(format!("entry {} of `extra_gated_fields` is no map", place + 1));
                        }
                    }
                }
            }
            _ => form.unread.push("`extra_gated_fields` is neither a map nor a list of maps".to_owned()),
        }
        form
    }

    fn add(&mut self, label: &str, question: &Value) {
        let kind = question.as_str().or_else(|| question["type"].as_str()).unwrap_or_default();
        let read = match kind {
            "text" => Question::Text,
            "checkbox" => Question::Checkbox,
            "date_picker" => Question::Date,
            "country" => Question::Country,
            "ip_location" => Question::IpLocation,
            // An option is a text, a number, or a label with a value; which of the two is the answer then is not known.
            "select" => {
                let options = question["options"].as_array().map(Vec::as_slice).unwrap_or_default();
                let texts = |written: &Value| -> Vec<String> {
                    [written, &written["label"], &written["value"]].into_iter().filter_map(option).collect()
                };
                if options.is_empty() || options.iter().any(|written| texts(written).is_empty()) {
                    self.unread.push(format!("its question `{label}` has options that cannot be read"));
                    Question::Other(kind.to_owned())
                } else {
                    Question::Select(options.iter().flat_map(texts).collect())
                }
            }
            other => {
                let kind =
                    if other.is_empty() { "no known kind".to_owned() } else { format!("the kind `{other}`") };
                self.unread.push(format!("its question `{label}` is of {kind}"));
                Question::Other(other.to_owned())
            }
        };
        if !matches!(question["optional"], Value::Null | Value::Bool(_)) {
            self.unread.push(format!("whether its question `{label}` is optional cannot be read"));
        }
        if question["optional"] == true {
            self.optional.insert(label.to_owned());
        }
        self.questions.insert(label.to_owned(), read);
    }
}

/// YAML makes a number or a boolean of an option that is written without quotes.
fn option(option: &Value) -> Option<String> {
    match option {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(option.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn form_is_read_as_a_map_or_as_a_list_of_maps() {
        let select =
            json!({"type": "select", "options": ["a", 7, true, {"label": "Other", "value": "other"}]});
        let question = |kind: &str| json!({"type": kind, "optional": true});
        let map = json!({"Name": "text", "Use": select, "News": question("checkbox"), "geo": "ip_location"});
        let list =
            json!([{"Name": "text"}, {"Use": select}, {"News": question("checkbox"), "geo": "ip_location"}]);
        for fields in [map, list] {
            let form = Form::read(&fields);
            let options = ["a", "7", "true", "Other", "other"].map(str::to_owned).to_vec();
            let expected = [
                ("Name", Question::Text),
                ("Use", Question::Select(options)),
                ("News", Question::Checkbox),
                ("geo", Question::IpLocation),
            ];
            let expected = expected.map(|(label, question)| (label.to_owned(), question));
            assert_eq!(form.questions, BTreeMap::from(expected));
            assert_eq!((form.optional.len(), form.unread.len()), (1, 0));
        }
        assert_eq!(Form::read(&Value::Null), Form::default());
    }

    #[test]
    fn what_cannot_be_read_of_a_form_is_said() {
        let cases = [
            (json!("text"), "neither a map nor a list"),
            (json!([{"Name": "text"}, "Country"]), "entry 2 of `extra_gated_fields` is no map"),
            (json!({"Name": "signature"}), "its question `Name` is of the kind `signature`"),
            (json!({"Name": null}), "its question `Name` is of no known kind"),
            (
                json!({"Age": {"type": "select", "options": [["1"], "2"]}}),
                "`Age` has options that cannot be read",
            ),
            (json!({"Age": {"type": "select", "options": "2"}}), "`Age` has options that cannot be read"),
            (
                json!({"Age": {"type": "text", "optional": "yes"}}),
                "whether its question `Age` is optional cannot be read",
            ),
        ];
        for (fields, expected) in cases {
            let unread = Form::read(&fields).unread;
            assert!(unread.len() == 1 && unread[0].contains(expected), "{unread:?}");
        }
    }
}
