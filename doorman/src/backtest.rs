//! `backtest`: the policy decides requests that people have decided before, as of the time of each decision. It shows how often the
//! policy would decide in the same way, and where it differs. It changes nothing.

mod comparison;
mod selection;
mod show;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::io::Write;

use hub_doorman::hub::{HubError, ListEntry, RepoCalls};
use hub_doorman::model::{Identity, Repo, RepoPattern, Status};
use hub_doorman::policy::Policy;
use hub_doorman::report::{RepoReport, Report};
use hub_doorman::sweep::{SweepHistory, sweep};

use crate::arguments::BacktestArguments;
use crate::environment::{Setup, deadline, setup};
use crate::exit::ExitStatus;
use crate::list::read_pages;
use crate::review;
use crate::screen::{Screen, spinner};
use comparison::{Comparison, PastDecision, Redecided};
use selection::{LeftOutCounts, Selection};

/// Compares the policy with the decisions of people, and shows the result.
pub async fn run(arguments: &BacktestArguments, screen: &mut Screen) -> Result<ExitStatus, Box<dyn Error>> {
    let BacktestArguments { scope, since, by_others, json } = arguments;
    let setup = setup(scope.policy.as_deref()).await?;
    let patterns = review::patterns(scope, &setup)?;
    let account = setup.hub.account(deadline()).who_am_i().await?.name;
    let selection = Selection { since: *since, account, by_others: *by_others };
    let backtest = Backtest::of(&setup, &patterns, &selection).await;
    if *json {
        screen.json(&show::json(&backtest, &selection, &setup.policy))?;
    } else {
        show::tables_and_differences(&backtest, &selection, screen)?;
    }
    screen.flush()?;
    show::unfinished_lists(&backtest);
    review::show::failures(&backtest.report, &backtest.unmatched);
    review::warn_of_policy(&setup.policy, |warning| warning.is_unusable_list);
    Ok(backtest.exit_status())
}

/// The results for all repos.
struct Backtest {
    /// Which repos were read, and which failed.
    report: Report,
    /// The results for the repos whose lists could be read.
    repos: HashMap<Repo, RepoBacktest>,
    /// Patterns that match no gated repo.
    unmatched: Vec<RepoPattern>,
}

/// The result for one repo.
#[derive(Default)]
struct RepoBacktest {
    comparison: Comparison,
    left_out: LeftOutCounts,
    /// The number of compared requests that the account of the token accepted.
    by_account: u64,
    /// The lists that end with a full page without a link to a next one. More requests may follow.
    unfinished: Vec<Status>,
}

impl Backtest {
    async fn of(setup: &Setup, patterns: &[RepoPattern], selection: &Selection) -> Self {
        let (deadline, bar) = (deadline(), spinner("reading decided requests"));
        let repos = RefCell::new(HashMap::new());
        let compare = |repo: Repo| {
            let repos = &repos;
            async move {
                let mut report = RepoReport::new(&repo);
                let calls = setup.hub.repo(&repo, deadline);
                match RepoBacktest::read(&calls, &repo, &setup.policy, selection).await {
                    Ok(result) => {
                        report.complete = result.unfinished.is_empty();
                        let listed = result.comparison.table.total();
                        report.counts.listed = u32::try_from(listed).unwrap_or(u32::MAX);
                        repos.borrow_mut().insert(repo.clone(), result);
                    }
                    Err(error) => report.fail(error),
                }
                report.counts.calls = calls.count();
                report
            }
        };
        let swept = sweep(&setup.hub, patterns, |_| true, &SweepHistory::default(), deadline, compare).await;
        bar.finish_and_clear();
        let report = Report::new(true, swept.repos, swept.failed_searches, swept.unlisted);
        Self { report, repos: repos.into_inner(), unmatched: swept.unmatched }
    }

    /// The repos with their results, in the order of their names.
    fn iter(&self) -> impl Iterator<Item = (&RepoReport, Option<&RepoBacktest>)> {
        self.report.repos.iter().map(|report| (report, self.repos.get(&report.repo)))
    }

    fn exit_status(&self) -> ExitStatus {
        let Report { repos, searches, .. } = &self.report;
        match self.unmatched.is_empty()
            && searches.is_empty()
            && repos.iter().all(|repo| repo.error.is_none())
        {
            true if self.report.is_complete() => ExitStatus::Complete,
            true => ExitStatus::Incomplete,
            false => ExitStatus::Failed,
        }
    }
}

impl RepoBacktest {
    /// Reads the three lists of decided requests, and lets the policy decide each page before the next one is read.
    async fn read(
        calls: &RepoCalls<'_>,
        repo: &Repo,
        policy: &Policy,
        selection: &Selection,
    ) -> Result<Self, HubError> {
        let (mut result, mut seen) = (Self::default(), HashSet::new());
        for past in PastDecision::ALL {
            let add_page = |page: Vec<ListEntry>| {
                for entry in page.iter().filter(|entry| is_new(entry, &mut seen)) {
                    result.add(past, entry, repo, policy, selection);
                }
            };
            if read_pages(calls, past.status(), None, add_page).await? {
                result.unfinished.push(past.status());
            }
        }
        result.comparison.sort();
        Ok(result)
    }

    fn add(
        &mut self,
        past: PastDecision,
        entry: &ListEntry,
        repo: &Repo,
        policy: &Policy,
        selection: &Selection,
    ) {
        match selection.time_of(entry) {
            Err(left_out) => self.left_out.count(left_out),
            Ok(reviewed_at) => {
                let request = &entry.request;
                let decision = policy.decide(request, repo, reviewed_at);
                let (who, requested_at) = (request.who(), request.requested_at);
                self.comparison.add(Redecided { who, requested_at, past, reviewed_at, decision });
                self.by_account += u64::from(selection.is_by_account(entry));
            }
        }
    }
}

/// Whether an entry was not seen before. A list may repeat an entry at the border of two pages, and a person may decide a request
/// again while the lists are read.
fn is_new(entry: &ListEntry, seen: &mut HashSet<Identity>) -> bool {
    entry.request.identity().is_none_or(|identity| seen.insert(identity))
}
