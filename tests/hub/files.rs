//! The files of a repo: a list of commits, each with all of its files.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};
use hyper::body::Bytes;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The ref of the branch `main`, the only branch here.
pub const MAIN: &str = "refs/heads/main";

/// The changes of a commit: each path with its new content, or `None` if the file is deleted.
pub type Changes = Vec<(String, Option<Bytes>)>;

/// The content of a file.
#[derive(Debug)]
pub struct Blob {
    pub bytes: Bytes,
    /// The id of the blob in git. It is the `ETag` of a small file (reported by others, 2026-10), and `huggingface_hub` 2.4.0
    /// compares it with the local file's.
    pub id: String,
    sha256: OnceLock<String>,
}

impl Blob {
    fn new(bytes: Bytes) -> Self {
        let header = format!("blob {}\0", bytes.len());
        let id = hex(&Sha1::new().chain_update(header).chain_update(&bytes).finalize());
        Self { bytes, id, sha256: OnceLock::new() }
    }

    /// The SHA-256 of the content, by which large files are named.
    pub fn sha256(&self) -> &str {
        self.sha256.get_or_init(|| hex(&Sha256::digest(&self.bytes)))
    }
}

/// A commit with all files of the repo after it.
#[derive(Clone, Debug)]
pub struct Commit {
    /// 40 hex digits.
    pub id: String,
    pub parent: Option<String>,
    pub summary: String,
    pub at: DateTime<Utc>,
    pub files: BTreeMap<String, Arc<Blob>>,
}

/// The commits of a repo, and the refs that point to them.
#[derive(Clone, Debug)]
pub struct Files {
    /// The name of the repo, so that no commit has the id of one of another repo.
    repo: String,
    /// The oldest commit first.
    pub commits: Vec<Commit>,
    /// The commit of each ref: `refs/heads/main`, and `refs/pr/1` for a pull request.
    pub refs: BTreeMap<String, String>,
}

impl Files {
    /// The files of a new repo. The Hub makes the first commit, which has a `.gitattributes` (seen 2026-04).
    pub fn new(repo: &str) -> Self {
        let mut files = Self { repo: repo.to_owned(), commits: Vec::new(), refs: BTreeMap::new() };
        let attributes = Bytes::from_static(b"*.parquet filter=lfs diff=lfs merge=lfs -text\n");
        files.commit(MAIN, "initial commit", vec![(".gitattributes".to_owned(), Some(attributes))]);
        files
    }

    /// The ref that a revision names: `main`, `refs/heads/main` or `refs/pr/1`.
    pub fn named(&self, revision: &str) -> Option<&str> {
        let mut names = self.refs.keys().map(String::as_str);
        names.find(|name| *name == revision || name.strip_prefix("refs/heads/") == Some(revision))
    }

    /// The commit of a revision: a ref, or the id of a commit.
    pub fn at(&self, revision: &str) -> Option<&Commit> {
        let id = self.named(revision).map_or(revision, |name| &self.refs[name]);
        self.commits.iter().find(|commit| commit.id == id)
    }

    /// The newest commit of `main`.
    pub fn head(&self) -> &Commit {
        self.at(MAIN).expect("the first commit")
    }

    /// Adds a commit to a ref. Returns its id. A new ref begins at `main`.
    pub fn commit(&mut self, name: &str, summary: &str, changes: Changes) -> String {
        let parent = self.at(name).or_else(|| self.at(MAIN));
        let mut files = parent.map(|parent| parent.files.clone()).unwrap_or_default();
        let parent = parent.map(|parent| parent.id.clone());
        for (path, content) in changes {
            match content {
                Some(bytes) => files.insert(path, Arc::new(Blob::new(bytes))),
                None => files.remove(&path),
            };
        }
        // The same commits have the same ids in every run of a test.
        let (repo, number) = (&self.repo, self.commits.len());
        let mut hash = Sha1::new().chain_update(format!("{repo} {number} {parent:?} {name} {summary}"));
        for (path, blob) in &files {
            hash.update(format!("\n{path} {}", blob.id));
        }
        let id = hex(&hash.finalize());
        let summary = summary.to_owned();
        self.commits.push(Commit { id: id.clone(), parent, summary, at: Utc::now(), files });
        self.refs.insert(name.to_owned(), id.clone());
        id
    }

    /// The large file with this SHA-256, in any commit.
    pub fn stored(&self, sha256: &str, limit: usize) -> Option<&Arc<Blob>> {
        let blobs = self.commits.iter().flat_map(|commit| commit.files.values());
        blobs.filter(|blob| blob.bytes.len() > limit).find(|blob| blob.sha256() == sha256)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// How this Hub serves files.
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct FileRules {
    /// The size of the largest regular file, in bytes: 10 MiB on the real Hub (reported by others). A larger file has a redirect to
    /// the storage.
    pub regular_limit: usize,
    /// Whether a small file of a private repo has a redirect to `/api/resolve-cache/`, as a public one has. With the owner's token
    /// the real Hub was reported to answer at once (2026-10).
    pub redirects_private: bool,
    /// Whether a 304 counts against the rate limit. For the real Hub this is unknown, so tests try both.
    pub unchanged_counts: bool,
    /// Whether a 304 has an `X-Repo-Commit`. This is inferred from all other responses of `/resolve/`, so tests try both.
    pub unchanged_names_commit: bool,
    /// Whether an `ETag` is weak, as the real Hub's is when the response is compressed (reported by others). This Hub never
    /// compresses.
    pub weakens_etags: bool,
    /// Where large files are stored: another origin.
    pub storage: String,
    /// The calls to the storage that had an `Authorization` header. A token must never go there.
    pub authorized_storage_calls: Vec<String>,
}

impl Default for FileRules {
    fn default() -> Self {
        Self {
            regular_limit: 10 << 20,
            redirects_private: false,
            unchanged_counts: true,
            unchanged_names_commit: true,
            weakens_etags: false,
            storage: String::new(),
            authorized_storage_calls: Vec::new(),
        }
    }
}
