//! The Hub's HTTP API over the model: one call in, one response out. The calls about access requests are in `requests` and
//! `requester`, those about accounts, webhooks and collections in `settings`, and those about files in `resolve` and `commit`.

use std::borrow::Cow;
use std::fmt::Write;

use hyper::body::Bytes;
use reqwest::Url;
use serde_json::{Value, json};

use super::model::{Batch, Call, Model};
use super::quota::Quota;
use super::repo::{Gating, Repo, Role, Status};
use super::resolve::{self, Wanted, decode, revision_not_found};
use super::{commit, requester, requests, settings};

/// A response of the Hub, before it is sent over HTTP.
pub struct HubResponse {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

impl HubResponse {
    pub fn ok(body: &Value) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.to_string().into() }
    }

    /// The body as a text.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// An error with the Hub's own headers and body: `X-Error-Message`, often no `X-Error-Code`, and `{"error": …}` (seen
    /// 2026-10).
    pub fn error(status: u16, code: Option<&str>, message: &str) -> Self {
        let mut headers = vec![("X-Error-Message", message.to_owned())];
        headers.extend(code.map(|code| ("X-Error-Code", code.to_owned())));
        Self { status, headers, body: json!({"error": message}).to_string().into() }
    }

    /// The 400 for a value that the Hub refuses. This wording was seen in 2026-10 for a reason that is too long. The wording
    /// for other values is unknown, but probably the same, because it is that of the library which the Hub validates with
    /// (zod).
    pub fn invalid(fault: &str, place: &str) -> Self {
        let headers = vec![("X-Error-Message", format!("* {fault} * at {place}"))];
        let body = json!({"error": format!("✖ {fault}\n  → at {place}")});
        Self { status: 400, headers, body: body.to_string().into() }
    }
}

/// The start of a page of a list, and its length.
pub struct Paging {
    pub limit: usize,
    pub cursor: usize,
}

/// How many collections a page has here. The page size of the real Hub is unknown.
const COLLECTIONS_PER_PAGE: usize = 10;

