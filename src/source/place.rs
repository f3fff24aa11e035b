//! The places where a policy can be kept, and how they are written.

use std::fmt;
use std::sync::Arc;

use reqwest::Url;

use crate::hub::is_commit;
use crate::model::{Repo, RepoType};
use crate::policy::{Policy, ReadFile};
use crate::secrets::Stored;

/// The prefix of a policy in a file.
const FILE: &str = "file:";

/// The prefix of a policy on the Hub.
const HUB: &str = "hf://";

/// Where a policy is kept.
#[derive(Clone, Debug)]
pub enum Place {
    /// The policy is given with the configuration, as its text or as a file beside the program.
    Given(Arc<Policy>),
    /// In a repo on the Hub.
    Hub(HubFile),
    /// In a secret or a parameter of AWS.
    Stored(Stored),
}

/// A file in a repo on the Hub: `hf://datasets/acme/doorman/policy.toml`, with `@revision` behind the repo if it is not of `main`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubFile {
    /// The repo.
    pub repo: Repo,
    /// The branch, or the full id of a commit.
    pub revision: String,
    /// The path of the file in the repo.
    pub path: String,
}

impl Place {
    /// Parses the value of `APPROVAL_POLICY`: the policy itself, or its place. `get` returns the value of an environment variable, and
    /// `read_file` reads files.
    pub fn parse(
        text: &str,
        get: impl Fn(&str) -> Option<String>,
        read_file: ReadFile,
    ) -> Result<Self, Vec<String>> {
        if let Some(file) = text.strip_prefix(HUB) {
            return HubFile::parse(file).map(Self::Hub).map_err(|fault| vec![format!("`{text}`: {fault}")]);
        }
        if text.starts_with("arn:") {
            return Stored::parse(text, get).map(Self::Stored).map_err(|fault| vec![fault]);
        }
        if Self::is_remote(text) {
            return Err(vec![not_a_place(text)]);
        }
        let policy = match text.strip_prefix(FILE) {
            Some(path) => read(path, read_file)?,
            None => Policy::parse_with_files(text, read_file)?,
        };
        Ok(Self::Given(Arc::new(policy)))
    }

    /// Whether a text names a place that is not a file.
    #[must_use]
    pub fn is_remote(text: &str) -> bool {
        let has_scheme = |scheme: &str| {
            text.get(..scheme.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(scheme))
        };
        [HUB, "arn:", "https://", "http://"].into_iter().any(has_scheme)
    }

    /// The file on the Hub, if the policy is kept there.
    #[must_use]
    pub fn on_hub(&self) -> Option<&HubFile> {
        match self {
            Self::Hub(file) => Some(file),
            _ => None,
        }
    }
}

/// The fault of a URL that is none of the places. The page of a file on the Hub is probably meant.
fn not_a_place(text: &str) -> String {
    let page = Url::parse(text).ok();
    let parts: Vec<&str> = page.iter().filter_map(Url::path_segments).flatten().collect();
    let place = match parts[..] {
        ["datasets", owner, name, "blob" | "resolve" | "raw", revision, ref path @ ..]
            if !path.is_empty() =>
        {
            let at = if revision == "main" { String::new() } else { format!("@{revision}") };
            format!("hf://datasets/{owner}/{name}{at}/{}", path.join("/"))
        }
        _ => "hf://datasets/acme/doorman/policy.toml".to_owned(),
    };
    format!("it is a URL, which is not the form of a place; write a file on the Hub as `{place}`")
}

/// Reads a policy from a file, and its lists from files in the same folder.
fn read(path: &str, read_file: ReadFile) -> Result<Policy, Vec<String>> {
    let with_path = |fault: String| format!("{path}: {fault}");
    let content = read_file(path).map_err(|why| vec![with_path(format!("cannot be read: {why}"))])?;
    let text = String::from_utf8(content).map_err(|_| vec![with_path("it is not UTF-8".to_owned())])?;
    let read_beside = |file: &str| read_file(&beside(path, file));
    let policy = Policy::parse_with_files(text.trim_start_matches('\u{feff}'), &read_beside);
    policy.map_err(|faults| faults.into_iter().map(with_path).collect())
}

/// The path of a file in the folder of `path`.
fn beside(path: &str, file: &str) -> String {
    match path.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/{file}"),
        None => file.to_owned(),
    }
}

impl HubFile {
    /// Parses what follows `hf://`.
    fn parse(text: &str) -> Result<Self, String> {
        let (repo_type, rest) = match text.split_once('/') {
            Some(("datasets", rest)) => (RepoType::Dataset, rest),
            Some(("models", rest)) => (RepoType::Model, rest),
            Some(("spaces" | "buckets", _)) => {
                return Err("a policy is kept in a dataset or a model".to_owned());
            }
            _ => (RepoType::Model, text),
        };
        let form = "it is written as `hf://datasets/OWNER/NAME/FILE`, such as `hf://datasets/acme/doorman/policy.toml`";
        let [owner, name, path] = rest.splitn(3, '/').collect::<Vec<_>>()[..] else {
            return Err(form.to_owned());
        };
        let (name, revision) = match name.split_once('@') {
            Some((_, "")) => return Err("no revision follows the `@`".to_owned()),
            Some((name, revision)) => (name, revision.replace("%2F", "/")),
            None => (name, "main".to_owned()),
        };
        let leads_elsewhere = |path: &str| path.split('/').any(|part| matches!(part, "" | "." | ".."));
        if leads_elsewhere(path) {
            return Err(form.to_owned());
        }
        if leads_elsewhere(&revision) {
            return Err(format!("`{revision}` is not the name of a revision"));
        }
        let repo = Repo::new(repo_type, &format!("{owner}/{name}")).map_err(|fault| fault.to_string())?;
        Ok(Self { repo, revision, path: path.to_owned() })
    }

    /// The path in the repo of a file beside the policy.
    #[must_use]
    pub fn path_of(&self, file: &str) -> String {
        beside(&self.path, file)
    }

    /// Whether the revision is a commit, so that no push changes the policy.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        is_commit(&self.revision)
    }
}

impl fmt::Display for HubFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { repo, revision, path } = self;
        let at =
            if revision == "main" { String::new() } else { format!("@{}", revision.replace('/', "%2F")) };
        write!(f, "{HUB}{repo}{at}/{path}")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(_) => f.write_str("APPROVAL_POLICY"),
            Self::Hub(file) => file.fmt(f),
            Self::Stored(stored) => f.write_str(&stored.place()),
        }
    }
}
