//! What a run did: counts and failures to answer with, and one audit line a decision. No personal data in either but the
//! user name, which the audit line is about.

use std::iter::Sum;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

use crate::hub::{HubError, Problem};
use crate::model::{Decision, Identity, Outcome, RepoType, Verdict};

/// Writes a line with numbers: the fields that are given, the numbers, and the message.
macro_rules! log_counts {
    ($counts:expr, $message:literal, $($field:tt)*) => {
        tracing::info!(
            $($field)*,
            listed = $counts.listed,
            accepted = $counts.accepted,
            rejected = $counts.rejected,
            reset = $counts.reset,
            held = $counts.held,
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

/// The answer to a trigger, the same for all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `reviewed`, or `deferred` if anything is left for the next run.
    pub status: &'static str,
    /// Whether it was only pretended.
    pub dry_run: bool,
    /// One for each repo that was looked at, up to 5,000.
    pub repos: Vec<RepoReport>,
    /// The repos that have no report in `repos`.
    #[serde(flatten, skip_serializing_if = "UnlistedRepos::is_none")]
    pub others: UnlistedRepos,
}

/// The most repos in an answer, because Lambda takes one of at most 6 MB. With the longest error, one takes about 800 bytes.
const MOST_REPOS: usize = 5000;

/// The repos that have no report in `repos`, because there are so many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UnlistedRepos {
    /// How many there are.
    #[serde(rename = "more_repos")]
    pub repos: usize,
    /// How many of them are not complete.
    #[serde(skip)]
    incomplete: usize,
    /// HTTP requests made for them.
    #[serde(skip)]
    pub calls: u32,
    /// The error of the first of them that failed.
    #[serde(skip)]
    error: Option<HubError>,
}

impl UnlistedRepos {
    /// Counts a repo instead of keeping its report.
    pub fn count(&mut self, report: RepoReport) {
        self.repos += 1;
        self.incomplete += usize::from(!report.complete);
        self.calls += report.counts.calls;
        if let (None, Some(Failure::Hub(error))) = (&self.error, report.error) {
            self.error = Some(error);
        }
    }

    fn is_none(&self) -> bool {
        self.repos == 0
    }
}

/// The most repos that a line of the log names.
const MOST_NAMED: usize = 1000;

impl Report {
    /// Puts the reports on some repos together.
    #[must_use]
    pub fn new(dry_run: bool, repos: Vec<RepoReport>, others: UnlistedRepos) -> Self {
        let mut report = Self { status: "reviewed", dry_run, repos, others };
        if !report.is_complete() {
            report.status = "deferred";
        }
        report
    }

    /// The same, short enough for an answer: if something has to be left out, it is first the repos in which nobody waited.
    #[must_use]
    pub fn shortened(mut self) -> Self {
        if self.repos.len() > MOST_REPOS {
            self.repos.sort_by_key(|repo| repo.complete && repo.counts.listed == 0);
            self.repos.drain(MOST_REPOS..).for_each(|report| self.others.count(report));
        }
        self
    }

    /// Whether nothing is left for the next run.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.others.incomplete == 0 && self.repos.iter().all(|repo| repo.complete)
    }

    /// Writes the line of a sweep, and one with all that got no turn, and gives the sums that are in it. `calls` is how many it
    /// took to find the repos.
    pub fn log(&self, calls: u32) -> Counts {
        let without_turn = || self.repos.iter().filter(|repo| !repo.had_its_turn());
        if let Some(error) = without_turn().find_map(RepoReport::hub_error).or(self.others.error.as_ref()) {
            let repos: Vec<_> = without_turn().take(MOST_NAMED).map(RepoReport::full_name).collect();
            let more = without_turn().count() - repos.len() + self.others.incomplete;
            let more = Some(more).filter(|more| *more > 0);
            tracing::warn!(repos = repos.join(" "), more, %error, "left for the next sweep");
        }
        let mut counts: Counts = self.repos.iter().map(|repo| repo.counts).sum();
        counts.calls += calls + self.others.calls;
        let left = self.repos.iter().filter(|repo| !repo.complete).count() + self.others.incomplete;
        let repos = self.repos.len() + self.others.repos;
        log_counts!(counts, "swept", dry_run = self.dry_run, repos, left);
        counts
    }

    /// Why nothing can be done with this token, if so: the Hub does not know it (401), or lets it at none of the repos (403,
    /// or 404 for those that it may not even see). For the latter at least half of the repos have to have answered so: a
    /// single 403 while the Hub is down, or wants no call, tells nothing of the token.
    #[must_use]
    pub fn token_refused(&self) -> Option<&HubError> {
        let of_status = |status: u16| {
            self.repos
                .iter()
                .filter_map(RepoReport::hub_error)
                .find(move |error| error.status() == Some(status))
        };
        let is_refused =
            |repo: &&RepoReport| matches!(repo.hub_error().and_then(HubError::status), Some(403 | 404));
        let has_worked = |repo: &RepoReport| repo.complete || repo.counts.listed > 0 && !is_refused(&repo);
        let refused = self.repos.iter().filter(is_refused).count();
        let UnlistedRepos { repos: others, incomplete, .. } = self.others;
        let is_futile = refused * 2 >= self.repos.len() + others
            && others == incomplete
            && !self.repos.iter().any(has_worked);
        of_status(401).or_else(|| of_status(403).filter(|_| is_futile))
    }
}

