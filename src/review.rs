//! The review of one repo: list, decide, apply, until nothing is left to do or time is up.
//!
//! Nothing is remembered between two reviews. The list of pending requests is the queue: whatever a run leaves undone is
//! still in it for the next one, and to repeat a run is harmless.

mod queue;
mod writer;

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use chrono::Utc;
use futures_util::StreamExt;
use futures_util::future::OptionFuture;
use futures_util::stream::FuturesUnordered;
use reqwest::Url;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use crate::hub::{Handled, Hub, HubError, MAX_BATCH, PAGE, Page};
use crate::model::{AccessRequest, Decision, Outcome, Repo, Verdict};
use crate::policy::Policy;
use crate::report::{self, RepoReport};
use queue::{Decided, Queue};
use writer::{Writer, Written};

/// No further page is read while more than so many are waiting to be decided or written. It is enough to keep every call
/// that may be in flight busy while a page is read; more would only be read longer before it is acted upon, and take memory.
fn max_ahead(concurrency: usize) -> usize {
    (2 * PAGE).min(concurrency * MAX_BATCH * 5 / 2)
}

/// How long deciding may keep the calls in flight from being attended to.
const TIME_SLICE: Duration = Duration::from_micros(500);

/// How long to wait for a list that lags behind before it is read again; each time twice as long as the last. The Hub's
/// lists were seen to lag about a second.
const FIRST_PATIENCE: Duration = Duration::from_millis(100);

/// Reviews one repo: decides everybody who waits and tells the Hub, all of it before `deadline`. A dry run decides and
/// reports the same and writes nothing.
pub async fn review(repo: &Repo, policy: &Policy, hub: &Hub, dry_run: bool, deadline: Instant) -> RepoReport {
    let calls = hub.repo(repo, deadline);
    let writer = Writer::new(&calls);
    let read = async |page, after: Duration| {
        // Even to sleep for no time may take a millisecond.
        if !after.is_zero() {
            sleep(after).await;
        }
        calls.pending(page).await
    };
    let mut review = Review::new(repo, policy, dry_run, deadline);
    let (mut reading, mut writing) = (None, FuturesUnordered::new());
    loop {
        // As much is begun as there may be calls in flight. The next page goes first: it is what takes longest.
        let in_flight = writing.len() + usize::from(reading.is_some());
        if reading.is_none() && in_flight < hub.concurrency() {
            reading = review
                .next_page(max_ahead(hub.concurrency()))
                .map(|(page, after)| Box::pin(read(page, after)));
        }
        while writing.len() + usize::from(reading.is_some()) < hub.concurrency() {
            let Some(group) = review.queue.take(!review.undecided.is_empty()) else { break };
            writing.push(writer.write(group));
        }
        tokio::select! {
            // What makes room for another call comes first, and what keeps only the processor busy last.
            biased;
            Some(written) = writing.next() => {
                review.unwritten -= written.len();
                review.written.push_back(written);
            }
            Some(page) = OptionFuture::from(reading.as_mut()) => {
                reading = None;
                review.take_in(page);
            }
            () = yield_now(), if review.has_work() => review.work(),
            else => break,
        }
    }
    let mut report = review.report;
    report.complete = report.error.is_none() && report.failed == 0 && report.unknown == 0;
    report.calls = calls.count();
    report
}

struct Review<'a> {
    repo: &'a Repo,
    policy: &'a Policy,
    dry_run: bool,
    deadline: Instant,
    report: RepoReport,
    /// How often reading the list was begun.
    passes: usize,
    pass: Pass,
    /// The page that is to be read next.
    next: Option<Url>,
    /// Of the pass before, if that wrote nothing: what of this run it still listed.
    listed_before: Option<u64>,
    patience: Duration,
    undecided: VecDeque<AccessRequest>,
    /// When deciding what was read has to end, so that there is time to write it.
    decide_until: Instant,
    queue: Queue,
    /// How many decisions are queued or on their way.
    unwritten: usize,
    /// What has come back, and is to be accounted for.
    written: VecDeque<Written>,
    /// The hashes of those whom this run has decided: none is decided twice, even if the list still has them. Those who
    /// stay where they are, and those who are to leave the list.
    held: HashSet<u64>,
    leaving: HashSet<u64>,
    hasher: RandomState,
}

/// One reading of the list from its first page to its last.
#[derive(Default)]
struct Pass {
    pages: usize,
    visited: HashSet<Url>,
    /// Whether it found anybody who is to leave the list.
    wrote: bool,
    /// A sum over those whom it listed although this run had written to them before: the same for the same people.
    still_listed: u64,
}

impl<'a> Review<'a> {
    fn new(repo: &'a Repo, policy: &'a Policy, dry_run: bool, deadline: Instant) -> Self {
        Self {
            repo,
            policy,
            dry_run,
            deadline,
            report: RepoReport::new(repo),
            passes: 0,
            pass: Pass::default(),
            next: None,
            listed_before: None,
            patience: FIRST_PATIENCE,
            undecided: VecDeque::new(),
            decide_until: deadline,
            queue: Queue::default(),
            unwritten: 0,
            written: VecDeque::new(),
            held: HashSet::new(),
            leaving: HashSet::new(),
            hasher: RandomState::new(),
        }
    }

