//! The pending requests of all repos with the decisions of the policy, and the decisions of a person about them. The desk, `decide`
//! and `list --held` use it.

use std::collections::HashMap;
use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use hub_doorman::hub::Hub;
use hub_doorman::model::{AccessRequest, Decision, Identity, Outcome, Repo, RepoPattern, Verdict};
use hub_doorman::plan::{Choice, Choices, Mode, Progress, RequestKey};
use hub_doorman::policy::Policy;
use hub_doorman::report::audit::Step;
use hub_doorman::report::{Failure, RepoReport};
use hub_doorman::review::review;
use hub_doorman::sweep::{SweepHistory, SweepReport, sweep};
use tokio::time::Instant;

/// A pending request, and what the policy says about it.
pub struct PendingRequest {
    pub repo: Repo,
    pub key: RequestKey,
    pub request: AccessRequest,
    pub decision: Decision,
}

impl PendingRequest {
    /// The name of the requester for a person, such as `ada` or `request:67f0`.
    pub fn name(&self) -> String {
        self.request.who().as_ref().map_or_else(|| "somebody".to_owned(), crate::users::name)
    }

    /// Whether the request waits for a person.
    pub fn is_held(&self) -> bool {
        self.decision.verdict == Verdict::Hold
    }
}

/// Reads the pending requests of all repos that the patterns match, and lets the policy decide them. Nothing is written. `on_repo`
/// gets the requests of each repo as soon as its list is read.
pub async fn read_all(
    hub: &Hub,
    policy: &Arc<Policy>,
    patterns: &[RepoPattern],
    deadline: Instant,
    on_repo: impl Fn(&RepoReport, Vec<PendingRequest>),
) -> SweepReport {
    let on_repo = &on_repo;
    let read = |repo: Repo| async move {
        let (report, requests) = read_repo(hub, policy, &repo, deadline).await;
        on_repo(&report, requests);
        report
    };
    sweep(hub, patterns, |_| true, &SweepHistory::default(), deadline, read).await
}

/// Reads the pending requests of a repo, and lets the policy decide them. Nothing is written.
pub async fn read_repo(
    hub: &Hub,
    policy: &Arc<Policy>,
    repo: &Repo,
    deadline: Instant,
) -> (RepoReport, Vec<PendingRequest>) {
    let requests = Mutex::new(Vec::new());
    let mut on_step = |step: Step<'_>| {
        if let Step::Decided { request, decision } = step {
            let (key, request) = (RequestKey::new(repo, request), request.clone());
            let pending = PendingRequest { repo: repo.clone(), key, request, decision: decision.clone() };
            requests.lock().unwrap_or_else(PoisonError::into_inner).push(pending);
        }
    };
    let report = review(repo, ready(Arc::clone(policy)), hub, Mode::DryRun, deadline, &mut on_step).await;
    (report, requests.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Sorts requests: the oldest first, and those without a time last.
pub fn oldest_first(requests: &mut [Arc<PendingRequest>]) {
    requests.sort_by_cached_key(|request| {
        let at = request.request.requested_at;
        (at.is_none(), at, request.repo.clone(), request.name())
    });
}

/// A pending request that a person has decided.
#[derive(Clone)]
pub struct ChosenRequest {
    pub request: Arc<PendingRequest>,
    pub choice: Choice,
}

/// What became of the choice of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChoiceOutcome {
    /// The Hub carried it out.
    Done,
    /// Nothing was written, because `DRY_RUN` is true.
    DryRun,
    /// The person has withdrawn it. Nothing was written.
    Withdrawn,
    /// The request has changed since it was shown, or is not pending any more. Nothing was written.
    Changed,
    /// A write got no response, or an unclear one, so it may have been carried out.
    Unknown,
    /// The Hub has not carried it out, for this reason.
    Failed(String),
}

