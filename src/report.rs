//! The report of a run: its response, its log lines, and its metrics. None of them has personal data, except the user name in
//! the audit line of a decision.

pub mod audit;
mod counts;
pub mod metrics;
mod waits;

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

pub use counts::Counts;
pub use waits::Waits;

use crate::hub::{HubError, Problem};
use crate::model::{Name, Repo, RepoType, Verdict};

/// The report of a run, which is also the response to any trigger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `reviewed`, or `deferred` if anything is left for the next run.
    pub status: &'static str,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Whether nothing was written because the policy is paused.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Why the policy cannot be used, so that everybody is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_fault: Option<String>,
    /// One report for each repo, up to 5,000.
    pub repos: Vec<RepoReport>,
    /// How long the requesters waited whom the run decided.
    #[serde(rename = "wait_s", skip_serializing_if = "Waits::is_empty")]
    pub waits: Waits,
    /// The searches for repos that failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub searches: Vec<SearchReport>,
    /// The repos that have no report in `repos`.
    #[serde(flatten, skip_serializing_if = "UnlistedRepos::is_none")]
    pub unlisted: UnlistedRepos,
}

/// The most repos in a response. Lambda accepts a response of at most 6 MB, and a report with the longest error and two limits has
/// about 1,000 bytes.
const MAX_REPOS: usize = 5000;

/// The repos that have no report in `repos`, because there are so many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UnlistedRepos {
    /// The number of these repos.
    #[serde(rename = "more_repos")]
    pub repos: usize,
    /// The number of those that are not complete.
    #[serde(skip)]
    pub incomplete: usize,
    /// HTTP requests made for them.
    #[serde(skip)]
    pub calls: u32,
    /// The first error of the Hub among them.
    #[serde(skip)]
    error: Option<HubError>,
}

/// The report of one repo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RepoReport {
    /// The repo.
    #[serde(flatten, serialize_with = "serialize_repo")]
    pub repo: Repo,
    /// Whether every listed request was decided and, unless it is held or over a limit, written. If somebody else decides requests while the
    /// list is read, its pages may shift, and a request may be listed only for the next run.
    pub complete: bool,
    /// The results in numbers.
    #[serde(flatten)]
    pub counts: Counts,
    /// The limits of the policy because of which requests stay pending.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limits_reached: Vec<LimitReached>,
    /// How long the requesters waited whom the run decided.
    #[serde(skip)]
    pub waits: Waits,
    /// Whether the list was read as far as this run needed it. Then a request that has no outcome was not listed.
    #[serde(skip)]
    pub is_read: bool,
    /// When the newest of the listed requests was made.
    #[serde(skip)]
    pub newest_request: Option<DateTime<Utc>>,
    /// The first error.
    pub error: Option<Failure>,
}

/// A limit of the policy that a run has reached in a repo. It is no error: the next run does the same, until a person decides the
/// requests or the policy changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LimitReached {
    /// `accept` or `reject`.
    pub verdict: Verdict,
    /// The limit.
    pub limit: u64,
    /// The number of requests that would get this verdict.
    pub requests: u64,
    /// How many of them stay pending: all of them, or, if the list has grown while it was written, those that were too many.
    pub left: u64,
}

/// A search for the gated repos of an owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SearchReport {
    /// The user or organization.
    pub owner: Name,
    /// `model` or `dataset`.
    #[serde(rename = "type")]
    pub repo_type: RepoType,
    /// HTTP requests made to the Hub.
    pub calls: u32,
    /// Why some repos may be missing.
    #[serde(serialize_with = "serialize_error")]
    pub error: Option<HubError>,
}

/// How far a run got with a repo or a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Everything was done.
    Complete,
    /// It was begun, and something is left.
    Incomplete,
    /// The time or the rate limit ran out before it could begin.
    NotReached,
}

