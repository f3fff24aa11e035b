//! The calls that read one file: `/resolve/` and its three redirects.
//!
//! Headers and bodies are those of recordings that others published: the 307 of 2026-04, the 302 of 2026-09, the 404s of 2026-05
//! and 2026-09.

use reqwest::Url;

use super::api::{HubResponse, visible};
use super::files::{Blob, Commit};
use super::model::{Call, Model};
use super::repo::{Gating, Repo, Role};

/// A file that a call asks for.
pub struct Wanted {
    /// Such as `datasets/acme/corpus`.
    repo: String,
    revision: String,
    path: String,
    /// The call came by the redirect of a small file.
    is_cached: bool,
    /// The call is a `/raw/`, which has neither a redirect nor a 304 (reported by others).
    is_raw: bool,
}

impl Wanted {
    /// Reads the path of a call, if it is one about a file: `/datasets/{repo}/resolve/{revision}/{path}`, the same without
    /// `datasets/` for a model, the same with `raw`, and `/api/resolve-cache/…`.
    pub fn parse(call: &Call) -> Option<Self> {
        let path = call.path.split('?').next()?;
        let segments: Vec<String> = path.split('/').skip(1).map(decode).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (repo, revision, path, is_cached, is_raw) = match segments.as_slice() {
            ["api", "resolve-cache", "datasets", namespace, name, commit, path @ ..] => {
                (format!("datasets/{namespace}/{name}"), commit, path, true, false)
            }
            ["api", "resolve-cache", "models", namespace, name, commit, path @ ..] => {
                (format!("{namespace}/{name}"), commit, path, true, false)
            }
            ["datasets", namespace, name, how @ ("resolve" | "raw"), revision, path @ ..] => {
                (format!("datasets/{namespace}/{name}"), revision, path, false, *how == "raw")
            }
            [namespace, name, how @ ("resolve" | "raw"), revision, path @ ..] => {
                (format!("{namespace}/{name}"), revision, path, false, *how == "raw")
            }
            _ => return None,
        };
        let is_read = matches!(call.method.as_str(), "GET" | "HEAD");
        is_read.then(|| Self {
            repo,
            revision: (*revision).to_owned(),
            path: path.join("/"),
            is_cached,
            is_raw,
        })
    }

    /// Answers the call.
    pub fn respond(&self, model: &Model, call: &Call, signed_in: bool) -> HubResponse {
        let repo = match visible(model, &self.repo, signed_in) {
            Ok((_, repo)) => repo,
            Err(refusal) => return refusal,
        };
        if let Some(refusal) = refuse_gated(repo, signed_in) {
            return refusal;
        }
        let Some(commit) = repo.files.at(&self.revision) else {
            return revision_not_found(&self.revision);
        };
        let mut response = match commit.files.get(&self.path) {
            Some(blob) => self.serve(model, call, repo, (commit, blob)),
            None => HubResponse { body: "Entry not found".into(), ..entry_not_found() },
        };
        if response.status != 304 || model.files.unchanged_names_commit {
            response.headers.push(("X-Repo-Commit", commit.id.clone()));
        }
        response
    }

