//! The review of one repo: list, decide, apply, until nothing is left to do or time is up.
//!
//! Nothing is remembered between two reviews. The list of pending requests is the queue: whatever a run leaves undone is
//! still in it for the next one, and to repeat a run is harmless.
//!
//! A person wins over the decisions made here, as far as the Hub allows. A decision is written only while its page is at most
//! [`MAX_PAGE_AGE`] old. If an attempt gets no answer, only a later reading of the list tells what became of it.

mod apply;
mod ledger;
mod pass;
mod queue;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::PoisonError;
use std::time::Duration;

use chrono::Utc;
use futures_util::StreamExt;
use futures_util::future::OptionFuture;
use futures_util::stream::FuturesUnordered;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use crate::hub::{Handled, Hub, HubError, MAX_BATCH, MAX_PAGE_AGE, Moment, PAGE, Page, Problem, Turn};
use crate::model::{AccessRequest, Decision, Grounds, Identity, Outcome, Repo, Verdict};
use crate::plan::Mode;
use crate::policy::Policy;
use crate::report::{Failure, RepoReport, Step};
use apply::{Writer, Written};
use ledger::{Attempts, Concluded, Key, Ledger, ListedAction};
use pass::{BetweenPasses, Next, PageRead, Pass};
use queue::{Decided, Identities, Queue};

/// No further page is read while more than so many are waiting to be decided or written. It is enough to keep every call
/// that may be in flight busy while a page is read; more would only be read longer before it is acted upon, and take memory.
fn max_ahead(concurrency: usize) -> usize {
    (2 * PAGE).min(concurrency * MAX_BATCH * 5 / 2)
}

/// How long deciding may keep the calls in flight from being attended to.
const TIME_SLICE: Duration = Duration::from_micros(500);

/// The largest age of a page at which its requests are decided. The rest of [`MAX_PAGE_AGE`] is for writing.
const TIME_TO_DECIDE: Duration = MAX_PAGE_AGE.saturating_sub(Duration::from_millis(500));

const SLOW_POLICY: &str =
    "deciding takes too long: give the function more memory, or simplify the policy; the next run goes on";
const SLOW_HUB: &str =
    "the Hub takes so long to answer that its list is too old to be decided from; the next run looks again";

/// How long to wait after a failed attempt before the list is read again; twice as long after each further one.
const FIRST_BACK_OFF: Duration = Duration::from_millis(100);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(5);

/// A longer `Retry-After` is shortened to this.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// If no request was concluded for this long and the run would only wait further, the rest is left for the next run.
const LONGEST_STANDSTILL: Duration = Duration::from_secs(5 * 60);

/// Reviews one repo: decides every pending request and tells the Hub, all of it before `deadline`. A dry run decides and
/// reports the same and writes nothing. `tell` hears of it while it goes on.
pub async fn review(
    repo: &Repo,
    policy: &Policy,
    hub: &Hub,
    mode: Mode<'_>,
    deadline: Instant,
    tell: &mut (dyn FnMut(Step<'_>) + Send),
) -> RepoReport {
    let calls = hub.repo(repo, deadline);
    let writer = Writer::new(&calls);
    let read = async |page, limit, from: Instant, turn| {
        // A sleep of no time may still take a millisecond, and lose the place in the queue for a turn.
        if from > Instant::now() {
            sleep_until(from).await;
        }
        let turn = match turn {
            Some(turn) => turn,
            None => calls.turn().await?,
        };
        Ok((turn, calls.pending(page, limit).await?))
    };
    let ledger = Ledger::new(calls.take_recent_writes());
    let mut review = Review::new(repo, policy, hub, mode, deadline, tell, ledger);
    let earliest = calls.reads_from().unwrap_or_else(Instant::now).min(deadline);
    let (mut reading, mut writing) = (None, FuturesUnordered::new());
    loop {
        // The next page goes first: it is what takes longest. Then as much is written as there may be calls in flight.
        if reading.is_none() {
            // A review that has a turn does not wait for another one: two such reviews would wait for each other for ever.
            let turn = calls.turn_now();
            if (turn.is_some() || review.turns.is_empty())
                && let Some((page, limit, from)) = review.next_page(max_ahead(hub.concurrency()))
            {
                let from = from.max(earliest);
                let turn = turn.filter(|_| from <= Instant::now());
                reading = Some(Box::pin(read(page, limit, from, turn)));
            }
        }
        while writing.len() + usize::from(reading.is_some()) < hub.concurrency() {
            let Some(group) = review.queue.take(review.is_deciding()) else { break };
            group.decided.iter().for_each(|one| review.ledger.send(one.key));
            writing.push(writer.write(group));
        }
        tokio::select! {
            // First comes what makes room for another call; last, what keeps only the processor busy.
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
        review.give_back_turns();
    }
    calls.keep_recent_writes(review.ledger.take_recent_writes());
    review.finish(calls.count())
}

struct Review<'a> {
    repo: &'a Repo,
    policy: &'a Policy,
    hub: &'a Hub,
    mode: Mode<'a>,
    deadline: Instant,
    tell: &'a mut (dyn FnMut(Step<'_>) + Send),
    report: RepoReport,
    pass: Pass,
    ledger: Ledger,
    /// The pages that are to be decided, and one turn for each page's worth of requests in hand.
    pages: VecDeque<PageInHand>,
    turns: Vec<Turn<'a>>,
    queue: Queue,
    /// How many decisions are queued or on their way.
    unwritten: usize,
    /// The results of writes that are not accounted for yet.
    written: VecDeque<Vec<Written>>,
    /// No write of this repo may be attempted before this time, so the list is not read again before it either.
    not_before: Option<Instant>,
    back_off: Duration,
    /// When a request was last concluded; at first, when the run began.
    concluded_at: Instant,
    /// Why the list was not read to its end, if it was not.
    unread: Option<Unread>,
    /// Whether some request is left undone.
    is_left: bool,
    /// The last pass in which the pages were made smaller, because a page became too old before all of it was written.
    shrunk_in: u32,
    /// Why some page became too old before it was decided, if one did.
    slow: Option<&'static str>,
    hasher: RandomState,
}

