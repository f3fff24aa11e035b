//! The digest: one message to the owner about the people whom the doorman holds, and about how many were decided since yesterday. It
//! contains the names of users and repos, and why somebody is held. It never contains addresses or answers.

mod destination;
mod message;
mod service;

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Url;
use tokio::time::Instant;

use crate::hub::Hub;
use crate::model::{Identity, Repo, RepoPattern, Status, Verdict};
use crate::plan::Mode;
use crate::policy::Policy;
use crate::report::audit::Step;
use crate::review::review;
use crate::sweep::{SweepHistory, sweep};
pub use destination::{Destination, Sent};
pub use service::Service;

/// The most people whom a digest names.
pub const MAX_NAMED: usize = 50;

/// The most repos that a digest names because they could not be read.
const MAX_UNREAD_NAMED: usize = 5;

/// Who is held, and how many were decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// The people who have waited longest, up to [`MAX_NAMED`], the oldest request first.
    pub held: Vec<HeldRequest>,
    /// The number of all requests that are held.
    pub total: usize,
    /// The decisions since this time yesterday, by persons and by the doorman.
    pub decided: Decided,
    /// The repos and owners whose lists could not be read, or not to their end.
    pub unread: Vec<String>,
    /// Whether the policy is paused, so that everybody waits.
    pub paused: bool,
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

impl Digest {
    /// Reads the lists of all repos that the patterns match and `is_covered` admits, and decides each request without writing anything. A
    /// repo costs the calls for its pending list, and one for the Hub's report about it.
    pub async fn collect(
        hub: &Hub,
        patterns: &[RepoPattern],
        is_covered: impl Fn(&Repo) -> bool,
        policy: impl Future<Output = Arc<Policy>> + Clone,
        deadline: Instant,
    ) -> Self {
        let made = Utc::now();
        let collected = Mutex::new((Held::default(), Decided::default()));
        let lock = || collected.lock().unwrap_or_else(PoisonError::into_inner);
        let policy_of_review = policy.clone();
        let review_repo = |repo: Repo| {
            let policy = policy_of_review.clone();
            let lock = &lock;
            async move {
                let mut add = |step: Step<'_>| {
                    if let Step::Concluded { who, requested_at, decision, .. } = step
                        && decision.verdict == Verdict::Hold
                    {
                        let (who, repo, why) = (who.cloned(), repo.clone(), decision.explanation());
                        lock().0.add(HeldRequest { who, repo, since: requested_at, why });
                    }
                };
                let report = review(&repo, policy, hub, Mode::DryRun, deadline, &mut add).await;
                let since = made - TimeDelta::days(1);
                match hub.repo(&repo, deadline).decided_since(since).await {
                    Ok(statuses) => lock().1.add(&statuses),
                    Err(_) => lock().1.uncounted += 1,
                }
                report
            }
        };
        let history = SweepHistory::default();
        let swept = sweep(hub, patterns, is_covered, &history, deadline, review_repo).await;
        let unread_repos = swept.repos.iter().filter(|report| !report.complete);
        let unread = swept.failed_searches.iter().map(ToString::to_string);
        let unread = unread.chain(unread_repos.map(|report| report.repo.to_string())).collect();
        let (held, decided) = collected.into_inner().unwrap_or_else(PoisonError::into_inner);
        let paused = policy.await.is_paused();
        let Held { oldest, total } = held;
        Self { held: oldest, total, decided, unread, paused, endpoint: hub.endpoint().clone(), made }
    }

    /// Whether nobody has to do anything.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.total == 0 && self.unread.is_empty() && !self.paused
    }
}

/// The oldest of the held requests, so that any number of them takes little memory.
#[derive(Default)]
struct Held {
    oldest: Vec<HeldRequest>,
    total: usize,
}

impl Held {
    fn add(&mut self, request: HeldRequest) {
        self.total += 1;
        // A request without a time comes last.
        let key = |request: &HeldRequest| (request.since.is_none(), request.since);
        let place = self.oldest.partition_point(|older| key(older) <= key(&request));
        if place < MAX_NAMED {
            self.oldest.insert(place, request);
            self.oldest.truncate(MAX_NAMED);
        }
    }
}

impl Decided {
    fn add(&mut self, statuses: &[Status]) {
        for status in statuses {
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