    fn serve(
        &self,
        model: &Model,
        call: &Call,
        repo: &Repo,
        (commit, blob): (&Commit, &Blob),
    ) -> HubResponse {
        let rules = &model.files;
        if blob.bytes.len() > rules.regular_limit {
            return self.redirect_to_storage(model, blob);
        }
        let mark = if rules.weakens_etags { "W/" } else { "" };
        let etag = ("ETag", format!(r#"{mark}"{}""#, blob.id));
        // "A 304 is sent on a resolve call" (a maintainer, huggingface.js#1713, 2025-08), to a public repo without a redirect.
        if !self.is_raw && call.if_none_match.as_deref().is_some_and(|known| is_known(known, &blob.id)) {
            return HubResponse { status: 304, headers: vec![etag], body: "".into() };
        }
        let is_public = !repo.private && repo.gating == Gating::Off;
        if !self.is_cached && !self.is_raw && (is_public || rules.redirects_private) {
            return self.redirect_to_cache(call, repo, commit, blob);
        }
        let file = self.path.rsplit('/').next().unwrap_or_default();
        let headers = vec![
            etag,
            ("Content-Type", "text/plain; charset=utf-8".to_owned()),
            ("Accept-Ranges", "bytes".to_owned()),
            ("Content-Disposition", format!("inline; filename*=UTF-8''{file}; filename=\"{file}\";")),
        ];
        HubResponse { status: 200, headers, body: blob.bytes.clone() }
    }

    /// The 307 of a small file, to the same origin. It has no `ETag`.
    fn redirect_to_cache(&self, call: &Call, repo: &Repo, commit: &Commit, blob: &Blob) -> HubResponse {
        let path = format!("/api/resolve-cache/{}s/{}/{}/{}", repo.kind, repo.name, commit.id, self.path);
        let mut url = Url::parse("http://hub").expect("a URL");
        url.set_path(&path);
        url.query_pairs_mut().append_pair(&call.path, "").append_pair("etag", &format!(r#""{}""#, blob.id));
        redirect(307, url.as_str().trim_start_matches("http://hub"), Vec::new())
    }

    /// The 302 of a large file, to another origin. The URL is signed, so it needs no token.
    fn redirect_to_storage(&self, model: &Model, blob: &Blob) -> HubResponse {
        let linked = vec![
            ("X-Linked-Size", blob.bytes.len().to_string()),
            ("X-Linked-ETag", format!(r#""{}""#, blob.sha256())),
        ];
        let url = format!("{}/{}/{}?X-Amz-Signature=0", model.files.storage, self.repo, blob.sha256());
        redirect(302, &url, linked)
    }
}

/// A redirect to this URL or path.
pub fn redirect(status: u16, to: &str, mut headers: Vec<(&'static str, String)>) -> HubResponse {
    headers.push(("Location", to.to_owned()));
    headers.push(("Content-Type", "text/plain; charset=utf-8".to_owned()));
    HubResponse { status, headers, body: format!("Redirecting to {to}").into() }
}

/// Whether an `If-None-Match` has this id. The comparison is weak, as HTTP demands (RFC 9110, 13.1.2).
fn is_known(if_none_match: &str, id: &str) -> bool {
    let tags = if_none_match.split(',').map(|tag| tag.trim().trim_start_matches("W/"));
    tags.map(|tag| tag.trim_matches('"')).any(|tag| tag == id || tag == "*")
}

/// The files of a gated repo are not public, though its metadata is (reported by others, 2026-09).
fn refuse_gated(repo: &Repo, signed_in: bool) -> Option<HubResponse> {
    if repo.gating == Gating::Off || signed_in && repo.role == Role::Write {
        return None;
    }
    let (status, advice) = if signed_in {
        (403, "Visit its page to ask for access.")
    } else {
        (401, "You must have access to it and be authenticated to access it. Please log in.")
    };
    let message = format!("Access to {} {} is restricted. {advice}", repo.kind, repo.name);
    Some(HubResponse::error(status, Some("GatedRepo"), &message))
}

pub fn revision_not_found(revision: &str) -> HubResponse {
    HubResponse::error(404, Some("RevisionNotFound"), &format!("Invalid rev id: {revision}"))
}

pub fn entry_not_found() -> HubResponse {
    HubResponse::error(404, Some("EntryNotFound"), "Entry not found")
}

/// Answers a call to the storage of large files. A call with an `Authorization` header is refused, as S3 refuses one beside a
/// signed URL.
pub fn stored(model: &mut Model, call: &Call) -> HubResponse {
    if call.authorized {
        model.files.authorized_storage_calls.push(call.to_string());
        return HubResponse::error(400, None, "Only one auth mechanism allowed");
    }
    let path = call.path.split('?').next().unwrap_or_default();
    let sha256 = path.rsplit('/').next().unwrap_or_default();
    let limit = model.files.regular_limit;
    let blob = model.repos.values().find_map(|repo| repo.files.stored(sha256, limit));
    let Some(blob) = blob.filter(|_| call.path.contains("X-Amz-Signature=")) else {
        return HubResponse::error(403, None, "Access denied");
    };
    // The ETag of the real storage is another hash than X-Linked-ETag (reported by others, 2026-09).
    let headers = vec![("ETag", format!(r#""stored-{}""#, blob.id)), ("Accept-Ranges", "bytes".to_owned())];
    HubResponse { status: 200, headers, body: blob.bytes.clone() }
}

/// A segment of a path, decoded.
pub fn decode(segment: &str) -> String {
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned()
}
