//! Files of a repo, read by `/resolve/`: a small file is in the response, and for other files a redirect leads to the content.

use reqwest::header::{ACCEPT, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, LOCATION};
use reqwest::{Method, Request, StatusCode, Url};
use tokio::time::Instant;

use super::call::{CallOptions, Calls, HubResponse};
use super::{Hub, HubError, Problem};
use crate::http;
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
    /// `X-Repo-Commit`: the commit that the revision stands for, as 40 hexadecimal digits. Only the Hub itself is asked for it.
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

    /// Reads a file of at most `max_bytes` bytes: `GET /datasets/{repo}/resolve/{revision}/{path}`. If its `ETag` is still
    /// `etag_of_request`, the content is not sent again.
    ///
    /// A small file of a private repo is in the response. For a file of a public repo a redirect leads to `/api/resolve-cache/`, and
    /// for a large file to another origin, which gets no token. No other redirect is followed, because it may lead to another repo.
    ///
    /// Only a whole file is read. The response has the status 200, and says where the file ends. If the Hub names different commits,
    /// or another one than that of `revision`, the call fails.
    pub async fn read(
        &self,
        repo: &Repo,
        revision: &str,
        path: &str,
        etag_of_request: Option<&str>,
        max_bytes: usize,
    ) -> Result<FileRead, HubError> {
        let Self(calls) = self;
        let mut url = resolve_url(&calls.url("/")?, repo, revision, path);
        let call = format!("GET {}", url.path());
        let options = CallOptions { max_bytes, also_accepts: NOT_AN_ERROR, ..CallOptions::default() };
        let (mut commit, asked) = (None, Some(revision).filter(|revision| is_commit(revision)));
        for _ in 0..=MAX_REDIRECTS {
            let is_of_hub = self.is_of_hub(&url);
            let read = |response: HubResponse| {
                let new_commit = if is_of_hub { commit_of(&response.headers) } else { Ok(None) };
                let etag = response.headers.get(ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
                // A response that is not a whole file is not retried, because the next event reads the file again.
                Ok((self.step(response, &url, etag_of_request.is_some()), new_commit, etag))
            };
            let sent = calls.send(&call, &options, || request(&url, etag_of_request), read).await;
            let (step, new_commit, new_etag) =
                sent.map_err(|error| if is_of_hub { error } else { of_storage(error, &url) })?;
            let fault = |problem| HubError::new(&call, problem);
            let (step, new_commit) = (step.map_err(fault)?, new_commit.map_err(fault)?);
            if let (Some(expected), Some(other)) = (commit.as_deref().or(asked), &new_commit)
                && expected != other
            {
                let text = format!("it is of the commit {other}, not of {expected}");
                return Err(fault(Problem::Unreadable(text)));
            }
            commit = commit.or(new_commit);
            match step {
                Step::Follow(target) => url = target,
                Step::Unchanged => return Ok(FileRead::Unchanged { commit }),
                Step::Done(content) => return Ok(FileRead::New(File { content, etag: new_etag, commit })),
            }
        }
        Err(HubError::new(&call, Problem::Unreadable("it redirects too many times".to_owned())))
    }

    fn step(&self, response: HubResponse, url: &Url, is_conditional: bool) -> Result<Step, Problem> {
        let unreadable = |why: &str| Err(Problem::Unreadable(why.to_owned()));
        match response.status {
            StatusCode::NOT_MODIFIED if is_conditional => Ok(Step::Unchanged),
            StatusCode::NOT_MODIFIED => unreadable("its status is 304, although nothing was read before"),
            StatusCode::OK if response.has_marked_end => Ok(Step::Done(response.body)),
            StatusCode::OK => {
                unreadable("it does not say where the file ends, so the file may be incomplete")
            }
            status if status.is_success() => {
                unreadable(&format!("its status is {}, so it is not a whole file", status.as_u16()))
            }
            _ => self.target(&response.headers, url).map(Step::Follow),
        }
    }

    fn is_of_hub(&self, url: &Url) -> bool {
        let Self(calls) = self;
        url.origin() == calls.hub.endpoint.origin()
    }

    /// Where a redirect leads, if it may be followed.
    fn target(&self, headers: &HeaderMap, url: &Url) -> Result<Url, Problem> {
        let Self(calls) = self;
        let target = headers.get(LOCATION).and_then(|target| url.join(target.to_str().ok()?).ok());
        let target = target.ok_or_else(|| Problem::Unreadable("its redirect has no valid URL".to_owned()))?;
        let endpoint = &calls.hub.endpoint;
        let may_follow = if self.is_of_hub(&target) {
            let cache = format!("{}/api/resolve-cache/", endpoint.path().trim_end_matches('/'));
            // Another origin does not choose what is called with the token.
            self.is_of_hub(url) && target.path().starts_with(&cache) && !leads_upwards(target.path())
        } else {
            // Only a stand-in on this machine has an endpoint without TLS.
            let is_local = endpoint.scheme() == "http" && http::is_loopback(&target);
            target.scheme() == "https" || target.scheme() == "http" && is_local
        };
        if may_follow {
            return Ok(target);
        }
        // The query may contain a signature.
        let shown = format!("{}{}", target.origin().ascii_serialization(), target.path());
        let shown = redact(&shown, &calls.hub.keyring.secrets());
        Err(Problem::Elsewhere(shown))
    }
}

/// Whether a part of a path is `..`. A server may decode a slash before it looks at the parts.
fn leads_upwards(path: &str) -> bool {
    let path = path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/");
    path.split('/').any(|part| part == "..")
}

/// The error of a call to the storage of large files. Its status says nothing about the Hub or the token.
fn of_storage(error: HubError, url: &Url) -> HubError {
    let Some(status) = error.status() else { return error };
    let storage = url.origin().ascii_serialization();
    let text = format!("it redirects to {storage}, which answered {status}");
    HubError { problem: Problem::Unreadable(text), ..error }
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

/// The commit that a response names, if it names one.
fn commit_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(commit) = headers.get("x-repo-commit") else { return Ok(None) };
    match commit.to_str() {
        Ok(commit) if is_commit(commit) => Ok(Some(commit.to_owned())),
        _ => Err(Problem::Unreadable("its X-Repo-Commit is not the id of a commit".to_owned())),
    }
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
    fn path_with_an_encoded_way_up_is_recognized() {
        for path in ["/api/resolve-cache/..%2f..%2Fapi", "/a/%2E.%5cb", "/a/b%2f.."] {
            assert!(leads_upwards(path), "{path}");
        }
        for path in ["/api/resolve-cache/models/a/m/c/lists%2Fl.csv", "/a/b..c/..d"] {
            assert!(!leads_upwards(path), "{path}");
        }
    }

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