impl ChoiceOutcome {
    /// The outcome of a choice that is so far. If the Hub may have carried it out, no person is told that it was not sent.
    pub fn after(self, progress: Progress) -> Self {
        match (progress, self) {
            (Progress::Withdrawn, _) => Self::Withdrawn,
            (Progress::InDoubt, Self::Changed) => Self::Unknown,
            (_, outcome) => outcome,
        }
    }

    /// Whether nothing is left to do: the Hub has carried it out, or this is a dry run.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done | Self::DryRun)
    }

    /// What to tell the person, after the name of the requester.
    pub fn describe(&self) -> String {
        match self {
            Self::Done => "done".to_owned(),
            Self::DryRun => "dry run, so nothing was sent".to_owned(),
            Self::Withdrawn => "undone, so nothing was sent".to_owned(),
            Self::Changed => {
                "not sent: the request has changed since it was shown, or is decided already".to_owned()
            }
            Self::Unknown => {
                "unknown: the Hub gave no clear response, so it may have been done; read the list again"
                    .to_owned()
            }
            Self::Failed(why) => format!("not done: {why}"),
        }
    }
}

/// Writes decisions of a person about requests of one repo. A decision is written only if the Hub still lists the same request with
/// the same data. The outcomes are in the order of the requests.
pub async fn write(
    hub: &Hub,
    policy: &Arc<Policy>,
    repo: &Repo,
    chosen: &[ChosenRequest],
    dry_run: bool,
    deadline: Instant,
) -> Vec<ChoiceOutcome> {
    if dry_run {
        return chosen.iter().map(|_| ChoiceOutcome::DryRun).collect();
    }
    let mut choices = Choices::default();
    for ChosenRequest { request, choice } in chosen {
        choices.add(request.key, choice.clone());
    }
    let outcomes: Mutex<HashMap<Named, Outcome>> = Mutex::default();
    let mut on_step = |step: Step<'_>| {
        if let Step::Concluded { who, requested_at, outcome, .. } = step {
            let named = (who.cloned(), requested_at);
            outcomes.lock().unwrap_or_else(PoisonError::into_inner).insert(named, outcome);
        }
    };
    let mode = Mode::Chosen(&choices);
    let report = review(repo, ready(Arc::clone(policy)), hub, mode, deadline, &mut on_step).await;
    let outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    let outcome = |ChosenRequest { request, choice }: &ChosenRequest| {
        let request = &request.request;
        let outcome = outcome_of(outcomes.get(&(request.who(), request.requested_at)).copied(), &report);
        outcome.after(choice.progress())
    };
    chosen.iter().map(outcome).collect()
}

type Named = (Option<Identity>, Option<DateTime<Utc>>);

/// The failure without the call, because the person knows the repo and what was to be done.
pub fn cause(failure: &Failure) -> String {
    let text = failure.to_string();
    match failure {
        Failure::Hub(error) => text.strip_prefix(&format!("{}: ", error.call)).unwrap_or(&text).to_owned(),
        Failure::Other(_) => text,
    }
}

fn outcome_of(outcome: Option<Outcome>, report: &RepoReport) -> ChoiceOutcome {
    let why = || report.error.as_ref().map(cause);
    match outcome {
        Some(Outcome::Done) => ChoiceOutcome::Done,
        Some(Outcome::DryRun) => ChoiceOutcome::DryRun,
        Some(Outcome::Unknown) => ChoiceOutcome::Unknown,
        Some(Outcome::Gone) => ChoiceOutcome::Changed,
        // The list was read without this request. An error of the report is about another request.
        None if report.is_read => ChoiceOutcome::Changed,
        Some(Outcome::Held) => {
            ChoiceOutcome::Failed("the Hub lists this user twice; decide on the Hub's page".to_owned())
        }
        Some(Outcome::Failed | Outcome::Stuck | Outcome::NotAgreed | Outcome::OverLimit) | None => {
            ChoiceOutcome::Failed(why().unwrap_or_else(|| "the Hub did not confirm it; try again".to_owned()))
        }
    }
}
