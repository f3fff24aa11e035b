//! Applying decisions while their page is not too old: in batches if the Hub accepts them, otherwise one by one.
//!
//! A call is attempted once here. If the Hub refuses a batch, its requests are written in another way at once. After any other
//! failure the review reads the list again, and then decides whether to make another attempt.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use tokio::time::Instant;

use super::decided::{DecidedRequest, Identities, MAX_ATTEMPTS, MAX_STALLS};
use super::queue::{Group, Way};
use crate::hub::{HubError, Moment, Problem, RepoCalls, SAMPLE_SIZE, StatusChange, WriteResult};
use crate::model::Identity;

/// An attempt to write a decision: its result, and when it ended.
pub(super) type WriteAttempt = (DecidedRequest, Result<WriteResult, HubError>, Instant);

/// Writes the decisions of one review.
pub(super) struct Applier<'a> {
    calls: &'a RepoCalls<'a>,
    /// Set when the Hub has shown that it has no `batch`.
    no_batch: AtomicBool,
}

impl<'a> Applier<'a> {
    pub(super) fn new(calls: &'a RepoCalls<'a>) -> Self {
        Self { calls, no_batch: AtomicBool::new(false) }
    }

    /// Attempts to write a group: one result for each decision, in any order.
    pub(super) async fn write(&self, Group { change, way, decided }: Group) -> Vec<WriteAttempt> {
        let all =
            |condition: fn(&Identities) -> bool| decided.iter().all(|request| condition(&request.identities));
        let by_request_id = self.calls.may_batch_by_request_id() && all(|named| named.request_id.is_some());
        let can_batch = !self.no_batch.load(Ordering::Relaxed)
            && decided.len() > 1
            && (by_request_id || all(|named| named.user.is_some()));
        match way {
            Way::Alone => self.handle_each(decided, &change).await,
            Way::OneByOne if decided.len() > 1 => self.write_sample_first(decided, &change, None).await,
            Way::Batch if can_batch => self.write_batch(decided, &change, by_request_id).await,
            Way::OneByOne | Way::Batch => self.write_each(decided, &change).await,
        }
    }

    /// Writes a batch. If the Hub refuses it as such, its requests are written in another way at once.
    async fn write_batch(
        &self,
        decided: Vec<DecidedRequest>,
        change: &StatusChange,
        by_request_id: bool,
    ) -> Vec<WriteAttempt> {
        let (page, mut decided) = (oldest_page(&decided, self.calls.now()), decided);
        let identity = |request: &DecidedRequest| {
            if by_request_id { &request.identities.request_id } else { &request.identities.user }.clone()
        };
        let identities: Vec<Identity> = decided.iter().filter_map(identity).collect();
        let result = self.calls.batch(&identities, change, page).await;
        let is_sent = !matches!(&result, Err(error) if is_unsent(error));
        for request in &mut decided {
            request.attempts.made += u8::from(is_sent);
        }
        let ended = Instant::now();
        let error = match result {
            Ok(handled) => {
                // If the Hub knows none of the ids, either its `batch` does not accept ids, or all of these requests were
                // withdrawn. The next reading shows which. Until then, no write names these requests by their users.
                let is_unsupported = by_request_id && handled.len() > 1 && handled.iter().all(is_unknown);
                if is_unsupported {
                    self.calls.stop_batching_by_request_id();
                }
                for (request, _) in
                    decided.iter_mut().zip(&handled).filter(|(_, handled)| is_unknown(handled))
                {
                    if by_request_id && request.identities.user.is_none() {
                        request.attempts.unknown.batch = true;
                    } else if !is_unsupported {
                        request.note_unknown(by_request_id);
                    }
                }
                let written = decided.into_iter().zip(handled);
                return written.map(|(request, handled)| (request, Ok(handled), ended)).collect();
            }
            Err(error) if !error.is_batch_refused() => {
                for request in &mut decided {
                    request.attempts.failed_batches += u8::from(error.may_be_caused_by_content());
                }
                return fail_each(decided, &error);
            }
            Err(error) => error,
        };
        self.no_batch.fetch_or(error.is_batch_unknown(), Ordering::Relaxed);
        let (decided, exhausted): (Vec<_>, Vec<_>) =
            decided.into_iter().partition(|request| request.attempts.made < MAX_ATTEMPTS);
        let mut written = fail_each(exhausted, &error);
        written.extend(if by_request_id && error.status() == Some(400) {
            self.calls.stop_batching_by_request_id();
            Box::pin(self.write(Group { change: change.clone(), way: Way::Batch, decided })).await
        } else if error.is_batch_unknown() || decided.len() <= 1 {
            self.handle_each(decided, change).await
        } else {
            self.write_sample_first(decided, change, Some(error)).await
        });
        written
    }

