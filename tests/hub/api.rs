//! The Hub's HTTP API over the model: one call in, one answer out.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use reqwest::Url;
use serde_json::{Value, json};

use super::model::{AccessRequest, Batch, Call, Cursor, Gating, Model, Person, Repo, Role, Status};
use super::settings;

/// An answer, before it is HTTP.
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Answer {
    pub fn ok(body: &Value) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.to_string() }
    }

    /// An error as the Hub words it.
    pub fn error(status: u16, code: Option<&str>, message: &str) -> Self {
        let mut headers = vec![("X-Error-Message", message.to_owned())];
        headers.extend(code.map(|code| ("X-Error-Code", code.to_owned())));
        Self { status, headers, body: json!({"error": message}).to_string() }
    }

    /// What the Hub says of a value that it does not take. This was recorded (2026-10) of a reason that is too long; that others are
    /// worded alike is likely, because the library that it checks with (zod) words them all so.
    fn invalid(what: &str, place: &str) -> Self {
        let headers = vec![("X-Error-Message", format!("* {what} * at {place}"))];
        Self {
            status: 400, headers, body: json!({"error": format!("✖ {what}\n  → at {place}")}).to_string()
        }
    }
}

fn not_gated(repo: &Repo) -> Answer {
    Answer::error(400, Some("RepoNotGated"), &format!("{} {} is not gated", repo.kind, repo.name))
}

/// A page of a list may start at this place, and be so long.
struct Paging {
    limit: usize,
    cursor: usize,
}

