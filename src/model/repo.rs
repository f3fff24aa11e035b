//! A repo on the Hub, and its name.

use std::fmt;

use serde::Serialize;

use super::Name;

/// The types of repo that the Hub can gate. Spaces and buckets cannot be gated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RepoType {
    /// A model, `acme/model`.
    Model,
    /// A dataset. It is written `datasets/acme/corpus` where nothing else says the type.
    Dataset,
}

impl RepoType {
    /// The Hub's word for it: `model` or `dataset`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Dataset => "dataset",
        }
    }
}

/// A repo with a valid name, which is safe in a URL: it was checked against the Hub's grammar.
///
/// The name is a [`Name`]. So two repos are equal if their names differ only in case, and each keeps its own spelling.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repo {
    repo_type: RepoType,
    name: Name,
}

/// A name that no repo on the Hub can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not the name of a repo: a name is `repo` or `namespace/repo`, each part of 1 to 96 letters, digits, \
     `-`, `_` and `.`, not starting or ending with `-` or `.`, without `--` and `..`, and not ending in `.git`",
    excerpt(.0)
)]
pub struct InvalidRepoName(pub(super) String);

/// The beginning of an untrusted text, on one line.
fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(100).flat_map(char::escape_debug).collect();
    if text.chars().nth(100).is_some() {
        short.push('…');
    }
    short
}

impl Repo {
    /// Creates a repo from a name in the Hub's form: `namespace/name`, or only `name` for a few old models.
    ///
    /// The grammar is that of `validate_repo_id` in `huggingface_hub` 2.4.0, but with ASCII letters only. Any other name is an
    /// [`InvalidRepoName`].
    pub fn new(repo_type: RepoType, name: &str) -> Result<Self, InvalidRepoName> {
        let parts: Vec<&str> = name.split('/').collect();
        let is_valid = parts.len() <= 2
            && parts.iter().all(|part| is_name(part))
            && !matches!(name.rsplit_once('.'), Some((_, "git")));
        if is_valid {
            Ok(Self { repo_type, name: name.into() })
        } else {
            Err(InvalidRepoName(name.to_owned()))
        }
    }

    /// The type of the repo: a model or a dataset.
    #[must_use]
    pub fn repo_type(&self) -> RepoType {
        self.repo_type
    }

    /// `namespace/name`, or only `name`, in its own spelling.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The user or organization that owns the repo. A few old repos have no namespace, so no owner.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.name().split_once('/').map(|(owner, _)| owner)
    }

    /// Whether this user or organization owns the repo.
    #[must_use]
    pub fn is_owned_by(&self, owner: &Name) -> bool {
        self.owner().is_some_and(|namespace| *owner == *namespace)
    }
}

/// Whether `part` can be a namespace, or the part of a repo's name after the slash.
pub(super) fn is_name(part: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let outer = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=96).contains(&part.len())
        && part.chars().all(inner)
        && part.starts_with(outer)
        && part.ends_with(outer)
        && !part.contains("--")
        && !part.contains("..")
}

impl fmt::Display for Repo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.repo_type {
            RepoType::Model => self.name.fmt(f),
            RepoType::Dataset => write!(f, "datasets/{}", self.name),
        }
    }
}

#[cfg(test)]
mod tests;
