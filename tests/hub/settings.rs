//! Whose token it is, what it may do, and the webhooks of its owner.

use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::Url;
use serde_json::{Value, json};

use super::api::Answer;
use super::model::Model;

/// Whose token it is.
#[derive(Clone, Debug)]
pub struct Account {
    pub name: String,
    pub fullname: String,
    /// The organizations, each with the role in it: `admin`, `write`, `contributor` or `read`.
    pub orgs: Vec<(String, String)>,
    /// What its owner calls the token.
    pub token_name: String,
    pub role: TokenRole,
}

/// What the token may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenRole {
    /// All that its owner may.
    Write,
    /// Only read.
    Read,
    /// What is listed.
    FineGrained {
        reads_gated: bool,
        /// What it may do everywhere: `discussion.write` and the like.
        global: Vec<String>,
        scoped: Vec<Scope>,
    },
}

/// What a fine-grained token may do with one thing and all that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// `user`, `org`, `model`, `dataset` or `space`.
    pub kind: String,
    pub name: String,
    /// `repo.content.read`, `repo.write` and the like.
    pub permissions: Vec<String>,
}

impl Scope {
    pub fn new(kind: &str, name: &str, permissions: &[&str]) -> Self {
        let permissions = permissions.iter().map(|&permission| permission.to_owned()).collect();
        Self { kind: kind.to_owned(), name: name.to_owned(), permissions }
    }

    /// Whether a repo, `acme/model` or `datasets/acme/corpus`, is what this is about or belongs to it.
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
    /// Whether it may change a repo, and so see who asks for access to it, as far as it is up to the token.
    pub fn may_write(&self, repo: &str) -> bool {
        let writes = |scope: &Scope| scope.permissions.iter().any(|permission| permission == "repo.write");
        match self {
            Self::Write => true,
            Self::Read => false,
            Self::FineGrained { scoped, .. } => {
                scoped.iter().any(|scope| scope.covers(repo) && writes(scope))
            }
        }
    }
}

impl Account {
    /// The owner of everything, whose token may do all of it.
    pub fn new() -> Self {
        Self {
            name: "owner".to_owned(),
            fullname: "The Owner".to_owned(),
            orgs: vec![("acme".to_owned(), "admin".to_owned())],
            token_name: "doorman".to_owned(),
            role: TokenRole::Write,
        }
    }

    /// What `whoami-v2` says.
    pub fn shown(&self) -> Value {
        let org = |(name, role): &(String, String)| {
            json!({
                "type": "org", "id": format!("id-{name}"), "name": name, "fullname": name,
                "avatarUrl": format!("/avatars/{name}.svg"), "roleInOrg": role,
            })
        };
        let orgs: Vec<Value> = self.orgs.iter().map(org).collect();
        let mut token = json!({
            "displayName": self.token_name, "createdAt": "2026-01-01T00:00:00.000Z",
            "role": match &self.role {
                TokenRole::Write => "write",
                TokenRole::Read => "read",
                TokenRole::FineGrained { .. } => "fineGrained",
            },
        });
        if let TokenRole::FineGrained { reads_gated, global, scoped } = &self.role {
            let scope = |Scope { kind, name, permissions }: &Scope| {
                let id = format!("id-{name}");
                json!({"entity": {"_id": id, "type": kind, "name": name}, "permissions": permissions})
            };
            let scoped: Vec<Value> = scoped.iter().map(scope).collect();
            token["fineGrained"] =
                json!({"canReadGatedRepos": reads_gated, "global": global, "scoped": scoped});
        }
        json!({
            "type": "user", "id": format!("id-{}", self.name), "name": self.name, "fullname": self.fullname,
            "avatarUrl": format!("/avatars/{}.svg", self.name), "isPro": false, "orgs": orgs,
            "auth": {"type": "access_token", "accessToken": token},
        })
    }
}

/// A webhook.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    pub id: String,
    /// Where it delivers to, unless it starts a Job.
    pub url: Option<String>,
    /// The id of the Job that it starts again.
    pub job: Option<String>,
    /// What it watches, each with its type: `("model", "acme/model")`.
    pub watched: Vec<(String, String)>,
    /// `repo`, `discussion`.
    pub domains: Vec<String>,
    pub secret: Option<String>,
    /// False, true, or `suspended-after-failure`.
    pub disabled: Value,
}

impl Webhook {
    /// One that delivers to this URL whatever happens to what is watched, under an id that no other has ever had.
    pub fn new(url: &str, watched: &[(&str, &str)]) -> Self {
        static MADE: AtomicU64 = AtomicU64::new(1);
        Self {
            id: format!("{:024x}", MADE.fetch_add(1, Ordering::Relaxed)),
            url: Some(url.to_owned()),
            job: None,
            watched: watched.iter().map(|&(kind, name)| (kind.to_owned(), name.to_owned())).collect(),
            domains: DOMAINS.map(str::to_owned).to_vec(),
            secret: None,
            disabled: json!(false),
        }
    }