/// Answers a call of whoever shows this token.
pub fn answer(model: &mut Model, call: &Call, token: Option<&str>) -> Answer {
    if token.is_some_and(|token| token != model.token) {
        return unauthorized();
    }
    let (left, ends_in) = model.quota.count();
    let seconds = ends_in.as_secs() + u64::from(ends_in.subsec_nanos() > 0);
    let (calls, window) = (model.quota.calls, model.quota.window.as_secs());
    let mut answer = match left {
        Some(_) => route(model, call, token.is_some()),
        None => Answer::error(429, None, "We had to rate limit you"),
    };
    model.refused_by_quota += u32::from(left.is_none());
    if !model.tells_limits {
        return answer;
    }
    answer.headers.push(("RateLimit", format!(r#""api";r={};t={seconds}"#, left.unwrap_or(0))));
    answer.headers.push(("RateLimit-Policy", format!(r#""fixed window";"api";q={calls};w={window}"#)));
    if left.is_none() && model.quota.tells_when {
        answer.headers.push(("Retry-After", seconds.to_string()));
    }
    answer
}

/// How many collections a page has here. On the real Hub it is unknown.
const COLLECTIONS: usize = 10;

fn unauthorized() -> Answer {
    Answer::error(401, None, "Invalid username or password.")
}

fn route(model: &mut Model, call: &Call, signed_in: bool) -> Answer {
    let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    match (call.method.as_str(), segments.as_slice()) {
        (_, ["api", "whoami-v2" | "settings", ..]) if !signed_in => unauthorized(),
        ("GET", ["api", "whoami-v2"]) => Answer::ok(&model.account.shown()),
        (method, ["api", "settings", "webhooks", rest @ ..]) => {
            settings::webhooks(model, method, rest, &call.body).unwrap_or_else(|| unknown(call))
        }
        ("GET", ["api", kind @ ("models" | "datasets")]) => match paging(query) {
            Ok(paging) => list_repos(model, kind, query, &paging, signed_in),
            Err(answer) => answer,
        },
        ("GET", ["api", "collections"]) => {
            let all = settings::collections_with(model, &param(query, "item").unwrap_or_default());
            let begin = paging(query).map_or(0, |paging| paging.cursor).min(all.len());
            let end = (begin + COLLECTIONS).min(all.len());
            let mut answer = Answer::ok(&all[begin..end].into());
            answer.headers.extend((end < all.len()).then(|| link(&model.origin, path, query, end)));
            answer
        }
        ("GET", ["api", "collections", namespace, slug]) => {
            settings::collection(model, &format!("{namespace}/{slug}"))
        }
        ("GET", ["datasets", namespace, name, "user-access-report"]) => {
            report(model, &format!("datasets/{namespace}/{name}"), signed_in)
        }
        ("GET", [namespace, name, "user-access-report"]) => {
            report(model, &format!("{namespace}/{name}"), signed_in)
        }
        (_, ["api", kind @ ("models" | "datasets"), rest @ ..]) => {
            let (name, rest) =
                match rest.iter().position(|s| matches!(*s, "user-access-request" | "settings")) {
                    Some(end) => rest.split_at(end),
                    None => (rest, &[][..]),
                };
            let name = name.join("/");
            let asked = if *kind == "datasets" { format!("datasets/{name}") } else { name };
            let known = model.find(&asked).filter(|(_, repo)| repo.role != Role::None);
            let Some((key, role)) = known.map(|(key, repo)| (key.to_owned(), repo.role)) else {
                return Answer::error(404, Some("RepoNotFound"), "Repository not found");
            };
            match (call.method.as_str(), rest) {
                ("GET", []) => Answer::ok(&repo_info(model.repo(&key))),
                _ if !signed_in => unauthorized(),
                _ if role == Role::Read || !model.account.role.may_write(&key) => Answer::error(
                    403,
                    None,
                    "You have read access but not the required permissions for this operation",
                ),
                ("PUT", ["settings"]) => set_gate(model.repo(&key), &call.body),
                ("GET", ["user-access-request", status]) => match (Status::parse(status), paging(query)) {
                    (Some(status), Ok(paging)) => list(model, &key, status, &paging, (path, query)),
                    (None, _) => unknown(call),
                    (_, Err(answer)) => answer,
                },
                ("POST", ["user-access-request", "handle"]) => handle(model, &key, &call.body),
                ("POST", ["user-access-request", "batch"]) if model.batch != Batch::Unknown => {
                    batch(model, &key, &call.body)
                }
                ("POST", ["user-access-request", "grant"]) => grant(model, &key, &call.body),
                _ => unknown(call),
            }
        }
        _ => unknown(call),
    }
}

/// What this Hub does not have. A test that runs into it sees what it asked for.
fn unknown(call: &Call) -> Answer {
    Answer { status: 404, headers: Vec::new(), body: format!("Cannot {call}") }
}

/// The address of a call of this Hub.
fn address(origin: &str, path: &str, query: &str) -> Url {
    Url::parse(&format!("{origin}{path}?{query}")).expect("an address")
}

/// The value of a parameter of a query, decoded.
fn param(query: &str, name: &str) -> Option<String> {
    let url = address("http://hub", "/", query);
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// The link to the next page: the same call again, from another place on.
fn link(origin: &str, path: &str, query: &str, cursor: usize) -> (&'static str, String) {
    let (this, mut next) = (address(origin, path, query), address(origin, path, ""));
    let kept = this.query_pairs().filter(|(name, _)| name != "cursor");
    next.query_pairs_mut().extend_pairs(kept).append_pair("cursor", &cursor.to_string());
    ("Link", format!(r#"<{next}>; rel="next""#))
}

fn paging(query: &str) -> Result<Paging, Answer> {
    let number = |name, default| param(query, name).map_or(Some(default), |text| text.parse().ok());
    match (number("limit", 1000), number("cursor", 0)) {
        (Some(limit @ 10..=1000), Some(cursor)) => Ok(Paging { limit, cursor }),
        (Some(0..10), _) => Err(Answer::invalid("Too small: expected number to be >=10", "limit")),
        _ => Err(Answer::invalid("Too big: expected number to be <=1000", "limit")),
    }
}

fn list(
    model: &mut Model,
    key: &str,
    status: Status,
    paging: &Paging,
    (path, query): (&str, &str),
) -> Answer {
    let searched = param(query, "q").unwrap_or_default();
    if searched.encode_utf16().count() > 250 {
        return Answer::error(400, None, "Invalid value for parameter q: must be at most 250 characters");
    }
    let (lag, limit, cursor) = (model.lag, paging.limit.min(model.max_page), model.cursor);
    let (links_pages, newest_first) = (model.links_pages, model.newest_first);
    let time = |name| param(query, name).and_then(|text| text.parse::<DateTime<Utc>>().ok());
    let (before, after) = (time("before"), time("after"));
    let (origin, elsewhere) = (model.origin.clone(), model.next_page.clone());
    let repo = model.repo(key);
    if let (Some(page), Status::Pending) = (&repo.raw_page, status) {
        return Answer { status: 200, headers: Vec::new(), body: page.clone() };
    }
    let (from, skipped) = match cursor {
        Cursor::Points => (paging.cursor, 0),
        Cursor::Counts => (0, paging.cursor),
    };
    // It is unknown whether the real Hub includes the time itself; here it is excluded.
    let is_between = |request: &AccessRequest| {
        before.is_none_or(|before| request.requested_at < before)
            && after.is_none_or(|after| request.requested_at > after)
    };
    let listed = repo.list(status, lag, from);
    let listed = listed.filter(|(_, request)| repo.finds(request, &searched) && is_between(request));
    let listed: Box<dyn Iterator<Item = _>> =
        if newest_first { Box::new(listed.collect::<Vec<_>>().into_iter().rev()) } else { Box::new(listed) };
    let mut listed = listed.skip(skipped);
    let page: Vec<_> = listed.by_ref().take(limit).map(|(_, request)| repo.entry(request, status)).collect();
    let next = listed.next().filter(|_| links_pages).map(|(place, _)| match cursor {
        Cursor::Points => place,
        Cursor::Counts => skipped + limit,
    });
    let body = serde_json::to_string(&page).expect("JSON");
    let mut answer = Answer { status: 200, headers: Vec::new(), body };
    if let Some(next) = next {
        answer.headers.push(match elsewhere {
            Some(elsewhere) => ("Link", format!(r#"<{elsewhere}>; rel="next""#)),
            None => link(&origin, path, query, next),
        });
    }
    answer
}

/// The check that all writes begin with.
fn check_write(repo: &Repo, body: &Value) -> Result<(Status, Option<String>), Answer> {
    if repo.gating == Gating::Off {
        return Err(not_gated(repo));
    }
    let Some(status) = body["status"].as_str().and_then(Status::parse) else {
        let expected = r#"Invalid option: expected one of "pending"|"accepted"|"rejected"|"reset""#;
        return Err(Answer::invalid(expected, "status"));
    };
    let reason = match status {
        Status::Rejected => &body["rejectionReason"],
        Status::Reset => &body["resetReason"],
        Status::Pending | Status::Accepted => &Value::Null,
    };
    match reason.as_str() {
        Some(reason) if reason.encode_utf16().count() > 200 => {
            let place = if status == Status::Reset { "resetReason" } else { "rejectionReason" };
            Err(Answer::invalid("Too big: expected string to have <=200 characters", place))
        }
        reason => Ok((status, reason.map(str::to_owned))),
    }
}

/// Why a request was not found.
enum Missing {
    Identity,
    User,
    Request,
}

/// Finds the request that a body names, in exactly one way.
fn named<'a>(model: &'a mut Model, key: &str, body: &Value) -> Result<&'a mut AccessRequest, Missing> {
    let identity = |name: &'static str| Some((name, body[name].as_str()?));
    let identities = ["userId", "user", "requestId"].map(identity);
    let mut identities = identities.into_iter().flatten();
    let (Some((name, value)), None) = (identities.next(), identities.next()) else {
        return Err(Missing::Identity);
    };
    let is_known = match name {
        "userId" => model.people.iter().any(|person| person.id == value),
        "user" => model.people.iter().any(|person| person.name.eq_ignore_ascii_case(value)),
        _ => true,
    };
    let missing = if is_known { Missing::Request } else { Missing::User };
    model.repo(key).find_mut(name, value).ok_or(missing)
}

fn not_found(missing: &Missing) -> Answer {
    match missing {
        Missing::Identity => {
            Answer::invalid("Invalid input: expected exactly one of user, userId, requestId", "user")
        }
        Missing::User => Answer::error(404, None, "User not found"),
        Missing::Request => Answer::error(404, None, "No access request found matching your criteria"),
    }
}

fn handle(model: &mut Model, key: &str, body: &Value) -> Answer {
    let (status, reason) = match check_write(model.repo(key), body) {
        Ok(checked) => checked,
        Err(answer) => return answer,
    };
    match named(model, key, body) {
        Ok(request) if request.status == status => not_found(&Missing::Request),
        Ok(request) => {
            request.set(status, reason);
            Answer::ok(&json!({}))
        }
        Err(missing) => not_found(&missing),
    }
}

fn batch(model: &mut Model, key: &str, body: &Value) -> Answer {
    let (status, reason) = match check_write(model.repo(key), body) {
        Ok(checked) => checked,
        Err(answer) => return answer,
    };
    let requests = body["requests"].as_array().cloned().unwrap_or_default();
    if !(1..=100).contains(&requests.len()) {
        return Answer::error(400, None, "requests must have between 1 and 100 items");
    }
    if model.batch == Batch::NoRequestId && requests.iter().any(|request| !request["requestId"].is_null()) {
        return Answer::error(400, None, "Invalid input: requests[0] must have user or userId");
    }
    let mut results = Vec::new();
    for mut one in requests {
        let is_denied = model.batch == Batch::DeniesRequestId && !one["requestId"].is_null();
        match named(model, key, &one) {
            Ok(_) if is_denied => {
                one["ok"] = json!(false);
                one["error"] = json!("user_not_found");
            }
            Ok(request) => {
                // Unlike handle, a batch may say again what is so already.
                if request.status != status {
                    request.set(status, reason.clone());
                }
                one["ok"] = json!(true);
            }
            Err(missing) => {
                one["ok"] = json!(false);
                let error =
                    if matches!(missing, Missing::User) { "user_not_found" } else { "request_not_found" };
                one["error"] = json!(error);
            }
        }
        results.push(one);
    }
    Answer::ok(&json!(results))
}

fn grant(model: &mut Model, key: &str, body: &Value) -> Answer {
    if model.repo(key).gating == Gating::Off {
        return not_gated(model.repo(key));
    }
    let (name, value) = match (body["userId"].as_str(), body["user"].as_str()) {
        (Some(id), _) => ("userId", id),
        (None, name) => ("user", name.unwrap_or_default()),
    };
    if let Some(request) = model.repo(key).find_mut(name, value) {
        if request.status == Status::Accepted {
            return Answer::error(400, None, "That user already has access to the repo");
        }
        request.set(Status::Accepted, None);
        return Answer::ok(&json!({}));
    }
    let is_meant = |person: &&Person| match name {
        "userId" => person.id == value,
        _ => person.name.eq_ignore_ascii_case(value),
    };
    let Some(person) = model.people.iter().find(is_meant).cloned() else {
        return Answer::error(404, None, "User not found");
    };
    let id = person.id.clone();
    let repo = model.repo(key);
    repo.ask(person);
    if let Some(request) = repo.find_mut("userId", &id) {
        request.set(Status::Accepted, None);
        request.granted = true;
    }
    Answer::ok(&json!({}))
}

fn report(model: &Model, asked: &str, signed_in: bool) -> Answer {
    match model.find(asked) {
        Some((key, repo)) if signed_in && repo.role == Role::Write && model.account.role.may_write(key) => {
            let mut answer = Answer::ok(&repo.report());
            let file = format!("user-access-report-{}.json", repo.name.replace('/', "-"));
            answer.headers.push(("Content-Disposition", format!("attachment; filename=\"{file}\"")));
            answer
        }
        _ => Answer::error(404, Some("RepoNotFound"), "Repository not found"),
    }
}

fn set_gate(repo: &mut Repo, body: &Value) -> Answer {
    repo.gating = match &body["gated"] {
        Value::Bool(false) => Gating::Off,
        gated if gated == "auto" => Gating::Auto,
        gated if gated == "manual" => Gating::Manual,
        _ => return Answer::error(400, None, "Invalid value for gated"),
    };
    Answer::ok(&json!({}))
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

fn list_repos(model: &Model, kind: &str, query: &str, paging: &Paging, signed_in: bool) -> Answer {
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
    let mut answer = Answer::ok(&json!(page));
    if model.lists_repos_without_end {
        let owner = author.as_deref().unwrap_or("acme");
        let made_up = (paging.cursor..paging.cursor + limit)
            .map(|number| json!({"id": format!("{owner}/made-up-{number}"), "gated": "manual"}));
        answer = Answer::ok(&page.iter().cloned().chain(made_up).take(limit).collect());
        answer.headers.push(link(&model.origin, &format!("/api/{kind}"), query, paging.cursor + limit));
    } else if listed.next().is_some() {
        answer.headers.push(link(&model.origin, &format!("/api/{kind}"), query, paging.cursor + limit));
    }
    answer
}

/// An id for a call, as the Hub's load balancer writes it.
pub fn request_id(number: usize) -> String {
    let mut id = "Root=1-".to_owned();
    let _ = write!(id, "{number:08x}");
    id
}
