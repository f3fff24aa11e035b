//! The counts of a run.

use std::iter::Sum;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::model::{Outcome, Verdict};

/// The counts of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Pending requests that were read: the sum of the next nine counts.
    pub listed: u32,
    /// Requests that were accepted.
    pub accepted: u32,
    /// Requests that were rejected.
    pub rejected: u32,
    /// Requests that were reset.
    pub reset: u32,
    /// Requests that stay pending, for a person to decide.
    pub held: u32,
    /// Requests that stay pending, because more would get this verdict than the policy's limit for a run.
    pub over_limit: u32,
    /// Requests that somebody else decided meanwhile, or that were withdrawn.
    pub gone: u32,
    /// Requests whose decision could not be written. The next run decides them again.
    pub failed: u32,
    /// Requests whose write got no response. If the Hub did not carry it out, the next run decides them again.
    pub unknown: u32,
    /// Requests that the Hub lists, although it answers that they do not exist. A person has to decide them.
    pub stuck: u32,
    /// HTTP requests made to the Hub.
    pub calls: u32,
    /// The age in seconds of the oldest request that is still pending after this run, as far as the list was read.
    pub oldest_pending_s: Option<u64>,
}

impl Counts {
    /// Counts one request and its outcome.
    pub fn count(&mut self, verdict: Verdict, outcome: Outcome) {
        self.listed += 1;
        *match (outcome, verdict) {
            (Outcome::Gone, _) => &mut self.gone,
            (Outcome::Failed, _) => &mut self.failed,
            (Outcome::Unknown, _) => &mut self.unknown,
            (Outcome::Stuck, _) => &mut self.stuck,
            (Outcome::OverLimit, _) => &mut self.over_limit,
            (Outcome::Held | Outcome::NotAgreed, _) | (_, Verdict::Hold) => &mut self.held,
            (Outcome::Done | Outcome::DryRun, Verdict::Accept) => &mut self.accepted,
            (Outcome::Done | Outcome::DryRun, Verdict::Reset) => &mut self.reset,
            (Outcome::Done | Outcome::DryRun, Verdict::Reject) => &mut self.rejected,
        } += 1;
    }

    /// Updates the age of the oldest pending request with a request that stays pending.
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
            over_limit: a.over_limit + b.over_limit,
            gone: a.gone + b.gone,
            failed: a.failed + b.failed,
            unknown: a.unknown + b.unknown,
            stuck: a.stuck + b.stuck,
            calls: a.calls + b.calls,
            oldest_pending_s: a.oldest_pending_s.max(b.oldest_pending_s),
        })
    }
}