    /// The page to read now, if any (`None` is the first one), and after which wait.
    fn next_page(&mut self, max_ahead: usize) -> Option<(Option<Url>, Duration)> {
        if self.passes == 0 {
            self.passes = 1;
            return Some((None, Duration::ZERO));
        }
        if self.next.is_some() {
            let page = self.next.take_if(|_| self.undecided.len() + self.queue.len() <= max_ahead)?;
            return Some((Some(page), Duration::ZERO));
        }
        // A new pass begins when the last one is written. If what will be left of the list is a single page it may begin
        // before: such a page shows everybody at one moment, whoever leaves before or after.
        let is_over = self.undecided.is_empty() && self.queue.len() == 0;
        let may_begin = self.unwritten == 0 || self.held.len() + self.unwritten < PAGE;
        if is_over && may_begin { Some((None, self.look_again()?)) } else { None }
    }

    /// Begins another pass, if the last one may have missed somebody, and says how long to wait first.
    ///
    /// Those who leave the list while it is read may shift the pages behind them, so that somebody is skipped: a pass over
    /// several pages is relied upon only if nobody of ours left meanwhile. Nobody did if none was left to leave, or if the
    /// pass after it lists the same of them.
    fn look_again(&mut self) -> Option<Duration> {
        let Pass { pages, wrote, still_listed, .. } = self.pass;
        let is_settled = !wrote && (still_listed == 0 || self.listed_before == Some(still_listed));
        if pages <= 1 || is_settled || self.report.error.is_some() {
            return None;
        }
        (self.passes, self.pass) = (self.passes + 1, Pass::default());
        self.listed_before = (!wrote).then_some(still_listed);
        if wrote {
            return Some(Duration::ZERO);
        }
        self.patience *= 2;
        Some(self.patience / 2)
    }

    fn take_in(&mut self, page: Result<Page, HubError>) {
        match page {
            Ok(Page { requests, next }) => {
                self.pass.pages += 1;
                match next {
                    Some(next) if !self.pass.visited.insert(next.clone()) => {
                        self.report.fail(&format!("the pages of {} go in a circle", next.path()));
                    }
                    next => self.next = next,
                }
                let now = Instant::now();
                self.decide_until = now + self.deadline.saturating_duration_since(now) / 2;
                self.undecided.extend(requests);
            }
            Err(error) => self.fail(&error),
        }
    }

    fn has_work(&self) -> bool {
        !self.written.is_empty() || !self.undecided.is_empty()
    }

    /// Does some of what there is to do, for a moment.
    fn work(&mut self) {
        match self.written.pop_front() {
            Some(written) => self.account_for(written),
            None => self.decide_some(),
        }
    }

    /// Decides for a moment. What was read may take half of the time that was left then, for it has to be written as well:
    /// however slow a policy is, every run gets somewhere.
    fn decide_some(&mut self) {
        let begun = Instant::now();
        while begun.elapsed() < TIME_SLICE
            && let Some(request) = self.undecided.pop_front()
        {
            if Instant::now() > self.decide_until {
                self.report.fail(&"deciding takes too long: simplify the policy; the next run goes on");
                (self.next, self.undecided) = (None, VecDeque::new());
                return;
            }
            self.decide(&request);
        }
    }

    /// Decides one request. What is held is done with; what is to be written is queued.
    fn decide(&mut self, request: &AccessRequest) {
        let identity = request.identity();
        let hash = identity.as_ref().map(|identity| self.hasher.hash_one(identity));
        match hash {
            Some(hash) if self.leaving.contains(&hash) => {
                self.pass.still_listed = self.pass.still_listed.wrapping_add(hash);
                return;
            }
            Some(hash) if self.held.contains(&hash) => return,
            None if self.passes > 1 => return,
            _ => {}
        }
        let now = Utc::now();
        let decision = self.policy.decide(request, self.repo, now);
        let who = request.user.name.clone().or_else(|| request.request_id.clone());
        let who = who.or_else(|| request.user.id.clone()).unwrap_or_default();
        match identity {
            Some(identity) if decision.verdict != Verdict::Hold && !self.dry_run => {
                self.leaving.extend(hash);
                self.pass.wrote = true;
                self.unwritten += 1;
                self.queue.push(Decided { identity, who, requested_at: request.requested_at, decision });
            }
            _ => {
                let outcome = if decision.verdict == Verdict::Hold { Outcome::Held } else { Outcome::DryRun };
                self.held.extend(hash);
                self.report.still_pending(request.requested_at, now);
                self.conclude(&who, &decision, outcome);
            }
        }
    }

    fn account_for(&mut self, written: Written) {
        for (decided, result) in written {
            let outcome = match result {
                Ok(Handled::Done) => Outcome::Done,
                Ok(Handled::Gone) => Outcome::Gone,
                Ok(Handled::Failed(why)) => {
                    self.report.fail(&format!("the Hub did not take a verdict of a batch: {why}"));
                    Outcome::Failed
                }
                Err(error) => {
                    self.fail(&error);
                    if error.may_be_done { Outcome::Unknown } else { Outcome::Failed }
                }
            };
            if matches!(outcome, Outcome::Failed | Outcome::Unknown) {
                self.report.still_pending(decided.requested_at, Utc::now());
            }
            self.conclude(&decided.who, &decided.decision, outcome);
        }
    }

    fn conclude(&mut self, who: &str, decision: &Decision, outcome: Outcome) {
        self.report.count(decision.verdict, outcome);
        report::audit(self.repo, who, decision, self.policy.fingerprint(), self.dry_run, outcome);
    }

    fn fail(&mut self, error: &HubError) {
        self.report.not_gated |= error.is_not_gated();
        self.report.fail(error);
    }
}
