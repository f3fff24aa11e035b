//! A sweep: every repo that is looked after gets its turn, whether or not anything has happened in it.
//!
//! No webhook fires when somebody asks for access, so this is what bounds how long anybody waits. It finds the repos, puts
//! them in order, and reviews them side by side, as a webhook's repo is reviewed.

use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::hub::Hub;
use crate::model::{Repo, RepoPattern, RepoType};
use crate::report::{Failure, RepoReport};

/// What a sweep did.
#[derive(Debug)]
pub struct Swept {
    /// One for each repo, in the order of their names, and one for each search for repos that failed.
    pub reports: Vec<RepoReport>,
    /// HTTP requests made to find the repos, where that succeeded.
    pub calls: u32,
}

/// Reviews all repos that are meant by `patterns` and that `are_ours`, each with `review`, which has to end by itself.
/// Whatever becomes of one keeps none of the others from its turn. Searching may take half of the time until `deadline`.
pub async fn sweep<F: Future<Output = RepoReport>>(
    hub: &Hub,
    patterns: &[RepoPattern],
    are_ours: impl Fn(&Repo) -> bool,
    memory: &Memory,
    deadline: Instant,
    review: impl Fn(Repo) -> F,
) -> Swept {
    let now = Instant::now();
    let search_until = now + deadline.saturating_duration_since(now) / 2;
    let (mut repos, mut swept) = find(hub, patterns, search_until).await;
    repos.retain(are_ours);
    let repos = memory.in_order(repos);
    // All begin at once and in this order, and the Hub gives them their turns first come, first served.
    let reviews = repos.iter().map(|repo| AssertUnwindSafe(review(repo.clone())).catch_unwind());
    let mut reviewed = Vec::new();
    for (repo, report) in repos.iter().zip(join_all(reviews).await) {
        let report = report.unwrap_or_else(|_| {
            tracing::error!(%repo, "its review panicked");
            let mut report = RepoReport::new(repo.name(), repo.repo_type());
            report.fail(Failure::Other("its review panicked; the log says where".to_owned()));
            report
        });
        reviewed.push((repo, report));
    }
    memory.take_note(&reviewed);
    reviewed.sort_by_key(|(repo, _)| *repo);
    swept.reports.extend(reviewed.into_iter().map(|(_, report)| report));
    swept
}

/// Finds the repos that are meant by `patterns`, and reports on the searches that failed. One that is named outright needs
/// no search.
async fn find(hub: &Hub, patterns: &[RepoPattern], deadline: Instant) -> (BTreeSet<Repo>, Swept) {
    let (mut repos, mut searches) = (BTreeSet::new(), BTreeSet::new());
    for pattern in patterns {
        match pattern {
            RepoPattern::One(repo) => {
                repos.insert(repo.clone());
            }
            RepoPattern::Namespace { owner, only } => {
                let types = [RepoType::Model, RepoType::Dataset];
                let types = types.into_iter().filter(|one| only.is_none_or(|only| only == *one));
                searches.extend(types.map(|repo_type| (owner, repo_type)));
            }
        }
    }
    let listings = searches.iter().map(|(owner, repo_type)| hub.gated_repos(owner, *repo_type, deadline));
    let listings = join_all(listings).await;
    let mut swept = Swept { reports: Vec::new(), calls: 0 };
    for ((owner, repo_type), listing) in searches.into_iter().zip(listings) {
        tracing::debug!(owner, r#type = repo_type.as_str(), found = listing.repos.len(), "searched");
        repos.extend(listing.repos);
        match listing.error {
            None => swept.calls += listing.calls,
            Some(error) => {
                tracing::warn!(owner, r#type = repo_type.as_str(), %error, "search failed");
                let mut report = RepoReport::new(&format!("{owner}/*"), repo_type);
                report.counts.calls = listing.calls;
                report.fail(error);
                swept.reports.push(report);
            }
        }
    }
    for pattern in patterns.iter().filter(|pattern| !repos.iter().any(|repo| pattern.covers(repo))) {
        tracing::warn!(%pattern, "no gated repo found; is it misspelt, or hidden from HF_TOKEN?");
    }
    (repos, swept)
}

/// What a process remembers of its sweeps, so that the next one begins with what the last one left undone. It is not kept:
/// a process that remembers nothing begins anywhere, so that no repo is the last one every time.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<Repo, LastTurn>>);

/// When a repo got its last turn, and whether all was done then: what sorts first is to go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LastTurn {
    sweep: u64,
    complete: bool,
}

impl Memory {
    fn in_order(&self, repos: BTreeSet<Repo>) -> Vec<Repo> {
        let mut repos: Vec<Repo> = repos.into_iter().collect();
        fastrand::shuffle(&mut repos);
        let last_turns = self.last_turns();
        repos.sort_by_key(|repo| last_turns.get(repo).copied());
        repos
    }

    fn take_note(&self, reviewed: &[(&Repo, RepoReport)]) {
        let mut last_turns = self.last_turns();
        let sweep = 1 + last_turns.values().map(|last| last.sweep).max().unwrap_or(0);
        for (repo, report) in reviewed.iter().filter(|(_, report)| report.had_its_turn()) {
            last_turns.insert((*repo).clone(), LastTurn { sweep, complete: report.complete });
        }
    }

    fn last_turns(&self) -> MutexGuard<'_, HashMap<Repo, LastTurn>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::hub::{HubError, Problem};
    use crate::secret::Secret;

    const ALL: [&str; 6] = ["a/0", "a/1", "a/2", "a/3", "a/4", "a/5"];

    /// Sweeps over these repos, which need no search, and gives the order in which their reviews were begun.
    async fn order(names: &[&str], memory: &Memory, review: fn(&mut RepoReport)) -> (Vec<String>, Swept) {
        let endpoint = "http://127.0.0.1:1".parse().expect("a URL");
        let hub = Hub::new(endpoint, Secret::new("hf_tok"), 8).expect("a client");
        let patterns: Vec<RepoPattern> = names.iter().map(|name| name.parse().expect("a name")).collect();
        let order = RefCell::new(Vec::new());
        let review = async |repo: Repo| {
            order.borrow_mut().push(repo.name().to_owned());
            let mut report = RepoReport::new(repo.name(), repo.repo_type());
            report.complete = true;
            review(&mut report);
            report
        };
        let swept = sweep(&hub, &patterns, |_| true, memory, Instant::now(), review).await;
        (order.into_inner(), swept)
    }

    fn out_of_time() -> HubError {
        HubError { call: "GET /x".to_owned(), problem: Problem::OutOfTime, may_be_done: false }
    }

    #[tokio::test]
    async fn what_got_no_turn_goes_first_then_what_was_left_undone() {
        let memory = Memory::default();
        let (_, swept) = order(&ALL, &memory, |report| match &*report.repo {
            "a/1" | "a/4" => (report.complete, report.error) = (false, Some(out_of_time().into())),
            "a/2" => (report.complete, report.error) = (false, Some(Failure::Other("broken".to_owned()))),
            _ => {}
        })
        .await;
        let names: Vec<_> = swept.reports.iter().map(|report| &*report.repo).collect();
        assert_eq!(names, ALL, "whatever the order was");
        let (next, _) = order(&ALL, &memory, |_| ()).await;
        let (mut no_turn, mut done) = (next[..2].to_vec(), next[3..].to_vec());
        no_turn.sort();
        done.sort();
        assert_eq!(
            (no_turn, &*next[2], done),
            (vec!["a/1".into(), "a/4".into()], "a/2", vec!["a/0".into(), "a/3".into(), "a/5".into()])
        );
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
