//! The log lines of a run: one for each decision, and one with the counts.

use chrono::{DateTime, Utc};

use super::{Counts, LimitReached, RepoReport, Report, Work};
use crate::model::{AccessRequest, Decision, Identity, Outcome};
use crate::policy::Policy;

/// A step of a review, which is reported while the review goes on.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// A page of the first reading of the list had this many pending requests.
    Listed(usize),
    /// The policy has decided a request. Whoever reports this shows people what the requester wrote.
    Decided {
        /// The request.
        request: &'a AccessRequest,
        /// The decision.
        decision: &'a Decision,
    },
    /// The run is done with a request.
    Concluded {
        /// The requester, or the request. An entry may name neither.
        who: Option<&'a Identity>,
        /// When access was requested.
        requested_at: Option<DateTime<Utc>>,
        /// The decision.
        decision: &'a Decision,
        /// The outcome of the decision.
        outcome: Outcome,
    },
}

/// The most repos that a log line names.
const MAX_NAMED: usize = 1000;

/// Logs a line with counts: the given fields, the counts, and the message.
macro_rules! log_counts {
    ($counts:expr, $message:literal, $($field:tt)*) => {
        tracing::info!(
            $($field)*,
            listed = $counts.listed,
            accepted = $counts.accepted,
            rejected = $counts.rejected,
            reset = $counts.reset,
            held = $counts.held,
            over_limit = $counts.over_limit,
            gone = $counts.gone,
            failed = $counts.failed,
            unknown = $counts.unknown,
            stuck = $counts.stuck,
            calls = $counts.calls,
            oldest_pending_s = $counts.oldest_pending_s,
            $message
        )
    };
}

/// Logs the audit line of a decision. A request over a limit has none, because nothing is decided about it, and every run would log
/// all of them again. The span around the line names the repo.
pub fn log_decision(step: Step<'_>, policy: &Policy, dry_run: bool) {
    let Step::Concluded { who, decision, outcome, .. } = step else { return };
    if outcome == Outcome::OverLimit {
        return;
    }
    let Decision { verdict, reason, grounds, excepted: _ } = decision;
    tracing::info!(
        user = who.map(Identity::as_str).unwrap_or_default(),
        verdict = verdict.as_str(),
        rule = grounds.rule(),
        grounds = %decision.explanation(),
        reason = reason.as_deref(),
        policy = policy.fingerprint(),
        commit = policy.commit(),
        dry_run = dry_run || policy.is_paused(),
        outcome = outcome.as_str(),
        "decided"
    );
}

impl RepoReport {
    /// Logs the line of a review. The span around the line names the repo.
    pub fn log(&self, dry_run: bool) {
        let error = self.error.as_ref().map(ToString::to_string);
        log_counts!(self.counts, "reviewed", dry_run, complete = self.complete, error);
        for LimitReached { verdict, limit, requests, left } in &self.limits_reached {
            tracing::warn!(verdict = verdict.as_str(), limit, requests, left, "limit reached");
        }
    }
}

impl Report {
    /// Logs the line of a sweep, and one that names the repos and searches that were not reached. Returns the sums of the
    /// counts. `search_calls` is the number of calls of the searches that succeeded.
    pub fn log_sweep(&self, search_calls: u32) -> Counts {
        let not_reached = || self.all_work().filter(|work| work.reach() == super::Reach::NotReached);
        let unlisted = &self.unlisted;
        if let Some(error) = not_reached().find_map(Work::hub_error).or(unlisted.error.as_ref()) {
            let repos: Vec<_> = not_reached().take(MAX_NAMED).map(Work::name).collect();
            let more = not_reached().count() - repos.len() + unlisted.incomplete;
            let more = Some(more).filter(|more| *more > 0);
            tracing::warn!(repos = repos.join(" "), more, %error, "left for the next sweep");
        }
        let mut counts: Counts = self.repos.iter().map(|repo| repo.counts).sum();
        let of_failed_searches: u32 = self.searches.iter().map(|search| search.calls).sum();
        counts.calls += search_calls + of_failed_searches + unlisted.calls;
        let left = self.all_work().filter(|work| !work.is_complete()).count() + unlisted.incomplete;
        let repos = self.repos.len() + unlisted.repos;
        log_counts!(counts, "swept", dry_run = self.dry_run, repos, left);
        counts
    }
}