    /// Writes a sample one by one. If one of these writes succeeds, the others are written too. The Hub may object to one
    /// request, or to something that all of them share, such as the reason. `batch_error` is the Hub's error for the whole
    /// batch.
    async fn write_sample_first(
        &self,
        mut decided: Vec<DecidedRequest>,
        change: &StatusChange,
        batch_error: Option<HubError>,
    ) -> Vec<WriteAttempt> {
        // The sample is random, so that a few requests that are always refused do not block the others forever.
        let first = fastrand::usize(..decided.len());
        decided.rotate_left(first);
        let mut others = decided.split_off(SAMPLE_SIZE.min(decided.len()));
        let mut written = self.write_each(decided, change).await;
        if written.iter().any(|(_, result, _)| result.is_ok()) {
            written.extend(self.write_each(others, change).await);
            return written;
        }
        // The sample did not include these requests. They count an attempt, so that the run ends.
        for request in &mut others {
            request.attempts.made += 1;
        }
        let error = batch_error.unwrap_or_else(|| HubError::new("POST", Problem::Postponed));
        written.extend(fail_each(others, &error));
        written
    }

    /// Writes each request by a call of its own.
    async fn write_each(&self, decided: Vec<DecidedRequest>, change: &StatusChange) -> Vec<WriteAttempt> {
        let each = decided.into_iter().map(|request| async move {
            if self.may_batch_alone(&request) {
                self.write_batch(vec![request], change, true).await
            } else {
                vec![self.handle(request, change).await]
            }
        });
        Box::pin(join_all(each)).await.into_iter().flatten().collect()
    }

    /// Whether a batch of one may name the request by its id. That is better than `handle`, which names the user, because the
    /// user may have made another request meanwhile.
    fn may_batch_alone(&self, request: &DecidedRequest) -> bool {
        !self.no_batch.load(Ordering::Relaxed)
            && self.calls.may_batch_by_request_id()
            && request.identities.request_id.is_some()
    }

    /// Writes each request by `handle`.
    async fn handle_each(&self, decided: Vec<DecidedRequest>, change: &StatusChange) -> Vec<WriteAttempt> {
        join_all(decided.into_iter().map(|request| self.handle(request, change))).await
    }

    async fn handle(&self, mut request: DecidedRequest, change: &StatusChange) -> WriteAttempt {
        let identity = request.identities.for_handle(request.attempts.unknown).cloned();
        let result = match &identity {
            Some(identity) => self.calls.handle(identity, change, Some(request.page)).await,
            // Not reached, because a request is decided only if the list names it.
            None => Ok(WriteResult::NoSuchRequest),
        };
        if !matches!(&result, Err(error) if is_unsent(error)) {
            request.attempts.made += 1;
        }
        if let Err(error) = &result {
            request.attempts.stalled += stalls(error);
        }
        match &result {
            Ok(WriteResult::NoSuchRequest | WriteResult::NoSuchUser) => {
                request.note_unknown(matches!(identity, Some(Identity::RequestId(_))));
            }
            // The request exists, although the Hub did not know its id.
            Ok(WriteResult::Done) if request.attempts.unknown.request_id => {
                self.calls.stop_batching_by_request_id();
            }
            _ => {}
        }
        (request, result, Instant::now())
    }
}

impl DecidedRequest {
    /// Notes that the Hub did not know the request by its id, or by its user.
    fn note_unknown(&mut self, by_request_id: bool) {
        let unknown = &mut self.attempts.unknown;
        *if by_request_id { &mut unknown.request_id } else { &mut unknown.user } = true;
        self.attempts.has_one_identity = self.identities.has_one();
    }
}

/// The number of stalls that an error counts as. A response that is too large would be as large again, so no attempt follows.
fn stalls(error: &HubError) -> u8 {
    match error.problem {
        Problem::TooSlow => 1,
        Problem::TooLarge(_) => MAX_STALLS,
        _ => 0,
    }
}

/// Whether the Hub knows no such request, or no such user.
fn is_unknown(result: &WriteResult) -> bool {
    matches!(result, WriteResult::NoSuchRequest | WriteResult::NoSuchUser)
}

/// Whether the call was not sent. Then it does not count as an attempt.
fn is_unsent(error: &HubError) -> bool {
    let is_early = matches!(
        error.problem,
        Problem::Postponed | Problem::Stale | Problem::OutOfTime | Problem::RateLimited { .. }
    );
    is_early && !error.may_be_done
}

/// When the oldest page of these requests was requested.
fn oldest_page(decided: &[DecidedRequest], now: Moment) -> Option<Moment> {
    decided.iter().map(|request| request.page).max_by_key(|page| page.age_at(now))
}

/// The same error for each of these requests.
fn fail_each(mut decided: Vec<DecidedRequest>, error: &HubError) -> Vec<WriteAttempt> {
    let ended = Instant::now();
    for request in &mut decided {
        request.attempts.stalled += stalls(error);
    }
    decided.into_iter().map(|request| (request, Err(error.clone()), ended)).collect()
}
