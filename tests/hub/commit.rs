//! The calls that make, list and change repos with files: `create`, `delete`, `tree`, `preupload` and `commit`.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::api::{HubResponse, param, visible};
use super::files::{Changes, Commit, MAIN};
use super::model::{Call, Model};
use super::repo::{Gating, Role};
use super::resolve::{entry_not_found, revision_not_found};

/// The key of the repo in the body of `create` or `delete`. Without an organization it is one of the token's account
/// (`huggingface_hub`).
fn named_repo(body: &Value) -> Option<(String, &'static str)> {
    let name = format!("{}/{}", body["organization"].as_str().unwrap_or("owner"), body["name"].as_str()?);
    match body["type"].as_str().unwrap_or("model") {
        "model" => Some((name, "model")),
        "dataset" => Some((format!("datasets/{name}"), "dataset")),
        _ => None,
    }
}

/// Answers a `POST` of `/api/repos/create`.
pub fn create(model: &mut Model, body: &Value) -> HubResponse {
    let Some((key, kind)) = named_repo(body) else {
        return HubResponse::error(400, None, "Invalid repo type or name");
    };
    if !model.token_role.may_write(&key) {
        return HubResponse::error(
            403,
            None,
            "You don't have the rights to create a repo under this namespace",
        );
    }
    let url = format!("{}/{key}", model.origin);
    if model.find(&key).is_some() {
        // `huggingface_hub` reads the URL also from this response, if it may exist.
        let message = format!("You already created this {kind} repo");
        let body = json!({"error": message, "url": url}).to_string().into();
        return HubResponse { body, ..HubResponse::error(409, None, &message) };
    }
    let repo = model.add(&key);
    repo.gating = Gating::Off;
    // Both lines of the client send `visibility`. Older ones sent `private`.
    repo.private = body["visibility"] == "private" || body["private"] == true;
    HubResponse::ok(&json!({"url": url, "name": repo.name, "id": format!("id-{}", repo.name)}))
}

/// Answers a `DELETE` of `/api/repos/delete`.
pub fn delete(model: &mut Model, body: &Value) -> HubResponse {
    let Some((key, _)) = named_repo(body) else {
        return HubResponse::error(400, None, "Invalid repo type or name");
    };
    let key = match visible(model, &key, true) {
        Ok((key, _)) => key.to_owned(),
        Err(refusal) => return refusal,
    };
    if model.repo(&key).role != Role::Write || !model.token_role.may_write(&key) {
        return HubResponse::error(403, None, "You don't have the rights to delete this repo");
    }
    model.repos.remove(&key);
    HubResponse::ok(&json!({}))
}

/// The part of a repo's information that is about its files at a revision (`huggingface_hub`).
pub fn info(mut info: Value, commit: &Commit) -> HubResponse {
    info["sha"] = json!(commit.id);
    info["lastModified"] = json!(commit.at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true));
    info["siblings"] = commit.files.keys().map(|path| json!({"rfilename": path})).collect();
    HubResponse::ok(&info)
}

/// The files and folders in a folder, or everything below it (seen 2026-09). A folder that does not exist is a 404. This Hub does
/// not page, and makes up the ids of folders.
pub fn tree(commit: &Commit, folder: &str, query: &str) -> HubResponse {
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let is_recursive = param(query, "recursive").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let mut entries: Vec<Value> = Vec::new();
    let mut folders: Vec<String> = Vec::new();
    for (path, blob) in &commit.files {
        let Some(rest) = path.strip_prefix(&prefix) else { continue };
        for (place, _) in rest.match_indices('/').take(if is_recursive { usize::MAX } else { 1 }) {
            let inner = format!("{prefix}{}", &rest[..place]);
            if !folders.contains(&inner) {
                entries.push(json!({"type": "directory", "oid": "0".repeat(40), "size": 0, "path": inner}));
                folders.push(inner);
            }
        }
        if is_recursive || !rest.contains('/') {
            entries.push(json!({"type": "file", "oid": blob.id, "size": blob.bytes.len(), "path": path}));
        }
    }
    if entries.is_empty() && !folder.is_empty() {
        entry_not_found()
    } else {
        HubResponse::ok(&json!(entries))
    }
}

/// Tells for each file how to upload it: in the commit, or as a large file (`huggingface_hub`). A file that is there has an `oid`,
/// with which the client leaves out what has not changed.
pub fn preupload(commit: &Commit, body: &Value, regular_limit: usize) -> HubResponse {
    let file = |file: &Value| {
        let path = file["path"].as_str()?;
        let size = usize::try_from(file["size"].as_u64()?).ok()?;
        let mode = if size > regular_limit { "lfs" } else { "regular" };
        let mut answer = json!({"path": path, "uploadMode": mode, "shouldIgnore": false});
        if let Some(blob) = commit.files.get(path) {
            answer["oid"] = json!(blob.id);
        }
        Some(answer)
    };
    let files = body["files"].as_array().and_then(|files| files.iter().map(file).collect::<Option<Vec<_>>>());
    files.map_or_else(
        || HubResponse::error(400, None, "files is required"),
        |files| HubResponse::ok(&json!({"files": files})),
    )
}

