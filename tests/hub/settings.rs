//! The rights of the token, the webhooks of its account, and the collections.

use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::Url;
use serde_json::{Value, json};

use super::api::{HubResponse, unauthorized};
use super::model::Model;
use super::repo::Person;

/// The rights of the token.
#[derive(Clone, Debug)]
pub enum TokenRole {
    /// All rights of its owner.
    Write,
    /// Only reading.
    Read,
    /// Only these permissions.
    FineGrained(Vec<Scope>),
}

/// The permissions of a fine-grained token for one repo, or for all repos of one owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// `user`, `org`, `model`, `dataset` or `space`.
    pub kind: String,
    pub name: String,
    /// Such as `repo.content.read` and `repo.write`.
    pub permissions: Vec<String>,
}

impl Scope {
    pub fn new(kind: &str, name: &str, permissions: &[&str]) -> Self {
        let permissions = permissions.iter().map(|&permission| permission.to_owned()).collect();
        Self { kind: kind.to_owned(), name: name.to_owned(), permissions }
    }

    /// Whether the scope includes a repo, such as `acme/model` or `datasets/acme/corpus`.
    fn covers(&self, repo: &str) -> bool {
        let (kind, name) = repo.strip_prefix("datasets/").map_or(("model", repo), |name| ("dataset", name));
        match self.kind.as_str() {
            "user" | "org" => {
                name.split('/').next().is_some_and(|owner| owner.eq_ignore_ascii_case(&self.name))
            }
            of_repo => of_repo == kind && self.name.eq_ignore_ascii_case(name),
        }
    }
}

impl TokenRole {
    /// Whether the token may change a repo. The lists of access requests need this right, too.
    pub fn may_write(&self, repo: &str) -> bool {
        let writes = |scope: &Scope| scope.permissions.iter().any(|permission| permission == "repo.write");
        match self {
            Self::Write => true,
            Self::Read => false,
            Self::FineGrained(scopes) => scopes.iter().any(|scope| scope.covers(repo) && writes(scope)),
        }
    }
}

/// The account that the token belongs to. It owns every repo.
pub fn account() -> Person {
    Person { fullname: "The Owner".to_owned(), ..Person::new("owner", "owner@example.org") }
}

/// The response of `whoami-v2`.
pub fn who_am_i(role: &TokenRole) -> Value {
    let role = match role {
        TokenRole::Write => "write",
        TokenRole::Read => "read",
        TokenRole::FineGrained(_) => "fineGrained",
    };
    let token = json!({"displayName": "doorman", "createdAt": "2026-01-01T00:00:00.000Z", "role": role});
    let acme = json!({"type": "org", "id": "id-acme", "name": "acme", "fullname": "acme",
        "avatarUrl": "/avatars/acme.svg", "roleInOrg": "admin"});
    let account = account();
    json!({
        "type": "user", "id": account.id, "name": account.name, "fullname": account.fullname, "avatarUrl": "/avatars/owner.svg",
        "isPro": false, "orgs": [acme], "auth": {"type": "access_token", "accessToken": token},
    })
}

/// A webhook of the account.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    pub id: String,
    /// The URL that it delivers to, unless it starts a Job.
    pub url: Option<String>,
    /// The id of the Job that it starts.
    pub job: Option<String>,
    /// The watched repos and owners, each with its type: `("model", "acme/model")`.
    pub watched: Vec<(String, String)>,
    /// `repo` and `discussion`, or one of them.
    pub domains: Vec<String>,
    pub secret: Option<String>,
    /// `false`, `true`, or `suspended-after-failure` (Hub's OpenAPI, 2026-07-29).
    pub disabled: Value,
}

impl Webhook {
    /// A webhook for all domains, with an id that no other webhook has.
    pub fn new(url: &str, watched: &[(&str, &str)]) -> Self {
        static CREATED: AtomicU64 = AtomicU64::new(1);
        Self {
            id: format!("{:024x}", CREATED.fetch_add(1, Ordering::Relaxed)),
            url: Some(url.to_owned()),
            job: None,
            watched: watched.iter().map(|&(kind, name)| (kind.to_owned(), name.to_owned())).collect(),
            domains: DOMAINS.map(str::to_owned).to_vec(),
            secret: None,
            disabled: json!(false),
        }
    }

