//! Writing: a new status for one request or a batch of requests, or access for a user without a request.

mod batches;
mod body;
mod recent;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;
use tokio::time::Instant;

pub use batches::BatchWriter;
pub(crate) use batches::SAMPLE_SIZE;
pub(crate) use recent::RecentWrites;

use super::call::CallOptions;
use super::{HubError, LIST_LAG, MAX_BATCH, Moment, RepoCalls};
use crate::model::{Identity, Status};

/// The most bytes of the response to a write. It is ten times the response to a batch in which every request failed.
const MAX_RESULT_BYTES: usize = 128 * 1024;

/// The new status of an access request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusChange {
    /// The new status.
    pub status: Status,
    /// The reason that the user is shown, with at most 200 characters.
    pub reason: Option<Arc<str>>,
}

/// The Hub's result for one request of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteResult {
    /// The request has the new status.
    Done,
    /// The request already had that status, or it no longer exists.
    NoSuchRequest,
    /// The user no longer exists.
    NoSuchUser,
    /// The Hub refused the change. The text is its reason.
    Failed(String),
}

impl RepoCalls<'_> {
    /// Gives one request a new status.
    ///
    /// If the decision was made from a page, `page` is when that page was requested. Then the write is attempted once, and only
    /// while the page is at most [`MAX_PAGE_AGE`](super::MAX_PAGE_AGE) old. Without `page`, a person has decided, and a failed
    /// write is retried. If a retry then finds the request in the new status, the result is [`WriteResult::Done`].
    pub async fn handle(
        &self,
        identity: &Identity,
        change: &StatusChange,
        page: Option<Moment>,
    ) -> Result<WriteResult, HubError> {
        let body = body::Handle { identity: identity.into(), change: change.into() };
        match self.post("handle", &body, page, body::read_empty).await {
            Ok(()) => Ok(WriteResult::Done),
            Err(error) if error.is_no_such_user() => Ok(WriteResult::NoSuchUser),
            Err(error) if error.is_no_such_request() && error.may_be_done => Ok(WriteResult::Done),
            Err(error) if error.is_no_such_request() => Ok(WriteResult::NoSuchRequest),
            Err(error) => Err(self.stop_if_final(error)),
        }
    }

    /// Gives up to [`MAX_BATCH`] requests the same new status. The results are in the order of `identities`. `page` is as in
    /// [`RepoCalls::handle`].
    pub async fn batch(
        &self,
        identities: &[Identity],
        change: &StatusChange,
        page: Option<Moment>,
    ) -> Result<Vec<WriteResult>, HubError> {
        debug_assert!(identities.len() <= MAX_BATCH);
        let requests = identities.iter().map(Into::into).collect();
        let body = body::Batch { change: change.into(), requests };
        let secrets = self.calls.hub.keyring.secrets();
        let read = |response: &[u8]| body::read_batch(response, identities, &secrets);
        self.post("batch", &body, page, read).await.map_err(|error| self.stop_if_final(error))
    }

    /// Gives a user access without a request. If the user already has access, the result is [`WriteResult::NoSuchRequest`].
    pub async fn grant(&self, user: &Identity) -> Result<WriteResult, HubError> {
        let named: body::RequestName = user.into();
        match self.post("grant", &named, None, body::read_empty).await {
            Ok(()) => Ok(WriteResult::Done),
            Err(error) if error.is_no_such_user() => Ok(WriteResult::NoSuchUser),
            Err(error) if error.has_access_already() && error.may_be_done => Ok(WriteResult::Done),
            Err(error) if error.has_access_already() => Ok(WriteResult::NoSuchRequest),
            Err(error) => Err(self.stop_if_final(error)),
        }
    }

    /// Whether a batch may name requests by their ids, as far as this process knows.
    pub(crate) fn may_batch_by_request_id(&self) -> bool {
        self.calls.hub.may_batch_by_request_id()
    }

    /// Makes all further batches of this process name requests by user instead of by id.
    pub(crate) fn stop_batching_by_request_id(&self) {
        self.calls.hub.no_batch_by_request_id.store(true, Ordering::Relaxed);
    }

    async fn post<T>(
        &self,
        rest: &str,
        body: &impl Serialize,
        page: Option<Moment>,
        read: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, HubError> {
        let options = CallOptions { page, max_bytes: MAX_RESULT_BYTES, ..CallOptions::default() };
        let posted = self.calls.post(&self.path(rest), body, &options, read).await;
        if posted.as_ref().is_err_and(HubError::leaves_in_doubt) {
            let (mut doubts, now) = (self.doubts(), Instant::now());
            doubts.retain(|_, ended| *ended + LIST_LAG > now);
            doubts.insert(self.repo.clone(), now);
        }
        posted
    }
}
