//! Writing what a person has decided on the command line: in batches if the Hub accepts them, else one by one.
//!
//! The person waits for the result, so failed writes are retried. A review writes decisions that depend on the age of a page,
//! so it attempts each write once and has its own rules, in `src/review/apply.rs`.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;

use super::super::{HubError, RepoCalls};
use super::{StatusChange, WriteResult};
use crate::model::Identity;

/// Writes what a person has decided about one repo, and remembers which kinds of batches this Hub refuses.
#[derive(Debug)]
pub struct BatchWriter<'a> {
    calls: &'a RepoCalls<'a>,
    /// Set when this Hub has no `batch`.
    no_batch: AtomicBool,
}

/// How many requests of a batch that was refused or has failed too often are written one by one before the others are.
pub(crate) const SAMPLE_SIZE: usize = 3;

impl<'a> BatchWriter<'a> {
    /// A writer that makes these calls.
    #[must_use]
    pub fn new(calls: &'a RepoCalls<'a>) -> Self {
        Self { calls, no_batch: AtomicBool::new(false) }
    }

    /// Gives up to [`MAX_BATCH`](super::super::MAX_BATCH) requests the same new status: in one call, or one by one if the Hub
    /// refuses them as a batch. All `identities` have to be of the same kind. The results are in their order.
    pub async fn write(
        &self,
        identities: &[Identity],
        change: &StatusChange,
    ) -> Vec<Result<WriteResult, HubError>> {
        let by_request_id = matches!(identities.first(), Some(Identity::RequestId(_)));
        let refused_before =
            self.no_batch.load(Ordering::Relaxed) || by_request_id && !self.calls.may_batch_by_request_id();
        if identities.len() <= 1 || refused_before {
            return self.write_each(identities, change, false).await;
        }
        let error = match self.calls.batch(identities, change, None).await {
            Ok(results) => return results.into_iter().map(Ok).collect(),
            Err(error) if !error.is_batch_refused() => return fail_each(identities, &error),
            Err(error) => error,
        };
        // The Hub may object to one request, or to something that all of them share, such as the reason. A sample shows which.
        // It is random, so that a few requests that are always refused do not block the others forever.
        let middle = fastrand::usize(..identities.len());
        let mut rotated = identities.to_vec();
        rotated.rotate_left(middle);
        let (sample, others) = rotated.split_at(SAMPLE_SIZE.min(rotated.len()));
        let mut written = self.write_each(sample, change, error.may_be_done).await;
        if written.iter().all(Result::is_err) {
            written.extend(fail_each(others, &error));
        } else {
            self.no_batch.fetch_or(error.is_batch_unknown(), Ordering::Relaxed);
            if by_request_id {
                self.calls.stop_batching_by_request_id();
            }
            written.extend(self.write_each(others, change, error.may_be_done).await);
        }
        written.rotate_right(middle);
        written
    }

    /// Writes each request by a call of its own. `may_be_done` says that a batch may have been carried out although its
    /// response was lost. Then a request that the Hub does not find any more is done, and a failed one may be done.
    async fn write_each(
        &self,
        identities: &[Identity],
        change: &StatusChange,
        may_be_done: bool,
    ) -> Vec<Result<WriteResult, HubError>> {
        let write = async |identity| match self.calls.handle(identity, change, None).await {
            Ok(WriteResult::NoSuchRequest) if may_be_done => Ok(WriteResult::Done),
            Err(error) => Err(HubError { may_be_done: error.may_be_done || may_be_done, ..error }),
            written => written,
        };
        join_all(identities.iter().map(write)).await
    }
}

fn fail_each(identities: &[Identity], error: &HubError) -> Vec<Result<WriteResult, HubError>> {
    identities.iter().map(|_| Err(error.clone())).collect()
}
