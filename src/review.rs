//! The review of one repo: list, decide, apply, until nothing is left to do or time is up.
//!
//! Nothing is remembered between two reviews. The list of pending requests is the queue: whatever a run leaves undone is
//! still in it for the next one, and to repeat a run is harmless.

mod queue;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::future::OptionFuture;
use futures_util::stream::FuturesUnordered;
use reqwest::Url;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use crate::hub::{Handled, Hub, HubError, MAX_BATCH, PAGE, Page, Turn, Writer};
use crate::model::{AccessRequest, Decision, Grounds, Identity, Outcome, Repo, Verdict};
use crate::policy::Policy;
use crate::report::{Failure, RepoReport, Step};
use queue::{Decided, Group, Queue};

/// No further page is read while more than so many are waiting to be decided or written. It is enough to keep every call
/// that may be in flight busy while a page is read; more would only be read longer before it is acted upon, and take memory.
fn max_ahead(concurrency: usize) -> usize {
    (2 * PAGE).min(concurrency * MAX_BATCH * 5 / 2)
}

/// How long deciding may keep the calls in flight from being attended to.
const TIME_SLICE: Duration = Duration::from_micros(500);

/// How long to wait for a list that lags behind before it is read again: each time twice as long as the last, up to a limit.
/// The Hub's lists were seen to lag about a second.
const FIRST_PATIENCE: Duration = Duration::from_millis(100);
const LONGEST_PATIENCE: Duration = Duration::from_secs(2);

/// The most times in a row that a list is read again only because it lags behind.
const MAX_LOOKS: usize = 10;

/// Reviews one repo: decides everybody who waits and tells the Hub, all of it before `deadline`. A dry run decides and
/// reports the same and writes nothing. `tell` hears of it while it goes on.
pub async fn review(
    repo: &Repo,
    policy: &Policy,
    hub: &Hub,
    dry_run: bool,
    deadline: Instant,
    tell: &mut (dyn FnMut(Step<'_>) + Send),
) -> RepoReport {
    let calls = hub.repo(repo, deadline);
    let writer = Writer::new(&calls);
    let read = async |page, after: Duration, turn| {
        // Even to sleep for no time may take a millisecond, and lose the place in the line.
        if !after.is_zero() {
            sleep(after).await;
        }
        let turn = match turn {
            Some(turn) => turn,
            None => calls.turn().await?,
        };
        Ok((turn, calls.pending(page).await?))
    };
    let mut review = Review::new(repo, policy, dry_run, deadline, tell);
    let (mut reading, mut writing) = (None, FuturesUnordered::new());
    loop {
        // The next page goes first: it is what takes longest. Then as much is written as there may be calls in flight.
        if reading.is_none() {
            // To stand in line for a turn while having one would be to wait for each other.
            let turn = calls.turn_now();
            if turn.is_some() || review.turns.is_empty() {
                reading = review
                    .next_page(max_ahead(hub.concurrency()))
                    .map(|(page, after)| Box::pin(read(page, after, turn.filter(|_| after.is_zero()))));
            }
        }
        while writing.len() + usize::from(reading.is_some()) < hub.concurrency() {
            let Some(group) = review.queue.take(!review.undecided.is_empty()) else { break };
            writing.push(write(&writer, group));
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
        review.give_back_turns();
    }
    let mut report = review.report;
    report.complete = report.error.is_none() && report.counts.failed == 0 && report.counts.unknown == 0;
    report.counts.calls = calls.count();
    report
}

/// What became of each decision of a group.
type Written = Vec<(Decided, Result<Handled, HubError>)>;

async fn write(writer: &Writer<'_>, Group { answer, decided }: Group) -> Written {
    let identities: Vec<Identity> = decided.iter().map(|one| one.identity.clone()).collect();
    let handled = writer.write(&identities, &answer).await;
    decided.into_iter().zip(handled).collect()
}

struct Review<'a> {
    repo: &'a Repo,
    policy: &'a Policy,
    dry_run: bool,
    deadline: Instant,
    tell: &'a mut (dyn FnMut(Step<'_>) + Send),
    report: RepoReport,
    /// One for each page's worth of requests in hand.
    turns: Vec<Turn<'a>>,
    /// How often reading the list was begun.
    passes: usize,
    pass: Pass,
    /// The page that is to be read next.
    next: Option<Url>,
    /// Of the pass before, if that wrote nothing: what of this run it still listed.
    listed_before: Option<u64>,
    /// How often the list was read again in vain, and how long to wait before it is read once more.
    looks: usize,
    patience: Duration,
    /// Whether something was not written because the Hub wanted no call for so long that others may have decided meanwhile.
    postponed: bool,
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
    leaving: HashMap<u64, Leaving>,
    hasher: RandomState,
}

