//! The Hub's API, as far as deciding access requests needs it: pages of pending requests, `handle` and `batch`, and which
//! repos of a namespace are gated; and what an owner asks for besides.
//!
//! Wire formats stay in here. Reading is tolerant (unknown keys, missing keys, values of another type), writing exact.

mod account;
mod budget;
mod calls;
mod error;
mod groups;
mod link;
mod listing;
mod moment;
mod people;
mod told;
mod transport;
mod wire;
mod writer;

use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::Url;
use serde::Serialize;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

pub use account::{Account, Form, Gating, Question, RepoInfo, Watched, Webhook, WebhookState, WhoAmI};
use budget::Budget;
pub use budget::Limit;
use calls::{Calls, Manner, Paged};
pub use error::{HubError, Problem};
pub use groups::{GatingGroup, GroupListing};
pub(crate) use link::list_from;
pub use listing::Listing;
pub use moment::{LIST_LAG, MAX_PAGE_AGE, Moment};
pub use people::{ListPage, Listed};
use told::Bucket;
pub use transport::{Connections, Transport};
pub use writer::Writer;

use crate::keyring::Keyring;
use crate::model::{AccessRequest, Identity, Name, Repo, RepoType, Status};

/// The most requests that the Hub takes in one batch.
pub const MAX_BATCH: usize = 100;

/// The longest answer to a write that is read, in bytes: ten times that of a batch in which all failed.
const LARGEST_RESULT: usize = 128 * 1024;

/// The most entries that the Hub gives in one page.
pub const PAGE: usize = 1000;

/// The Hub, by one token. One is made in a process, so that connections, the limit on calls in flight and what is known of
/// the Hub's rate limit are shared.
#[derive(Debug)]
pub struct Hub {
    transport: Box<dyn Transport>,
    endpoint: Url,
    keyring: Arc<Keyring>,
    concurrency: usize,
    /// Those who make a call, first come, first served.
    lanes: Semaphore,
    /// Those who have a page in hand, first come, first served. Between two pages a repo stands in line again, so that every
    /// repo gets its first page before any gets its second; and no more pages are in memory than there may be calls.
    turns: Semaphore,
    /// The Hub's limit on calls, for each bucket, as far as answers told of it.
    budgets: [Budget; 3],
    /// Until when calls of a kind are not made, because a limit of the Hub other than that of calls has refused one.
    pauses: Mutex<HashMap<String, Instant>>,
    /// When the last write to a repo ended that was in doubt, for as long as that matters.
    doubts: Mutex<HashMap<Repo, Instant>>,
    /// The recent writes to each repo, for as long as its list may lag.
    recent_writes: Mutex<HashMap<Repo, RecentWrites>>,
    /// Set when this Hub's `batch` has turned out not to take `requestId`. Whether the real Hub takes it is unknown.
    no_batch_by_request_id: AtomicBool,
}

/// Hashes of requests that the Hub has confirmed as written. A page that is requested before the stored time may still list the request.
#[derive(Debug, Default)]
pub(crate) struct RecentWrites {
    /// What makes the hashes. They are of use only as long as it stays the same.
    pub(crate) hasher: RandomState,
    pub(crate) requests: HashMap<u64, Instant>,
    /// Users whose request was written by user instead of by request id. Until the stored time, a page may list an older request of that
    /// user.
    pub(crate) users: HashMap<u64, Instant>,
    /// Requests that the Hub has not found. Whether they exist, a page tells that is requested at the stored time or later.
    pub(crate) gone: HashMap<u64, Instant>,
}

impl RecentWrites {
    /// Drops the entries that no page requested at `requested` or later can be affected by.
    pub(crate) fn forget(&mut self, requested: Instant) {
        self.requests.retain(|_, until| *until > requested);
        self.users.retain(|_, until| *until > requested);
        self.gone.retain(|_, until| *until > requested);
    }
}

/// Leave to have one page of a list in hand, until it is dropped.
pub type Turn<'a> = SemaphorePermit<'a>;

/// One page of the pending access requests of a repo.
#[derive(Debug)]
pub struct Page {
    /// The pending requests.
    pub requests: Vec<AccessRequest>,
    /// The number of entries, including those whose status has changed since, so that they are not in `requests`.
    pub entries: usize,
    /// Where the next page is; always of the same list.
    pub next: Option<Url>,
    /// The URL of this page.
    pub url: Url,
    /// How many entries were requested at most.
    pub limit: usize,
    /// When the page was requested. The age of the page counts from here.
    pub requested: Moment,
}

