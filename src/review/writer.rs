//! Carrying decisions out: in batches where the Hub takes them, one by one where it does not.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;

use super::queue::{Decided, Group};
use crate::hub::{Answer, Handled, HubError, MAX_BATCH, RepoCalls};
use crate::model::Identity;

/// What became of each decision of a group.
pub(super) type Written = Vec<(Decided, Result<Handled, HubError>)>;

/// Writes to one repo, and remembers what this Hub has turned out not to do.
pub(super) struct Writer<'a> {
    calls: &'a RepoCalls<'a>,
    /// Set when this Hub has turned out to have no `batch`.
    no_batch: AtomicBool,
    /// Set when this Hub's `batch` has turned out to know no request by its id.
    no_batch_by_request_id: AtomicBool,
}

/// How many of a batch that was refused are tried by themselves before the others are.
const PROBES: usize = 3;

impl<'a> Writer<'a> {
    pub(super) fn new(calls: &'a RepoCalls<'a>) -> Self {
        Self { calls, no_batch: AtomicBool::new(false), no_batch_by_request_id: AtomicBool::new(false) }
    }

    /// Writes a group in one call, or one by one where the Hub does not take it as a batch.
    pub(super) async fn write(&self, group: Group) -> Written {
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
