//! What people have decided, beside what the policy would decide. Pure, without I/O.

use std::cmp::Reverse;
use std::iter::Sum;
use std::ops::Add;

use chrono::{DateTime, Utc};
use hub_doorman::model::{Decision, Identity, Status, Verdict};
use serde::Serialize;

use PastDecision::{Accepted, Rejected, Reset};

/// The decision of a person, by the list on which the request is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PastDecision {
    Accepted,
    Rejected,
    Reset,
}

impl PastDecision {
    pub const ALL: [Self; 3] = [Accepted, Rejected, Reset];

    pub fn status(self) -> Status {
        match self {
            Accepted => Status::Accepted,
            Rejected => Status::Rejected,
            Reset => Status::Reset,
        }
    }
}

/// The kinds of differences, the most dangerous one first.
pub const KINDS: [(PastDecision, Verdict); 9] = [
    // The policy would give access to users whom a person has kept out.
    (Rejected, Verdict::Accept),
    (Reset, Verdict::Accept),
    // It would keep out users to whom a person has given access.
    (Accepted, Verdict::Reject),
    (Accepted, Verdict::Reset),
    // It would keep out the same users, but for good, or not for good.
    (Reset, Verdict::Reject),
    (Rejected, Verdict::Reset),
    // It would leave the request to a person.
    (Accepted, Verdict::Hold),
    (Rejected, Verdict::Hold),
    (Reset, Verdict::Hold),
];

/// Whether the policy would give access to a user whom a person has kept out.
pub fn is_dangerous((past, verdict): (PastDecision, Verdict)) -> bool {
    past != Accepted && verdict == Verdict::Accept
}

/// A request that a person has decided, with the decision of the policy as of the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redecided {
    /// The requester, or the request. An entry may name neither.
    pub who: Option<Identity>,
    pub requested_at: Option<DateTime<Utc>>,
    pub past: PastDecision,
    /// When the person decided it.
    pub reviewed_at: DateTime<Utc>,
    pub decision: Decision,
}

impl Redecided {
    pub fn kind(&self) -> (PastDecision, Verdict) {
        (self.past, self.decision.verdict)
    }

    /// Whether the policy would give the request another status than the person did.
    fn is_difference(&self) -> bool {
        self.past.status() != self.decision.verdict.status()
    }
}

/// The comparison of all decided requests of a repo.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    pub table: Table,
    /// The requests that the policy would decide otherwise.
    pub differences: Vec<Redecided>,
}

impl Comparison {
    /// Counts a request, and keeps it if the policy would decide it otherwise.
    pub fn add(&mut self, request: Redecided) {
        *self.table.row_mut(request.past).number_mut(request.decision.verdict) += 1;
        if request.is_difference() {
            self.differences.push(request);
        }
    }

    /// Sorts the differences by [`KINDS`], and within a kind by the grounds, the newest decision first.
    pub fn sort(&mut self) {
        self.differences.sort_by_cached_key(|request| {
            let kind = KINDS.iter().position(|kind| *kind == request.kind());
            (kind, request.decision.grounds.to_string(), Reverse(request.reviewed_at))
        });
    }
}

/// How many of the accepted, rejected and reset requests the policy would accept, hold, reset and reject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Table {
    pub accepted: VerdictCounts,
    pub rejected: VerdictCounts,
    pub reset: VerdictCounts,
}

/// The number of requests for each verdict of the policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VerdictCounts {
    pub accept: u64,
    pub hold: u64,
    pub reset: u64,
    pub reject: u64,
}

impl Table {
    pub fn row(&self, past: PastDecision) -> VerdictCounts {
        match past {
            Accepted => self.accepted,
            Rejected => self.rejected,
            Reset => self.reset,
        }
    }

    fn row_mut(&mut self, past: PastDecision) -> &mut VerdictCounts {
        match past {
            Accepted => &mut self.accepted,
            Rejected => &mut self.rejected,
            Reset => &mut self.reset,
        }
    }

    /// The number of all requests.
    pub fn total(&self) -> u64 {
        PastDecision::ALL.map(|past| self.row(past).total()).iter().sum()
    }

    /// The number of requests that the policy would decide as the person did.
    pub fn agreed(&self) -> u64 {
        self.accepted.accept + self.rejected.reject + self.reset.reset
    }

    /// The number of requests that the policy would leave to a person.
    pub fn held(&self) -> u64 {
        self.accepted.hold + self.rejected.hold + self.reset.hold
    }
}

impl Sum for Table {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| Self {
            accepted: a.accepted + b.accepted,
            rejected: a.rejected + b.rejected,
            reset: a.reset + b.reset,
        })
    }
}

impl Add for VerdictCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            accept: self.accept + other.accept,
            hold: self.hold + other.hold,
            reset: self.reset + other.reset,
            reject: self.reject + other.reject,
        }
    }
}

impl VerdictCounts {
    pub fn number(self, verdict: Verdict) -> u64 {
        match verdict {
            Verdict::Accept => self.accept,
            Verdict::Hold => self.hold,
            Verdict::Reset => self.reset,
            Verdict::Reject => self.reject,
        }
    }

    fn number_mut(&mut self, verdict: Verdict) -> &mut u64 {
        match verdict {
            Verdict::Accept => &mut self.accept,
            Verdict::Hold => &mut self.hold,
            Verdict::Reset => &mut self.reset,
            Verdict::Reject => &mut self.reject,
        }
    }

    pub fn total(self) -> u64 {
        self.accept + self.hold + self.reset + self.reject
    }
}