    /// As the Hub shows it: "the secret itself is never returned" (its OpenAPI description, 2026-07-29).
    fn shown(&self) -> Value {
        let watched = self.watched.iter();
        let watched = watched
            .map(|(kind, name)| json!({"type": kind, "name": name, "avatarUrl": "https://huggingface.co/avatars/x.svg"}));
        let mut shown = json!({
            "id": self.id, "url": self.url, "jobSourceId": self.job, "watched": watched.collect::<Vec<_>>(),
            "domains": self.domains, "hasSecret": self.secret.is_some(), "disabled": self.disabled,
        });
        if let Some(shown) = shown.as_object_mut() {
            shown.retain(|_, value| !value.is_null());
        }
        shown
    }
}

/// A collection of repos and other things. It is a gating group if it has a `gating`.
#[derive(Clone, Debug)]
pub struct Collection {
    pub slug: String,
    /// The JSON that the Hub shows under this key, if any.
    pub gating: Option<Value>,
    /// What is in it, each with its type: `("model", "acme/model")`.
    pub items: Vec<(String, String)>,
}

impl Collection {
    /// A gating group with manual approval.
    pub fn gating_group(slug: &str, items: &[(&str, &str)]) -> Self {
        let items = items.iter().map(|&(kind, name)| (kind.to_owned(), name.to_owned())).collect();
        let gating = json!({"mode": "manual", "notifications": {"mode": "bulk"}});
        Self { slug: slug.to_owned(), gating: Some(gating), items }
    }

    /// The JSON that the Hub shows, with at most so many of its items.
    fn shown(&self, items: usize) -> Value {
        let owner = self.slug.split('/').next();
        let items = self.items.iter().take(items).map(|(kind, id)| json!({"type": kind, "id": id}));
        let mut shown = json!({
            "slug": self.slug, "title": self.slug, "private": false, "owner": {"type": "org", "name": owner},
            "items": items.collect::<Vec<_>>(),
        });
        if let Some(gating) = &self.gating {
            shown["gating"] = gating.clone();
        }
        shown
    }
}

/// The collections that contain an item, such as `models/acme/model`. "The item list per collection is truncated to 4 items
/// maximum" (the Hub's documentation of the call).
pub fn collections_with(model: &Model, item: &str) -> Vec<Value> {
    let has_it = |collection: &&Collection| {
        collection.items.iter().any(|(kind, id)| format!("{kind}s/{id}").eq_ignore_ascii_case(item))
    };
    model.collections.iter().filter(has_it).map(|collection| collection.shown(4)).collect()
}

/// A collection with all of its items.
pub fn collection(model: &Model, slug: &str) -> Answer {
    let found = model.collections.iter().find(|collection| collection.slug == slug);
    found.map_or_else(
        || Answer::error(404, None, "Collection not found"),
        |collection| Answer::ok(&collection.shown(usize::MAX)),
    )
}

const DOMAINS: [&str; 2] = ["repo", "discussion"];
const TYPES: [&str; 6] = ["model", "dataset", "space", "org", "user", "bucket"];

/// Answers a call under `/api/settings/webhooks`, if there is such a call.
pub fn webhooks(model: &mut Model, method: &str, path: &[&str], body: &Value) -> Option<Answer> {
    let webhooks = &mut model.webhooks;
    let (id, rest) = match (method, path) {
        ("GET", []) => {
            return Some(Answer::ok(&webhooks.iter().map(Webhook::shown).collect()));
        }
        ("POST", []) => {
            let made = change(Webhook { url: None, ..Webhook::new("", &[]) }, body);
            return Some(made.map_or_else(refuse, |webhook| {
                webhooks.push(webhook);
                answer(webhooks.last())
            }));
        }
        ("GET" | "POST" | "DELETE", [id]) => (id, None),
        ("POST", [id, action @ ("enable" | "disable")]) => (id, Some(*action)),
        _ => return None,
    };
    let Some(place) = webhooks.iter().position(|webhook| webhook.id == *id) else {
        return Some(Answer::error(404, None, "Webhook not found"));
    };
    match (method, rest) {
        ("DELETE", _) => {
            webhooks.remove(place);
            return Some(Answer::ok(&json!({})));
        }
        ("POST", Some(action)) => webhooks[place].disabled = json!(action == "disable"),
        ("POST", None) => match change(webhooks[place].clone(), body) {
            Ok(changed) => webhooks[place] = changed,
            Err(why) => return Some(refuse(why)),
        },
        _ => {}
    }
    Some(answer(webhooks.get(place)))
}

fn answer(webhook: Option<&Webhook>) -> Answer {
    Answer::ok(&json!({"webhook": webhook.map(Webhook::shown)}))
}

fn refuse(why: &'static str) -> Answer {
    Answer::error(400, None, why)
}

/// A webhook as a body wants it. What the body leaves out stays as it is, but for what is watched: the Hub's own client
/// sends that with every change, as an empty list if it was not told, and what the Hub makes of that nobody knows. Here
/// it is refused, so that nobody relies on it.
fn change(mut webhook: Webhook, body: &Value) -> Result<Webhook, &'static str> {
    match &body["url"] {
        Value::Null => {}
        // A webhook that starts a Job is made from a Job that ran, and this Hub runs none.
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
        webhook.secret = Some(secret.to_owned());
    }
    Ok(webhook)
}
