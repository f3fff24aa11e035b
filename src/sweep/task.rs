//! The tasks of a sweep: searches for repos, and reviews.

use tokio::time::Instant;

use crate::hub::{Hub, HubError, Problem};
use crate::model::{Name, Repo, RepoPattern, RepoType};
use crate::report::{Reach, RepoReport, SearchReport};

/// A task of a sweep.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Task {
    /// Find the gated repos of one type that a user or an organization has.
    Search(Name, RepoType),
    /// Review a repo.
    Review(Repo),
}

/// The result of a task.
pub(super) enum TaskResult {
    /// A search, with the repos that it found.
    Search(SearchReport, Vec<Repo>),
    Review(RepoReport),
}

impl Task {
    /// The tasks for a pattern at the beginning of a sweep. A pattern that names one repo needs no search.
    pub(super) fn for_pattern(pattern: &RepoPattern) -> Vec<Self> {
        match pattern {
            RepoPattern::One(repo) => vec![Self::Review(repo.clone())],
            RepoPattern::Namespace { owner, only: Some(only), .. } => {
                vec![Self::Search(owner.clone(), *only)]
            }
            RepoPattern::Namespace { owner, only: None, .. } => {
                [RepoType::Model, RepoType::Dataset].map(|one| Self::Search(owner.clone(), one)).into()
            }
        }
    }

    /// The result of a task for which no time was left.
    pub(super) fn not_reached(&self) -> TaskResult {
        let error = HubError::new("GET", Problem::OutOfTime);
        match self {
            Self::Search(owner, repo_type) => TaskResult::Search(
                SearchReport { owner: owner.clone(), repo_type: *repo_type, calls: 0, error: Some(error) },
                Vec::new(),
            ),
            Self::Review(repo) => {
                let mut report = RepoReport::new(repo);
                report.fail(error);
                TaskResult::Review(report)
            }
        }
    }
}

impl TaskResult {
    pub(super) fn reach(&self) -> Reach {
        match self {
            Self::Search(report, _) => report.reach(),
            Self::Review(report) => report.reach(),
        }
    }
}

/// Searches for the gated repos of an owner. `found` gets the repos of each page while the search goes on.
pub(super) async fn search(
    hub: &Hub,
    owner: &Name,
    repo_type: RepoType,
    deadline: Instant,
    found: &mut (dyn FnMut(&[Repo]) -> bool + Send),
) -> TaskResult {
    let found = hub.gated_repos(owner, repo_type, deadline, found).await;
    if let Some(error) = &found.error {
        tracing::warn!(%owner, r#type = repo_type.as_str(), %error, "search failed");
    }
    let report = SearchReport { owner: owner.clone(), repo_type, calls: found.calls, error: found.error };
    TaskResult::Search(report, found.repos)
}
