//! Writing decisions while the page that they were made from is not too old: in batches if the Hub takes them, else one by one.
//! Each write is attempted once here. The review decides after reading the list again whether to make another attempt.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use tokio::time::Instant;

use super::ledger::{MAX_ATTEMPTS, MAX_STALLS};
use super::queue::{Decided, Group, MAX_FAILED_BATCHES, Tried};
use crate::hub::{Answer, Handled, HubError, Moment, Problem, RepoCalls};
use crate::model::Identity;

/// How many requests of a refused batch are written one by one before the others are tried.
const PROBES: usize = 3;

/// What became of an attempt to write a decision, and when the attempt ended.
pub(super) type Written = (Decided, Result<Handled, HubError>, Instant);

/// Writes the decisions of one review.
pub(super) struct Writer<'a> {
    calls: &'a RepoCalls<'a>,
    /// Set when this Hub has turned out to have no `batch`.
    no_batch: AtomicBool,
}

impl<'a> Writer<'a> {
    pub(super) fn new(calls: &'a RepoCalls<'a>) -> Self {
        Self { calls, no_batch: AtomicBool::new(false) }
    }

    /// Attempts to write a group: one result for each decision, in any order.
    pub(super) async fn write(&self, Group { answer, decided }: Group) -> Vec<Written> {
        let (decided, exhausted): (Vec<_>, Vec<_>) =
            decided.into_iter().partition(|one| one.attempts.made < MAX_ATTEMPTS);
        let mut written = fail_each(exhausted, &HubError::new("POST", Problem::Stale));
        let all_have = |of: fn(&Decided) -> bool| decided.iter().all(of);
        let by_request_id =
            self.calls.may_batch_by_request_id() && all_have(|one| one.identities.request_id.is_some());
        if decided.len() > 1 && all_have(|one| one.attempts.failed_batches >= MAX_FAILED_BATCHES) {
            written.extend(self.write_some_first(decided, &answer, None).await);
            return written;
        }
        let can_batch = !self.no_batch.load(Ordering::Relaxed)
            && all_have(|one| one.attempts.tried == Tried::default())
            && decided.len() > 1
            && (by_request_id || all_have(|one| one.identities.user.is_some()));
        written.extend(if can_batch {
            self.write_batch(decided, &answer, by_request_id).await
        } else {
            self.write_each(decided, &answer).await
        });
        written
    }

    async fn write_batch(&self, decided: Vec<Decided>, answer: &Answer, by_request_id: bool) -> Vec<Written> {
        let (page, mut decided) = (oldest_page(&decided, self.calls.now()), decided);
        let name = |one: &Decided| {
            if by_request_id { &one.identities.request_id } else { &one.identities.user }.clone()
        };
        let identities: Vec<Identity> = decided.iter().filter_map(name).collect();
        let result = self.calls.batch(&identities, answer, page).await;
        let is_sent = !matches!(&result, Err(error) if is_unsent(error));
        for one in &mut decided {
            one.attempts.made += u8::from(is_sent);
        }
        let ended = Instant::now();
        let error = match result {
            Ok(handled) => {
                let is_unknown = |one: &Handled| matches!(one, Handled::Gone | Handled::NoUser);
                // It is unknown whether the Hub's batch takes `requestId`. If it knows none of them, either it does not, or all
                // of these requests were withdrawn. The next reading of the list tells; until then nobody is named otherwise.
                let is_denied = by_request_id && handled.len() > 1 && handled.iter().all(is_unknown);
                if is_denied {
                    self.calls.stop_batching_by_request_id();
                }
                for (one, _) in decided.iter_mut().zip(&handled).filter(|(_, handled)| is_unknown(handled)) {
                    if by_request_id && one.identities.user.is_none() {
                        one.attempts.tried.batch = true;
                    } else if !is_denied {
                        one.note_unknown(by_request_id);
                    }
                }
                return decided
                    .into_iter()
                    .zip(handled)
                    .map(|(one, handled)| (one, Ok(handled), ended))
                    .collect();
            }
            Err(error) if !error.is_batch_refused() => {
                for one in &mut decided {
                    one.attempts.failed_batches += u8::from(error.may_be_caused_by_content());
                }
                return fail_each(decided, &error);
            }
            Err(error) => error,
        };
        self.no_batch.fetch_or(error.is_batch_unknown(), Ordering::Relaxed);
        if by_request_id && error.status() == Some(400) {
            self.calls.stop_batching_by_request_id();
            return Box::pin(self.write(Group { answer: answer.clone(), decided })).await;
        }
        if error.is_batch_unknown() || decided.len() == 1 {
            return join_all(decided.into_iter().map(|one| self.handle(one, answer))).await;
        }
        self.write_some_first(decided, answer, Some(error)).await
    }

