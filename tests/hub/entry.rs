//! The JSON of a request: an entry of a list, or a row of the access report.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use super::repo::{AccessRequest, Repo, Status};

impl Repo {
    /// Whether the search `q` finds a request: by the beginning of the user name, in any case. Hub's OpenAPI (2026-08) names more
    /// fields, but only a prefix of the user name was seen to match (2026-10). A hidden requester is not found.
    pub fn finds(&self, request: &AccessRequest, text: &str) -> bool {
        let (person, text) = (&request.person, text.to_lowercase());
        let hidden = self.hides_requesters || request.anonymous;
        text.is_empty() || !hidden && person.name.to_lowercase().starts_with(&text)
    }

    /// The entry of a request in the list of this status. `user` is left out where the repo hides its requesters, and `email`
    /// after a grant (`huggingface_hub` 2.4.0).
    pub fn entry<'a>(&self, request: &'a AccessRequest, status: Status) -> Entry<'a> {
        let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let person = &request.person;
        let user = EntryUser {
            id: &person.id,
            user: &person.name,
            fullname: &person.fullname,
            avatar_url: format!("/avatars/{}.svg", person.id),
            kind: "user",
            is_pro: person.pro,
            is_hf: false,
            verified_org_names: &person.verified_orgs,
            orgs: person.orgs.iter().map(|org| json!({
                "id": format!("id-{org}"), "name": org, "fullname": org, "avatarUrl": format!("/avatars/{org}.svg"),
            })).collect(),
            email: person.email.as_deref().filter(|_| !request.granted),
        };
        Entry {
            request_id: Some(&*request.id).filter(|_| self.has_request_ids && !request.anonymous),
            user: Some(user).filter(|_| !self.hides_requesters && !request.anonymous),
            status: status.as_str(),
            timestamp: time(request.requested_at),
            fields: person.fields.as_ref(),
            reviewed_at: request.reviewed_at.map(time),
            granted_by: (request.granted || status == Status::Accepted).then(|| granter(request)),
        }
    }

    /// The rows of the access report.
    pub fn report(&self) -> Value {
        let row = |request: &AccessRequest| {
            let mut row = json!({
                "fullname": request.person.fullname, "user": request.person.name,
                "email": request.person.email.as_ref().filter(|_| !request.granted),
                "time": request.requested_at, "status": request.status.as_str(),
            });
            if let Some(at) = request.reviewed_at {
                row["reviewedAt"] = json!(at);
            }
            if request.granted {
                row["grantedBy"] = granter(request);
            }
            row
        };
        self.requests.iter().filter(|request| !request.withdrawn).map(row).collect()
    }
}

/// The user who gave access. It is unknown whether the real Hub names one if there was a request.
fn granter(request: &AccessRequest) -> Value {
    let name = request.reviewed_by;
    json!({"fullname": format!("{name} the Granter"), "user": name})
}

/// An entry of a list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<EntryUser<'a>>,
    status: &'static str,
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<&'a BTreeMap<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reviewed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    granted_by: Option<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EntryUser<'a> {
    #[serde(rename = "_id")]
    id: &'a str,
    user: &'a str,
    fullname: &'a str,
    avatar_url: String,
    #[serde(rename = "type")]
    kind: &'static str,
    is_pro: bool,
    is_hf: bool,
    verified_org_names: &'a [String],
    orgs: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
}
