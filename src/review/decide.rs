//! Deciding the requests of the pages in memory, in time slices.

use std::sync::PoisonError;
use std::time::Duration;

use chrono::Utc;
use tokio::time::Instant;

use super::Review;
use super::brake::{Permission, Withheld};
use super::decided::{Attempts, DecidedRequest, Identities, Key};
use super::ledger::{Concluded, ListedAction};
use super::pages::{PageInMemory, ReadingEnded};
use crate::hub::{MAX_PAGE_AGE, Moment};
use crate::model::{AccessRequest, Decision, Grounds, Outcome, Verdict};
use crate::plan::Mode;
use crate::policy::Policy;
use crate::report::audit::Step;

/// How long requests are decided before the results of calls are processed again.
const TIME_SLICE: Duration = Duration::from_micros(500);

/// The largest age of a page at which its requests are decided. The rest of [`MAX_PAGE_AGE`] is for writing.
pub(super) const TIME_TO_DECIDE: Duration = MAX_PAGE_AGE.saturating_sub(Duration::from_millis(500));

const SLOW_POLICY: &str =
    "deciding takes too long: give the function more memory, or simplify the policy; the next run goes on";
pub(super) const NO_POLICY: &str = "the policy was not read before the time was up; the next run looks again";
const SLOW_HUB: &str =
    "the Hub takes so long to answer that its list is too old to be decided from; the next run looks again";

impl Review<'_> {
    /// Decides requests for at most [`TIME_SLICE`]. If a page becomes too old before all of it is decided, the rest is read
    /// again.
    pub(super) fn decide_some(&mut self) {
        let Some(policy) = self.policy.clone() else { return };
        let begun = Instant::now();
        while begun.elapsed() < TIME_SLICE {
            let Some(page) = self.pages.in_memory.front_mut() else { return };
            let Some(request) = page.requests.pop_front() else {
                self.pages.in_memory.pop_front();
                if self.brake.has_whole_list() {
                    self.end_counting();
                }
                continue;
            };
            let PageInMemory { requested, is_late, reading, decide_until, .. } = *page;
            if Instant::now() >= self.deadline {
                return self.end_undecided(SLOW_POLICY);
            }
            let is_old = requested.age_at(self.hub.now()) > TIME_TO_DECIDE || Instant::now() > decide_until;
            // If nothing is written, a page may have any age.
            if !self.mode.is_dry() && !self.brake.is_counting() && is_old {
                self.late_because = Some(if is_late { SLOW_HUB } else { SLOW_POLICY });
                self.ledger.require_reading(Instant::now());
                self.pages.reading.shrink();
                self.pages.in_memory.pop_front();
                continue;
            }
            self.decide(&request, &policy, requested, reading);
        }
    }

    /// Leaves the requests that are not decided to the next run, because the time is up.
    pub(super) fn end_undecided(&mut self, why: &'static str) {
        self.late_because = Some(why);
        self.pages.ended = Some(ReadingEnded::out_of_time());
        self.pages.in_memory.clear();
    }

    /// Decides one request, unless the ledger says otherwise. If the decision has to be written, the brake says when. Otherwise the
    /// request is concluded.
    fn decide(&mut self, request: &AccessRequest, policy: &Policy, requested: Moment, reading: u32) {
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
        let (decision, choice) = match self.mode.choices().map(|choices| choices.about(self.repo, request)) {
            None => (policy.decide(request, self.repo, Utc::now()), None),
            Some(Some(choice)) => (choice.decision.clone(), Some(choice.clone())),
            Some(None) => return key.into_iter().for_each(|key| self.ledger.hold(key)),
        };
        (self.report_step)(Step::Decided { request, decision: &decision });
        let (who, requested_at) = (request.who(), request.requested_at);
        self.pages.reading.note_progress();
        let Some(key) = key.filter(|_| decision.verdict != Verdict::Hold) else {
            let outcome = match self.mode {
                _ if decision.verdict == Verdict::Hold => Outcome::Held,
                Mode::Agreed(_) => Outcome::NotAgreed,
                _ => Outcome::DryRun,
            };
            if let Some(key) = key {
                self.ledger.hold(key);
            }
            let error = None;
            return self.conclude(Concluded {
                who,
                requested_at,
                decision,
                outcome,
                error,
                is_certain: true,
            });
        };
        let entry = self.mode.entry(self.repo, request, &decision);
        let (identities, page) = (Identities::of(request), requested);
        let by_user = identities.request_id.is_none() || !self.hub.may_batch_by_request_id();
        let decided =
            DecidedRequest { key, identities, by_user, who, requested_at, decision, choice, attempts, page };
        self.carry_out_if_permitted(Withheld { decided, entry }, reading);
    }

    fn carry_out_if_permitted(&mut self, decision: Withheld, reading: u32) {
        match self.brake.add(decision, self.mode.is_dry()) {
            Permission::Write(decision) => self.carry_out(*decision, reading),
            Permission::Wait => {}
            Permission::Leave(over) => {
                for over in over {
                    self.leave(over.decided, Outcome::OverLimit);
                }
            }
        }
    }

    /// Ends the counting of the list, and carries out the decisions that were withheld. If their page has become too old meanwhile,
    /// the list is read again.
    pub(super) fn end_counting(&mut self) {
        let (reading, now) = (self.pages.reading.number, self.hub.now());
        for decision in self.brake.end_counting() {
            let DecidedRequest { key, page, .. } = decision.decided;
            if !self.mode.is_dry() && page.age_at(now) > TIME_TO_DECIDE {
                self.ledger.require_reading(Instant::now());
                continue;
            }
            // The list may show two requests of a user.
            if self.attempts_if_undecided(key, page, reading).is_some() {
                self.carry_out_if_permitted(decision, reading);
            }
        }
    }

    /// Queues a decision if this mode writes it. Otherwise concludes the request.
    fn carry_out(&mut self, Withheld { decided, entry }: Withheld, reading: u32) {
        match (self.mode, entry) {
            (Mode::Agreed(plan), entry) if !entry.is_some_and(|entry| plan.contains(entry)) => {
                self.leave(decided, Outcome::NotAgreed);
            }
            (Mode::Plan(plan), Some(entry)) => {
                plan.lock().unwrap_or_else(PoisonError::into_inner).add(entry);
                self.leave(decided, Outcome::DryRun);
            }
            (Mode::Plan(_) | Mode::DryRun, _) => self.leave(decided, Outcome::DryRun),
            (Mode::Apply | Mode::Agreed(_) | Mode::Chosen(_), _) => {
                self.pages.reading.has_writes = true;
                self.writes.unwritten += 1;
                self.ledger.queue(&decided, reading);
                self.writes.queue.push(decided);
            }
        }
    }

    /// Concludes a decided request that stays listed.
    pub(super) fn leave(&mut self, decided: DecidedRequest, outcome: Outcome) {
        let DecidedRequest { key, who, requested_at, decision, .. } = decided;
        self.ledger.hold(key);
        self.conclude(Concluded { who, requested_at, decision, outcome, error: None, is_certain: true });
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

    /// Holds a request whose decision is still queued, because the list shows another request of the same user. Only the next
    /// run can tell which of the two is valid.
    fn hold_contradicted(&mut self, decided: DecidedRequest) {
        let grounds = Grounds::Unreadable("the Hub lists more than one request of this user");
        let decision = Decision::new(Verdict::Hold, grounds);
        self.writes.unwritten -= 1;
        self.leave(DecidedRequest { decision, ..decided }, Outcome::Held);
    }
}