/// What was done about one repo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RepoReport {
    /// `namespace/name`, or `namespace/*` for the search for its gated repos.
    pub repo: String,
    /// `model` or `dataset`.
    #[serde(rename = "type")]
    pub repo_type: RepoType,
    /// Whether everybody who was waiting was decided, and the Hub told: everybody whom the list showed. While somebody else
    /// makes people leave it, its pages may shift, so that one is shown only to the next run.
    pub complete: bool,
    /// What happened, in numbers.
    #[serde(flatten)]
    pub counts: Counts,
    /// The first thing that went wrong.
    pub error: Option<Failure>,
}

/// What happened, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// How many were seen waiting; the sum of the eight numbers that follow.
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
    /// The Hub lists the request, but answers that it does not exist, whatever names it: a person has to decide it.
    pub stuck: u32,
    /// HTTP requests made to the Hub.
    pub calls: u32,
    /// The age in seconds of the oldest request that is still pending after this run, as far as it was read.
    pub oldest_pending_s: Option<u64>,
}

/// Why something is left undone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A call to the Hub failed.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Counts {
    /// Counts one request and what became of it.
    pub fn count(&mut self, verdict: Verdict, outcome: Outcome) {
        self.listed += 1;
        *match (outcome, verdict) {
            (Outcome::Gone, _) => &mut self.gone,
            (Outcome::Failed, _) => &mut self.failed,
            (Outcome::Unknown, _) => &mut self.unknown,
            (Outcome::Stuck, _) => &mut self.stuck,
            (Outcome::Held | Outcome::NotAgreed, _) | (_, Verdict::Hold) => &mut self.held,
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
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| Self {
            listed: a.listed + b.listed,
            accepted: a.accepted + b.accepted,
            rejected: a.rejected + b.rejected,
            reset: a.reset + b.reset,
            held: a.held + b.held,
            gone: a.gone + b.gone,
            failed: a.failed + b.failed,
            unknown: a.unknown + b.unknown,
            stuck: a.stuck + b.stuck,
            calls: a.calls + b.calls,
            oldest_pending_s: a.oldest_pending_s.max(b.oldest_pending_s),
        })
    }
}

impl RepoReport {
    /// A report on something before anything was done about it.
    #[must_use]
    pub fn new(repo: &str, repo_type: RepoType) -> Self {
        let (repo, counts) = (repo.to_owned(), Counts::default());
        Self { repo, repo_type, complete: false, counts, error: None }
    }

    /// The name as `REPOS` has it.
    #[must_use]
    pub fn full_name(&self) -> String {
        match self.repo_type {
            RepoType::Model => self.repo.clone(),
            RepoType::Dataset => format!("datasets/{}", self.repo),
        }
    }

    /// Keeps the first failure: what follows it mostly follows from it.
    pub fn fail(&mut self, failure: impl Into<Failure>) {
        self.error.get_or_insert_with(|| failure.into());
    }

    /// The call to the Hub that failed first, if that is why something is left undone.
    #[must_use]
    pub fn hub_error(&self) -> Option<&HubError> {
        match &self.error {
            Some(Failure::Hub(error)) => Some(error),
            _ => None,
        }
    }

    /// Whether the repo got its turn, whatever came of it. Else the time or the Hub's limit ran out before.
    #[must_use]
    pub fn had_its_turn(&self) -> bool {
        match self.hub_error().map(|error| &error.problem) {
            Some(Problem::OutOfTime) => self.counts.calls > 0,
            // A single call may have been the one that was refused for the limit.
            Some(Problem::RateLimited { .. }) => self.counts.listed > 0 || self.counts.calls > 1,
            _ => true,
        }
    }

