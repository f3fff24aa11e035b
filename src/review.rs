//! The review of one repo: it reads the pending requests, decides each of them, and writes the decisions, until nothing is
//! left to do or the time is up.
//!
//! Nothing is stored between two runs. The list of pending requests on the Hub is the queue: a request that a run leaves
//! undone is still listed for the next run. So repeating a run is harmless.
//!
//! ```text
//!  Hub ──pages──▶ requests ──decide──▶ queue ──apply──▶ Hub ──results──▶ conclude ──▶ report
//!                    ▲                                        │
//!                    └── ledger: the state of each request ◀──┘
//! ```
//!
//! These are the ideas of a review, each with its module:
//!
//! - **Reading** (`reading`). A *reading* is one pass over the list, from the first page to the last. Requests that are
//!   decided leave the list, which shifts the pages behind them, so a reading of several pages may skip a request. Therefore
//!   the list is read again until a reading of several pages has found nothing to write, or until a single page has shown the
//!   whole list. A full page without a next link does not prove that the list ends. Then *probe pages* before
//!   and after that page are read.
//! - **Pages and permits** (`pages`). A page is held in memory under a *page permit* of the Hub. All reviews of a sweep share
//!   these permits, which bounds the memory and gives every repo its first page before any repo gets its second. Permits are
//!   released as the requests are decided and written. The next page is requested while earlier requests are being written,
//!   unless more than 2,000 requests (fewer if few calls may be in flight) are waiting already.
//! - **Deciding in time slices** (`decide`). The policy needs only the processor, and the calls in flight need the same
//!   thread. So requests are decided for half a millisecond at a time, and then the results of calls are processed. If a page
//!   gets older than 1.5 s, the rest of it is dropped and read again, with fewer entries a page.
//! - **Brake** (`brake`). If the policy has limits, the decisions are counted before the first is written. If a single page shows
//!   the whole list, they are written once all of it is decided. A longer list is read through, and then read again to be
//!   written. If a limit is exceeded, the requests with its verdict stay pending.
//! - **Queue** (`queue`). Decisions with the same verdict and reason are grouped, so that one call can write up to 100 of
//!   them.
//! - **Apply** (`apply`). A write is attempted only while its page is at most [`MAX_PAGE_AGE`](crate::hub::MAX_PAGE_AGE) old,
//!   because a person may have decided the request meanwhile. For the same reason a call that failed is repeated only after the
//!   list is read again. If the Hub refuses a batch as such, its requests are written in another way at once.
//! - **Ledger** (`ledger`). It knows the state of each request of this run: held, queued, sent, not written, in doubt, not
//!   found, or done. If a page lists a request, the ledger says whether to ignore it, decide it, or give it up.
//! - **Doubt.** If a write gets no response, or one that does not say what the Hub did, the request is *in doubt*. It is not
//!   written again until a page that was requested at least [`LIST_LAG`](crate::hub::LIST_LAG) later lists it. If a whole
//!   reading that began so late does not list it, its outcome is `unknown`: either this write or somebody else decided it.
//! - **List lag.** The Hub's lists lag behind its writes. So a written request that is listed within `LIST_LAG` of its write
//!   is ignored, also by the next run of the same process.
//! - **Conclusion** (`conclude`). A request is concluded when its outcome is known, or when the run ends. Each conclusion is
//!   counted in the report and passed to the caller as a [`Step`].
//!
//! These bounds end a run in any case: the deadline; 8 write attempts for a request, at most 3 of which may time out; 10
//! readings in a row without progress; and 5 minutes of waiting for the next reading without a conclusion.

mod apply;
mod brake;
mod conclude;
mod decide;
mod decided;
mod ledger;
mod pages;
mod queue;
mod reading;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::OptionFuture;
use futures_util::stream::FuturesUnordered;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use crate::hub::Hub;
use crate::model::{Outcome, Repo};
use crate::plan::Mode;
use crate::policy::{Limits, Policy};
use crate::report::RepoReport;
use crate::report::audit::Step;
use apply::{Applier, WriteAttempt};
use brake::Brake;
use conclude::MIN_BACK_OFF;
use decide::NO_POLICY;
use decided::DecidedRequest;
use ledger::Ledger;
use pages::{Pages, read_page};
use queue::{Group, Queue};

