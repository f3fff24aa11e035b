//! Commits: the calls that create a private repo and write files into it. Only the command line makes them.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::HeaderValue;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::call::{CallOptions, Calls};
use super::{Hub, HubError, is_commit, wire};
use crate::model::Repo;

/// How long the first attempt of a commit may take. It carries whole files.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(60);

/// How many bytes of a file the Hub is shown before a commit, as `huggingface_hub` does.
const SAMPLE_BYTES: usize = 512;

const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// The calls that write files.
#[derive(Debug)]
pub struct Commits<'a>(Calls<'a>);

/// The newest commit of a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The id of the commit, as 40 hexadecimal digits.
    pub commit: String,
    /// Whether only the owner and the members of an organization see the repo. If the Hub does not say so, it counts as public.
    pub is_private: bool,
}

/// A file to write, with its path in the repo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// The path in the repo.
    pub path: String,
    /// The whole content.
    pub content: Vec<u8>,
}

/// How the Hub takes a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadMode {
    /// In a commit.
    Regular,
    /// Only as a large file, which is uploaded to another place first.
    Large,
    /// Not at all, because `.gitignore` of the repo excludes it.
    Ignored,
}

impl Hub {
    /// The calls that write files. None lasts beyond `deadline`.
    pub fn commits(&self, deadline: Instant) -> Commits<'_> {
        Commits(Calls::new(self, deadline))
    }
}

impl Commits<'_> {
    /// Creates a private repo: `POST /api/repos/create`. If the repo exists, nothing is changed.
    pub async fn create_private(&self, repo: &Repo) -> Result<(), HubError> {
        let name = repo.name();
        let (owner, name) = name.split_once('/').map_or((None, name), |(owner, name)| (Some(owner), name));
        let body = json!({
            "type": repo.repo_type().as_str(), "organization": owner, "name": name, "visibility": "private",
        });
        let Self(calls) = self;
        match calls.post("/api/repos/create", &body, &CallOptions::default(), |_| Ok(())).await {
            Err(error) if error.status() == Some(409) => Ok(()),
            created => created,
        }
    }

    /// Reads the newest commit of a branch: `GET /api/datasets/{repo}/revision/{branch}`.
    pub async fn head(&self, repo: &Repo, branch: &str) -> Result<Head, HubError> {
        let path = path(repo, "revision", branch);
        let Self(calls) = self;
        calls
            .get(&path, &CallOptions::default(), |body| {
                let info: Value = serde_json::from_slice(body).map_err(|error| wire::describe(&error))?;
                let commit = info["sha"].as_str().filter(|sha| is_commit(sha)).ok_or("it names no commit")?;
                Ok(Head { commit: commit.to_owned(), is_private: info["private"] == true })
            })
            .await
    }

    /// Asks how the Hub takes these files: `POST /api/datasets/{repo}/preupload/{branch}`. The result is in the order of the files. A
    /// file that the response does not mention is a regular one.
    pub async fn upload_modes(
        &self,
        repo: &Repo,
        branch: &str,
        files: &[NewFile],
    ) -> Result<Vec<UploadMode>, HubError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer {
            path: String,
            upload_mode: String,
            #[serde(default)]
            should_ignore: bool,
        }
        #[derive(Deserialize)]
        struct Answers {
            files: Vec<Answer>,
        }
        let asked = files.iter().map(|NewFile { path, content }| {
            let sample = content.get(..SAMPLE_BYTES).unwrap_or(content);
            json!({"path": path, "size": content.len(), "sample": BASE64_STANDARD.encode(sample)})
        });
        let body = json!({"files": asked.collect::<Vec<_>>()});
        let read = |body: &[u8]| {
            let Answers { files: answers } =
                serde_json::from_slice(body).map_err(|error| wire::describe(&error))?;
            let mode = |file: &NewFile| match answers.iter().find(|answer| answer.path == file.path) {
                Some(answer) if answer.should_ignore => UploadMode::Ignored,
                Some(answer) if answer.upload_mode == "lfs" => UploadMode::Large,
                _ => UploadMode::Regular,
            };
            Ok(files.iter().map(mode).collect())
        };
        let Self(calls) = self;
        calls.post(&path(repo, "preupload", branch), &body, &CallOptions::default(), read).await
    }

    /// Writes these files to a branch, in one commit on top of `parent`: `POST /api/datasets/{repo}/commit/{branch}`. If the branch has
    /// a newer commit, the Hub refuses it with 412. The result is the id of the new commit.
    ///
    /// If the response is lost, the call is not repeated, because a second attempt would be refused after a first one that succeeded.
    pub async fn commit(
        &self,
        repo: &Repo,
        branch: &str,
        parent: &str,
        summary: &str,
        files: &[NewFile],
    ) -> Result<String, HubError> {
        #[derive(Serialize)]
        struct Line<'a> {
            key: &'a str,
            value: Value,
        }
        let header = Line {
            key: "header",
            value: json!({"summary": summary, "description": "", "parentCommit": parent}),
        };
        let file = |NewFile { path, content }: &NewFile| Line {
            key: "file",
            value: json!({"path": path, "content": BASE64_STANDARD.encode(content), "encoding": "base64"}),
        };
        let mut body = String::new();
        for line in [header].into_iter().chain(files.iter().map(file)) {
            body.push_str(&json!(line).to_string());
            body.push('\n');
        }
        let read = |body: &[u8]| {
            let made: Value = serde_json::from_slice(body).map_err(|error| wire::describe(&error))?;
            let commit = made["commitOid"].as_str().filter(|id| is_commit(id)).ok_or("it names no commit")?;
            Ok(commit.to_owned())
        };
        let options = CallOptions { timeout: COMMIT_TIMEOUT, is_repeatable: false, ..CallOptions::default() };
        let Self(calls) = self;
        calls.post_bytes(&path(repo, "commit", branch), &NDJSON, body.into_bytes(), &options, read).await
    }
}

/// The path of a call about a branch. A `/` in the name of the branch is encoded.
fn path(repo: &Repo, call: &str, branch: &str) -> String {
    let (kind, branch) = (repo.repo_type().as_str(), branch.replace('/', "%2F"));
    format!("/api/{kind}s/{}/{call}/{branch}", repo.name())
}
