//! The calls about the access requests of a repo: the lists, `handle`, `batch` and `grant`.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::api::{HubResponse, Paging, link, param};
use super::model::{Batch, Cursor, Model};
use super::repo::{AccessRequest, Gating, Repo, Status};

fn not_gated(repo: &Repo) -> HubResponse {
    HubResponse::error(400, Some("RepoNotGated"), &format!("{} {} is not gated", repo.kind, repo.name))
}

/// A page of a list. The list of a repo whose gating was switched off still answers 200 (seen 2026-10).
pub fn list(
    model: &mut Model,
    key: &str,
    status: Status,
    paging: &Paging,
    (path, query): (&str, &str),
) -> HubResponse {
    let text = param(query, "q").unwrap_or_default();
    if text.encode_utf16().count() > 250 {
        return HubResponse::error(
            400,
            None,
            "Invalid value for parameter q: must be at most 250 characters",
        );
    }
    let (lag, limit, cursor) = (model.lag, paging.limit.min(model.max_page), model.cursor);
    let (links_pages, newest_first) = (model.links_pages, model.newest_first);
    let time_of = |name| param(query, name).and_then(|text| text.parse::<DateTime<Utc>>().ok());
    let (before, after) = (time_of("before"), time_of("after"));
    let (origin, other_link) = (model.origin.clone(), model.next_page.clone());
    let repo = model.repo(key);
    if let (Some(page), Status::Pending) = (&repo.raw_page, status) {
        return HubResponse { status: 200, headers: Vec::new(), body: page.clone().into() };
    }
    let (from, skipped) = match cursor {
        Cursor::Key => (paging.cursor, 0),
        Cursor::Offset => (0, paging.cursor),
    };
    // It is unknown whether the real Hub includes an entry of exactly this time. This one excludes it.
    let is_between = |request: &AccessRequest| {
        before.is_none_or(|before| request.requested_at < before)
            && after.is_none_or(|after| request.requested_at > after)
    };
    let listed = repo.list(status, lag, from);
    let listed = listed.filter(|(_, request)| repo.finds(request, &text) && is_between(request));
    let listed: Box<dyn Iterator<Item = _>> = if newest_first || !links_pages {
        let mut listed: Vec<_> = listed.collect();
        if !links_pages {
            // Such a list can only be paged by time. In any other order, its end could not be known.
            listed.sort_by_key(|(_, request)| request.requested_at);
        }
        if newest_first {
            listed.reverse();
        }
        Box::new(listed.into_iter())
    } else {
        Box::new(listed)
    };
    let mut listed = listed.skip(skipped);
    let page: Vec<_> = listed.by_ref().take(limit).map(|(_, request)| repo.entry(request, status)).collect();
    let next = listed.next().filter(|_| links_pages).map(|(place, _)| match cursor {
        Cursor::Key => place,
        Cursor::Offset => skipped + limit,
    });
    let body = serde_json::to_string(&page).expect("JSON");
    let mut response = HubResponse { status: 200, headers: Vec::new(), body: body.into() };
    if let Some(next) = next {
        response.headers.push(match other_link {
            Some(url) => ("Link", format!(r#"<{url}>; rel="next""#)),
            None => link(&origin, path, query, next),
        });
    }
    response
}

/// Checks what all writes have in common: the gate, the status and the length of the reason ("at most 200 characters",
/// `huggingface_hub` 2.4.0).
fn check_write(repo: &Repo, body: &Value) -> Result<(Status, Option<String>), HubResponse> {
    if repo.gating == Gating::Off {
        return Err(not_gated(repo));
    }
    let Some(status) = body["status"].as_str().and_then(Status::parse) else {
        let expected = r#"Invalid option: expected one of "pending"|"accepted"|"rejected"|"reset""#;
        return Err(HubResponse::invalid(expected, "status"));
    };
    let reason = match status {
        Status::Rejected => &body["rejectionReason"],
        Status::Reset => &body["resetReason"],
        Status::Pending | Status::Accepted => &Value::Null,
    };
    match reason.as_str() {
        Some(reason) if reason.encode_utf16().count() > 200 => {
            let place = if status == Status::Reset { "resetReason" } else { "rejectionReason" };
            Err(HubResponse::invalid("Too big: expected string to have <=200 characters", place))
        }
        reason => Ok((status, reason.map(str::to_owned))),
    }
}

/// Why no request was found.
enum Missing {
    Identity,
    User,
    Request,
}

/// Finds the request that a body names by exactly one of `userId`, `user` and `requestId`.
fn named<'a>(model: &'a mut Model, key: &str, body: &Value) -> Result<&'a mut AccessRequest, Missing> {
    let identity = |name: &'static str| Some((name, body[name].as_str()?));
    let identities = ["userId", "user", "requestId"].map(identity);
    let mut identities = identities.into_iter().flatten();
    let (Some((name, value)), None) = (identities.next(), identities.next()) else {
        return Err(Missing::Identity);
    };
    let is_known = match name {
        "requestId" => true,
        key => model.person(key, value).is_some(),
    };
    let missing = if is_known { Missing::Request } else { Missing::User };
    model.repo(key).find_mut(name, value).ok_or(missing)
}