/// What the Hub made of one verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handled {
    /// The request has the new status.
    Done,
    /// It was in that state already, or there is no such request any more.
    Gone,
    /// There is no such user any more.
    NoUser,
    /// The Hub would not, and this is what it said.
    Failed(String),
}

/// What a write makes of an access request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its new status.
    pub status: Status,
    /// What the user is told; at most 200 characters.
    pub reason: Option<Arc<str>>,
}

impl Hub {
    /// The Hub at this endpoint, which `transport` reaches. No connection is made yet.
    pub fn new(
        transport: impl Transport + 'static,
        endpoint: Url,
        keyring: Arc<Keyring>,
        concurrency: usize,
    ) -> Self {
        let transport = Box::new(transport);
        let (lanes, turns) = (Semaphore::new(concurrency), Semaphore::new(concurrency));
        let no_batch_by_request_id = AtomicBool::new(false);
        let budgets = Bucket::ALL.map(Budget::new);
        let (pauses, doubts, recent_writes) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self {
            transport,
            endpoint,
            keyring,
            concurrency,
            lanes,
            turns,
            budgets,
            pauses,
            doubts,
            recent_writes,
            no_batch_by_request_id,
        }
    }

    /// The most calls in flight at once.
    pub fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// The current time, by both clocks.
    pub fn now(&self) -> Moment {
        Moment::now(self.transport.wall_clock())
    }

    /// What is known of the limit on calls. Those that were refused are told once.
    pub fn take_limit(&self) -> Limit {
        let mut limits = self.budgets.iter().map(Budget::take_limit);
        let api = limits.next().unwrap_or_default();
        Limit { refused: limits.fold(api.refused, |refused, other| refused + other.refused), ..api }
    }

    /// Whether a batch may name requests by their ids, as far as this process knows.
    pub(crate) fn may_batch_by_request_id(&self) -> bool {
        !self.no_batch_by_request_id.load(Ordering::Relaxed)
    }

    /// When writes may be sent again, if the Hub has refused one although calls were left.
    pub(crate) fn writes_from(&self) -> Option<Instant> {
        let pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        pauses.iter().filter(|(kind, _)| kind.starts_with("POST")).map(|(_, until)| *until).max()
    }

    /// How long the Hub wants no call, as far as it has told: until then all calls wait.
    pub fn wait(&self) -> Option<Duration> {
        self.budgets.iter().filter_map(Budget::wait).max()
    }

    /// The Hub as one review of `repo` sees it: its calls are counted, and none lasts longer than `deadline`.
    pub fn repo<'a>(&'a self, repo: &'a Repo, deadline: Instant) -> RepoCalls<'a> {
        RepoCalls { calls: Calls::new(self, deadline), repo }
    }

    /// Finds the gated repos of one type that a user or an organization has, private ones included where the token sees them.
    ///
    /// `found` gets the repos of each page while the search goes on. If it returns false, that page is dropped and the search ends.
    pub async fn gated_repos(
        &self,
        owner: &Name,
        repo_type: RepoType,
        deadline: Instant,
        found: &mut (dyn FnMut(&[Repo]) -> bool + Send),
    ) -> Listing {
        listing::read(&Calls::new(self, deadline), owner, repo_type, found).await
    }
}

/// The calls of one review of one repo.
#[derive(Debug)]
pub struct RepoCalls<'a> {
    calls: Calls<'a>,
    repo: &'a Repo,
}

impl<'a> RepoCalls<'a> {
    /// How many calls were made so far.
    pub fn count(&self) -> u32 {
        self.calls.count()
    }

