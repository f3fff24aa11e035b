//! A sweep: every repo that is looked after gets its turn, whether or not anything has happened in it.
//!
//! No webhook fires when somebody asks for access, so this is what bounds how long anybody waits. It finds the repos, puts
//! them in order, and reviews them side by side, as a webhook's repo is reviewed.

mod memory;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::hub::{Hub, HubError, Problem};
use crate::model::{Name, Repo, RepoPattern, RepoType};
use crate::report::{Failure, RepoReport, UnlistedRepos};
pub use memory::Memory;

/// What a sweep did.
#[derive(Debug)]
pub struct Swept {
    /// One for each search for repos that failed, and one for each repo, in the order of their names.
    pub reports: Vec<RepoReport>,
    /// Repos that are only counted, because there are more than 1,000 reports.
    pub others: UnlistedRepos,
    /// HTTP requests made to find the repos, where that succeeded.
    pub calls: u32,
    /// The patterns that turned out to mean no repo.
    pub unmatched: Vec<RepoPattern>,
}

/// The most tasks that are under way at once: each takes some 12 KB before its first call. The others wait in their order.
const MOST_AT_ONCE: usize = 1000;

/// After so many reports, repos in which nothing happened are only counted.
const MOST_QUIET: usize = 1000;

/// The most repos that all searches of a sweep may find together.
const MOST_FOUND: usize = 20_000;

/// What stands in line for its turn.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Task {
    /// To find the gated repos of one type that a user or an organization has.
    Search(Name, RepoType),
    /// To review a repo.
    Review(Repo),
}

/// Reviews all repos that are meant by `patterns` and that `are_ours`, each with `review`, which has to end by itself.
/// Whatever becomes of one keeps none of the others from its turn.
pub async fn sweep<F: Future<Output = RepoReport>>(
    hub: &Hub,
    patterns: &[RepoPattern],
    are_ours: impl Fn(&Repo) -> bool,
    memory: &Memory,
    deadline: Instant,
    review: impl Fn(Repo) -> F,
) -> Swept {
    let (review, (page, mut pages)) = (&review, mpsc::unbounded_channel::<Vec<Repo>>());
    let (page, found_repos) = (&page, &AtomicUsize::new(0));
    let carry_out = |task: Task| async move {
        let (report, found) = match &task {
            Task::Search(owner, repo_type) => {
                let mut found = |repos: &[Repo]| {
                    let all = found_repos.fetch_add(repos.len(), Ordering::Relaxed) + repos.len();
                    // The receiver outlives the search.
                    all <= MOST_FOUND && page.send(repos.to_vec()).is_ok()
                };
                search(hub, owner, *repo_type, deadline, &mut found).await
            }
            Task::Review(repo) => (catch_panic(repo, review(repo.clone())).await, Vec::new()),
        };
        (task, report, found)
    };
    let is_meant = |repo: &Repo| are_ours(repo) && patterns.iter().any(|pattern| pattern.covers(repo));
    // If a repo is named in two spellings, the set keeps the first one. It is that of an earlier search, if one found the repo.
    let mut tasks: BTreeSet<Task> = memory.left().into_iter().filter(&is_meant).map(Task::Review).collect();
    tasks.extend(patterns.iter().flat_map(tasks_for));
    let search_count = tasks.iter().filter(|task| matches!(task, Task::Search(..))).count();
    // All that is known begins in this order, and gets its turns first come, first served.
    let mut waiting: VecDeque<Task> = memory.in_order(tasks.clone()).into();
    let mut work = FuturesUnordered::new();
    let (mut reports, mut spellings) = (BTreeMap::new(), BTreeSet::new());
    let (mut others, sweep) = (UnlistedRepos::default(), memory.begin());
    let mut end = |report: RepoReport, task: Task, reports: &mut BTreeMap<Task, RepoReport>| {
        memory.take_note(sweep, &task, &report);
        let is_full = reports.len() >= MOST_QUIET + search_count;
        if is_full && report.is_quiet() && matches!(task, Task::Review(_)) {
            others.count(report);
        } else {
            reports.insert(task, report);
        }
    };
    loop {
        while work.len() < MOST_AT_ONCE
            && let Some(task) = waiting.pop_front()
        {
            if Instant::now() < deadline {
                work.push(carry_out(task));
            } else {
                // To begin very many reviews only to end them would take longer than there is time to report.
                end(without_turn(&task), task, &mut reports);
            }
        }
        let found = tokio::select! {
            biased;
            Some(page) = pages.recv() => page,
            done = work.next() => match done {
                Some((task, report, found)) => {
                    let found = memory.found(&task, found, !report.complete);
                    spellings.extend(found.iter().cloned());
                    end(report, task, &mut reports);
                    found
                }
                None => break,
            },
        };
        let found = found.into_iter().filter(&is_meant).map(Task::Review);
        let new: BTreeSet<Task> = found.filter(|task| !tasks.contains(task)).collect();
        tasks.extend(new.iter().cloned());
        waiting.extend(memory.in_order(new));
    }
    let mut calls = 0;
    reports.retain(|task, report| {
        if let Task::Review(repo) = task
            && let Some(found) = spellings.get(repo)
        {
            // A repo that `REPOS` names may be reviewed before the search tells how the Hub spells it.
            found.name().clone_into(&mut report.repo);
        }
        let has_succeeded = matches!(task, Task::Search(..)) && report.complete;
        calls += if has_succeeded { report.counts.calls } else { 0 };
        !has_succeeded
    });
    // If a search failed, its pattern may still match repos.
    let is_about = |task: &Task, pattern: &RepoPattern| match (task, pattern) {
        (Task::Review(repo), pattern) => pattern.covers(repo),
        (Task::Search(searched, _), RepoPattern::Namespace { owner, .. }) => {
            searched == owner && reports.contains_key(task)
        }
        (Task::Search(..), RepoPattern::One(_)) => false,
    };
    let is_unmatched = |pattern: &&RepoPattern| !tasks.iter().any(|task| is_about(task, pattern));
    let unmatched: Vec<RepoPattern> = patterns.iter().filter(is_unmatched).cloned().collect();
    Swept { reports: reports.into_values().collect(), others, calls, unmatched }
}

