//! A sweep reviews every repo that `REPOS` names, whether or not anything has happened in it.
//!
//! No webhook fires when somebody requests access, so sweeps bound how long a requester waits. A sweep finds the repos,
//! orders them, and reviews many at the same time.

mod history;
mod results;
mod task;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::hub::Hub;
use crate::model::{Repo, RepoPattern};
use crate::report::{Failure, RepoReport, SearchReport, UnlistedRepos};
pub use history::SweepHistory;
use results::Results;
use task::{Task, TaskResult};

/// The results of a sweep.
#[derive(Debug)]
pub struct SweepReport {
    /// The reviewed repos, in the order of their names.
    pub repos: Vec<RepoReport>,
    /// The searches for repos that failed.
    pub failed_searches: Vec<SearchReport>,
    /// Quiet repos that are only counted, because there are more than 1,000 reports.
    pub unlisted: UnlistedRepos,
    /// HTTP requests made by the searches that succeeded.
    pub search_calls: u32,
    /// The patterns for which no repo was found.
    pub unmatched: Vec<RepoPattern>,
}

/// The most tasks at the same time. A task takes about 12 KB before its first call. The other tasks wait in their order.
const MAX_CONCURRENT_TASKS: usize = 1000;

/// The most repos that all searches of a sweep may find together.
const MAX_FOUND: usize = 20_000;

/// The pages of repos that the searches of a sweep have found.
struct FoundPages {
    sender: mpsc::UnboundedSender<Vec<Repo>>,
    /// The number of repos in these pages.
    count: AtomicUsize,
}

impl FoundPages {
    /// Adds a page, unless the searches together would then have found more than [`MAX_FOUND`] repos.
    fn add(&self, repos: &[Repo]) -> bool {
        // All searches of a sweep run in one task, so none of them counts between these two lines.
        let count = self.count.load(Ordering::Relaxed) + repos.len();
        if count > MAX_FOUND {
            return false;
        }
        self.count.store(count, Ordering::Relaxed);
        self.sender.send(repos.to_vec()).is_ok()
    }
}

/// Reviews every repo that one of the patterns matches and for which `is_covered` is true, before `deadline`. Repos are
/// reviewed while the searches go on. If one review fails or panics, the others are not affected.
pub async fn sweep<F: Future<Output = RepoReport>>(
    hub: &Hub,
    patterns: &[RepoPattern],
    is_covered: impl Fn(&Repo) -> bool,
    history: &SweepHistory,
    deadline: Instant,
    review: impl Fn(Repo) -> F,
) -> SweepReport {
    let (sender, mut pages) = mpsc::unbounded_channel();
    let (review, found_pages) = (&review, &FoundPages { sender, count: AtomicUsize::new(0) });
    let run = |task: Task| async move {
        let done = match &task {
            Task::Search(owner, repo_type) => {
                task::search(hub, owner, *repo_type, deadline, &mut |repos| found_pages.add(repos)).await
            }
            Task::Review(repo) => TaskResult::Review(catch_panic(repo, review(repo.clone())).await),
        };
        (task, done)
    };
    let is_wanted = |repo: &Repo| is_covered(repo) && patterns.iter().any(|pattern| pattern.covers(repo));
    // If a repo is named in two spellings, the set keeps the first one. So a repo that an earlier search found keeps the
    // spelling of the Hub.
    let mut tasks: BTreeSet<Task> =
        history.unfinished_repos().into_iter().filter(&is_wanted).map(Task::Review).collect();
    tasks.extend(patterns.iter().flat_map(Task::for_pattern));
    let mut waiting: VecDeque<Task> = history.in_order(tasks.clone()).into();
    let mut running = FuturesUnordered::new();
    let mut results = Results::new(history);
    loop {
        while running.len() < MAX_CONCURRENT_TASKS
            && let Some(task) = waiting.pop_front()
        {
            if Instant::now() < deadline {
                running.push(run(task));
            } else {
                // Thousands of reviews that begin only to end at once would take longer than the time for the report.
                results.add(&task, task.not_reached());
            }
        }
        let found = tokio::select! {
            biased;
            Some(page) = pages.recv() => page,
            done = running.next() => match done {
                Some((task, done)) => results.add(&task, done),
                None => break,
            },
        };
        let found = found.into_iter().filter(&is_wanted).map(Task::Review);
        let new: BTreeSet<Task> = found.filter(|task| !tasks.contains(task)).collect();
        tasks.extend(new.iter().cloned());
        waiting.extend(history.in_order(new));
    }
    results.into_report(patterns, &tasks)
}

/// Runs the review of a repo. If it panics, the report says so, and no other review is affected.
pub async fn catch_panic(repo: &Repo, review: impl Future<Output = RepoReport>) -> RepoReport {
    AssertUnwindSafe(review).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!(%repo, "the review of this repo panicked");
        let mut report = RepoReport::new(repo);
        report.fail(Failure::Other("its review panicked; the log says where".to_owned()));
        report
    })
}