    /// Waits for a turn to read a page and to write what was decided of it, behind all who wait for one already.
    pub async fn turn(&self) -> Result<Turn<'a>, HubError> {
        self.calls.turn(&format!("GET {}", self.path("pending"))).await
    }

    /// A turn, if nobody else waits for one.
    pub fn turn_now(&self) -> Option<Turn<'a>> {
        self.calls.hub.turns.try_acquire().ok()
    }

    /// Reads a page of the pending requests, with at most `limit` entries: the one at `page`, or the first one if there is none.
    pub async fn pending(&self, page: Option<Url>, limit: usize) -> Result<Page, HubError> {
        let url = match page {
            Some(page) if link::limit(&page).is_some_and(|of_page| of_page <= limit) => page,
            Some(page) => link::with_limit(&page, limit),
            None => self.calls.url(&self.path(&format!("pending?limit={limit}")))?,
        };
        let page = self.calls.page(&url, |body| wire::page(body, Status::Pending)).await;
        let page = page.map_err(|error| self.heed(error))?;
        let (requests, entries) = page.content;
        let Paged { next, url, limit, requested, .. } = page;
        Ok(Page { requests, entries, next, url, limit, requested })
    }

    pub(crate) fn now(&self) -> Moment {
        self.calls.hub.now()
    }

    /// See [`Hub::may_batch_by_request_id`].
    pub(crate) fn may_batch_by_request_id(&self) -> bool {
        self.calls.hub.may_batch_by_request_id()
    }

    /// From now on, no batch of this process names requests by their ids.
    pub(crate) fn stop_batching_by_request_id(&self) {
        self.calls.hub.no_batch_by_request_id.store(true, Ordering::Relaxed);
    }

    /// Gives one request a new status. Where an answer was lost and the request is then found in that status already, it is
    /// taken for done.
    ///
    /// If the decision was made from a page, `page` is when that page was requested. Then the write is attempted only once, and only
    /// while the page is at most [`MAX_PAGE_AGE`] old. Without it, a person has decided, and a failed write is retried.
    pub async fn handle(
        &self,
        identity: &Identity,
        answer: &Answer,
        page: Option<Moment>,
    ) -> Result<Handled, HubError> {
        let body = wire::HandleBody { identity: identity.into(), answer: answer.into() };
        match self.post("handle", &body, page, wire::handled).await {
            Ok(()) => Ok(Handled::Done),
            Err(error) if error.is_no_such_user() => Ok(Handled::NoUser),
            Err(error) if error.is_no_such_request() && error.may_be_done => Ok(Handled::Done),
            Err(error) if error.is_no_such_request() => Ok(Handled::Gone),
            Err(error) => Err(self.heed(error)),
        }
    }

    /// Gives up to [`MAX_BATCH`] requests the same new status; one result for each, in their order. `page` is as in
    /// [`RepoCalls::handle`].
    pub async fn batch(
        &self,
        identities: &[Identity],
        answer: &Answer,
        page: Option<Moment>,
    ) -> Result<Vec<Handled>, HubError> {
        let requests = identities.iter().map(Into::into).collect();
        let body = wire::BatchBody { answer: answer.into(), requests };
        let secrets = self.calls.hub.keyring.secrets();
        let handled = self.post("batch", &body, page, |body| wire::batch(body, identities, &secrets));
        handled.await.map_err(|error| self.heed(error))
    }

    /// Makes sure that an error that holds for every call about this repo is the last one.
    fn heed(&self, error: HubError) -> HubError {
        if error.is_about_the_repo() {
            self.calls.stop(&error);
        }
        error
    }

    fn path(&self, rest: &str) -> String {
        let Self { repo, .. } = self;
        format!("/api/{}s/{}/user-access-request/{rest}", repo.repo_type().as_str(), repo.name())
    }

    async fn post<T>(
        &self,
        rest: &str,
        body: &impl Serialize,
        page: Option<Moment>,
        read: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, HubError> {
        let manner = Manner { page, largest: LARGEST_RESULT, ..Manner::default() };
        let posted = self.calls.post(&self.path(rest), body, &manner, read).await;
        if posted.as_ref().is_err_and(HubError::leaves_in_doubt) {
            let (mut doubts, now) = (self.doubts(), Instant::now());
            doubts.retain(|_, ended| *ended + LIST_LAG > now);
            doubts.insert(self.repo.clone(), now);
        }
        posted
    }

    /// When this process may read the list, if the last write to this repo was in doubt, in this run or an earlier one: only then
    /// does the list show what became of it.
    pub(crate) fn reads_from(&self) -> Option<Instant> {
        self.doubts().get(self.repo).map(|ended| *ended + LIST_LAG)
    }

    /// The recent writes of earlier runs of this process to this repo.
    pub(crate) fn take_recent_writes(&self) -> RecentWrites {
        self.recent_writes().remove(self.repo).unwrap_or_default()
    }

    /// Keeps what a run has written for the next one.
    pub(crate) fn keep_recent_writes(&self, recent: RecentWrites) {
        let (mut all, now) = (self.recent_writes(), Instant::now());
        all.insert(self.repo.clone(), recent);
        all.retain(|_, recent| {
            recent.forget(now);
            !(recent.requests.is_empty() && recent.gone.is_empty())
        });
    }

    fn recent_writes(&self) -> MutexGuard<'a, HashMap<Repo, RecentWrites>> {
        self.calls.hub.recent_writes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn doubts(&self) -> MutexGuard<'a, HashMap<Repo, Instant>> {
        self.calls.hub.doubts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
