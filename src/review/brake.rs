//! The brake: the limits of the policy in this run. If more requests would be accepted than the limit allows, none of them is
//! accepted. Rejections have a limit of their own. So the list is counted before the first write. This is a pure state machine.

use std::collections::HashSet;

use super::decided::DecidedRequest;
use crate::model::Verdict;
use crate::plan::PlanEntry;
use crate::policy::Limits;
use crate::report::LimitReached;

/// The limits, and the decisions that wait until the list is counted.
#[derive(Debug)]
pub(super) struct Brake {
    accept: Option<Allowance>,
    reject: Option<Allowance>,
    phase: Phase,
    withheld: Vec<Withheld>,
}

#[derive(Debug)]
enum Phase {
    /// The list is being counted, and nothing is written.
    Counting {
        /// Whether the page in memory is the whole list. Then its decisions can be written as soon as they are counted.
        is_whole: bool,
        /// Whether a decision that has to be written was dropped. Another reading makes it again.
        has_dropped: bool,
    },
    /// The list is counted.
    Writing,
}

/// A decision that waits until the list is counted.
#[derive(Debug)]
pub(super) struct Withheld {
    pub(super) decided: DecidedRequest,
    /// The entry for a plan, if the run makes or follows one.
    pub(super) entry: Option<PlanEntry>,
}

/// The answer of the brake to a decision that has to be written.
#[derive(Debug)]
pub(super) enum Permission {
    /// Write it now.
    Write(Box<Withheld>),
    /// Do not write it yet.
    Wait,
    /// Leave these requests pending, because they are over a limit.
    Leave(Vec<Withheld>),
}

/// The number of decisions with one verdict that may be written.
#[derive(Debug)]
struct Allowance {
    limit: u64,
    /// Until the list is counted, the requests so far. After that, the requests whose decisions may be written.
    within: HashSet<u64>,
    /// The number of requests that are left because of the limit.
    over: u64,
    /// Whether the list has more requests than the limit, so that no decision about them may be written.
    is_exceeded: bool,
}

/// The brake before the limits are known.
impl Default for Brake {
    fn default() -> Self {
        let phase = Phase::Counting { is_whole: false, has_dropped: false };
        Self { accept: None, reject: None, phase, withheld: Vec::new() }
    }
}

impl Brake {
    /// Sets the limits, before the first decision. Without limits, nothing has to be counted.
    pub(super) fn set_limits(&mut self, Limits { accept, reject }: Limits) {
        let counting = Phase::Counting { is_whole: self.has_whole_list(), has_dropped: false };
        self.phase = if accept.or(reject).is_some() { counting } else { Phase::Writing };
        let allowance = |limit| Allowance { limit, within: HashSet::new(), over: 0, is_exceeded: false };
        (self.accept, self.reject) = (accept.map(allowance), reject.map(allowance));
    }

    /// Whether the list is still being counted.
    pub(super) fn is_counting(&self) -> bool {
        matches!(self.phase, Phase::Counting { .. })
    }

    /// Whether the list is still being counted, and all of it is in memory.
    pub(super) fn has_whole_list(&self) -> bool {
        matches!(self.phase, Phase::Counting { is_whole: true, .. })
    }

    /// Notes whether the page that was just read is the whole list.
    pub(super) fn note_page(&mut self, whole: bool) {
        if let Phase::Counting { is_whole, .. } = &mut self.phase {
            *is_whole = whole;
        }
    }

    /// Adds a decision that has to be written. If its verdict has no limit and `dry` is true, it does not wait.
    pub(super) fn add(&mut self, new: Withheld, dry: bool) -> Permission {
        let (verdict, request) = (new.decided.decision.verdict, new.decided.key.request);
        let allowance = match verdict {
            Verdict::Accept => self.accept.as_mut(),
            Verdict::Reject => self.reject.as_mut(),
            Verdict::Hold | Verdict::Reset => None,
        };
        match (&mut self.phase, allowance) {
            (Phase::Writing, None) => Permission::Write(Box::new(new)),
            (Phase::Writing, Some(allowance)) => {
                if allowance.admits(request) {
                    Permission::Write(Box::new(new))
                } else {
                    allowance.over += 1;
                    Permission::Leave(vec![new])
                }
            }
            (Phase::Counting { .. }, None) if dry => Permission::Write(Box::new(new)),
            (Phase::Counting { is_whole: false, has_dropped }, None) => {
                *has_dropped = true;
                Permission::Wait
            }
            (Phase::Counting { .. }, None) => {
                self.withheld.push(new);
                Permission::Wait
            }
            (Phase::Counting { .. }, Some(allowance)) => {
                // Another reading may list a request that is counted already.
                if allowance.is_exceeded || allowance.within.insert(request) {
                    self.withheld.push(new);
                }
                if allowance.within.len() as u64 <= allowance.limit && !allowance.is_exceeded {
                    return Permission::Wait;
                }
                let is_over = |withheld: &mut Withheld| withheld.decided.decision.verdict == verdict;
                let over: Vec<Withheld> = self.withheld.extract_if(.., is_over).collect();
                allowance.exceed(over.len() as u64);
                Permission::Leave(over)
            }
        }
    }

    /// Whether a decision that was counted has to be written.
    pub(super) fn has_writes(&self) -> bool {
        !self.withheld.is_empty() || matches!(self.phase, Phase::Counting { has_dropped: true, .. })
    }

    /// Ends the counting, unless it has ended before. Returns the decisions that were withheld.
    pub(super) fn end_counting(&mut self) -> Vec<Withheld> {
        if !self.is_counting() {
            return Vec::new();
        }
        self.phase = Phase::Writing;
        self.accept.iter_mut().chain(&mut self.reject).for_each(|allowance| allowance.within.clear());
        std::mem::take(&mut self.withheld)
    }

    /// The limits that were reached.
    pub(super) fn limits_reached(&self) -> Vec<LimitReached> {
        let reached = |verdict, allowance: &Option<Allowance>| {
            let Allowance { limit, within, over, .. } = allowance.as_ref().filter(|of| of.over > 0)?;
            let requests = over + within.len() as u64;
            Some(LimitReached { verdict, limit: *limit, requests, left: *over })
        };
        let of_each = [reached(Verdict::Accept, &self.accept), reached(Verdict::Reject, &self.reject)];
        of_each.into_iter().flatten().collect()
    }
}

impl Allowance {
    /// Whether the decision about a request may be written, now that the list is counted. The limit also holds for requests that
    /// have arrived since.
    fn admits(&mut self, request: u64) -> bool {
        if self.is_exceeded {
            return false;
        }
        let has_room = (self.within.len() as u64) < self.limit;
        self.within.contains(&request) || has_room && self.within.insert(request)
    }

    fn exceed(&mut self, more: u64) {
        self.is_exceeded = true;
        self.over += more;
        self.within.clear();
    }
}