/// What is known of somebody who is to leave the list.
struct Leaving {
    /// The hash of the request that was decided.
    request: u64,
    /// The Hub has done it. Who is listed with another request after that has asked again, and is new.
    is_written: bool,
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
    fn new(
        repo: &'a Repo,
        policy: &'a Policy,
        dry_run: bool,
        deadline: Instant,
        tell: &'a mut (dyn FnMut(Step<'_>) + Send),
    ) -> Self {
        Self {
            repo,
            policy,
            dry_run,
            deadline,
            tell,
            report: RepoReport::new(repo.name(), repo.repo_type()),
            turns: Vec::new(),
            passes: 0,
            pass: Pass::default(),
            next: None,
            listed_before: None,
            looks: 0,
            patience: FIRST_PATIENCE,
            postponed: false,
            undecided: VecDeque::new(),
            decide_until: deadline,
            queue: Queue::default(),
            unwritten: 0,
            written: VecDeque::new(),
            held: HashSet::new(),
            leaving: HashMap::new(),
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
        if self.report.error.is_some() || !self.postponed && (pages <= 1 || is_settled) {
            return None;
        }
        let wait = if wrote || self.postponed {
            (self.looks, self.patience) = (0, FIRST_PATIENCE);
            Duration::ZERO
        } else {
            self.looks += 1;
            let longer = (self.patience * 2).min(LONGEST_PATIENCE);
            std::mem::replace(&mut self.patience, longer)
        };
        if self.looks > MAX_LOOKS || Instant::now() + wait >= self.deadline {
            self.fail("the Hub's list has not caught up with what was written; the next run looks again");
            return None;
        }
        self.listed_before = (!wrote).then_some(still_listed);
        (self.passes, self.pass, self.postponed) = (self.passes + 1, Pass::default(), false);
        Some(wait)
    }

    fn take_in(&mut self, page: Result<(Turn<'a>, Page), HubError>) {
        match page {
            Ok((turn, Page { requests, next })) => {
                self.turns.push(turn);
                self.pass.pages += 1;
                if self.passes == 1 {
                    (self.tell)(Step::Listed(requests.len()));
                }
                match next {
                    Some(next) if !self.pass.visited.insert(next.clone()) => {
                        self.fail(&format!("the pages of {} go in a circle", next.path()));
                    }
                    next => self.next = next,
                }
                let now = Instant::now();
                self.decide_until = now + self.deadline.saturating_duration_since(now) / 2;
                self.undecided.extend(requests);
            }
            Err(error) => self.report.fail(error),
        }
    }

    /// Gives back the turns for what is decided and written.
    fn give_back_turns(&mut self) {
        self.turns.truncate((self.undecided.len() + self.unwritten).div_ceil(PAGE));
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
                self.fail("deciding takes too long: simplify the policy; the next run goes on");
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
        if let Some(hash) = hash {
            let of_request = self.hasher.hash_one((hash, request.requested_at));
            let is_known = |known: &&Leaving| known.request == of_request || !known.is_written;
            if let Some(known) = self.leaving.get(&hash).filter(is_known) {
                if known.request != of_request
                    && let Some(unwritten) = self.queue.withdraw(hash)
                {
                    self.doubt(unwritten);
                } else {
                    self.pass.still_listed = self.pass.still_listed.wrapping_add(of_request);
                }
                return;
            }
            if self.held.contains(&hash) {
                return;
            }
        } else if self.passes > 1 {
            return;
        }
        let now = Utc::now();
        let decision = self.policy.decide(request, self.repo, now);
        let (who, requested_at) = (request.who(), request.requested_at);
        match identity.zip(hash) {
            Some((identity, hash)) if decision.verdict != Verdict::Hold && !self.dry_run => {
                let request = self.hasher.hash_one((hash, requested_at));
                self.leaving.insert(hash, Leaving { request, is_written: false });
                self.pass.wrote = true;
                self.unwritten += 1;
                self.queue.push(Decided { identity, hash, who, requested_at, decision });
            }
            _ => {
                let outcome = if decision.verdict == Verdict::Hold { Outcome::Held } else { Outcome::DryRun };
                self.held.extend(hash);
                self.report.counts.still_pending(requested_at, now);
                self.conclude(who.as_ref(), requested_at, &decision, outcome);
            }
        }
    }

    /// Holds somebody of whom the list shows another request before the decision was written: which of the two stands, only
    /// the next run can tell.
    fn doubt(&mut self, Decided { hash, who, requested_at, .. }: Decided) {
        let grounds = Grounds::Doubt("the Hub lists more than one request of this user");
        let decision = Decision { verdict: Verdict::Hold, reason: None, grounds };
        self.leaving.remove(&hash);
        self.held.insert(hash);
        self.unwritten -= 1;
        self.report.counts.still_pending(requested_at, Utc::now());
        self.conclude(who.as_ref(), requested_at, &decision, Outcome::Held);
    }

    fn account_for(&mut self, written: Written) {
        for (decided, result) in written {
            let outcome = match result {
                Ok(Handled::Done) => Outcome::Done,
                Ok(Handled::Gone | Handled::NoUser) => Outcome::Gone,
                Ok(Handled::Failed(why)) => {
                    self.fail(&format!("the Hub did not take a verdict of a batch: {why}"));
                    Outcome::Failed
                }
                Err(error) if error.is_postponed() => {
                    self.leaving.remove(&decided.hash);
                    self.postponed = true;
                    continue;
                }
                Err(error) => {
                    let may_be_done = error.may_be_done;
                    self.report.fail(error);
                    if may_be_done { Outcome::Unknown } else { Outcome::Failed }
                }
            };
            if let (Outcome::Done | Outcome::Gone, Some(left)) =
                (outcome, self.leaving.get_mut(&decided.hash))
            {
                left.is_written = true;
            }
            if matches!(outcome, Outcome::Failed | Outcome::Unknown) {
                self.report.counts.still_pending(decided.requested_at, Utc::now());
            }
            let Decided { who, requested_at, decision, .. } = &decided;
            self.conclude(who.as_ref(), *requested_at, decision, outcome);
        }
    }

    fn conclude(
        &mut self,
        who: Option<&Identity>,
        requested_at: Option<DateTime<Utc>>,
        decision: &Decision,
        outcome: Outcome,
    ) {
        self.report.counts.count(decision.verdict, outcome);
        (self.tell)(Step::Concluded { who, requested_at, decision, outcome });
    }

    fn fail(&mut self, why: &str) {
        self.report.fail(Failure::Other(why.to_owned()));
    }
}