    /// Whether nothing happened: no request was pending, or the repo was not read.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.counts.listed == 0 && (self.complete || !self.had_its_turn())
    }

    /// Writes the line of a review. Which repo it is about, the span around it says.
    pub fn log(&self, dry_run: bool) {
        let error = self.error.as_ref().map(ToString::to_string);
        log_counts!(self.counts, "reviewed", dry_run, complete = self.complete, error);
    }
}

/// What a review tells while it goes on.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// The list was read on, and so many more wait. What it takes to see who was skipped meanwhile is not told.
    Listed(usize),
    /// This run is done with a request.
    Concluded {
        /// Whose it is; nobody can tell of an entry that names neither a user nor itself.
        who: Option<&'a Identity>,
        /// When access was requested.
        requested_at: Option<DateTime<Utc>>,
        /// What was decided, and why.
        decision: &'a Decision,
        /// What became of it.
        outcome: Outcome,
    },
}

/// Writes the audit line of one decision. `policy` is the fingerprint of the one that decided. Which repo it is about, the
/// span around it says.
pub fn audit(step: Step<'_>, policy: &str, dry_run: bool) {
    let Step::Concluded { who, decision, outcome, .. } = step else { return };
    let Decision { verdict, reason, grounds } = decision;
    tracing::info!(
        user = who.map(Identity::as_str).unwrap_or_default(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn report(problem: Option<Problem>, listed: u32, calls: u32) -> RepoReport {
        let mut report = RepoReport::new("acme/model", RepoType::Model);
        (report.counts.listed, report.counts.calls, report.complete) = (listed, calls, problem.is_none());
        if let Some(problem) = problem {
            report.fail(HubError { call: "GET /x".to_owned(), problem, may_be_done: false });
        }
        report
    }

    fn refused(status: u16) -> Problem {
        Problem::Refused { status, code: None, message: None, request_id: None, retry_after: None }
    }

    #[test]
    fn a_repo_had_its_turn_unless_the_time_or_the_limit_ran_out_before() {
        let limited = || Problem::RateLimited { wait: std::time::Duration::ZERO, quota: None };
        let cases = [
            (report(None, 0, 1), true),
            (report(Some(refused(403)), 0, 1), true),
            (report(Some(Problem::TooSlow), 0, 3), true),
            (report(Some(Problem::OutOfTime), 0, 0), false),
            (report(Some(Problem::OutOfTime), 0, 1), true),
            (report(Some(limited()), 0, 0), false),
            (report(Some(limited()), 0, 1), false),
            (report(Some(limited()), 0, 2), true),
            (report(Some(limited()), 1, 1), true),
        ];
        for (report, expected) in cases {
            assert_eq!(report.had_its_turn(), expected, "{report:?}");
        }
    }

    #[test]
    fn a_token_is_refused_that_may_do_nothing_wherever_it_is_tried() {
        let (ok, forbidden, gone) = (None, Some(refused(403)), Some(refused(404)));
        let (slow, unknown) = (Some(Problem::TooSlow), Some(refused(401)));
        let cases = [
            (vec![&forbidden], Some(403)),
            (vec![&forbidden, &forbidden], Some(403)),
            (vec![&gone, &forbidden, &slow], Some(403)),
            (vec![&gone, &slow], None),
            (vec![&forbidden, &ok], None),
            (vec![&ok, &unknown], Some(401)),
            (vec![&forbidden, &unknown], Some(401)),
            (vec![&forbidden, &Some(Problem::OutOfTime)], Some(403)),
            (vec![&forbidden, &Some(Problem::OutOfTime), &slow], None),
            (vec![&forbidden, &slow, &slow], None),
            (vec![], None),
        ];
        for (problems, expected) in cases {
            let repos = problems.iter().map(|problem| {
                let calls = u32::from(**problem != Some(Problem::OutOfTime));
                report((*problem).clone(), 0, calls)
            });
            let refused = Report::new(false, repos.collect(), UnlistedRepos::default());
            assert_eq!(refused.token_refused().and_then(HubError::status), expected, "{problems:?}");
        }
        let of = |repos| Report::new(false, repos, UnlistedRepos::default());
        let may_write = of(vec![report(Some(refused(400)), 1, 2), report(Some(refused(403)), 0, 1)]);
        assert_eq!(may_write.token_refused(), None);
        let may_not = of(vec![report(Some(refused(403)), 1, 2)]);
        assert_eq!(may_not.token_refused().and_then(HubError::status), Some(403));
    }
}