/// Why the list was not read to its end.
struct Unread {
    why: Failure,
    /// Whether the list could be read again only after the deadline, and that is a long wait.
    is_wait: bool,
}

impl From<Failure> for Unread {
    fn from(why: Failure) -> Self {
        Self { why, is_wait: false }
    }
}

/// The requests of a page that are not decided yet.
struct PageInHand {
    requested: Moment,
    /// Whether it was too old to be decided when it arrived.
    is_late: bool,
    pass: u32,
    /// Until when its requests are decided. The second half of the time until the deadline is for writing.
    decide_until: Instant,
    requests: VecDeque<AccessRequest>,
}

impl<'a> Review<'a> {
    fn new(
        repo: &'a Repo,
        policy: &'a Policy,
        hub: &'a Hub,
        mode: Mode<'a>,
        deadline: Instant,
        tell: &'a mut (dyn FnMut(Step<'_>) + Send),
        ledger: Ledger,
    ) -> Self {
        Self {
            repo,
            policy,
            hub,
            mode,
            deadline,
            tell,
            report: RepoReport::new(repo.name(), repo.repo_type()),
            pass: Pass::new(),
            ledger,
            pages: VecDeque::new(),
            turns: Vec::new(),
            queue: Queue::default(),
            unwritten: 0,
            written: VecDeque::new(),
            not_before: None,
            back_off: FIRST_BACK_OFF,
            concluded_at: Instant::now(),
            unread: None,
            is_left: false,
            shrunk_in: 0,
            slow: None,
            hasher: RandomState::new(),
        }
    }

    /// The page to read next, if any: its URL (`None` is the first page), the most entries to request, and the earliest time.
    fn next_page(&mut self, max_ahead: usize) -> Option<(Option<reqwest::Url>, usize, Instant)> {
        if self.unread.is_some() {
            return None;
        }
        let now = Instant::now();
        let in_hand = self.undecided() + self.queue.len();
        let linked = if in_hand <= max_ahead { self.pass.next_linked(now) } else { None };
        let next = match linked {
            Some(next) => next,
            None if self.pass.has_next() || in_hand > 0 || !self.written.is_empty() => return None,
            None => {
                // Another pass may begin before the last writes are answered, but only if what is left fits one page.
                let is_early = self.unwritten > 0;
                let may_begin = self.pass.may_begin_early() && self.ledger.held() + self.unwritten < PAGE;
                if is_early && !may_begin {
                    return None;
                }
                let again_from = if is_early { Some(now) } else { self.again_from(now) };
                self.pass.next(BetweenPasses { now, again_from, settles_at: self.ledger.settles_at() })
            }
        };
        match next {
            Next::End(Ok(())) => None,
            Next::End(Err(why)) => {
                self.unread = Some(Failure::Other(why.to_owned()).into());
                None
            }
            // There is no time left even without a wait.
            Next::Read { .. } if now >= self.deadline => {
                self.unread = Some(Failure::from(HubError::new("GET", Problem::OutOfTime)).into());
                None
            }
            Next::Read { from, .. } if from >= self.deadline.min(self.concluded_at + LONGEST_STANDSTILL) => {
                let wait = from.saturating_duration_since(now);
                let why = Failure::Other(wait_too_long(wait));
                self.unread = Some(Unread { why, is_wait: wait > LONGEST_BACK_OFF });
                None
            }
            Next::Read { page, limit, from } => Some((page, limit, from)),
        }
    }

    fn again_from(&mut self, now: Instant) -> Option<Instant> {
        let again = self.ledger.again_from(self.pass.number, self.pass.began.unwrap_or(now), now)?;
        Some(self.not_before.take().map_or(again, |not_before| again.max(not_before)))
    }

    fn take_in(&mut self, page: Result<(Turn<'a>, Page), HubError>) {
        let (turn, page) = match page {
            Ok(read) => read,
            Err(error) => return self.unread = Some(Failure::from(error).into()),
        };
        self.turns.push(turn);
        if self.pass.number == 1 {
            (self.tell)(Step::Listed(page.requests.len()));
        }
        let Page { requests, entries, next, url, limit, requested } = page;
        let took = requested.age_at(self.hub.now());
        let times = || requests.iter().filter_map(|request| request.requested_at);
        let same =
            |request: &AccessRequest| (self.ledger.key(request).map(Key::request), request.requested_at);
        let entries_read: Vec<_> = requests.iter().map(same).collect();
        let read = self.pass.read(PageRead {
            url,
            next,
            is_full: entries >= limit,
            is_sorted: times().is_sorted() || times().is_sorted_by(|one, next| one >= next),
            fingerprint: self.hasher.hash_one(&entries_read),
            oldest: times().min(),
            newest: times().max(),
            requested: requested.monotonic(),
            took,
        });
        if let Err(why) = read {
            self.unread = Some(Failure::Other(why).into());
        }
        self.ledger.forget_recent_writes(requested.monotonic());
        let pass = self.pass.number;
        let now = Instant::now();
        let decide_until = now + self.deadline.saturating_duration_since(now) / 2;
        let is_late = took > TIME_TO_DECIDE;
        let mut requests: VecDeque<AccessRequest> = requests.into();
        if self.policy.may_be_slow() && !requests.is_empty() {
            // A run may not get to everybody. So each one begins somewhere else.
            requests.rotate_left(fastrand::usize(..requests.len()));
        }
        self.pages.push_back(PageInHand { requested, is_late, pass, decide_until, requests });
    }

    /// Gives back the turns for what is decided and written.
    fn give_back_turns(&mut self) {
        self.turns.truncate((self.undecided() + self.unwritten).div_ceil(PAGE));
    }

    fn undecided(&self) -> usize {
        self.pages.iter().map(|page| page.requests.len()).sum()
    }

    fn is_deciding(&self) -> bool {
        self.pages.iter().any(|page| !page.requests.is_empty())
    }

    fn has_work(&self) -> bool {
        !self.written.is_empty() || !self.pages.is_empty()
    }

    /// Accounts for some writes, or decides for a moment.
    fn work(&mut self) {
        match self.written.pop_front() {
            Some(written) => self.account_for(written),
            None => self.decide_some(),
        }
    }

    /// Decides for at most [`TIME_SLICE`]. If a page becomes too old before it is decided, the rest of it is read again.
    fn decide_some(&mut self) {
        let begun = Instant::now();
        while begun.elapsed() < TIME_SLICE {
            let Some(page) = self.pages.front_mut() else { return };
            let Some(request) = page.requests.pop_front() else {
                self.pages.pop_front();
                continue;
            };
            let PageInHand { requested, is_late, pass, decide_until, .. } = *page;
            if Instant::now() >= self.deadline {
                self.slow = Some(SLOW_POLICY);
                self.unread = Some(Failure::from(HubError::new("GET", Problem::OutOfTime)).into());
                self.pages.clear();
                return;
            }
            let is_old = requested.age_at(self.hub.now()) > TIME_TO_DECIDE || Instant::now() > decide_until;
            if !self.mode.is_dry() && is_old {
                self.slow = Some(if is_late { SLOW_HUB } else { SLOW_POLICY });
                self.ledger.overlook(Instant::now());
                self.pass.shrink();
                self.pages.pop_front();
                continue;
            }
            self.decide(&request, requested, pass);
        }
    }

    /// Decides one request. If it is held, that concludes it; if the decision has to be written, it is queued.
    fn decide(&mut self, request: &AccessRequest, requested: Moment, pass: u32) {
        let key = self.ledger.key(request);
        let attempts = match key.map(|key| (key, self.ledger.on_listed(key, requested.monotonic(), pass))) {
            None if pass > 1 => return,
            None => Attempts::default(),
            Some((_, ListedAction::Ignore)) => return,
            Some((_, ListedAction::Decide(attempts))) => attempts,
            Some((key, ListedAction::GiveUp(outcome))) => {
                if let Some(concluded) = self.ledger.give_up(key, outcome) {
                    self.conclude(concluded);
                }
                return;
            }
            Some((key, ListedAction::Contradicts(other))) => {
                if let Some(other) = self.queue.withdraw(other) {
                    self.hold_contradicted(other);
                }
                self.ledger.hold(key);
                return;
            }
        };
        let decision = self.policy.decide(request, self.repo, Utc::now());
        let (who, requested_at) = (request.who(), request.requested_at);
        self.pass.progress();
        match key {
            Some(key) if decision.verdict != Verdict::Hold && self.is_to_be_written(request, &decision) => {
                self.pass.wrote = true;
                self.unwritten += 1;
                let (identities, page) = (Identities::of(request), requested);
                let by_user = identities.request_id.is_none() || !self.hub.may_batch_by_request_id();
                let decided =
                    Decided { key, identities, by_user, who, requested_at, decision, attempts, page };
                self.ledger.queue(&decided, pass);
                self.queue.push(decided);
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
                self.conclude(Concluded {
                    who,
                    requested_at,
                    decision,
                    outcome,
                    error: None,
                    is_known: true,
                });
            }
        }
    }

    /// Whether a decision other than a hold is written in this mode.
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
    fn hold_contradicted(&mut self, Decided { key, who, requested_at, .. }: Decided) {
        let grounds = Grounds::Doubt("the Hub lists more than one request of this user");
        let decision = Decision { verdict: Verdict::Hold, reason: None, grounds };
        self.ledger.hold(key);
        self.unwritten -= 1;
        let outcome = Outcome::Held;
        self.conclude(Concluded { who, requested_at, decision, outcome, error: None, is_known: true });
    }

    fn account_for(&mut self, written: Vec<Written>) {
        let (mut is_put_off, mut is_stale) = (false, false);
        for (decided, result, ended) in written {
            match &result {
                Ok(Handled::Failed(why)) => {
                    let failure = format!("the Hub did not take a verdict of a batch: {why}");
                    self.report.fail(Failure::Other(failure));
                }
                Ok(_) => self.back_off = FIRST_BACK_OFF,
                Err(error) if error.problem == Problem::Stale => is_stale = true,
                Err(error) if error.problem == Problem::Postponed => {
                    self.not_before = self.not_before.max(self.hub.writes_from());
                }
                Err(error) if error.is_page_too_old() => {}
                Err(error) => {
                    is_put_off |= error.leaves_in_doubt() || error.is_put_off();
                    let after = error.retry_after().map(|after| ended + after.min(LONGEST_WAIT));
                    self.not_before = self.not_before.max(after);
                }
            }
            if let Some(concluded) = self.ledger.written(decided.key, decided.attempts, result, ended) {
                self.pass.progress();
                self.conclude(concluded);
            }
        }
        if is_stale && self.shrunk_in != self.pass.number {
            self.pass.shrink_to(MAX_BATCH);
            self.shrunk_in = self.pass.number;
        }
        if is_put_off {
            let wait = self.back_off.mul_f32(fastrand::f32());
            self.not_before = self.not_before.max(Some(Instant::now() + wait));
            self.back_off = (self.back_off * 2).min(LONGEST_BACK_OFF);
        }
    }

    /// Counts and reports what became of a request.
    fn conclude(&mut self, concluded: Concluded) {
        let Concluded { who, requested_at, decision, outcome, error, is_known } = concluded;
        self.concluded_at = Instant::now();
        let is_left = matches!(outcome, Outcome::Failed | Outcome::Stuck | Outcome::NotAgreed) || !is_known;
        if is_left || matches!(outcome, Outcome::Held | Outcome::DryRun) {
            self.report.counts.still_pending(requested_at, Utc::now());
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
            self.is_left = true;
        }
        self.report.counts.count(decision.verdict, outcome);
        (self.tell)(Step::Concluded { who: who.as_ref(), requested_at, decision: &decision, outcome });
    }

    fn finish(mut self, calls: u32) -> RepoReport {
        let whole = self.pass.began.filter(|_| self.unread.is_none());
        let unread = self.unread.take();
        self.is_left |= unread.is_some();
        // Why the whole run had to wait says more than why the last write failed.
        if let Some(Unread { why, is_wait: true }) = &unread {
            self.report.fail(why.clone());
        }
        for concluded in self.ledger.finish(self.pass.number, whole) {
            self.conclude(concluded);
        }
        if let Some(Unread { why, .. }) = unread {
            self.report.fail(why);
        }
        if let Some(why) = self.slow.filter(|_| self.is_left) {
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
        report.complete = report.error.is_none() && !self.is_left;
        report.counts.calls = calls;
        report
    }
}

/// Why the list is not read again in this run.
fn wait_too_long(wait: Duration) -> String {
    let seconds = wait.as_secs() + 1;
    format!(
        "the list of this repo could be read again only in {seconds} s, for which this run does not wait; the next run goes on"
    )
}
