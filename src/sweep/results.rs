//! The results of the tasks of one sweep.

use std::collections::{BTreeMap, BTreeSet};

use super::SweepReport;
use super::history::SweepHistory;
use super::task::{Task, TaskResult};
use crate::model::{Repo, RepoPattern};
use crate::report::{RepoReport, SearchReport, UnlistedRepos};

/// After this many reports, repos with nothing to report are only counted.
const MAX_REPORTS: usize = 1000;

pub(super) struct Results<'a> {
    history: &'a SweepHistory,
    /// The number of this sweep in the history.
    sweep: u64,
    repos: BTreeMap<Repo, RepoReport>,
    failed_searches: Vec<SearchReport>,
    unlisted: UnlistedRepos,
    search_calls: u32,
    /// The repos, spelled as the searches returned them.
    spellings: BTreeSet<Repo>,
}

impl<'a> Results<'a> {
    pub(super) fn new(history: &'a SweepHistory) -> Self {
        Self {
            history,
            sweep: history.begin(),
            repos: BTreeMap::new(),
            failed_searches: Vec::new(),
            unlisted: UnlistedRepos::default(),
            search_calls: 0,
            spellings: BTreeSet::new(),
        }
    }

    /// Adds the result of a task. Returns the repos that a search has found and that have to be reviewed.
    pub(super) fn add(&mut self, task: &Task, result: TaskResult) -> Vec<Repo> {
        self.history.note(self.sweep, task, result.reach());
        match result {
            TaskResult::Search(report, repos) => {
                let found = self.history.note_found(&report, repos);
                self.spellings.extend(found.iter().cloned());
                if report.error.is_none() {
                    self.search_calls += report.calls;
                } else {
                    self.failed_searches.push(report);
                }
                found
            }
            TaskResult::Review(report) => {
                if self.repos.len() >= MAX_REPORTS && report.is_quiet() {
                    self.unlisted.count(report);
                } else {
                    self.repos.insert(report.repo.clone(), report);
                }
                Vec::new()
            }
        }
    }

    /// The report of the sweep. `tasks` are all tasks of the sweep.
    pub(super) fn into_report(self, patterns: &[RepoPattern], tasks: &BTreeSet<Task>) -> SweepReport {
        let Self { mut repos, mut failed_searches, unlisted, search_calls, spellings, .. } = self;
        for report in repos.values_mut() {
            // A repo that `REPOS` names may be reviewed before a search returns the Hub's spelling.
            if let Some(spelled) = spellings.get(&report.repo) {
                report.repo = spelled.clone();
            }
        }
        // If a search failed, there may still be repos that its pattern matches.
        let has_failed = |task: &Task| match task {
            Task::Search(owner, repo_type) => {
                failed_searches.iter().any(|search| search.owner == *owner && search.repo_type == *repo_type)
            }
            Task::Review(_) => false,
        };
        let may_match = |task: &Task, pattern: &RepoPattern| match (task, pattern) {
            (Task::Review(repo), pattern) => pattern.covers(repo),
            (Task::Search(searched, _), RepoPattern::Namespace { owner, .. }) => {
                searched == owner && has_failed(task)
            }
            (Task::Search(..), RepoPattern::One(_)) => false,
        };
        let is_unmatched = |pattern: &&RepoPattern| !tasks.iter().any(|task| may_match(task, pattern));
        let unmatched = patterns.iter().filter(is_unmatched).cloned().collect();
        failed_searches.sort_by_key(ToString::to_string);
        let repos = repos.into_values().collect();
        SweepReport { repos, failed_searches, unlisted, search_calls, unmatched }
    }
}
