//! What a run did: counts and failures to answer with, and one audit line a decision. No personal data in either but the
//! user name, which the audit line is about.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::model::{Decision, Outcome, Repo, RepoType, Verdict};

/// The answer to a trigger, the same for all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `reviewed`, or `deferred` if anything is left for the next run.
    pub status: &'static str,
    /// Whether it was only pretended.
    pub dry_run: bool,
    /// One for each repo that was looked at.
    pub repos: Vec<RepoReport>,
}

impl Report {
    /// Puts the reports on some repos together.
    #[must_use]
    pub fn new(dry_run: bool, repos: Vec<RepoReport>) -> Self {
        let mut report = Self { status: "reviewed", dry_run, repos };
        if !report.is_complete() {
            report.status = "deferred";
        }
        report
    }

    /// Whether nothing is left for the next run.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.repos.iter().all(|repo| repo.complete)
    }
}

/// What was done about one repo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RepoReport {
    /// `namespace/name`.
    pub repo: String,
    /// `model` or `dataset`.
    #[serde(rename = "type")]
    pub repo_type: RepoType,
    /// Whether everybody who was waiting was decided, and the Hub told: everybody whom the list showed. While somebody else
    /// makes people leave it, its pages may shift, so that one is shown only to the next run.
    pub complete: bool,
    /// How many were seen waiting; the sum of the seven numbers that follow.
    pub listed: u32,
    /// Let in.
    pub accepted: u32,
    /// Turned away for good.
    pub rejected: u32,
    /// Turned away until they mend their request.
    pub reset: u32,
    /// Left for a person.
    pub held: u32,
    /// Decided by somebody else meanwhile, or withdrawn.
    pub gone: u32,
    /// Decided, but the Hub could not be told; still pending, so the next run takes them up.
    pub failed: u32,
    /// Decided, and the Hub told, but its answer was lost; if it was not done, the next run takes them up.
    pub unknown: u32,
    /// HTTP requests made to the Hub.
    pub calls: u32,
    /// The age in seconds of the oldest request that is still pending after this run, as far as it was read.
    pub oldest_pending_s: Option<u64>,
    /// The first thing that went wrong.
    pub error: Option<String>,
    /// The Hub says that the repo has no gate.
    #[serde(skip)]
    pub not_gated: bool,
}

impl RepoReport {
    /// A report on `repo` before anything was done.
    #[must_use]
    pub fn new(repo: &Repo) -> Self {
        Self {
            repo: repo.name().to_owned(),
            repo_type: repo.repo_type(),
            complete: false,
            listed: 0,
            accepted: 0,
            rejected: 0,
            reset: 0,
            held: 0,
            gone: 0,
            failed: 0,
            unknown: 0,
            calls: 0,
            oldest_pending_s: None,
            error: None,
            not_gated: false,
        }
    }

    /// Counts one request and what became of it.
    pub fn count(&mut self, verdict: Verdict, outcome: Outcome) {
        self.listed += 1;
        *match (outcome, verdict) {
            (Outcome::Gone, _) => &mut self.gone,
            (Outcome::Failed, _) => &mut self.failed,
            (Outcome::Unknown, _) => &mut self.unknown,
            (Outcome::Held, _) | (_, Verdict::Hold) => &mut self.held,
            (Outcome::Done | Outcome::DryRun, Verdict::Accept) => &mut self.accepted,
            (Outcome::Done | Outcome::DryRun, Verdict::Reset) => &mut self.reset,
            (Outcome::Done | Outcome::DryRun, Verdict::Reject) => &mut self.rejected,
        } += 1;
    }

    /// Remembers that a request is left waiting.
    pub fn still_pending(&mut self, requested_at: Option<DateTime<Utc>>, now: DateTime<Utc>) {
        let age = requested_at.map(|at| u64::try_from((now - at).num_seconds()).unwrap_or(0));
        self.oldest_pending_s = self.oldest_pending_s.max(age);
    }

    /// Writes the line of a run.
    pub fn log(&self, dry_run: bool) {
        tracing::info!(
            repo = self.repo,
            r#type = self.repo_type.as_str(),
            dry_run,
            complete = self.complete,
            listed = self.listed,
            accepted = self.accepted,
            rejected = self.rejected,
            reset = self.reset,
            held = self.held,
            gone = self.gone,
            failed = self.failed,
            unknown = self.unknown,
            calls = self.calls,
            oldest_pending_s = self.oldest_pending_s,
            error = self.error,
            "reviewed"
        );
    }

    /// Keeps the first error: what follows it mostly follows from it.
    pub fn fail(&mut self, error: &impl ToString) {
        self.error.get_or_insert_with(|| error.to_string());
    }
}

/// Writes the audit line of one decision. `policy` is the fingerprint of the one that decided.
pub fn audit(repo: &Repo, who: &str, decision: &Decision, policy: &str, dry_run: bool, outcome: Outcome) {
    let Decision { verdict, reason, grounds } = decision;
    tracing::info!(
        repo = %repo,
        user = who,
        verdict = verdict.as_str(),
        rule = grounds.rule(),
        grounds = %grounds,
        reason = reason.as_deref(),
        policy,
        dry_run,
        outcome = outcome.as_str(),
        "decided"
    );
}