/// Answers a `POST` of `commit`: JSON lines with a `header` and the changes (Hub's OpenAPI). The other form, one JSON object, is not
/// modelled.
pub fn commit(model: &mut Model, key: &str, revision: &str, call: &Call, query: &str) -> HubResponse {
    let limit = model.files.regular_limit;
    let files = &model.repo(key).files;
    let Some(parent) = files.at(revision) else { return revision_not_found(revision) };
    let (summary, changes) = match read(parent, &call.body, limit) {
        Ok(commit) => commit,
        Err(refusal) => return refusal,
    };
    let is_pull_request = param(query, "create_pr").is_some_and(|value| value != "0");
    let number = files.refs.keys().filter(|name| name.starts_with("refs/pr/")).count() + 1;
    let name = match files.named(revision) {
        _ if is_pull_request => format!("refs/pr/{number}"),
        Some(name) => name.to_owned(),
        // It is unknown what the real Hub answers.
        None => return HubResponse::error(400, None, "Commits can only be made on top of a branch"),
    };
    let has_card = name == MAIN && changes.iter().any(|(path, _)| path == "README.md");
    let id = model.commit_to(key, &name, &summary, changes);
    if has_card {
        let repo = model.repo(key);
        repo.card =
            repo.files.head().files.get("README.md").map_or_else(|| json!({}), |card| metadata(&card.bytes));
    }
    let url = format!("{}/{key}", model.origin);
    let mut body = json!({
        "success": true, "commitOid": id, "commitUrl": format!("{url}/commit/{id}"), "hookOutput": "",
    });
    if is_pull_request {
        body["pullRequestUrl"] = json!(format!("{url}/discussions/{number}"));
    }
    HubResponse::ok(&body)
}

/// The metadata of a card: the lines `key: value` between two `---`. Only values are modelled that are JSON as well as YAML.
fn metadata(card: &[u8]) -> Value {
    let card = String::from_utf8_lossy(card);
    let block = card.strip_prefix("---\n").and_then(|rest| rest.split("\n---").next()).unwrap_or_default();
    let pairs = block.lines().filter_map(|line| line.split_once(": "));
    pairs
        .filter_map(|(key, value)| Some((key.to_owned(), serde_json::from_str::<Value>(value).ok()?)))
        .collect()
}

/// Reads the lines of a commit: its summary and its changes.
fn read(parent: &Commit, body: &Value, regular_limit: usize) -> Result<(String, Changes), HubResponse> {
    let one = std::slice::from_ref(body);
    let (mut summary, mut changes) = (None, Changes::new());
    for line in body.as_array().map_or(one, Vec::as_slice) {
        let value = &line["value"];
        match line["key"].as_str() {
            Some("header") => {
                let expected = value["parentCommit"].as_str();
                // "A commit has happened since" is a 412 (the tests of `huggingface_hub`).
                if expected.is_some_and(|expected| expected != parent.id) {
                    let message = "A commit has happened since. Please refresh and try again.";
                    return Err(HubResponse::error(412, None, message));
                }
                summary = value["summary"].as_str().map(str::to_owned);
            }
            Some(key) => changes.extend(change(parent, key, value, regular_limit)?),
            None => return Err(HubResponse::error(400, None, "Invalid line in the body")),
        }
    }
    let summary = summary.filter(|summary| !summary.is_empty());
    summary.map(|summary| (summary, changes)).ok_or_else(|| HubResponse::invalid("Required", "summary"))
}

/// The changes of one line of a commit.
fn change(parent: &Commit, key: &str, value: &Value, regular_limit: usize) -> Result<Changes, HubResponse> {
    let Some(path) = value["path"].as_str().filter(|path| !path.is_empty()) else {
        return Err(HubResponse::invalid("Required", "path"));
    };
    let refuse = |message: &str| Err(HubResponse::error(400, None, message));
    match key {
        "file" => {
            let Some(content) = content(value) else { return refuse("Invalid content or encoding") };
            if content.len() > regular_limit {
                // The wording is reported by others.
                return refuse("Your push was rejected because it contains files larger than 10 MiB.");
            }
            Ok(vec![(path.to_owned(), Some(content))])
        }
        // `deletedFile` and `deletedFolder` are the keys of the client, and `deletedEntry` is that of the OpenAPI.
        "deletedFile" | "deletedFolder" | "deletedEntry" => {
            let folder = format!("{}/", path.trim_end_matches('/'));
            let is_meant =
                |file: &&String| *file == path || key != "deletedFile" && file.starts_with(&folder);
            let deleted: Changes =
                parent.files.keys().filter(is_meant).map(|file| (file.clone(), None)).collect();
            if deleted.is_empty() {
                // The client looks for this wording.
                let message = "A file with this name doesn't exist";
                return Err(HubResponse::error(404, Some("EntryNotFound"), message));
            }
            Ok(deleted)
        }
        // A test puts a large file here itself.
        "lfsFile" => refuse("the stand-in takes no uploads of large files"),
        _ => refuse(&format!("the stand-in does not know the key {key}")),
    }
}

fn content(value: &Value) -> Option<Bytes> {
    let content = value["content"].as_str()?;
    match value["encoding"].as_str().unwrap_or("utf-8") {
        "base64" => BASE64_STANDARD.decode(content).ok().map(Bytes::from),
        "utf-8" => Some(Bytes::copy_from_slice(content.as_bytes())),
        _ => None,
    }
}