fn not_found(missing: &Missing) -> HubResponse {
    match missing {
        Missing::Identity => {
            HubResponse::invalid("Invalid input: expected exactly one of user, userId, requestId", "user")
        }
        Missing::User => HubResponse::error(404, None, "User not found"),
        Missing::Request => HubResponse::error(404, None, "No access request found matching your criteria"),
    }
}

/// Writes one request. A request that has the status already is a 404, as if there were none (seen 2026-10).
pub fn handle(model: &mut Model, key: &str, body: &Value) -> HubResponse {
    let (status, reason) = match check_write(model.repo(key), body) {
        Ok(checked) => checked,
        Err(refusal) => return refusal,
    };
    match named(model, key, body) {
        Ok(request) if request.status == status => not_found(&Missing::Request),
        Ok(request) => {
            request.set(status, reason);
            HubResponse::ok(&json!({}))
        }
        Err(missing) => not_found(&missing),
    }
}

/// Writes up to 100 requests: "1 to 100 requests, one status and one reason for all" (Hub's OpenAPI, 2026-08). It is unknown
/// whether the real Hub takes a `requestId` here, so tests try each way of [`Batch`].
pub fn batch(model: &mut Model, key: &str, body: &Value) -> HubResponse {
    let (status, reason) = match check_write(model.repo(key), body) {
        Ok(checked) => checked,
        Err(refusal) => return refusal,
    };
    let requests = body["requests"].as_array().cloned().unwrap_or_default();
    if !(1..=100).contains(&requests.len()) {
        return HubResponse::error(400, None, "requests must have between 1 and 100 items");
    }
    if model.batch == Batch::NoRequestId && requests.iter().any(|request| !request["requestId"].is_null()) {
        return HubResponse::error(400, None, "Invalid input: requests[0] must have user or userId");
    }
    let mut results = Vec::new();
    for mut item in requests {
        let is_denied = model.batch == Batch::DeniesRequestId && !item["requestId"].is_null();
        match named(model, key, &item) {
            Ok(_) if is_denied => {
                item["ok"] = json!(false);
                item["error"] = json!("user_not_found");
            }
            Ok(request) => {
                // Unlike `handle`, a batch answers `ok: true` for a request that has the status already (seen 2026-10).
                if request.status != status {
                    request.set(status, reason.clone());
                }
                item["ok"] = json!(true);
            }
            Err(missing) => {
                item["ok"] = json!(false);
                let error =
                    if matches!(missing, Missing::User) { "user_not_found" } else { "request_not_found" };
                item["error"] = json!(error);
            }
        }
        results.push(item);
    }
    HubResponse::ok(&json!(results))
}

/// Gives access to a user, with or without a request. A user who has access already is a 400 (seen 2026-10).
pub fn grant(model: &mut Model, key: &str, body: &Value) -> HubResponse {
    if model.repo(key).gating == Gating::Off {
        return not_gated(model.repo(key));
    }
    let (name, value) = match (body["userId"].as_str(), body["user"].as_str()) {
        (Some(id), _) => ("userId", id),
        (None, name) => ("user", name.unwrap_or_default()),
    };
    if let Some(request) = model.repo(key).find_mut(name, value) {
        if request.status == Status::Accepted {
            return HubResponse::error(400, None, "That user already has access to the repo");
        }
        request.set(Status::Accepted, None);
        return HubResponse::ok(&json!({}));
    }
    let Some(person) = model.person(name, value) else {
        return HubResponse::error(404, None, "User not found");
    };
    let id = person.id.clone();
    let repo = model.repo(key);
    repo.ask(person);
    if let Some(request) = repo.find_mut("userId", &id) {
        request.set(Status::Accepted, None);
        request.granted = true;
    }
    HubResponse::ok(&json!({}))
}