/// A repo or a search, for log lines and rules that are about both.
#[derive(Clone, Copy, Debug)]
enum Work<'a> {
    Repo(&'a RepoReport),
    Search(&'a SearchReport),
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

impl Report {
    /// Puts the reports of a run together.
    #[must_use]
    pub fn new(
        dry_run: bool,
        repos: Vec<RepoReport>,
        searches: Vec<SearchReport>,
        unlisted: UnlistedRepos,
    ) -> Self {
        let mut report = Self {
            status: "reviewed",
            dry_run,
            paused: false,
            policy_fault: None,
            waits: repos.iter().map(|repo| &repo.waits).collect(),
            repos,
            searches,
            unlisted,
        };
        if !report.is_complete() {
            report.status = "deferred";
        }
        report
    }

    /// The report of this run and of a later one over some of its repos. For each repo, the later report stands.
    #[must_use]
    pub fn followed_by(self, later: Self) -> Self {
        let Self { mut repos, mut searches, unlisted, waits, .. } = self;
        repos.retain(|earlier| !later.repos.iter().any(|report| report.repo == earlier.repo));
        repos.extend(later.repos);
        searches.retain(|earlier| {
            let is_same = |search: &SearchReport| {
                (&search.owner, search.repo_type) == (&earlier.owner, earlier.repo_type)
            };
            !later.searches.iter().any(is_same)
        });
        searches.extend(later.searches);
        let both = Self::new(later.dry_run, repos, searches, unlisted);
        let waits = [&waits, &later.waits].into_iter().collect();
        Self { paused: later.paused, policy_fault: later.policy_fault, waits, ..both }
    }

    /// Shortens the report to the limit of a response. Complete repos without a request are left out first.
    #[must_use]
    pub fn shortened(mut self) -> Self {
        if self.repos.len() > MAX_REPOS {
            self.repos.sort_by_key(|repo| repo.complete && repo.counts.listed == 0);
            self.repos.drain(MAX_REPOS..).for_each(|report| self.unlisted.count(report));
        }
        self
    }

    /// The number of repos in which a limit of the policy left requests pending.
    #[must_use]
    pub fn limits_reached(&self) -> u32 {
        let reached = self.repos.iter().filter(|repo| !repo.limits_reached.is_empty()).count();
        u32::try_from(reached).unwrap_or(u32::MAX)
    }

    /// Whether nothing is left for the next run.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.unlisted.incomplete == 0 && self.all_work().all(Work::is_complete)
    }

    /// The error that shows that this token is useless: the Hub does not know it (401), or refuses it for every repo (403, or
    /// 404 for a repo that the token may not even see). At least half of the repos and searches must have been refused. A
    /// single 403 says nothing about the token if the other repos failed because the Hub is down or the rate limit is used
    /// up.
    #[must_use]
    pub fn token_refused(&self) -> Option<&HubError> {
        let with_status = |status: u16| {
            self.all_work().filter_map(Work::hub_error).find(move |error| error.status() == Some(status))
        };
        let is_refused = |work: &Work| matches!(work.hub_error().and_then(HubError::status), Some(403 | 404));
        let has_worked = |work: Work| work.is_complete() || work.listed() > 0 && !is_refused(&work);
        let refused = self.all_work().filter(is_refused).count();
        let UnlistedRepos { repos: unlisted, incomplete, .. } = self.unlisted;
        let is_useless = refused * 2 >= self.repos.len() + self.searches.len() + unlisted
            && unlisted == incomplete
            && !self.all_work().any(has_worked);
        with_status(401).or_else(|| with_status(403).filter(|_| is_useless))
    }

    /// The searches that failed, and then the repos.
    fn all_work(&self) -> impl Iterator<Item = Work<'_>> {
        self.searches.iter().map(Work::Search).chain(self.repos.iter().map(Work::Repo))
    }
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

impl RepoReport {
    /// The report of a repo about which nothing has been done yet.
    #[must_use]
    pub fn new(repo: &Repo) -> Self {
        Self {
            repo: repo.clone(),
            complete: false,
            counts: Counts::default(),
            limits_reached: Vec::new(),
            waits: Waits::default(),
            is_read: false,
            newest_request: None,
            error: None,
        }
    }

    /// Sets the error, unless there is one already, because later errors mostly follow from the first.
    pub fn fail(&mut self, failure: impl Into<Failure>) {
        self.error.get_or_insert_with(|| failure.into());
    }

    /// The error, if a call to the Hub failed.
    #[must_use]
    pub fn hub_error(&self) -> Option<&HubError> {
        match &self.error {
            Some(Failure::Hub(error)) => Some(error),
            _ => None,
        }
    }

    /// How far the run got with this repo.
    #[must_use]
    pub fn reach(&self) -> Reach {
        reach(self.complete, self.hub_error(), self.counts.calls, self.counts.listed)
    }

    /// Whether there is nothing to report: no request was pending, or the repo was not reached.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.counts.listed == 0 && self.reach() != Reach::Incomplete
    }
}

