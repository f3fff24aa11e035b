//! Carrying verdicts out: in batches where the Hub takes them, one by one where it does not.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;

use super::{Answer, Handled, HubError, RepoCalls};
use crate::model::Identity;

/// Writes to one repo, and remembers what this Hub has turned out not to do.
#[derive(Debug)]
pub struct Writer<'a> {
    calls: &'a RepoCalls<'a>,
    /// Set when this Hub has turned out to have no `batch`.
    no_batch: AtomicBool,
    /// Set when this Hub's `batch` has turned out to know no request by its id.
    no_batch_by_request_id: AtomicBool,
}

/// How many of a batch that was refused are tried by themselves before the others are.
const PROBES: usize = 3;

impl<'a> Writer<'a> {
    /// Writes with these calls.
    #[must_use]
    pub fn new(calls: &'a RepoCalls<'a>) -> Self {
        Self { calls, no_batch: AtomicBool::new(false), no_batch_by_request_id: AtomicBool::new(false) }
    }

    /// Gives up to [`MAX_BATCH`](super::MAX_BATCH) requests the same new status, in one call, or one by one where the Hub does
    /// not take them as a batch. All of them are to be named in the same way. One result for each, in their order.
    pub async fn write(&self, identities: &[Identity], answer: &Answer) -> Vec<Result<Handled, HubError>> {
        let by_request_id = matches!(identities.first(), Some(Identity::RequestId(_)));
        let refused_before = self.no_batch.load(Ordering::Relaxed)
            || by_request_id && self.no_batch_by_request_id.load(Ordering::Relaxed);
        if identities.len() <= 1 || refused_before {
            return self.write_each(identities, answer, false).await;
        }
        let error = match self.calls.batch(identities, answer, None).await {
            Ok(handled) => return handled.into_iter().map(Ok).collect(),
            Err(error) if !error.is_batch_refused() => return fail_each(identities, &error),
            Err(error) => error,
        };
        // One request in it may be what the Hub objects to, or what all of them have in common, such as the reason. Which
        // ones are to tell is drawn anew in every run, so that a few that are always refused keep nobody out for ever.
        let middle = fastrand::usize(..identities.len());
        let mut in_turn = identities.to_vec();
        in_turn.rotate_left(middle);
        let (probes, others) = in_turn.split_at(PROBES.min(in_turn.len()));
        let mut written = self.write_each(probes, answer, error.may_be_done).await;
        if written.iter().all(Result::is_err) {
            written.extend(fail_each(others, &error));
        } else {
            self.no_batch.fetch_or(error.is_batch_unknown(), Ordering::Relaxed);
            self.no_batch_by_request_id.fetch_or(by_request_id, Ordering::Relaxed);
            written.extend(self.write_each(others, answer, error.may_be_done).await);
        }
        written.rotate_right(middle);
        written
    }

    /// Writes them one by one. If they `may_be_done` already, by a batch whose answer was lost, that is what becomes of those
    /// who are found to be, and nobody is taken for failed.
    async fn write_each(
        &self,
        identities: &[Identity],
        answer: &Answer,
        may_be_done: bool,
    ) -> Vec<Result<Handled, HubError>> {
        let write = async |identity| match self.calls.handle(identity, answer, None).await {
            Ok(Handled::Gone) if may_be_done => Ok(Handled::Done),
            Err(error) => Err(HubError { may_be_done: error.may_be_done || may_be_done, ..error }),
            written => written,
        };
        join_all(identities.iter().map(write)).await
    }
}

fn fail_each(identities: &[Identity], error: &HubError) -> Vec<Result<Handled, HubError>> {
    identities.iter().map(|_| Err(error.clone())).collect()
}
