//! The digest: one message to the owner about the people whom the doorman holds, and about how many were decided since yesterday. It
//! contains the names of users and repos, and why somebody is held. It never contains addresses or answers.

mod destination;
mod escape;
mod message;
mod service;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Datelike, TimeDelta, Utc, Weekday};
use reqwest::Url;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::hub::Hub;
use crate::model::{Identity, Outcome, Repo, RepoPattern, Status, Verdict};
use crate::plan::Mode;
use crate::policy::Policy;
use crate::report::audit::Step;
use crate::review::review;
use crate::sweep::{SweepHistory, SweepReport, sweep};
pub use destination::{Destination, Sent};
pub use service::Service;

/// The most people whom a digest names.
pub const MAX_NAMED: usize = 50;

/// The most repos that a digest names because they could not be read.
const MAX_UNREAD_NAMED: usize = 5;

/// The day on which a digest is sent although nobody has to do anything, so that silence never means that it is broken.
const DAY_OF_ALL_WELL: Weekday = Weekday::Mon;

/// The held requests, and the numbers of decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// The people who have waited longest, up to [`MAX_NAMED`], the oldest request first.
    pub held: Vec<HeldRequest>,
    /// The number of all requests that are held.
    pub total: usize,
    /// The number of requests that are over a limit of the policy.
    pub over_limit: usize,
    /// The decisions since this time yesterday, by persons and by the doorman.
    pub decided: Decided,
    /// The repos and owners whose lists could not be read, or not to their end, and the patterns without a repo.
    pub unread: Vec<String>,
    /// Whether the policy is paused, so that everybody waits.
    pub paused: bool,
    /// Why the policy cannot be used, so that everybody is held.
    pub policy_fault: Option<String>,
    /// Whether the doorman only reports, because `DRY_RUN` is true.
    pub dry_run: bool,
    /// The URL of the Hub, to which the links lead.
    pub endpoint: Url,
    /// When it was made.
    pub made: DateTime<Utc>,
}

/// A request that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRequest {
    /// The user, or the id of the request if the Hub does not name the user.
    pub who: Option<Identity>,
    /// The repo.
    pub repo: Repo,
    /// When access was requested.
    pub since: Option<DateTime<Utc>>,
    /// The rule and the cause, without anything that the requester wrote.
    pub why: String,
}

/// The number of decisions, by status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    /// People who got access.
    pub accepted: usize,
    /// People who may ask again.
    pub reset: usize,
    /// People who were turned away for good.
    pub rejected: usize,
    /// Repos whose decisions could not be counted.
    pub uncounted: usize,
}

/// What to look at.
#[derive(Clone, Copy)]
pub struct Scope<'a, C> {
    /// The Hub.
    pub hub: &'a Hub,
    /// The repos.
    pub patterns: &'a [RepoPattern],
    /// Whether a repo that the patterns match is looked at.
    pub is_covered: C,
    /// Whether `DRY_RUN` is true. Nothing is written in any case.
    pub dry_run: bool,
}