impl SearchReport {
    /// How far the search got.
    #[must_use]
    pub fn reach(&self) -> Reach {
        reach(self.error.is_none(), self.error.as_ref(), self.calls, 0)
    }
}

impl fmt::Display for LimitReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verdict, limit, requests, left } = self;
        let verdict = verdict.as_str();
        write!(
            f,
            "the policy would {verdict} {requests} requests, more than its limit of {limit} a run, so {left} of them stay pending"
        )
    }
}

impl fmt::Display for SearchReport {
    /// Shows the pattern as `REPOS` has it: `acme/*` or `datasets/acme/*`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match self.repo_type {
            RepoType::Model => "",
            RepoType::Dataset => "datasets/",
        };
        write!(f, "{prefix}{}/*", self.owner)
    }
}

fn reach(complete: bool, error: Option<&HubError>, calls: u32, listed: u32) -> Reach {
    let is_reached = match error.map(|error| &error.problem) {
        Some(Problem::OutOfTime) => calls > 0,
        // The only call may be the one that was refused because of the rate limit.
        Some(Problem::RateLimited { .. }) => listed > 0 || calls > 1,
        _ => true,
    };
    match (complete, is_reached) {
        (true, _) => Reach::Complete,
        (false, true) => Reach::Incomplete,
        (false, false) => Reach::NotReached,
    }
}

impl<'a> Work<'a> {
    fn reach(self) -> Reach {
        match self {
            Self::Repo(report) => report.reach(),
            Self::Search(report) => report.reach(),
        }
    }

    fn is_complete(self) -> bool {
        self.reach() == Reach::Complete
    }

    fn hub_error(self) -> Option<&'a HubError> {
        match self {
            Self::Repo(report) => report.hub_error(),
            Self::Search(report) => report.error.as_ref(),
        }
    }

    fn listed(self) -> u32 {
        match self {
            Self::Repo(report) => report.counts.listed,
            Self::Search(_) => 0,
        }
    }

    fn name(self) -> String {
        match self {
            Self::Repo(report) => report.repo.to_string(),
            Self::Search(report) => report.to_string(),
        }
    }
}

/// Writes `"repo": "acme/model", "type": "model"`.
fn serialize_repo<S: Serializer>(repo: &Repo, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Named<'a> {
        repo: &'a str,
        r#type: RepoType,
    }
    Named { repo: repo.name(), r#type: repo.repo_type() }.serialize(serializer)
}

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn serialize_error<S: Serializer>(error: &Option<HubError>, serializer: S) -> Result<S::Ok, S::Error> {
    error.as_ref().map(ToString::to_string).serialize(serializer)
}

impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(problem: Option<Problem>, listed: u32, calls: u32) -> RepoReport {
        let mut report = RepoReport::new(&Repo::new(RepoType::Model, "acme/model").expect("a name"));
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
    fn repo_is_not_reached_if_time_or_limit_ran_out_before() {
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
            assert_eq!(report.reach() != Reach::NotReached, expected, "{report:?}");
        }
    }

    #[test]
    fn token_refused_everywhere_is_reported() {
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
            let refused = Report::new(false, repos.collect(), Vec::new(), UnlistedRepos::default());
            assert_eq!(refused.token_refused().and_then(HubError::status), expected, "{problems:?}");
        }
        let of = |repos| Report::new(false, repos, Vec::new(), UnlistedRepos::default());
        let may_write = of(vec![report(Some(refused(400)), 1, 2), report(Some(refused(403)), 0, 1)]);
        assert_eq!(may_write.token_refused(), None);
        let may_not = of(vec![report(Some(refused(403)), 1, 2)]);
        assert_eq!(may_not.token_refused().and_then(HubError::status), Some(403));
    }
}
