//! Deciding the requests of the pages in memory, in time slices.

use std::sync::PoisonError;
use std::time::Duration;

use chrono::Utc;
use tokio::time::Instant;

use super::Review;
use super::decided::{Attempts, DecidedRequest, Identities, Key};
use super::ledger::{Concluded, ListedAction};
use super::pages::{PageInMemory, ReadingEnded};
use crate::hub::{MAX_PAGE_AGE, Moment};
use crate::model::{AccessRequest, Decision, Grounds, Outcome, Verdict};
use crate::plan::Mode;

/// How long requests are decided before the results of calls are processed again.
const TIME_SLICE: Duration = Duration::from_micros(500);

/// The largest age of a page at which its requests are decided. The rest of [`MAX_PAGE_AGE`] is for writing.
pub(super) const TIME_TO_DECIDE: Duration = MAX_PAGE_AGE.saturating_sub(Duration::from_millis(500));

const SLOW_POLICY: &str =
    "deciding takes too long: give the function more memory, or simplify the policy; the next run goes on";
const SLOW_HUB: &str =
    "the Hub takes so long to answer that its list is too old to be decided from; the next run looks again";

impl Review<'_> {
    /// Decides requests for at most [`TIME_SLICE`]. If a page becomes too old before all of it is decided, the rest is read
    /// again.
    pub(super) fn decide_some(&mut self) {
        let begun = Instant::now();
        while begun.elapsed() < TIME_SLICE {
            let Some(page) = self.pages.in_memory.front_mut() else { return };
            let Some(request) = page.requests.pop_front() else {
                self.pages.in_memory.pop_front();
                continue;
            };
            let PageInMemory { requested, is_late, reading, decide_until, .. } = *page;
            if Instant::now() >= self.deadline {
                self.late_because = Some(SLOW_POLICY);
                self.pages.ended = Some(ReadingEnded::out_of_time());
                self.pages.in_memory.clear();
                return;
            }
            let is_old = requested.age_at(self.hub.now()) > TIME_TO_DECIDE || Instant::now() > decide_until;
            // A dry run writes nothing, so it may decide from a page of any age.
            if !self.mode.is_dry() && is_old {
                self.late_because = Some(if is_late { SLOW_HUB } else { SLOW_POLICY });
                self.ledger.require_reading(Instant::now());
                self.pages.reading.shrink();
                self.pages.in_memory.pop_front();
                continue;
            }
            self.decide(&request, requested, reading);
        }
    }

    /// Decides one request, unless the ledger says otherwise. If the decision has to be written, it is queued. Otherwise the
    /// request is concluded.
    fn decide(&mut self, request: &AccessRequest, requested: Moment, reading: u32) {
        let key = self.ledger.key(request);
        let attempts = match key {
            Some(key) => match self.attempts_if_undecided(key, requested, reading) {
                Some(attempts) => attempts,
                None => return,
            },
            // A request without a key cannot be recognized in later readings, so only the first one decides it.
            None if reading > 1 => return,
            None => Attempts::default(),
        };
        let decision = self.policy.decide(request, self.repo, Utc::now());
        let (who, requested_at) = (request.who(), request.requested_at);
        self.pages.reading.note_progress();
        match key {
            Some(key) if decision.verdict != Verdict::Hold && self.is_to_be_written(request, &decision) => {
                self.pages.reading.has_writes = true;
                self.writes.unwritten += 1;
                let (identities, page) = (Identities::of(request), requested);
                let by_user = identities.request_id.is_none() || !self.hub.may_batch_by_request_id();
                let decided =
                    DecidedRequest { key, identities, by_user, who, requested_at, decision, attempts, page };
                self.ledger.queue(&decided, reading);
                self.writes.queue.push(decided);
            }
            _ => {
                let outcome = match self.mode {
                    _ if decision.verdict == Verdict::Hold => Outcome::Held,
                    Mode::Agreed(_) => Outcome::NotAgreed,
                    _ => Outcome::DryRun,
                };
                if let Some(key) = key {
                    self.ledger.hold(key);
                }
                let error = None;
                self.conclude(Concluded { who, requested_at, decision, outcome, error, is_certain: true });
            }
        }
    }

    /// The earlier attempts to write a listed request, if it has to be decided now. Otherwise does what the ledger says.
    fn attempts_if_undecided(&mut self, key: Key, requested: Moment, reading: u32) -> Option<Attempts> {
        match self.ledger.on_listed(key, requested.monotonic(), reading) {
            ListedAction::Decide(attempts) => return Some(attempts),
            ListedAction::Ignore => {}
            ListedAction::GiveUp(outcome) => {
                if let Some(concluded) = self.ledger.give_up(key, outcome) {
                    self.conclude(concluded);
                }
            }
            ListedAction::Contradicts(other) => {
                if let Some(other) = self.writes.queue.withdraw(other) {
                    self.hold_contradicted(other);
                }
                self.ledger.hold(key);
            }
        }
        None
    }

    /// Whether this mode writes a decision other than a hold.
    fn is_to_be_written(&self, request: &AccessRequest, decision: &Decision) -> bool {
        match self.mode {
            Mode::Apply => true,
            Mode::DryRun => false,
            Mode::Plan(plan) => {
                plan.lock().unwrap_or_else(PoisonError::into_inner).add(self.repo, request, decision);
                false
            }
            Mode::Agreed(plan) => plan.contains(self.repo, request, decision),
        }
    }

    /// Holds a request whose decision is still queued, because the list shows another request of the same user. Only the next
    /// run can tell which of the two is valid.
    fn hold_contradicted(&mut self, DecidedRequest { key, who, requested_at, .. }: DecidedRequest) {
        let grounds = Grounds::Unreadable("the Hub lists more than one request of this user");
        let decision = Decision::new(Verdict::Hold, grounds);
        self.ledger.hold(key);
        self.writes.unwritten -= 1;
        let (outcome, error) = (Outcome::Held, None);
        self.conclude(Concluded { who, requested_at, decision, outcome, error, is_certain: true });
    }
}