impl Digest {
    /// Reads the lists of all repos of the scope, and decides each request without writing anything. A repo costs the calls for its
    /// pending list, and one for the Hub's report about it.
    pub async fn collect<C: Fn(&Repo) -> bool>(
        Scope { hub, patterns, is_covered, dry_run }: Scope<'_, C>,
        policy: impl Future<Output = Arc<Policy>> + Clone,
        deadline: Instant,
    ) -> Self {
        let made = Utc::now();
        let (found, policy_of_repo) = (Mutex::new(Found::default()), policy.clone());
        // A report is far larger than a page, so only one is in memory at a time.
        let report_permit = Semaphore::new(1);
        let review_repo = |repo: Repo| {
            let (policy, found, report_permit) = (policy_of_repo.clone(), &found, &report_permit);
            async move {
                let mut note = |step: Step<'_>| lock(found).note(&repo, step);
                let report = review(&repo, policy, hub, Mode::DryRun, deadline, &mut note).await;
                let permit = report_permit.acquire().await;
                let decided = hub.repo(&repo, deadline).decided_since(made - TimeDelta::days(1)).await;
                drop(permit);
                lock(found).decided.add(decided.as_deref().ok());
                report
            }
        };
        let history = SweepHistory::default();
        let swept = sweep(hub, patterns, is_covered, &history, deadline, review_repo).await;
        let policy = policy.await;
        let Found { held: Held { oldest, total }, over_limit, decided } =
            found.into_inner().unwrap_or_else(PoisonError::into_inner);
        Self {
            held: oldest,
            total,
            over_limit,
            decided,
            unread: unread(&swept),
            paused: policy.is_paused(),
            policy_fault: policy.why_unusable().map(str::to_owned),
            dry_run,
            endpoint: hub.endpoint().clone(),
            made,
        }
    }

    /// Whether nobody has to do anything.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.total == 0
            && self.over_limit == 0
            && self.unread.is_empty()
            && !self.paused
            && self.policy_fault.is_none()
    }

    /// Whether it is sent: if somebody has to do something, and on Mondays (in UTC) in any case.
    #[must_use]
    pub fn is_due(&self) -> bool {
        !self.is_quiet() || self.made.weekday() == DAY_OF_ALL_WELL
    }
}

/// The repos, owners and patterns about which not everything is known.
fn unread(swept: &SweepReport) -> Vec<String> {
    let SweepReport { repos, failed_searches, unlisted, search_calls: _, unmatched } = swept;
    let mut unread: Vec<String> = failed_searches.iter().map(ToString::to_string).collect();
    unread.extend(repos.iter().filter(|report| !report.complete).map(|report| report.repo.to_string()));
    unread.extend(unmatched.iter().map(|pattern| format!("{pattern} (no gated repo)")));
    if unlisted.incomplete > 0 {
        unread.push(format!("{} other repos", unlisted.incomplete));
    }
    unread
}

/// What the reviews have found so far.
#[derive(Default)]
struct Found {
    held: Held,
    over_limit: usize,
    decided: Decided,
}

fn lock(found: &Mutex<Found>) -> MutexGuard<'_, Found> {
    found.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Found {
    fn note(&mut self, repo: &Repo, step: Step<'_>) {
        let Step::Concluded { who, requested_at, decision, outcome } = step else { return };
        if outcome == Outcome::OverLimit {
            self.over_limit += 1;
        } else if decision.verdict == Verdict::Hold {
            let request = || {
                let (who, repo, why) = (who.cloned(), repo.clone(), decision.explanation());
                HeldRequest { who, repo, since: requested_at, why }
            };
            self.held.add(requested_at, request);
        }
    }
}

/// The oldest of the held requests, so that any number of them takes little memory.
#[derive(Default)]
struct Held {
    oldest: Vec<HeldRequest>,
    total: usize,
}

impl Held {
    fn add(&mut self, since: Option<DateTime<Utc>>, request: impl FnOnce() -> HeldRequest) {
        self.total += 1;
        // A request without a time comes last.
        let key = |since: Option<DateTime<Utc>>| (since.is_none(), since);
        let place = self.oldest.partition_point(|older| key(older.since) <= key(since));
        if place < MAX_NAMED {
            self.oldest.insert(place, request());
            self.oldest.truncate(MAX_NAMED);
        }
    }
}

impl Decided {
    /// Adds the new statuses of a repo, or a repo whose report could not be read.
    fn add(&mut self, statuses: Option<&[Status]>) {
        self.uncounted += usize::from(statuses.is_none());
        for status in statuses.unwrap_or_default() {
            match status {
                Status::Accepted => self.accepted += 1,
                Status::Reset => self.reset += 1,
                Status::Rejected => self.rejected += 1,
                Status::Pending => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
