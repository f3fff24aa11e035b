//! The review of one repo: list, decide, apply, until nothing is left to do or time is up.
//!
//! Nothing is remembered between two reviews. The list of pending requests is the queue: whatever a run leaves undone is
//! still in it for the next one, and to repeat a run is harmless.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::mem::discriminant;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::future::{OptionFuture, join_all};
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use crate::hub::{Answer, Handled, Hub, HubError, MAX_BATCH, Page, RepoCalls};
use crate::model::{AccessRequest, Decision, Identity, Outcome, Repo, Verdict};
use crate::policy::Policy;
use crate::report::{self, RepoReport};

/// No further page is read while so many writes are waiting, so that memory does not grow with the length of the list.
const MAX_WRITES_WAITING: usize = 64;

/// Reviews one repo: decides everybody who waits and tells the Hub, all of it before `deadline`. A dry run decides and
/// reports the same and writes nothing.
pub async fn review(repo: &Repo, policy: &Policy, hub: &Hub, dry_run: bool, deadline: Instant) -> RepoReport {
    let calls = hub.repo(repo, deadline);
    let writer = Writer {
        calls: &calls,
        no_batch: AtomicBool::new(false),
        no_batch_by_request_id: AtomicBool::new(false),
    };
    let mut review = Review {
        repo,
        policy,
        writer: &writer,
        dry_run,
        deadline,
        report: RepoReport::new(repo),
        seen: HashSet::new(),
        looks_again: false,
        hasher: RandomState::new(),
    };
    // Entries that leave the list may shift the pages behind them, so that somebody is skipped: look again.
    while review.pass().await == (Pass { several_pages: true, changed: true }) {
        review.looks_again = true;
    }
    let mut report = review.report;
    report.complete = report.error.is_none() && report.failed == 0;
    report.calls = calls.count();
    report
}

struct Review<'a> {
    repo: &'a Repo,
    policy: &'a Policy,
    writer: &'a Writer<'a>,
    dry_run: bool,
    deadline: Instant,
    report: RepoReport,
    /// The hashes of those who were decided in this run: none is decided twice, even if the list still has them.
    seen: HashSet<u64>,
    hasher: RandomState,
    looks_again: bool,
}

/// What came of going through the list once.
#[derive(PartialEq, Eq)]
struct Pass {
    several_pages: bool,
    changed: bool,
}

/// A decision that is to be written.
struct Decided {
    identity: Identity,
    who: String,
    requested_at: Option<DateTime<Utc>>,
    decision: Decision,
}

