//! A decided request: the decision that has to be written, and the attempts to write it.

use chrono::{DateTime, Utc};

use crate::hub::Moment;
use crate::model::{AccessRequest, Decision, Identity};
use crate::plan::Choice;

/// The most write attempts for one request in a run, across all readings of the list.
pub(super) const MAX_ATTEMPTS: u8 = 8;

/// The most of these attempts that may time out. Each takes seconds.
pub(super) const MAX_STALLS: u8 = 3;

/// A decision that is to be written.
#[derive(Debug)]
pub(super) struct DecidedRequest {
    pub(super) key: Key,
    pub(super) identities: Identities,
    /// Whether a write names the user instead of the request, so that it could change another request of the same user.
    pub(super) by_user: bool,
    pub(super) who: Option<Identity>,
    pub(super) requested_at: Option<DateTime<Utc>>,
    pub(super) decision: Decision,
    /// If a person has decided instead of the policy: the choice, which the person may withdraw.
    pub(super) choice: Option<Choice>,
    pub(super) attempts: Attempts,
    /// When the page of this request was requested.
    pub(super) page: Moment,
}

/// The identities by which a write may name a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identities {
    pub(super) request_id: Option<Identity>,
    /// The id of the user; without an id, the name.
    pub(super) user: Option<Identity>,
}

/// The identities of a request that the Hub did not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct UnknownIdentities {
    pub(super) request_id: bool,
    pub(super) user: bool,
    /// A batch did not know the only identity of the request. `handle` may know it.
    pub(super) batch: bool,
}

impl Identities {
    pub(super) fn of(request: &AccessRequest) -> Self {
        let AccessRequest { request_id, user, .. } = request;
        let by_id = user.id.clone().map(Identity::UserId);
        Self {
            request_id: request_id.clone().map(Identity::RequestId),
            user: by_id.or_else(|| user.name.clone().map(Identity::UserName)),
        }
    }

    /// The identity to use with `handle`. The user goes first, because `requestId` is new there. An identity that the Hub did
    /// not know is used again only if there is no other.
    pub(super) fn for_handle(&self, unknown: UnknownIdentities) -> Option<&Identity> {
        let by_user = self.user.as_ref().filter(|_| !unknown.user);
        by_user.or(self.request_id.as_ref().filter(|_| !unknown.request_id)).or(self.user.as_ref())
    }

    /// Whether one of the two is missing.
    pub(super) fn has_one(&self) -> bool {
        self.request_id.is_none() || self.user.is_none()
    }
}

/// Hashes of a request and of its user. Two entries are the same request if they have the same `requestId` and timestamp.
/// Without a `requestId`, they need the same user and timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) request: u64,
    pub(super) user: Option<u64>,
}

/// The write attempts for a request so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Attempts {
    pub(super) made: u8,
    /// The number of attempts that timed out.
    pub(super) stalled: u8,
    /// The number of batches with this request whose failure a request in the batch may have caused.
    pub(super) failed_batches: u8,
    pub(super) unknown: UnknownIdentities,
    /// Whether the request has only one identity.
    pub(super) has_one_identity: bool,
}