    /// The JSON of the Hub: "the secret itself is never returned" (its OpenAPI, 2026-07-29).
    fn to_json(&self) -> Value {
        let watched = self.watched.iter();
        let watched = watched
            .map(|(kind, name)| json!({"type": kind, "name": name, "avatarUrl": "https://huggingface.co/avatars/x.svg"}));
        let mut object = json!({
            "id": self.id, "url": self.url, "jobSourceId": self.job, "watched": watched.collect::<Vec<_>>(),
            "domains": self.domains, "hasSecret": self.secret.is_some(), "disabled": self.disabled,
        });
        if let Some(keys) = object.as_object_mut() {
            keys.retain(|_, value| !value.is_null());
        }
        object
    }
}

/// A collection of repos and other items. It is a gating group if it has a `gating` (Hub's OpenAPI, 2026-08).
#[derive(Clone, Debug)]
pub struct Collection {
    pub slug: String,
    pub title: String,
    /// The JSON of the key `gating`, if there is one.
    pub gating: Option<Value>,
    /// The items, each with its type: `("model", "acme/model")`.
    pub items: Vec<(String, String)>,
}

impl Collection {
    /// A gating group with manual approval.
    pub fn gating_group(slug: &str, items: &[(&str, &str)]) -> Self {
        let items = items.iter().map(|&(kind, name)| (kind.to_owned(), name.to_owned())).collect();
        let gating = json!({"mode": "manual", "notifications": {"mode": "bulk"}});
        Self { slug: slug.to_owned(), title: slug.to_owned(), gating: Some(gating), items }
    }

    /// The user or organization that it belongs to.
    fn owner(&self) -> &str {
        self.slug.split('/').next().unwrap_or_default()
    }

    /// The JSON of the Hub, with at most so many items.
    fn to_json(&self, items: usize) -> Value {
        let items = self.items.iter().take(items).map(|(kind, id)| json!({"type": kind, "id": id}));
        let mut object = json!({
            "slug": self.slug, "title": self.title, "private": false, "owner": {"type": "org", "name": self.owner()},
            "items": items.collect::<Vec<_>>(),
        });
        if let Some(gating) = &self.gating {
            object["gating"] = gating.clone();
        }
        object
    }
}

/// The collections of an owner that contain an item, such as `models/acme/model`. "The item list per collection is truncated to 4
/// items maximum" (the Hub's documentation of the call).
pub fn collections_with(model: &Model, item: Option<&str>, owner: Option<&str>) -> Vec<Value> {
    let is_wanted = |collection: &&Collection| {
        let mut items = collection.items.iter().map(|(kind, id)| format!("{kind}s/{id}"));
        owner.is_none_or(|owner| owner.eq_ignore_ascii_case(collection.owner()))
            && item.is_none_or(|item| items.any(|one| one.eq_ignore_ascii_case(item)))
    };
    model.collections.iter().filter(is_wanted).map(|collection| collection.to_json(4)).collect()
}

/// Answers a call that makes a collection, or is about one of them (`huggingface_hub`). `None` if the Hub has no such call.
pub fn collections(
    model: &mut Model,
    method: &str,
    path: &[&str],
    body: &Value,
    signed_in: bool,
) -> Option<HubResponse> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if method != "GET" && !signed_in {
        return Some(unauthorized());
    }
    let (slug, rest) = match path {
        [] if method == "POST" => {
            let (title, id) = (text(&body["title"]), model.call_count);
            let words = title.to_lowercase().replace(' ', "-");
            let slug = format!("{}/{words}-{id:024x}", text(&body["namespace"]));
            model.collections.push(Collection { slug, title, gating: None, items: Vec::new() });
            return model.collections.last().map(|made| HubResponse::ok(&made.to_json(0)));
        }
        [namespace, slug, rest @ ..] => (format!("{namespace}/{slug}"), rest),
        _ => return None,
    };
    let Some(place) = model.collections.iter().position(|collection| collection.slug == slug) else {
        return Some(HubResponse::error(404, None, "Collection not found"));
    };
    let collection = &mut model.collections[place];
    match (method, rest) {
        ("GET", []) => {}
        ("POST", ["items"]) => {
            let item = &body["item"];
            collection.items.push((text(&item["type"]), text(&item["id"])));
        }
        ("DELETE", []) => {
            model.collections.remove(place);
            return Some(HubResponse::ok(&json!({})));
        }
        _ => return None,
    }
    Some(HubResponse::ok(&collection.to_json(usize::MAX)))
}