    /// Writes a few requests one by one, and then the others if one of these was taken. The Hub may object to one request, or to
    /// what all of them share, such as the reason; `batch_error` is what it said of all of them.
    async fn write_some_first(
        &self,
        mut decided: Vec<Decided>,
        answer: &Answer,
        batch_error: Option<HubError>,
    ) -> Vec<Written> {
        // Which ones are tried is drawn anew each time, so that a few that are always refused keep nobody out for ever.
        let middle = fastrand::usize(..decided.len());
        decided.rotate_left(middle);
        let mut others = decided.split_off(PROBES.min(decided.len()));
        let mut written = self.write_each(decided, answer).await;
        if written.iter().any(|(_, result, _)| result.is_ok()) {
            written.extend(self.write_each(others, answer).await);
            return written;
        }
        // These requests were in none of the calls. They still count an attempt, so that a run ends.
        for one in &mut others {
            one.attempts.made += 1;
        }
        let error = batch_error.unwrap_or_else(|| HubError::new("POST", Problem::Postponed));
        written.extend(fail_each(others, &error));
        written
    }

    /// Writes each by a call of its own.
    async fn write_each(&self, decided: Vec<Decided>, answer: &Answer) -> Vec<Written> {
        let each = decided.into_iter().map(|one| async move {
            if self.may_batch_alone(&one) {
                self.write_batch(vec![one], answer, true).await
            } else {
                vec![self.handle(one, answer).await]
            }
        });
        Box::pin(join_all(each)).await.into_iter().flatten().collect()
    }

    /// Whether a batch of one may name the request by its id. That is better than `handle`, which names the user: the user may have
    /// asked again meanwhile.
    fn may_batch_alone(&self, one: &Decided) -> bool {
        !self.no_batch.load(Ordering::Relaxed)
            && self.calls.may_batch_by_request_id()
            && one.identities.request_id.is_some()
            && one.attempts.tried == Tried::default()
            && one.attempts.made < MAX_ATTEMPTS
    }

    async fn handle(&self, mut one: Decided, answer: &Answer) -> Written {
        let identity = one.identities.for_handle(one.attempts.tried).cloned();
        let result = match &identity {
            Some(identity) if one.attempts.made < MAX_ATTEMPTS => {
                self.calls.handle(identity, answer, Some(one.page)).await
            }
            _ => Err(HubError::new("POST", Problem::Stale)),
        };
        if !matches!(&result, Err(error) if is_unsent(error)) {
            one.attempts.made += 1;
        }
        if let Err(error) = &result {
            one.attempts.stalled += stalls(error);
        }
        match &result {
            Ok(Handled::Gone | Handled::NoUser) => {
                one.note_unknown(matches!(identity, Some(Identity::RequestId(_))));
            }
            // The Hub did not know the request by its id, and yet there is one.
            Ok(Handled::Done) if one.attempts.tried.request_id => self.calls.stop_batching_by_request_id(),
            _ => {}
        }
        (one, result, Instant::now())
    }
}

impl Decided {
    /// Notes that the Hub did not know the request by its id, or by its user.
    fn note_unknown(&mut self, by_request_id: bool) {
        let tried = &mut self.attempts.tried;
        *if by_request_id { &mut tried.request_id } else { &mut tried.user } = true;
        self.attempts.has_one_identity = self.identities.has_one();
    }
}

/// How many stalls an attempt counts for. An answer that is too large would be as large again, so it is the last.
fn stalls(error: &HubError) -> u8 {
    match error.problem {
        Problem::TooSlow => 1,
        Problem::TooLarge(_) => MAX_STALLS,
        _ => 0,
    }
}

/// Whether the call was not sent, so that it is no attempt.
fn is_unsent(error: &HubError) -> bool {
    let is_early = matches!(
        error.problem,
        Problem::Postponed | Problem::Stale | Problem::OutOfTime | Problem::RateLimited { .. }
    );
    is_early && !error.may_be_done
}

/// When the oldest page was requested that these decisions were made from.
fn oldest_page(decided: &[Decided], now: Moment) -> Option<Moment> {
    decided.iter().map(|one| one.page).max_by_key(|page| page.age_at(now))
}

fn fail_each(mut decided: Vec<Decided>, error: &HubError) -> Vec<Written> {
    let ended = Instant::now();
    for one in &mut decided {
        one.attempts.stalled += stalls(error);
    }
    decided.into_iter().map(|one| (one, Err(error.clone()), ended)).collect()
}