/// Reviews one repo before `deadline`: decides every pending request and writes the decisions. A dry run makes and reports
/// the same decisions, and writes nothing. So does every run if the policy is paused. `report_step` is called for each step while
/// the review goes on.
///
/// The policy may still be on its way. The first page is read meanwhile, and requests are decided when both are there. If it does
/// not come before `deadline`, nobody is decided.
pub async fn review(
    repo: &Repo,
    policy: impl Future<Output = Arc<Policy>>,
    hub: &Hub,
    mode: Mode<'_>,
    deadline: Instant,
    report_step: &mut (dyn FnMut(Step<'_>) + Send),
) -> RepoReport {
    let mut policy = pin!(policy);
    let calls = hub.repo(repo, deadline);
    let applier = Applier::new(&calls);
    let ledger = Ledger::new(calls.take_recent_writes());
    let mut review = Review::new(repo, hub, mode, deadline, report_step, ledger);
    // If an earlier run has left a write in doubt, the list does not show its result before this time.
    let earliest = calls.reads_from().unwrap_or_else(Instant::now).min(deadline);
    let (mut page_call, mut write_calls) = (None, FuturesUnordered::new());
    loop {
        // The next page is requested first, because it takes longest. The other calls that may be in flight are writes.
        if page_call.is_none()
            && let Some((page, permit)) = review.next_page(&calls, earliest)
        {
            page_call = Some(Box::pin(read_page(&calls, page, permit)));
        }
        while write_calls.len() + usize::from(page_call.is_some()) < hub.concurrency()
            && let Some(group) = review.next_group()
        {
            write_calls.push(applier.write(group));
        }
        tokio::select! {
            // In this order: results make room for another call, and deciding keeps only the processor busy.
            biased;
            Some(results) = write_calls.next() => review.add_results(results),
            policy = &mut policy, if review.policy.is_none() => review.set_policy(policy),
            () = sleep_until(deadline), if review.policy.is_none() => {
                review.end_undecided(NO_POLICY);
                break;
            }
            Some(page) = OptionFuture::from(page_call.as_mut()) => {
                page_call = None;
                review.add_page(page);
            }
            () = yield_now(), if review.has_work() => review.work(),
            else => break,
        }
        review.release_page_permits();
    }
    calls.keep_recent_writes(review.ledger.take_recent_writes());
    review.finish(calls.count())
}

/// The state of a review. It makes no call itself.
struct Review<'a> {
    repo: &'a Repo,
    /// The policy, once it is there.
    policy: Option<Arc<Policy>>,
    hub: &'a Hub,
    mode: Mode<'a>,
    deadline: Instant,
    report_step: &'a mut (dyn FnMut(Step<'_>) + Send),
    pages: Pages<'a>,
    ledger: Ledger,
    writes: Writes,
    brake: Brake,
    report: RepoReport,
    /// Whether some request is left for the next run.
    is_incomplete: bool,
    /// If a page became too old before all of it was decided: why.
    late_because: Option<&'static str>,
}

/// The decisions that are not written yet, and the results of writes.
struct Writes {
    queue: Queue,
    /// The number of decisions that are queued or sent.
    unwritten: usize,
    /// The results that have not been processed yet.
    results: VecDeque<Vec<WriteAttempt>>,
    /// No write of this repo may be attempted before this time. So the list is not read again before it either.
    not_before: Option<Instant>,
    back_off: Duration,
}

impl<'a> Review<'a> {
    fn new(
        repo: &'a Repo,
        hub: &'a Hub,
        mode: Mode<'a>,
        deadline: Instant,
        report_step: &'a mut (dyn FnMut(Step<'_>) + Send),
        ledger: Ledger,
    ) -> Self {
        Self {
            repo,
            policy: None,
            hub,
            mode,
            deadline,
            report_step,
            pages: Pages::new(),
            ledger,
            writes: Writes {
                queue: Queue::default(),
                unwritten: 0,
                results: VecDeque::new(),
                not_before: None,
                back_off: MIN_BACK_OFF,
            },
            brake: Brake::default(),
            report: RepoReport::new(repo),
            is_incomplete: false,
            late_because: None,
        }
    }

    /// Takes the policy, by which the pages in memory can be decided now.
    fn set_policy(&mut self, policy: Arc<Policy>) {
        // The policy does not limit what a person decides.
        let decides = self.mode.choices().is_none();
        if decides && policy.is_paused() && !self.mode.is_dry() {
            self.mode = Mode::DryRun;
        }
        self.brake.set_limits(if decides { policy.limits() } else { Limits::default() });
        let now = self.hub.now();
        for page in &mut self.pages.in_memory {
            page.prepare(&policy, now);
        }
        self.policy = Some(policy);
    }

    /// Takes the next group of decisions to write, if there is one. While requests are being decided, only full groups are
    /// taken. What a person has withdrawn is left out.
    fn next_group(&mut self) -> Option<Group> {
        loop {
            let mut group = self.writes.queue.take(self.pages.undecided() > 0)?;
            let is_withdrawn = |request: &mut DecidedRequest| {
                request.choice.as_ref().is_some_and(|choice| !choice.begin_call())
            };
            for withdrawn in group.decided.extract_if(.., is_withdrawn) {
                self.writes.unwritten -= 1;
                self.leave(withdrawn, Outcome::Held);
            }
            if !group.decided.is_empty() {
                group.decided.iter().for_each(|request| self.ledger.send(request.key));
                return Some(group);
            }
        }
    }

    fn add_results(&mut self, results: Vec<WriteAttempt>) {
        self.writes.unwritten -= results.len();
        self.writes.results.push_back(results);
    }

    /// Whether there is work for the processor.
    fn has_work(&self) -> bool {
        !self.writes.results.is_empty() || self.policy.is_some() && !self.pages.in_memory.is_empty()
    }

    /// Processes the results of one write, or decides requests for one time slice.
    fn work(&mut self) {
        match self.writes.results.pop_front() {
            Some(results) => self.process(results),
            None => self.decide_some(),
        }
    }
}