const DOMAINS: [&str; 2] = ["repo", "discussion"];
/// The types that can be watched. A `kernel` is only in the Hub's OpenAPI.
const TYPES: [&str; 7] = ["model", "dataset", "space", "org", "user", "bucket", "kernel"];

/// Answers a call below `/api/settings/webhooks`. `None` if the Hub has no such call.
pub fn webhooks(model: &mut Model, method: &str, path: &[&str], body: &Value) -> Option<HubResponse> {
    let webhooks = &mut model.webhooks;
    let (id, rest) = match (method, path) {
        ("GET", []) => {
            return Some(HubResponse::ok(&webhooks.iter().map(Webhook::to_json).collect()));
        }
        ("POST", []) => {
            let created = change(Webhook { url: None, ..Webhook::new("", &[]) }, body);
            return Some(created.map_or_else(refuse, |webhook| {
                webhooks.push(webhook);
                webhook_response(webhooks.last())
            }));
        }
        ("GET" | "POST" | "DELETE", [id]) => (id, None),
        ("POST", [id, action @ ("enable" | "disable")]) => (id, Some(*action)),
        _ => return None,
    };
    let Some(place) = webhooks.iter().position(|webhook| webhook.id == *id) else {
        return Some(HubResponse::error(404, None, "Webhook not found"));
    };
    match (method, rest) {
        ("DELETE", _) => {
            webhooks.remove(place);
            return Some(HubResponse::ok(&json!({})));
        }
        ("POST", Some(action)) => webhooks[place].disabled = json!(action == "disable"),
        ("POST", None) => match change(webhooks[place].clone(), body) {
            Ok(changed) => webhooks[place] = changed,
            Err(message) => return Some(refuse(message)),
        },
        _ => {}
    }
    Some(webhook_response(webhooks.get(place)))
}

fn webhook_response(webhook: Option<&Webhook>) -> HubResponse {
    HubResponse::ok(&json!({"webhook": webhook.map(Webhook::to_json)}))
}

fn refuse(message: &'static str) -> HubResponse {
    HubResponse::error(400, None, message)
}

/// Applies a body to a webhook. Keys that the body leaves out stay as they are, except for `watched`: Hub's OpenAPI
/// requires it. `huggingface_hub` sends an empty `watched` if its caller gives none. It is unknown what the real
/// Hub does then. This one refuses it, so that no code relies on it.
fn change(mut webhook: Webhook, body: &Value) -> Result<Webhook, &'static str> {
    match &body["url"] {
        Value::Null => {}
        // The real Hub makes a webhook that starts a Job from a Job that ran. This Hub runs no Jobs.
        url => {
            let url = url.as_str().filter(|url| Url::parse(url).is_ok()).ok_or("Invalid url")?;
            (webhook.url, webhook.job) = (Some(url.to_owned()), None);
        }
    }
    if webhook.url.is_none() && webhook.job.is_none() {
        return Err("url is required");
    }
    let watched = body["watched"].as_array().filter(|watched| !watched.is_empty());
    let item = |item: &Value| {
        let kind = item["type"].as_str().filter(|kind| TYPES.contains(kind))?;
        Some((kind.to_owned(), item["name"].as_str()?.to_owned()))
    };
    let watched = watched.ok_or("watched is required")?.iter().map(item);
    webhook.watched = watched.collect::<Option<_>>().ok_or("Invalid item in watched")?;
    if !body["domains"].is_null() {
        let domain = |domain: &Value| Some(domain.as_str().filter(|d| DOMAINS.contains(d))?.to_owned());
        let domains = body["domains"].as_array().ok_or("Invalid domains")?.iter().map(domain);
        webhook.domains = domains.collect::<Option<_>>().ok_or("Invalid domain")?;
    }
    if let Some(secret) = body["secret"].as_str() {
        // The Hub's OpenAPI holds it to `[\x20-\x7F]*`.
        if !secret.bytes().all(|byte| matches!(byte, 0x20..=0x7f)) {
            return Err("Invalid secret");
        }
        webhook.secret = Some(secret.to_owned());
    }
    Ok(webhook)
}