/// What has to be done for a pattern before anything is found. A repo that is named outright needs no search.
fn tasks_for(pattern: &RepoPattern) -> Vec<Task> {
    match pattern {
        RepoPattern::One(repo) => vec![Task::Review(repo.clone())],
        RepoPattern::Namespace { owner, only: Some(only), .. } => vec![Task::Search(owner.clone(), *only)],
        RepoPattern::Namespace { owner, only: None, .. } => {
            [RepoType::Model, RepoType::Dataset].map(|one| Task::Search(owner.clone(), one)).into()
        }
    }
}

async fn search(
    hub: &Hub,
    owner: &Name,
    repo_type: RepoType,
    deadline: Instant,
    found: &mut (dyn FnMut(&[Repo]) -> bool + Send),
) -> (RepoReport, Vec<Repo>) {
    let listing = hub.gated_repos(owner, repo_type, deadline, found).await;
    let mut report = RepoReport::new(&format!("{owner}/*"), repo_type);
    report.counts.calls = listing.calls;
    match listing.error {
        None => report.complete = true,
        Some(error) => {
            tracing::warn!(%owner, r#type = repo_type.as_str(), %error, "search failed");
            report.fail(error);
        }
    }
    (report, listing.repos)
}

/// Runs the review of a repo. If it panics, the report says so, and no other review is affected.
pub async fn catch_panic(repo: &Repo, review: impl Future<Output = RepoReport>) -> RepoReport {
    AssertUnwindSafe(review).catch_unwind().await.unwrap_or_else(|_| panicked(repo))
}

/// The report on a task for which the time was up before it could begin.
fn without_turn(task: &Task) -> RepoReport {
    let mut report = match task {
        Task::Search(owner, repo_type) => RepoReport::new(&format!("{owner}/*"), *repo_type),
        Task::Review(repo) => RepoReport::new(repo.name(), repo.repo_type()),
    };
    report.fail(HubError::new("GET", Problem::OutOfTime));
    report
}

fn panicked(repo: &Repo) -> RepoReport {
    tracing::error!(%repo, "the review of this repo panicked");
    let mut report = RepoReport::new(repo.name(), repo.repo_type());
    report.fail(Failure::Other("its review panicked; the log says where".to_owned()));
    report
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::http;
    use crate::keyring::{Keyring, Source, Sources};
    use crate::secret::Secret;

    const ALL: [&str; 6] = ["a/0", "a/1", "a/2", "a/3", "a/4", "a/5"];

    /// Sweeps over these repos, which need no search, and gives the order in which their reviews were begun.
    async fn order(names: &[&str], memory: &Memory, review: fn(&mut RepoReport)) -> (Vec<String>, Swept) {
        order_until(Instant::now() + Duration::from_secs(60), names, memory, review).await
    }

    async fn order_until(
        deadline: Instant,
        names: &[&str],
        memory: &Memory,
        review: fn(&mut RepoReport),
    ) -> (Vec<String>, Swept) {
        let endpoint = "http://127.0.0.1:1".parse().expect("a URL");
        let given = || Source::Given(Secret::new("never shown"));
        let sources = Sources { token: given(), webhook: Some(given()), webhook_previous: None };
        let http = http::client().expect("a client");
        let keyring = Keyring::read(sources, &http).await.expect("what is given");
        let hub = Hub::new(http, endpoint, Arc::new(keyring), 8);
        let patterns: Vec<RepoPattern> = names.iter().map(|name| name.parse().expect("a name")).collect();
        let order = RefCell::new(Vec::new());
        let review = async |repo: Repo| {
            order.borrow_mut().push(repo.name().to_owned());
            let mut report = RepoReport::new(repo.name(), repo.repo_type());
            report.complete = true;
            review(&mut report);
            report
        };
        let swept = sweep(&hub, &patterns, |_| true, memory, deadline, review).await;
        (order.into_inner(), swept)
    }

    fn out_of_time() -> HubError {
        HubError { call: "GET /x".to_owned(), problem: Problem::OutOfTime, may_be_done: false }
    }

    #[tokio::test]
    async fn what_got_no_turn_goes_first_then_what_was_left_undone() {
        // Often, for what is not in order is in none.
        for _ in 0..50 {
            let memory = Memory::default();
            let (_, swept) = order(&ALL, &memory, |report| match &*report.repo {
                "a/1" | "a/4" => (report.complete, report.error) = (false, Some(out_of_time().into())),
                "a/2" => {
                    (report.complete, report.error) = (false, Some(Failure::Other("broken".to_owned())));
                }
                _ => {}
            })
            .await;
            let names: Vec<_> = swept.reports.iter().map(|report| &*report.repo).collect();
            assert_eq!(names, ALL, "whatever the order was");
            let (mut next, _) = order(&ALL, &memory, |_| ()).await;
            next[..2].sort();
            next[3..].sort();
            assert_eq!(next, ["a/1", "a/4", "a/2", "a/0", "a/3", "a/5"]);
        }
    }

    #[tokio::test]
    async fn after_the_deadline_no_review_begins() {
        let memory = Memory::default();
        let names: Vec<String> = (0..1500).map(|number| format!("a/{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (begun, swept) = order_until(Instant::now(), &names, &memory, |_| ()).await;
        assert!(begun.is_empty() && swept.reports.iter().all(|report| !report.had_its_turn()));
        assert_eq!((swept.reports.len(), swept.others.repos), (1000, 500));
        assert_eq!(order(&ALL, &memory, |_| ()).await.0.len(), 6, "the next sweep does");
    }

    #[tokio::test]
    async fn what_is_left_waits_until_it_is_meant() {
        let memory = Memory::default();
        order(&ALL, &memory, |report| {
            (report.complete, report.error) = (false, Some(out_of_time().into()));
        })
        .await;
        assert_eq!(order(&["a/3"], &memory, |_| ()).await.0, ["a/3"]);
    }

    #[tokio::test]
    async fn who_had_to_wait_longest_goes_first() {
        let memory = Memory::default();
        order(&ALL, &memory, |_| ()).await;
        order(&["a/3", "a/1"], &memory, |_| ()).await;
        order(&["a/3"], &memory, |_| ()).await;
        let (next, _) = order(&ALL, &memory, |_| ()).await;
        assert_eq!(next[4..], ["a/1", "a/3"]);
    }

    #[tokio::test]
    async fn a_process_that_remembers_nothing_begins_anywhere() {
        let mut first = BTreeSet::new();
        for _ in 0..200 {
            first.insert(order(&ALL, &Memory::default(), |_| ()).await.0.swap_remove(0));
        }
        assert_eq!(first.len(), ALL.len());
    }

    #[tokio::test]
    async fn a_review_that_panics_stops_no_other() {
        let memory = Memory::default();
        let (_, swept) = order(&ALL, &memory, |report| assert!(report.repo != "a/3")).await;
        let failed: Vec<_> = swept.reports.iter().filter(|report| !report.complete).collect();
        assert_eq!((swept.reports.len(), failed.len(), &*failed[0].repo), (6, 1, "a/3"));
        assert!(failed[0].error.as_ref().is_some_and(|error| error.to_string().contains("panicked")));
    }
}
