//! The queue: decisions that are to be written, in groups that one call can write.

use std::collections::VecDeque;

use super::decided::{DecidedRequest, Key, UnknownIdentities};
use crate::hub::{MAX_BATCH, StatusChange};
use crate::model::Decision;

/// The decisions that one call writes: up to [`MAX_BATCH`] requests that get the same verdict with the same reason.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) change: StatusChange,
    pub(super) way: Way,
    pub(super) decided: Vec<DecidedRequest>,
}

/// After this many failures that a request in the batch may have caused, the requests of a batch are written one by one.
const MAX_FAILED_BATCHES: u8 = 3;

/// The decisions that wait for a call, first come, first served. A group is put together only when a call can be made. So it
/// includes the decisions made meanwhile, and most calls are full.
#[derive(Debug, Default)]
pub(super) struct Queue {
    kinds: Vec<WaitingKind>,
    arrivals: u64,
}

/// The properties that the decisions of a group have in common. Requests with different identities are kept apart. So if a batch is refused
/// because of the identities in it, no other batch is affected.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kind {
    change: StatusChange,
    has_request_id: bool,
    has_user: bool,
    way: Way,
}

/// How the requests of a group may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// In one batch.
    Batch,
    /// One by one, because batches of these requests have failed too often.
    OneByOne,
    /// Each in a group of its own and by `handle`, because the Hub did not know an identity of these requests.
    Alone,
}

/// The waiting decisions of a kind, each with its number in the order of arrival.
#[derive(Debug)]
struct WaitingKind {
    kind: Kind,
    waiting: VecDeque<(u64, DecidedRequest)>,
}

impl Queue {
    pub(super) fn push(&mut self, decided: DecidedRequest) {
        let kind = Kind::of(&decided);
        let known = self.kinds.iter().position(|waiting| waiting.kind == kind);
        let place = known.unwrap_or_else(|| {
            self.kinds.push(WaitingKind { kind, waiting: VecDeque::new() });
            self.kinds.len() - 1
        });
        self.kinds[place].waiting.push_back((self.arrivals, decided));
        self.arrivals += 1;
    }

    /// Removes the decision about one request, if it is still queued.
    pub(super) fn withdraw(&mut self, key: Key) -> Option<DecidedRequest> {
        let place = |kind: &WaitingKind| kind.waiting.iter().position(|(_, decided)| decided.key == key);
        let (kind, place) = self.kinds.iter().enumerate().find_map(|(at, kind)| Some((at, place(kind)?)))?;
        let (_, withdrawn) = self.kinds[kind].waiting.remove(place)?;
        if self.kinds[kind].waiting.is_empty() {
            self.kinds.swap_remove(kind);
        }
        Some(withdrawn)
    }

    /// Takes the group with the decision that has waited longest. If `full`, only full groups are considered.
    pub(super) fn take(&mut self, full: bool) -> Option<Group> {
        let kinds = self.kinds.iter_mut().enumerate();
        let ready = kinds.filter(|(_, of_kind)| !full || of_kind.waiting.len() >= of_kind.kind.size());
        let (place, WaitingKind { kind, waiting }) =
            ready.min_by_key(|(_, of_kind)| of_kind.waiting.front().map(|(arrival, _)| *arrival))?;
        let size = waiting.len().min(kind.size());
        let decided = waiting.drain(..size).map(|(_, decided)| decided).collect();
        let (change, way) = (kind.change.clone(), kind.way);
        if waiting.is_empty() {
            self.kinds.swap_remove(place);
        }
        Some(Group { change, way, decided })
    }

    pub(super) fn len(&self) -> usize {
        self.kinds.iter().map(|kind| kind.waiting.len()).sum()
    }
}

impl Kind {
    fn of(decided: &DecidedRequest) -> Self {
        let DecidedRequest { identities, attempts, decision: Decision { verdict, reason, .. }, .. } = decided;
        let way = if attempts.unknown != UnknownIdentities::default() {
            Way::Alone
        } else if attempts.failed_batches >= MAX_FAILED_BATCHES {
            Way::OneByOne
        } else {
            Way::Batch
        };
        Self {
            change: StatusChange { status: verdict.status(), reason: reason.clone() },
            has_request_id: identities.request_id.is_some(),
            has_user: identities.user.is_some(),
            way,
        }
    }

    /// The most requests of a group.
    fn size(&self) -> usize {
        if self.way == Way::Alone { 1 } else { MAX_BATCH }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::Moment;
    use crate::model::{AccessRequest, Grounds, Identity, User, Verdict};
    use crate::review::decided::{Attempts, Identities};
    use crate::review::ledger::Ledger;

    fn decided(name: &str, verdict: Verdict, reason: Option<&str>, by_id: bool) -> DecidedRequest {
        let request = AccessRequest {
            request_id: (!by_id).then(|| name.to_owned()),
            user: User { id: by_id.then(|| name.to_owned()), ..User::default() },
            ..AccessRequest::default()
        };
        let decision = Decision { reason: reason.map(Into::into), ..Decision::new(verdict, Grounds::NoRule) };
        let who = Some(Identity::UserName(name.to_owned()));
        let key = Ledger::default().key(&request).expect("a name");
        let (identities, attempts, page) =
            (Identities::of(&request), Attempts::default(), Moment::now(std::time::SystemTime::now()));
        DecidedRequest {
            key,
            identities,
            by_user: false,
            who,
            requested_at: None,
            decision,
            choice: None,
            attempts,
            page,
        }
    }

    fn names(group: Option<Group>) -> Vec<String> {
        let decided = group.expect("a group").decided;
        decided.iter().filter_map(|request| Some(request.who.as_ref()?.as_str().to_owned())).collect()
    }

    #[test]
    fn group_has_one_kind_and_the_oldest_goes_first() {
        let mut queue = Queue::default();
        queue.push(decided("a", Verdict::Reject, Some("x"), true));
        queue.push(decided("b", Verdict::Accept, None, true));
        queue.push(decided("c", Verdict::Reject, Some("y"), true));
        queue.push(decided("d", Verdict::Reject, Some("x"), false));
        queue.push(decided("e", Verdict::Reject, Some("x"), true));
        queue.push(decided("f", Verdict::Accept, None, true));
        assert_eq!(queue.len(), 6);
        assert!(queue.take(true).is_none());
        for expected in [&["a", "e"][..], &["b", "f"], &["c"], &["d"]] {
            assert_eq!(names(queue.take(false)), expected);
        }
        assert!(queue.take(false).is_none() && queue.len() == 0);
    }

    #[test]
    fn group_is_no_larger_than_a_batch() {
        let mut queue = Queue::default();
        queue.push(decided("first", Verdict::Reset, None, true));
        (0..250).for_each(|_| queue.push(decided("many", Verdict::Accept, None, true)));
        assert_eq!(names(queue.take(true)).len(), 100);
        assert_eq!(names(queue.take(false)), ["first"]);
        assert_eq!(names(queue.take(false)).len(), 100);
        assert!(queue.take(true).is_none());
        assert_eq!(names(queue.take(false)).len(), 50);
    }
}
