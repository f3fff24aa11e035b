//! The recent writes of a process, across its runs. They are remembered because the Hub's lists lag behind writes.

use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::{MutexGuard, PoisonError};

use tokio::time::Instant;

use super::super::{LIST_LAG, RepoCalls};
use crate::model::Repo;

/// Hashes of requests that the Hub has confirmed as written. A page that is requested before the stored time may still list the
/// request.
#[derive(Debug, Default)]
pub(crate) struct RecentWrites {
    /// Makes the hashes. Hashes of another hasher cannot be compared with them.
    pub(crate) hasher: RandomState,
    pub(crate) requests: HashMap<u64, Instant>,
    /// Users whose request was written by user instead of by request id. Until the stored time, a page may list an older
    /// request of that user.
    pub(crate) users: HashMap<u64, Instant>,
    /// Requests that the Hub has not found. A page that is requested at the stored time or later shows whether they exist.
    pub(crate) not_found: HashMap<u64, Instant>,
}

impl RecentWrites {
    /// Drops the entries that cannot affect a page requested at `requested` or later.
    pub(crate) fn forget(&mut self, requested: Instant) {
        self.requests.retain(|_, until| *until > requested);
        self.users.retain(|_, until| *until > requested);
        self.not_found.retain(|_, until| *until > requested);
    }
}

impl<'a> RepoCalls<'a> {
    /// When the list shows the result of the last write in doubt to this repo, if there was one in this run or an earlier one.
    pub(crate) fn reads_from(&self) -> Option<Instant> {
        self.doubts().get(self.repo).map(|ended| *ended + LIST_LAG)
    }

    /// Takes the recent writes to this repo by earlier runs of this process.
    pub(crate) fn take_recent_writes(&self) -> RecentWrites {
        self.recent_writes().remove(self.repo).unwrap_or_default()
    }

    /// Keeps the writes of this run for the next run.
    pub(crate) fn keep_recent_writes(&self, recent: RecentWrites) {
        let (mut all, now) = (self.recent_writes(), Instant::now());
        all.insert(self.repo.clone(), recent);
        all.retain(|_, recent| {
            recent.forget(now);
            !(recent.requests.is_empty() && recent.not_found.is_empty())
        });
    }

    fn recent_writes(&self) -> MutexGuard<'a, HashMap<Repo, RecentWrites>> {
        self.calls.hub.recent_writes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn doubts(&self) -> MutexGuard<'a, HashMap<Repo, Instant>> {
        self.calls.hub.doubts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
