//! Concluding requests: their outcomes, and the report of the run.

use std::time::Duration;

use tokio::time::Instant;

use super::Review;
use super::apply::WriteAttempt;
use super::brake::Withheld;
use super::ledger::Concluded;
use super::pages::ReadingEnded;
use crate::hub::{HubError, MAX_BATCH, Problem, WriteResult};
use crate::model::{Identity, Outcome};
use crate::report::audit::Step;
use crate::report::{Failure, RepoReport};

/// The bound of the wait after the first failed write. The wait is random, and then the list is read again. The bound doubles
/// with each further failure, up to [`MAX_BACK_OFF`].
pub(super) const MIN_BACK_OFF: Duration = Duration::from_millis(100);
pub(super) const MAX_BACK_OFF: Duration = Duration::from_secs(5);

/// A longer `Retry-After` is shortened to this, so that adding it to a time cannot overflow.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

impl Review<'_> {
    /// Processes the results of one write.
    pub(super) fn process(&mut self, results: Vec<WriteAttempt>) {
        let (mut must_back_off, mut is_stale) = (false, false);
        for (decided, result, ended) in results {
            match &result {
                Ok(WriteResult::Failed(why)) => {
                    let failure = format!("the Hub refused a decision of a batch: {why}");
                    self.report.fail(Failure::Other(failure));
                }
                Ok(_) => self.writes.back_off = MIN_BACK_OFF,
                Err(error) if error.problem == Problem::Stale => is_stale = true,
                // A limit allows no write for some time. Until then, reading the list again would be of no use.
                Err(error) if error.problem == Problem::Postponed => {
                    self.writes.not_before = self.writes.not_before.max(self.hub.writes_from());
                }
                Err(error) if error.is_page_too_old() => {}
                Err(error) => {
                    must_back_off |= error.leaves_in_doubt() || error.is_put_off();
                    let after = error.retry_after().map(|after| ended + after.min(MAX_RETRY_AFTER));
                    self.writes.not_before = self.writes.not_before.max(after);
                }
            }
            if let Some(choice) = &decided.choice
                && !matches!(result, Ok(WriteResult::Done))
            {
                choice.end_call(result.as_ref().is_err_and(HubError::leaves_in_doubt));
            }
            if let Some(concluded) = self.ledger.add_result(decided.key, decided.attempts, result, ended) {
                self.pages.reading.note_progress();
                self.conclude(concluded);
            }
        }
        // A smaller page can be written in less time. The pages are halved at most once in a reading, although several batches
        // of a page may become too old.
        if is_stale && self.pages.shrunk_in != self.pages.reading.number {
            self.pages.reading.shrink_to(MAX_BATCH);
            self.pages.shrunk_in = self.pages.reading.number;
        }
        if must_back_off {
            let wait = self.writes.back_off.mul_f32(fastrand::f32());
            self.writes.not_before = self.writes.not_before.max(Some(Instant::now() + wait));
            self.writes.back_off = (self.writes.back_off * 2).min(MAX_BACK_OFF);
        }
    }

    /// Counts and reports a request and its outcome.
    pub(super) fn conclude(&mut self, concluded: Concluded) {
        let Concluded { who, requested_at, decision, outcome, error, is_certain } = concluded;
        self.pages.reading.note_conclusion();
        let is_left = matches!(outcome, Outcome::Failed | Outcome::Stuck | Outcome::NotAgreed) || !is_certain;
        if is_left || matches!(outcome, Outcome::Held | Outcome::OverLimit | Outcome::DryRun) {
            self.report.counts.still_pending(requested_at, self.hub.time());
        }
        if is_left {
            match (outcome, error) {
                (Outcome::Stuck, _) => {
                    let name = who.as_ref().map(Identity::as_str).unwrap_or_default();
                    let why = format!(
                        "the Hub lists the request of `{name}`, but answers that it does not exist; decide it on the Hub's own page"
                    );
                    self.report.fail(Failure::Other(why));
                }
                (Outcome::NotAgreed, _) => self.report.fail(Failure::Other(
                    "some requests came in or changed after you agreed; they are left for the next run"
                        .to_owned(),
                )),
                (_, Some(error)) => self.report.fail(error),
                (_, None) => {}
            }
            self.is_incomplete = true;
        }
        if outcome == Outcome::Done {
            self.report.waits.add(requested_at, self.hub.time());
        }
        self.report.newest_request = self.report.newest_request.max(requested_at);
        self.report.counts.count(decision.verdict, outcome);
        (self.report_step)(Step::Concluded { who: who.as_ref(), requested_at, decision: &decision, outcome });
    }

    /// If the run has ended before the list was counted, its decisions are left for the next run. A dry run still reports them.
    fn finish_counting(&mut self) {
        if self.mode.is_dry() {
            return self.end_counting();
        }
        for Withheld { decided, .. } in self.brake.end_counting() {
            self.report.counts.still_pending(decided.requested_at, self.hub.time());
            self.is_incomplete = true;
        }
    }

    /// Concludes the requests that are still open, and makes the report.
    pub(super) fn finish(mut self, calls: u32) -> RepoReport {
        let ended = self.pages.ended.take();
        let whole_since = self.pages.reading.began.filter(|_| ended.is_none());
        self.is_incomplete |= ended.is_some();
        // Only the first error is kept. A long wait for the next reading explains more than the failure of the last write.
        if let Some(ReadingEnded { why, is_wait: true }) = &ended {
            self.report.fail(why.clone());
        }
        self.finish_counting();
        for concluded in self.ledger.finish(self.pages.reading.number, whole_since) {
            self.conclude(concluded);
        }
        if let Some(ReadingEnded { why, .. }) = ended {
            self.report.fail(why);
        }
        if let Some(why) = self.late_because.filter(|_| self.is_incomplete) {
            self.report.error = Some(Failure::Other(why.to_owned()));
        }
        match self.ledger.relisted() {
            0 => {}
            number => {
                let why = format!(
                    "the Hub answered that it wrote {number} decisions, but still lists the requests; the next run looks again"
                );
                self.report.fail(Failure::Other(why));
            }
        }
        let mut report = self.report;
        report.is_read = whole_since.is_some();
        report.limits_reached = self.brake.limits_reached();
        report.complete = report.error.is_none() && !self.is_incomplete;
        report.counts.calls = calls;
        report
    }
}

/// The error if the list cannot be read again soon enough.
pub(super) fn wait_too_long(wait: Duration) -> String {
    let seconds = wait.as_secs() + 1;
    format!(
        "the list of this repo could be read again only in {seconds} s, and this run does not wait so long; the next run goes on"
    )
}
