//! Decisions that are to be written, in groups that one call can write.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};

use super::ledger::{Attempts, Key};
use crate::hub::{Answer, MAX_BATCH, Moment};
use crate::model::{AccessRequest, Decision, Identity};

/// A decision that is to be written.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) key: Key,
    pub(super) identities: Identities,
    /// Whether a write names the user rather than the request, so that it could hit another request of the same user.
    pub(super) by_user: bool,
    pub(super) who: Option<Identity>,
    pub(super) requested_at: Option<DateTime<Utc>>,
    pub(super) decision: Decision,
    pub(super) attempts: Attempts,
    /// When the page was requested that the decision was made from.
    pub(super) page: Moment,
}

/// The identities by which a write may name a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identities {
    pub(super) request_id: Option<Identity>,
    /// The id of the user, else the user's name.
    pub(super) user: Option<Identity>,
}

/// The identities of a request that the Hub did not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tried {
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
    pub(super) fn for_handle(&self, tried: Tried) -> Option<&Identity> {
        let by_user = self.user.as_ref().filter(|_| !tried.user);
        by_user.or(self.request_id.as_ref().filter(|_| !tried.request_id)).or(self.user.as_ref())
    }

    pub(super) fn has_one(&self) -> bool {
        self.request_id.is_none() || self.user.is_none()
    }
}

/// The decisions that one call writes: up to [`MAX_BATCH`] requests that get the same verdict with the same reason.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) answer: Answer,
    pub(super) decided: Vec<Decided>,
}

/// After this many such failures, the requests of a batch are written one by one.
pub(super) const MAX_FAILED_BATCHES: u8 = 3;

/// The decisions that wait for a call, first come, first served. A group is put together when a call can be made, and not
/// before: what was decided meanwhile goes with it, so that few calls go out with less than they could carry.
#[derive(Debug, Default)]
pub(super) struct Queue {
    kinds: Vec<Kind>,
    arrivals: u64,
}

/// All decisions that one call could write, if it could carry so many. Requests that have different identities are kept apart.
/// So if a batch is refused because of the identities in it, it holds up no other.
#[derive(Debug)]
struct Kind {
    answer: Answer,
    named: (bool, bool),
    /// Whether the Hub did not know an identity of these requests. Then they are written one by one.
    is_single: bool,
    /// Whether batches of these requests have failed so often that they are written one by one.
    is_written_alone: bool,
    waiting: VecDeque<(u64, Decided)>,
}

impl Queue {
    pub(super) fn push(&mut self, decided: Decided) {
        let Decision { verdict, reason, .. } = &decided.decision;
        let named = (decided.identities.request_id.is_some(), decided.identities.user.is_some());
        let is_single = decided.attempts.tried != Tried::default();
        let is_written_alone = decided.attempts.failed_batches >= MAX_FAILED_BATCHES;
        let known = self.kinds.iter().position(|kind| {
            kind.answer.status == verdict.status()
                && kind.answer.reason == *reason
                && (kind.named, kind.is_single, kind.is_written_alone) == (named, is_single, is_written_alone)
        });
        let place = known.unwrap_or_else(|| {
            let answer = Answer { status: verdict.status(), reason: reason.clone() };
            self.kinds.push(Kind { answer, named, is_single, is_written_alone, waiting: VecDeque::new() });
            self.kinds.len() - 1
        });
        self.kinds[place].waiting.push_back((self.arrivals, decided));
        self.arrivals += 1;
    }

    /// Takes out the decision about one request, if it is still here.
    pub(super) fn withdraw(&mut self, key: Key) -> Option<Decided> {
        let place = |kind: &Kind| kind.waiting.iter().position(|(_, decided)| decided.key == key);
        let (kind, place) = self.kinds.iter().enumerate().find_map(|(at, kind)| Some((at, place(kind)?)))?;
        let (_, withdrawn) = self.kinds[kind].waiting.remove(place)?;
        if self.kinds[kind].waiting.is_empty() {
            self.kinds.swap_remove(kind);
        }
        Some(withdrawn)
    }

    /// Takes out a group with the one who has waited longest, among the full groups if it has to be full.
    pub(super) fn take(&mut self, full: bool) -> Option<Group> {
        let kinds = self.kinds.iter_mut().enumerate();
        let ready = kinds.filter(|(_, kind)| !full || kind.waiting.len() >= kind.size());
        let (place, kind) =
            ready.min_by_key(|(_, kind)| kind.waiting.front().map(|(arrival, _)| *arrival))?;
        let size = kind.waiting.len().min(kind.size());
        let decided = kind.waiting.drain(..size).map(|(_, decided)| decided).collect();
        let answer = kind.answer.clone();
        if kind.waiting.is_empty() {
            self.kinds.swap_remove(place);
        }
        Some(Group { answer, decided })
    }

    pub(super) fn len(&self) -> usize {
        self.kinds.iter().map(|kind| kind.waiting.len()).sum()
    }
}

impl Kind {
    fn size(&self) -> usize {
        if self.is_single { 1 } else { MAX_BATCH }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Grounds, User, Verdict};
    use crate::review::ledger::Ledger;

    fn decided(name: &str, verdict: Verdict, reason: Option<&str>, by_id: bool) -> Decided {
        let request = AccessRequest {
            request_id: (!by_id).then(|| name.to_owned()),
            user: User { id: by_id.then(|| name.to_owned()), ..User::default() },
            ..AccessRequest::default()
        };
        let decision = Decision { verdict, reason: reason.map(Into::into), grounds: Grounds::NoRule };
        let who = Some(Identity::UserName(name.to_owned()));
        let key = Ledger::default().key(&request).expect("a name");
        let (identities, attempts, page) =
            (Identities::of(&request), Attempts::default(), Moment::now(std::time::SystemTime::now()));
        Decided { key, identities, by_user: false, who, requested_at: None, decision, attempts, page }
    }

    fn names(group: Option<Group>) -> Vec<String> {
        let decided = group.expect("a group").decided;
        decided.iter().filter_map(|one| Some(one.who.as_ref()?.as_str().to_owned())).collect()
    }

    #[test]
    fn what_one_call_can_write_is_taken_together_and_who_came_first_goes_first() {
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
    fn no_group_is_larger_than_a_batch_and_a_full_one_need_not_wait() {
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