impl Review<'_> {
    /// Goes through the list once. Each page is acted upon as soon as it is decided, while the next one is being read:
    /// the sooner a decision is written, the smaller the chance that it overrules a person who decided meanwhile.
    async fn pass(&mut self) -> Pass {
        let writer = self.writer;
        let mut in_flight = FuturesUnordered::new();
        let mut next = Some(None);
        let mut reading = None;
        let mut visited = HashSet::new();
        let (mut pages, mut changed) = (0, false);
        loop {
            if reading.is_none() && in_flight.len() < MAX_WRITES_WAITING {
                reading = next.take().map(|page| Box::pin(writer.calls.pending(page)));
            }
            tokio::select! {
                Some(page) = OptionFuture::from(reading.as_mut()) => {
                    reading = None;
                    pages += 1;
                    match page {
                        Ok(Page { requests, next: url }) => {
                            match url {
                                Some(url) if !visited.insert(url.clone()) => {
                                    self.report.fail(&format!("the pages of {} go in a circle", url.path()));
                                }
                                url => next = url.map(Some),
                            }
                            let decided = self.decide_all(&requests);
                            in_flight.extend(groups(decided).into_iter().map(|group| writer.write(group)));
                        }
                        Err(error) => self.fail(&error),
                    }
                }
                Some(written) = in_flight.next() => {
                    for (decided, result) in written {
                        changed |= self.account(&decided, result);
                    }
                }
                else => return Pass { several_pages: pages > 1, changed: changed && self.report.error.is_none() },
            }
        }
    }

    /// Decides the requests of a page. That may take half of the time that is left, for what is decided has to be written
    /// as well: however slow a policy is, every run gets somewhere.
    fn decide_all(&mut self, requests: &[AccessRequest]) -> Vec<Decided> {
        let now = Instant::now();
        let halfway = now + self.deadline.saturating_duration_since(now) / 2;
        let mut decided = Vec::new();
        for request in requests {
            if Instant::now() > halfway {
                self.report.fail(&"deciding takes too long: simplify the policy; the next run goes on");
                break;
            }
            decided.extend(self.decide(request));
        }
        decided
    }

    /// Decides one request. What is held is done with; what is to be written is returned.
    fn decide(&mut self, request: &AccessRequest) -> Option<Decided> {
        let identity = request.identity();
        let is_new = match &identity {
            Some(identity) => self.seen.insert(self.hasher.hash_one(identity)),
            None => !self.looks_again,
        };
        if !is_new {
            return None;
        }
        let now = Utc::now();
        let decision = self.policy.decide(request, self.repo, now);
        let who = request.user.name.clone().or_else(|| request.request_id.clone());
        let who = who.or_else(|| request.user.id.clone()).unwrap_or_default();
        match identity {
            Some(identity) if decision.verdict != Verdict::Hold && !self.dry_run => {
                Some(Decided { identity, who, requested_at: request.requested_at, decision })
            }
            _ => {
                let outcome = if decision.verdict == Verdict::Hold { Outcome::Held } else { Outcome::DryRun };
                self.report.still_pending(request.requested_at, now);
                self.conclude(&who, &decision, outcome);
                None
            }
        }
    }

    /// Counts what became of a decision that was to be written; whether that changed the list.
    fn account(&mut self, decided: &Decided, result: Result<Handled, HubError>) -> bool {
        let outcome = match result {
            Ok(Handled::Done) => Outcome::Done,
            Ok(Handled::Gone) => Outcome::Gone,
            Ok(Handled::Failed(why)) => {
                self.report.fail(&format!("the Hub did not take a verdict of a batch: {why}"));
                Outcome::Failed
            }
            Err(error) => {
                self.fail(&error);
                Outcome::Failed
            }
        };
        if outcome == Outcome::Failed {
            self.report.still_pending(decided.requested_at, Utc::now());
        }
        self.conclude(&decided.who, &decided.decision, outcome);
        outcome == Outcome::Done
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

/// What can be written in one call: the same verdict with the same reason, and the same way of naming the requests, so
/// that a batch that is refused for one way holds up no other.
struct Group {
    answer: Answer,
    decided: Vec<Decided>,
}

fn groups(decided: Vec<Decided>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for one in decided {
        let answer = Answer { verdict: one.decision.verdict, reason: one.decision.reason.clone() };
        let named_alike = |other: &Decided| discriminant(&other.identity) == discriminant(&one.identity);
        let fits = |group: &&mut Group| {
            group.decided.len() < MAX_BATCH
                && group.answer == answer
                && group.decided.first().is_some_and(named_alike)
        };
        match groups.iter_mut().find(fits) {
            Some(group) => group.decided.push(one),
            None => groups.push(Group { answer, decided: vec![one] }),
        }
    }
    groups
}

type Written = Vec<(Decided, Result<Handled, HubError>)>;

/// Carries decisions out.
struct Writer<'a> {
    calls: &'a RepoCalls<'a>,
    /// Set when this Hub has turned out to have no `batch`.
    no_batch: AtomicBool,
    /// Set when this Hub's `batch` has turned out to know no request by its id.
    no_batch_by_request_id: AtomicBool,
}

/// How many of a batch that was refused are tried by themselves before the others are.
const PROBES: usize = 3;

impl Writer<'_> {
    /// Writes a group in one call, or one by one where the Hub does not take it as a batch.
    async fn write(&self, group: Group) -> Written {
        let Group { answer, mut decided } = group;
        let by_request_id = matches!(decided[0].identity, Identity::RequestId(_));
        let refused_before = self.no_batch.load(Ordering::Relaxed)
            || by_request_id && self.no_batch_by_request_id.load(Ordering::Relaxed);
        if decided.len() == 1 || refused_before {
            return self.write_each(decided, &answer).await;
        }
        let identities: Vec<Identity> = decided.iter().map(|one| one.identity.clone()).collect();
        let error = match self.calls.batch(&identities, &answer).await {
            Ok(handled) => return decided.into_iter().zip(handled.into_iter().map(Ok)).collect(),
            Err(error) if !error.is_batch_refused() => return fail_each(decided, &error),
            Err(error) => error,
        };
        // One request in it may be what the Hub objects to, or what all of them have in common, such as the reason. Which
        // ones are to tell is drawn anew in every run, so that a few that are always refused keep nobody out for ever.
        let drawn = RandomState::new().hash_one(()) % MAX_BATCH as u64;
        let middle = usize::try_from(drawn).unwrap_or_default() % decided.len();
        decided.rotate_left(middle);
        let others = decided.split_off(PROBES.min(decided.len()));
        let mut written = self.write_each(decided, &answer).await;
        if written.iter().all(|(_, result)| result.is_err()) {
            written.extend(fail_each(others, &error));
        } else {
            self.no_batch.fetch_or(error.is_batch_unknown(), Ordering::Relaxed);
            self.no_batch_by_request_id.fetch_or(by_request_id, Ordering::Relaxed);
            written.extend(self.write_each(others, &answer).await);
        }
        written
    }

    async fn write_each(&self, decided: Vec<Decided>, answer: &Answer) -> Written {
        join_all(decided.into_iter().map(|one| async move {
            let handled = self.calls.handle(&one.identity, answer).await;
            (one, handled)
        }))
        .await
    }
}

fn fail_each(decided: Vec<Decided>, error: &HubError) -> Written {
    decided.into_iter().map(|one| (one, Err(error.clone()))).collect()
}
