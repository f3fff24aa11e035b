//! Files of a repo, read by `/resolve/`: a small file is in the response, and for other files a redirect leads to the content.

use reqwest::header::{ACCEPT, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, LOCATION};
use reqwest::{Method, Request, StatusCode, Url};
use tokio::time::Instant;

use super::call::{CallOptions, Calls, HubResponse};
use super::{Hub, HubError, Problem};
use crate::model::{Repo, RepoType};
use crate::secrets::redact;

/// The most redirects that are followed for a file. The Hub needs one.
const MAX_REDIRECTS: usize = 4;

/// The statuses of a response that is neither a success nor an error: not modified, and the redirects.
const NOT_AN_ERROR: &[u16] = &[301, 302, 303, 304, 307, 308];

/// The calls that read files.
#[derive(Debug)]
pub struct Files<'a>(Calls<'a>);

/// The response to a conditional read of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileRead {
    /// The file has the same `ETag` as before.
    Unchanged {
        /// The commit that the revision stands for, if the response says so. It is unknown whether a 304 does.
        commit: Option<String>,
    },
    /// The content of the file.
    New(File),
}

/// A file at a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The content.
    pub content: Vec<u8>,
    /// The `ETag`, with which the next read is conditional.
    pub etag: Option<String>,
    /// `X-Repo-Commit`: the commit that the revision stands for, as 40 hexadecimal digits.
    pub commit: Option<String>,
}

/// A response, and what to do next.
enum Step {
    Follow(Url),
    Unchanged,
    Done(Vec<u8>),
}

impl Hub {
    /// The calls that read files. None lasts beyond `deadline`.
    pub fn files(&self, deadline: Instant) -> Files<'_> {
        Files(Calls::new(self, deadline))
    }
}

impl Files<'_> {
    /// The number of HTTP calls made so far, counting every attempt.
    pub fn count(&self) -> u32 {
        self.0.count()
    }

    /// Reads a file of at most `max_bytes` bytes: `GET /datasets/{repo}/resolve/{revision}/{path}`. If its `ETag` is still `etag`, the
    /// content is not sent again.
    ///
    /// A small file of a private repo is in the response. For a file of a public repo a redirect leads to `/api/resolve-cache/`, and
    /// for a large file to another origin, which gets no token. No other redirect is followed, because it may lead to another repo.
    pub async fn read(
        &self,
        repo: &Repo,
        revision: &str,
        path: &str,
        etag: Option<&str>,
        max_bytes: usize,
    ) -> Result<FileRead, HubError> {
        let Self(calls) = self;
        let mut url = resolve_url(&calls.url("/")?, repo, revision, path);
        let call = format!("GET {}", url.path());
        let options = CallOptions { max_bytes, also_accepts: NOT_AN_ERROR, ..CallOptions::default() };
        let mut commit = None;
        for _ in 0..=MAX_REDIRECTS {
            let read = |response: HubResponse| {
                let new_commit = commit_of(&response.headers);
                let etag = response.headers.get(ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
                Ok((self.step(response, &url)?, new_commit, etag))
            };
            let (step, new_commit, new_etag) =
                calls.send(&call, &options, || request(&url, etag), read).await?;
            commit = commit.or(new_commit);
            match step {
                Step::Follow(target) => url = target,
                Step::Unchanged => return Ok(FileRead::Unchanged { commit }),
                Step::Done(content) => return Ok(FileRead::New(File { content, etag: new_etag, commit })),
            }
        }
        Err(HubError::new(&call, Problem::Unreadable("it redirects too many times".to_owned())))
    }

    fn step(&self, response: HubResponse, url: &Url) -> Result<Step, Problem> {
        match response.status {
            StatusCode::NOT_MODIFIED => Ok(Step::Unchanged),
            status if status.is_success() => Ok(Step::Done(response.body)),
            _ => self.target(&response.headers, url).map(Step::Follow),
        }
    }

    /// Where a redirect leads, if it may be followed.
    fn target(&self, headers: &HeaderMap, url: &Url) -> Result<Url, Problem> {
        let Self(calls) = self;
        let target = headers.get(LOCATION).and_then(|target| url.join(target.to_str().ok()?).ok());
        let target = target.ok_or_else(|| Problem::Unreadable("its redirect has no valid URL".to_owned()))?;
        let endpoint = &calls.hub.endpoint;
        let may_follow = if target.origin() == endpoint.origin() {
            let cache = format!("{}/api/resolve-cache/", endpoint.path().trim_end_matches('/'));
            target.path().starts_with(&cache)
        } else {
            // Only a stand-in on this machine has an endpoint without TLS.
            target.scheme() == "https" || endpoint.scheme() == "http" && target.scheme() == "http"
        };
        if may_follow {
            return Ok(target);
        }
        // The query may contain a signature.
        let shown = format!("{}{}", target.origin().ascii_serialization(), target.path());
        let shown = redact(&shown, &calls.hub.keyring.secrets());
        Err(Problem::Unreadable(format!("it redirects to {shown}, which is not followed")))
    }
}

/// The URL of a file. `endpoint` ends with a slash.
fn resolve_url(endpoint: &Url, repo: &Repo, revision: &str, path: &str) -> Url {
    let mut url = endpoint.clone();
    // Only a URL without a host has no segments.
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty();
        if repo.repo_type() == RepoType::Dataset {
            segments.push("datasets");
        }
        segments.extend(repo.name().split('/')).extend(["resolve", revision]).extend(path.split('/'));
    }
    url
}

fn request(url: &Url, etag: Option<&str>) -> Request {
    let mut request = Request::new(Method::GET, url.clone());
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("*/*"));
    if let Some(etag) = etag.and_then(|etag| HeaderValue::from_str(etag).ok()) {
        request.headers_mut().insert(IF_NONE_MATCH, etag);
    }
    request
}

fn commit_of(headers: &HeaderMap) -> Option<String> {
    let commit = headers.get("x-repo-commit")?.to_str().ok()?;
    is_commit(commit).then(|| commit.to_owned())
}

/// Whether a revision is the full id of a commit.
#[must_use]
pub fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_of_a_file_has_each_part_encoded() {
        let url = |endpoint: &str, repo_type, name, revision, path| {
            let repo = Repo::new(repo_type, name).expect("a repo");
            resolve_url(&endpoint.parse().expect("a URL"), &repo, revision, path).to_string()
        };
        assert_eq!(
            url("https://huggingface.co/", RepoType::Dataset, "acme/gate", "main", "lists/a b?.csv"),
            "https://huggingface.co/datasets/acme/gate/resolve/main/lists/a%20b%3F.csv"
        );
        assert_eq!(
            url("http://localhost:1/hub/", RepoType::Model, "acme/m", "refs/pr/1", "p.toml"),
            "http://localhost:1/hub/acme/m/resolve/refs%2Fpr%2F1/p.toml"
        );
    }
}
