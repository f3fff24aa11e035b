//! The Hub's API, as far as this project needs it. `read` and `write` are for access requests, `account` is for the owner of the
//! token.
//!
//! Wire formats stay in this module. Reading is tolerant: a key may be unknown, missing, or of another type. Writing is exact.

mod account;
mod call;
mod commits;
mod error;
mod files;
mod limit;
mod link;
mod moment;
mod parameters;
mod read;
mod transport;
mod wire;
mod write;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Url;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

pub use account::{
    Account, Form, GatingGroup, GatingMode, GroupSearchResult, NotificationMode, Notifications, Question,
    RepoInfo, Watched, Webhook, WebhookState, WhoAmI,
};
use call::Calls;
pub use commits::{Commits, Head, NewFile, UploadMode};
pub use error::{HubError, Problem};
pub use files::{File, FileRead, Files, is_commit};
pub use limit::LimitStatus;
use limit::{Bucket, Budget};
pub(crate) use link::first_page_from;
pub use moment::{LIST_LAG, MAX_PAGE_AGE, Moment};
pub use read::{ListEntry, ListPage, Page, RepoSearchResult};
pub use transport::{Connections, Transport};
pub use write::{BatchWriter, StatusChange, WriteResult};
pub(crate) use write::{RecentWrites, SAMPLE_SIZE};

use crate::model::Repo;
use crate::secrets::Keyring;

/// The most requests that the Hub accepts in one batch.
pub const MAX_BATCH: usize = 100;

/// The most entries that the Hub puts into one page.
pub const MAX_PAGE: usize = 1000;

/// The Hub, as one token sees it. A process has one `Hub`, so that all its calls share the connections, the limit on calls in
/// flight, and the knowledge of the Hub's rate limit.
#[derive(Debug)]
pub struct Hub {
    transport: Box<dyn Transport>,
    endpoint: Url,
    keyring: Arc<Keyring>,
    concurrency: usize,
    /// One permit for each call in flight, first come, first served.
    call_permits: Semaphore,
    /// One permit for each page in memory, first come, first served. A review acquires one for each page, so every repo gets its
    /// first page before any repo gets its second. There are as many as call permits, which bounds the memory of pages.
    page_permits: Semaphore,
    /// The remaining calls of the rate limit, for each [`Bucket`] in the order of [`Bucket::ALL`].
    budgets: [Budget; 3],
    /// Until when no call of a kind is made, for each kind that a limit other than the rate limit has refused.
    pauses: Mutex<HashMap<String, Instant>>,
    /// When the last write in doubt to each repo ended. Entries are dropped after [`LIST_LAG`].
    doubts: Mutex<HashMap<Repo, Instant>>,
    /// The recent writes to each repo. Entries are dropped after [`LIST_LAG`].
    recent_writes: Mutex<HashMap<Repo, RecentWrites>>,
    /// Set when the Hub's `batch` has not accepted `requestId`. It is unknown whether the real Hub accepts it.
    no_batch_by_request_id: AtomicBool,
}

/// Permission to hold one page of a list in memory, until the permit is dropped.
pub type PagePermit<'a> = SemaphorePermit<'a>;

impl Hub {
    /// The Hub at `endpoint`, reached by `transport`, with at most `concurrency` calls in flight. No call is made yet.
    pub fn new(
        transport: impl Transport + 'static,
        endpoint: Url,
        keyring: Arc<Keyring>,
        concurrency: usize,
    ) -> Self {
        Self {
            transport: Box::new(transport),
            endpoint,
            keyring,
            concurrency,
            call_permits: Semaphore::new(concurrency),
            page_permits: Semaphore::new(concurrency),
            budgets: Bucket::ALL.map(Budget::new),
            pauses: Mutex::default(),
            doubts: Mutex::default(),
            recent_writes: Mutex::default(),
            no_batch_by_request_id: AtomicBool::new(false),
        }
    }

    /// The URL of the Hub.
    pub fn endpoint(&self) -> &Url {
        &self.endpoint
    }

    /// The most calls in flight.
    pub fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// The current time, by both clocks.
    pub fn now(&self) -> Moment {
        Moment::now(self.transport.wall_clock())
    }

    /// The current time, by the wall clock.
    pub fn time(&self) -> DateTime<Utc> {
        self.transport.wall_clock().into()
    }

    /// The state of the rate limit of `/api/` calls, as the responses have shown it. `refused` counts the refused calls of all buckets since the last call of
    /// this function.
    pub fn take_limit_status(&self) -> LimitStatus {
        let mut limits = self.budgets.iter().map(Budget::take_status);
        let api = limits.next().unwrap_or_default();
        LimitStatus { refused: limits.fold(api.refused, |refused, other| refused + other.refused), ..api }
    }

    /// How many `/api/` calls the Hub allows in a window of the rate limit, and how long the window is, if a response has said so.
    pub fn quota(&self) -> Option<(u32, Duration)> {
        self.budgets.first().and_then(Budget::quota)
    }

    /// How long the next call has to wait for the rate limit, in the bucket with the longest wait. `None` if no call has to wait.
    pub fn wait(&self) -> Option<Duration> {
        self.budgets.iter().filter_map(Budget::wait).max()
    }

    /// The calls of one review of `repo`. They are counted, and none lasts beyond `deadline`.
    pub fn repo<'a>(&'a self, repo: &'a Repo, deadline: Instant) -> RepoCalls<'a> {
        RepoCalls { calls: Calls::new(self, deadline), repo }
    }

    /// Whether a batch may name requests by their ids, as far as this process knows.
    pub(crate) fn may_batch_by_request_id(&self) -> bool {
        !self.no_batch_by_request_id.load(Ordering::Relaxed)
    }

    /// When writes may be sent again, if the Hub has refused a write although the rate limit left calls.
    pub fn writes_from(&self) -> Option<Instant> {
        self.pauses().iter().filter(|(kind, _)| kind.starts_with("POST")).map(|(_, until)| *until).max()
    }

    fn pauses(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.pauses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The calls about one repo.
#[derive(Debug)]
pub struct RepoCalls<'a> {
    calls: Calls<'a>,
    repo: &'a Repo,
}

impl RepoCalls<'_> {
    /// The number of HTTP calls made so far, counting every attempt.
    pub fn count(&self) -> u32 {
        self.calls.count()
    }

    pub(crate) fn now(&self) -> Moment {
        self.calls.hub.now()
    }

    /// Stops all further calls about this repo if the error would apply to each of them. Returns the error.
    fn stop_if_final(&self, error: HubError) -> HubError {
        if error.is_about_the_repo() {
            self.calls.stop(&error);
        }
        error
    }

    fn path(&self, rest: &str) -> String {
        let Self { repo, .. } = self;
        format!("/api/{}s/{}/user-access-request/{rest}", repo.repo_type().as_str(), repo.name())
    }
}
