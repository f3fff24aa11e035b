//! Those who are decided and not yet written, in groups that one call can write.

use std::collections::VecDeque;
use std::mem::{Discriminant, discriminant};

use chrono::{DateTime, Utc};

use crate::hub::{Answer, MAX_BATCH};
use crate::model::{Decision, Identity};

/// A decision that is to be written.
pub(super) struct Decided {
    pub(super) identity: Identity,
    /// What the review knows the user by.
    pub(super) hash: u64,
    pub(super) who: Option<Identity>,
    pub(super) requested_at: Option<DateTime<Utc>>,
    pub(super) decision: Decision,
}

/// What is written in one call: up to [`MAX_BATCH`] requests that get the same verdict with the same reason.
pub(super) struct Group {
    pub(super) answer: Answer,
    pub(super) decided: Vec<Decided>,
}

/// The decisions that wait for a call, first come, first served. A group is put together when a call can be made, and not
/// before: what was decided meanwhile goes with it, so that few calls go out with less than they could carry.
#[derive(Default)]
pub(super) struct Queue {
    kinds: Vec<Kind>,
    arrivals: u64,
}

/// All that one call could write, if it could carry as many. They are named the same way as well, so that a batch that is
/// refused for one way of naming holds up no other.
struct Kind {
    answer: Answer,
    named: Discriminant<Identity>,
    waiting: VecDeque<(u64, Decided)>,
}

impl Queue {
    pub(super) fn push(&mut self, decided: Decided) {
        let Decision { verdict, reason, .. } = &decided.decision;
        let named = discriminant(&decided.identity);
        let known = self.kinds.iter().position(|Kind { answer, named: as_well, .. }| {
            answer.verdict == *verdict && answer.reason == *reason && *as_well == named
        });
        let place = known.unwrap_or_else(|| {
            let answer = Answer { verdict: *verdict, reason: reason.clone() };
            self.kinds.push(Kind { answer, named, waiting: VecDeque::new() });
            self.kinds.len() - 1
        });
        self.kinds[place].waiting.push_back((self.arrivals, decided));
        self.arrivals += 1;
    }

    /// Takes out the decision about one user, if it is still here.
    pub(super) fn withdraw(&mut self, hash: u64) -> Option<Decided> {
        let place = |kind: &Kind| kind.waiting.iter().position(|(_, decided)| decided.hash == hash);
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
        let ready = kinds.filter(|(_, kind)| !full || kind.waiting.len() >= MAX_BATCH);
        let (place, kind) =
            ready.min_by_key(|(_, kind)| kind.waiting.front().map(|(arrival, _)| *arrival))?;
        let size = kind.waiting.len().min(MAX_BATCH);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Grounds, Verdict};

    fn decided(name: &str, verdict: Verdict, reason: Option<&str>, by_id: bool) -> Decided {
        let identity = if by_id { Identity::UserId } else { Identity::RequestId }(name.to_owned());
        let decision = Decision { verdict, reason: reason.map(Into::into), grounds: Grounds::NoRule };
        let who = Some(Identity::UserName(name.to_owned()));
        Decided { identity, hash: 0, who, requested_at: None, decision }
    }

    fn names(group: Option<Group>) -> Vec<String> {
        let decided = group.expect("a group").decided;
        decided.iter().map(|one| one.identity.as_str().to_owned()).collect()
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