/// Answers a call that came with this token.
pub fn respond_to(model: &mut Model, call: &Call, token: Option<&str>) -> HubResponse {
    if call.to_storage {
        return resolve::stored(model, call);
    }
    let is_known = token.is_none_or(|token| token == model.token);
    let wanted = Wanted::parse(call);
    let bucket = if wanted.is_some() { "resolvers" } else { "api" };
    let (mut left, ends_in) = model.quota_of(bucket).count();
    let mut response = match (left, wanted) {
        _ if !is_known => unauthorized(),
        (Some(_), Some(wanted)) => wanted.respond(model, call, token.is_some()),
        (Some(_), None) => route(model, call, token.is_some()),
        (None, _) => HubResponse::error(429, None, "We had to rate limit you"),
    };
    if response.status == 304 && !model.files.unchanged_counts {
        model.quota_of(bucket).used -= 1;
        left = left.map(|left| left + 1);
    }
    let seconds = ends_in.as_secs() + u64::from(ends_in.subsec_nanos() > 0);
    let Quota { calls, window, tells_when, .. } = *model.quota_of(bucket);
    let window = window.as_secs();
    model.refused_by_quota += u32::from(left.is_none());
    if !model.tells_limits {
        return response;
    }
    // "With every answer" (the Hub's documentation of its rate limits, 2025-09). `/resolve/` has a bucket of its own there. It is
    // unknown which one `/api/resolve-cache/` counts in.
    response.headers.push(("RateLimit", format!(r#""{bucket}";r={};t={seconds}"#, left.unwrap_or(0))));
    response.headers.push(("RateLimit-Policy", format!(r#""fixed window";"{bucket}";q={calls};w={window}"#)));
    if left.is_none() && tells_when {
        response.headers.push(("Retry-After", seconds.to_string()));
    }
    response
}

/// The repo with this name and its key, if the caller may know of it. A missing repo is a 404 with a token, and a 401 without (seen
/// 2026-09). A private repo is missing for whoever may not see it.
pub fn visible<'a>(
    model: &'a Model,
    name: &str,
    signed_in: bool,
) -> Result<(&'a str, &'a Repo), HubResponse> {
    let is_visible = |repo: &Repo| repo.role != Role::None && (signed_in || !repo.private);
    match model.find(name).filter(|(_, repo)| is_visible(repo)) {
        Some(found) => Ok(found),
        None if signed_in => Err(HubResponse::error(404, Some("RepoNotFound"), "Repository not found")),
        None => Err(unauthorized()),
    }
}

pub fn unauthorized() -> HubResponse {
    HubResponse::error(401, None, "Invalid username or password.")
}

fn route(model: &mut Model, call: &Call, signed_in: bool) -> HubResponse {
    let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    match (call.method.as_str(), segments.as_slice()) {
        (_, ["api", "whoami-v2" | "settings" | "repos", ..]) if !signed_in => unauthorized(),
        ("GET", ["api", "whoami-v2"]) => HubResponse::ok(&settings::who_am_i(&model.token_role)),
        (method, ["api", "settings", "webhooks", rest @ ..]) => {
            settings::webhooks(model, method, rest, &call.body).unwrap_or_else(|| no_such_call(call))
        }
        ("GET", ["api", kind @ ("models" | "datasets")]) => match paging(query) {
            Ok(paging) => list_repos(model, kind, query, &paging, signed_in),
            Err(refusal) => refusal,
        },
        ("POST", ["api", "repos", "create"]) => commit::create(model, &call.body),
        ("DELETE", ["api", "repos", "delete"]) => commit::delete(model, &call.body),
        ("GET", ["api", "collections"]) => list_collections(model, path, query),
        (method, ["api", "collections", rest @ ..]) => {
            settings::collections(model, method, rest, &call.body, signed_in)
                .unwrap_or_else(|| no_such_call(call))
        }
        ("GET", ["datasets", namespace, name, "user-access-report"]) => {
            report(model, &format!("datasets/{namespace}/{name}"), signed_in)
        }
        ("GET", [namespace, name, "user-access-report"]) => {
            report(model, &format!("{namespace}/{name}"), signed_in)
        }
        ("POST", [.., "ask-access"]) if !signed_in => unauthorized(),
        ("POST", [repo @ .., "ask-access"]) => requester::ask(model, &repo.join("/"), &call.body),
        (_, ["api", kind @ ("models" | "datasets"), rest @ ..]) => {
            route_repo(model, call, kind, rest, signed_in)
        }
        _ => no_such_call(call),
    }
}

/// Answers a call below `/api/models` or `/api/datasets`.
fn route_repo(model: &mut Model, call: &Call, kind: &str, path: &[&str], signed_in: bool) -> HubResponse {
    let is_call = |segment: &&str| {
        matches!(*segment, "user-access-request" | "settings" | "revision" | "tree" | "preupload" | "commit")
    };
    let (name, rest) = match path.iter().position(is_call) {
        Some(end) => path.split_at(end),
        None => (path, &[][..]),
    };
    let name = name.join("/");
    let name = if kind == "datasets" { format!("datasets/{name}") } else { name };
    let (key, role) = match visible(model, &name, signed_in) {
        Ok((key, repo)) => (key.to_owned(), repo.role),
        Err(refusal) => return refusal,
    };
    let body = &call.body;
    let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
    match (call.method.as_str(), rest) {
        ("GET", []) => commit::info(repo_info(model.repo(&key)), model.repo(&key).files.head()),
        ("GET", [what @ ("revision" | "tree"), revision, folder @ ..]) => {
            let repo = model.repo(&key);
            match repo.files.at(&decode(revision)) {
                Some(commit) if *what == "tree" => commit::tree(commit, &decode(&folder.join("/")), query),
                Some(commit) => commit::info(repo_info(repo), commit),
                None => revision_not_found(&decode(revision)),
            }
        }
        _ if !signed_in => unauthorized(),
        ("POST", ["user-access-request", "cancel"]) => requester::withdraw(model, &key),
        _ if role == Role::Read || !model.token_role.may_write(&key) => HubResponse::error(
            403,
            None,
            "You have read access but not the required permissions for this operation",
        ),
        ("PUT", ["settings"]) => set_settings(model.repo(&key), body),
        ("GET", ["user-access-request", status]) => match (Status::parse(status), paging(query)) {
            (Some(status), Ok(paging)) => requests::list(model, &key, status, &paging, (path, query)),
            (None, _) => no_such_call(call),
            (_, Err(refusal)) => refusal,
        },
        ("POST", ["user-access-request", "handle"]) => requests::handle(model, &key, body),
        ("POST", ["user-access-request", "batch"]) if model.batch != Batch::Unknown => {
            requests::batch(model, &key, body)
        }
        ("POST", ["preupload", revision]) => {
            let limit = model.files.regular_limit;
            match model.repo(&key).files.at(&decode(revision)) {
                Some(commit) => commit::preupload(commit, body, limit),
                None => revision_not_found(&decode(revision)),
            }
        }
        ("POST", ["commit", revision]) => commit::commit(model, &key, &decode(revision), call, query),
        ("POST", ["user-access-request", "grant"]) => requests::grant(model, &key, body),
        _ => no_such_call(call),
    }
}

/// The response to a call that this Hub does not have. It names the call, so that a test shows which one is missing.
fn no_such_call(call: &Call) -> HubResponse {
    HubResponse { status: 404, headers: Vec::new(), body: format!("Cannot {call}").into() }
}

fn url(origin: &str, path: &str, query: &str) -> Url {
    Url::parse(&format!("{origin}{path}?{query}")).expect("a URL")
}

/// The value of a query parameter, decoded.
pub fn param(query: &str, name: &str) -> Option<String> {
    let url = url("http://hub", "/", query);
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// The link to the next page: the same call with another cursor. It is unknown how the real Hub writes this link.
pub fn link(origin: &str, path: &str, query: &str, cursor: usize) -> (&'static str, String) {
    let (this, mut next) = (url(origin, path, query), url(origin, path, ""));
    let kept = this.query_pairs().filter(|(name, _)| name != "cursor");
    next.query_pairs_mut().extend_pairs(kept).append_pair("cursor", &cursor.to_string());
    ("Link", format!(r#"<{next}>; rel="next""#))
}

/// The limit and the cursor of a query. "`limit` 10 to 1000, default 1000" (Hub's OpenAPI, 2026-08); `limit=5` gave 400 (seen
/// 2026-10).
fn paging(query: &str) -> Result<Paging, HubResponse> {
    let number = |name, default| param(query, name).map_or(Some(default), |text| text.parse().ok());
    match (number("limit", 1000), number("cursor", 0)) {
        (Some(limit @ 10..=1000), Some(cursor)) => Ok(Paging { limit, cursor }),
        (Some(0..10), _) => Err(HubResponse::invalid("Too small: expected number to be >=10", "limit")),
        _ => Err(HubResponse::invalid("Too big: expected number to be <=1000", "limit")),
    }
}

fn list_collections(model: &Model, path: &str, query: &str) -> HubResponse {
    let all =
        settings::collections_with(model, param(query, "item").as_deref(), param(query, "owner").as_deref());
    let begin = paging(query).map_or(0, |paging| paging.cursor).min(all.len());
    let end = (begin + COLLECTIONS_PER_PAGE).min(all.len());
    let mut response = HubResponse::ok(&all[begin..end].into());
    response.headers.extend((end < all.len()).then(|| link(&model.origin, path, query, end)));
    response
}

/// The access report, as an attachment (seen 2026-10).
fn report(model: &Model, name: &str, signed_in: bool) -> HubResponse {
    match model.find(name) {
        Some((key, repo)) if signed_in && repo.role == Role::Write && model.token_role.may_write(key) => {
            let mut response = HubResponse::ok(&repo.report());
            let file = format!("user-access-report-{}.json", repo.name.replace('/', "-"));
            response.headers.push(("Content-Disposition", format!("attachment; filename=\"{file}\"")));
            response
        }
        _ => HubResponse::error(404, Some("RepoNotFound"), "Repository not found"),
    }
}

/// Sets the gate and who sees the repo. Keys that the body leaves out stay as they are.
fn set_settings(repo: &mut Repo, body: &Value) -> HubResponse {
    repo.gating = match &body["gated"] {
        Value::Null => repo.gating,
        Value::Bool(false) => Gating::Off,
        gated if gated == "auto" => Gating::Auto,
        gated if gated == "manual" => Gating::Manual,
        _ => return HubResponse::error(400, None, "Invalid value for gated"),
    };
    // The forms are those of the Hub's OpenAPI (2026-08). No call reads these settings (reported by others, 2026-10).
    if let Some(mode) = body.get("gatedNotificationsMode") {
        let Some(mode) = mode.as_str().filter(|mode| ["bulk", "real-time"].contains(mode)) else {
            return HubResponse::invalid(
                "Invalid option: expected one of \"bulk\"|\"real-time\"",
                "gatedNotificationsMode",
            );
        };
        mode.clone_into(&mut repo.notifications_mode);
    }
    if let Some(email) = body.get("gatedNotificationsEmail") {
        let is_address = |email: &&str| email.split_once('@').is_some_and(|(_, domain)| domain.contains('.'));
        let Some(email) = email.as_str().filter(is_address) else {
            return HubResponse::invalid("Invalid email address", "gatedNotificationsEmail");
        };
        repo.notifications_email = Some(email.to_owned());
    }
    let private = body["private"].as_bool();
    repo.private = private.or(body["visibility"].as_str().map(|it| it == "private")).unwrap_or(repo.private);
    // The real Hub echoes what was sent (reported by others, 2026-10).
    HubResponse::ok(body)
}

fn gated(repo: &Repo) -> Value {
    match repo.gating {
        Gating::Off => json!(false),
        Gating::Auto => json!("auto"),
        Gating::Manual => json!("manual"),
    }
}

fn repo_info(repo: &Repo) -> Value {
    json!({
        "_id": format!("id-{}", repo.name), "id": repo.name, "author": repo.owner(),
        "private": repo.private, "disabled": false, "gated": gated(repo), "cardData": repo.card,
        "tags": [], "downloads": 0, "likes": 0, "siblings": [], "createdAt": "2026-01-01T00:00:00.000Z",
    })
}

fn list_repos(model: &Model, kind: &str, query: &str, paging: &Paging, signed_in: bool) -> HubResponse {
    let author = param(query, "author");
    let only_gated = param(query, "gated").as_deref() == Some("true") && model.filters_by_gate;
    let mut listed = model.repos.values().filter(|repo| {
        format!("{}s", repo.kind) == kind
            && repo.role != Role::None
            && (signed_in || !repo.private)
            && author.as_deref().is_none_or(|author| repo.owner().eq_ignore_ascii_case(author))
            && (!only_gated || repo.gating != Gating::Off)
    });
    let limit = paging.limit.min(model.max_page);
    let page: Vec<Value> = listed.by_ref().skip(paging.cursor).take(limit).map(repo_info).collect();
    let mut response = HubResponse::ok(&json!(page));
    if model.lists_repos_without_end {
        let owner = author.as_deref().unwrap_or("acme");
        let made_up = (paging.cursor..paging.cursor + limit)
            .map(|number| json!({"id": format!("{owner}/made-up-{number}"), "gated": "manual"}));
        response = HubResponse::ok(&page.iter().cloned().chain(made_up).take(limit).collect());
        response.headers.push(link(&model.origin, &format!("/api/{kind}"), query, paging.cursor + limit));
    } else if listed.next().is_some() {
        response.headers.push(link(&model.origin, &format!("/api/{kind}"), query, paging.cursor + limit));
    }
    response
}

/// The id of a call, in the format of the Hub's load balancer.
pub fn request_id(number: usize) -> String {
    let mut id = "Root=1-".to_owned();
    let _ = write!(id, "{number:08x}");
    id
}
