//! One run over the repos: a dry run for a plan, or a review that writes. It collects the decisions and shows progress.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use hub_doorman::model::{Decision, Identity, Outcome, Repo, RepoPattern, Verdict};
use hub_doorman::plan::Mode;
use hub_doorman::report::audit::Step;
use hub_doorman::report::{Counts, RepoReport, Report};
use hub_doorman::review::review as review_repo;
use hub_doorman::sweep::{SweepHistory, sweep};
use indicatif::{ProgressBar, ProgressStyle};

use crate::environment::{Setup, deadline};
use crate::exit::ExitStatus;
use crate::screen::spinner;

/// A request with its decision and outcome.
pub struct DecidedRequest {
    pub repo: Repo,
    pub who: Option<Identity>,
    pub requested_at: Option<DateTime<Utc>>,
    pub decision: Decision,
    pub outcome: Outcome,
    /// What the requester has answered, if the command shows it.
    pub answers: Option<BTreeMap<String, String>>,
}

/// Whether a run keeps the answers of the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    Keep,
    Drop,
}

/// The results of a run.
pub struct Run {
    pub report: Report,
    /// All decided requests, by repo, and within a repo by verdict, grounds and time.
    pub decided: Vec<DecidedRequest>,
    /// Planned requests that are not pending any more, because somebody else decided or withdrew them.
    pub gone: Vec<DecidedRequest>,
    /// Patterns that match no gated repo.
    pub unmatched: Vec<RepoPattern>,
}

impl Run {
    /// Reviews the repos. `on_outcome` gets each request as soon as its outcome is known.
    pub async fn start(
        setup: &Setup,
        patterns: &[RepoPattern],
        mode: Mode<'_>,
        answers: Answers,
        on_outcome: &mut (dyn FnMut(&DecidedRequest) + Send),
    ) -> Self {
        let Setup { hub, policy, .. } = setup;
        let (deadline, bar, decided) =
            (deadline(), spinner("reading requests"), Mutex::new((Vec::new(), on_outcome)));
        let review = |repo: Repo| {
            let (bar, decided) = (&bar, &decided);
            async move {
                let mut kept = HashMap::new();
                let mut on_step = |step: Step<'_>| match step {
                    Step::Listed(number) => lengthen(bar, number),
                    Step::Decided { request, .. } => {
                        if answers == Answers::Keep {
                            kept.insert((request.who(), request.requested_at), request.fields.clone());
                        }
                    }
                    Step::Concluded { who, requested_at, decision, outcome } => {
                        bar.inc(1);
                        let (repo, who, decision) = (repo.clone(), who.cloned(), decision.clone());
                        let answers = kept.remove(&(who.clone(), requested_at));
                        let request = DecidedRequest { repo, who, requested_at, decision, outcome, answers };
                        let (decided, on_outcome) =
                            &mut *decided.lock().unwrap_or_else(PoisonError::into_inner);
                        on_outcome(&request);
                        decided.push(request);
                    }
                };
                review_repo(&repo, ready(Arc::clone(policy)), hub, mode, deadline, &mut on_step).await
            }
        };
        let swept = sweep(hub, patterns, |_| true, &SweepHistory::default(), deadline, review).await;
        bar.finish_and_clear();
        let (mut decided, _) = decided.into_inner().unwrap_or_else(PoisonError::into_inner);
        decided.sort_by_cached_key(DecidedRequest::sort_key);
        let report = Report::new(mode.is_dry(), swept.repos, swept.failed_searches, swept.unlisted);
        let report = Report { paused: policy.is_paused(), ..report };
        Self { report, decided, gone: Vec::new(), unmatched: swept.unmatched }
    }

    /// The decided requests of one repo.
    pub fn of_repo<'a>(&'a self, report: &'a RepoReport) -> impl Iterator<Item = &'a DecidedRequest> {
        self.decided.iter().filter(|request| request.repo == report.repo)
    }

    /// The counts of all repos together.
    pub fn counts(&self) -> Counts {
        self.report.repos.iter().map(|repo| repo.counts).sum()
    }

    /// Marks planned requests that are gone, and those that this run held. If a list could not be read again, its requests are not
    /// known to be gone, so they are marked as left for the next run.
    pub fn mark_changes_since(&mut self, planned: Self) {
        let key = |request: &DecidedRequest| (request.repo.clone(), request.who.clone());
        let unread = self.report.repos.iter().filter(|report| report.hub_error().is_some());
        let unread: HashSet<Repo> = unread.map(|report| report.repo.clone()).collect();
        let mut listed: HashMap<_, _> =
            self.decided.iter_mut().map(|request| (key(request), request)).collect();
        let changes = planned.decided.into_iter().filter(|request| request.outcome == Outcome::DryRun);
        for request in changes {
            match listed.get_mut(&key(&request)) {
                None => {
                    let is_unread = unread.contains(&request.repo);
                    let outcome = if is_unread { Outcome::NotAgreed } else { Outcome::Gone };
                    self.gone.push(DecidedRequest { outcome, ..request });
                }
                Some(request) if request.outcome == Outcome::Held => request.outcome = Outcome::NotAgreed,
                Some(_) => {}
            }
        }
    }

    pub fn exit_status(&self) -> ExitStatus {
        let has_results = |RepoReport { complete, counts, .. }: &RepoReport| {
            let written = counts.accepted + counts.rejected + counts.reset + counts.gone;
            *complete || written > 0 || counts.held > 0 && counts.failed == 0
        };
        // A dry run leaves everything.
        let leaves_requests = !self.report.dry_run && self.counts().over_limit > 0;
        match &self.report {
            report if report.is_complete() && self.unmatched.is_empty() && !leaves_requests => {
                ExitStatus::Complete
            }
            report if report.repos.iter().any(has_results) => ExitStatus::Incomplete,
            _ => ExitStatus::Failed,
        }
    }
}

impl DecidedRequest {
    /// Sorts by repo as the report does. In each repo the held requests come first.
    fn sort_key(&self) -> (Repo, bool, Verdict, String, Option<DateTime<Utc>>) {
        let Decision { verdict, grounds, .. } = &self.decision;
        let is_held = *verdict == Verdict::Hold;
        (self.repo.clone(), !is_held, *verdict, grounds.to_string(), self.requested_at)
    }
}

/// Adds newly listed requests to the length of the bar.
fn lengthen(bar: &ProgressBar, listed: usize) {
    let is_first = bar.length().is_none();
    bar.inc_length(listed as u64);
    if is_first && listed > 0 {
        bar.set_length(listed as u64);
        let style = ProgressStyle::with_template(
            "{spinner} {wide_bar} {human_pos} of {human_len} decided, {elapsed}",
        );
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    }
}
