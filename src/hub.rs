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
mod people;
mod told;
mod transport;
mod wire;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use serde::Serialize;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

pub use account::{Account, Gating, Question, RepoInfo, Watched, Webhook, WhoAmI};
use budget::Budget;
pub use budget::Limit;
use calls::{Calls, Manner};
pub use error::{HubError, Problem};
pub use groups::{GatingGroup, GroupListing};
pub use listing::Listing;
pub use people::Listed;
pub use transport::Transport;
pub use writer::Writer;

use crate::keyring::Keyring;
use crate::model::{AccessRequest, Identity, Name, Repo, RepoType, Status, Verdict};

/// The most requests that the Hub takes in one batch.
pub const MAX_BATCH: usize = 100;

/// The most entries that the Hub gives in one page.
pub const PAGE: usize = 1000;

/// How long a decision may wait for the Hub's rate limit to be written. What a person decides meanwhile would be overruled
/// by it; after a longer wait the list is read again instead.
const WRITE_PATIENCE: Duration = Duration::from_secs(2);

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
    budget: Budget,
}

/// Leave to have one page of a list in hand, until it is dropped.
pub type Turn<'a> = SemaphorePermit<'a>;

/// One page of the pending access requests of a repo.
#[derive(Debug)]
pub struct Page {
    /// Who waits.
    pub requests: Vec<AccessRequest>,
    /// Where the next page is; always of the same list.
    pub next: Option<Url>,
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

/// A verdict on its way to the Hub. [`Verdict::Hold`] is not one: what is held stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Answer {
    /// Accept, reset or reject.
    pub verdict: Verdict,
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
        Self { transport, endpoint, keyring, concurrency, lanes, turns, budget: Budget::new() }
    }

    /// The most calls in flight at once.
    pub fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// What is known of the limit on calls. Those that were refused are told once.
    pub fn take_limit(&self) -> Limit {
        self.budget.take_limit()
    }

    /// How long the Hub wants no call, as far as it has told: until then all calls wait.
    pub fn wait(&self) -> Option<Duration> {
        self.budget.wait()
    }

    /// The Hub as one review of `repo` sees it: its calls are counted, and none lasts longer than `deadline`.
    pub fn repo<'a>(&'a self, repo: &'a Repo, deadline: Instant) -> RepoCalls<'a> {
        RepoCalls { calls: Calls::new(self, deadline), repo, patience: Some(WRITE_PATIENCE) }
    }

    /// Finds the gated repos of one type that a user or an organization has, private ones included where the token sees them.
    pub async fn gated_repos(&self, owner: &Name, repo_type: RepoType, deadline: Instant) -> Listing {
        listing::read(&Calls::new(self, deadline), owner, repo_type).await
    }
}

/// The calls of one review of one repo.
#[derive(Debug)]
pub struct RepoCalls<'a> {
    calls: Calls<'a>,
    repo: &'a Repo,
    /// How long a verdict may wait for the rate limit.
    patience: Option<Duration>,
}

impl<'a> RepoCalls<'a> {
    /// The same for the verdicts of a person: they may wait for the rate limit as long as there is time.
    #[must_use]
    pub fn of_a_person(self) -> Self {
        Self { patience: None, ..self }
    }

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

    /// Reads a page of the pending requests: the first one, or the one that [`Page::next`] named.
    pub async fn pending(&self, page: Option<Url>) -> Result<Page, HubError> {
        let first = || self.calls.url(&self.path(&format!("pending?limit={PAGE}")));
        let page =
            self.calls.page(&page.map_or_else(first, Ok)?, |body| wire::page(body, Status::Pending)).await;
        page.map(|(requests, next)| Page { requests, next }).map_err(|error| self.heed(error))
    }

    /// Gives one request a new status. Where an answer was lost and the request is then found in that status already, it is
    /// taken for done.
    pub async fn handle(&self, identity: &Identity, answer: &Answer) -> Result<Handled, HubError> {
        let body = wire::HandleBody { identity: identity.into(), answer: answer.into() };
        match self.post("handle", &body, wire::handled).await {
            Ok(()) => Ok(Handled::Done),
            Err(error) if error.is_no_such_user() => Ok(Handled::NoUser),
            Err(error) if error.is_no_such_request() && error.may_be_done => Ok(Handled::Done),
            Err(error) if error.is_no_such_request() => Ok(Handled::Gone),
            Err(error) => Err(self.heed(error)),
        }
    }

    /// Gives up to [`MAX_BATCH`] requests the same new status; one result for each, in their order.
    pub async fn batch(&self, identities: &[Identity], answer: &Answer) -> Result<Vec<Handled>, HubError> {
        let requests = identities.iter().map(Into::into).collect();
        let body = wire::BatchBody { answer: answer.into(), requests };
        let token = self.calls.hub.keyring.token();
        let handled = self.post("batch", &body, |body| wire::batch(body, identities, &token));
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
        read: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, HubError> {
        let manner = Manner { patience: self.patience, ..Manner::default() };
        self.calls.post(&self.path(rest), body, &manner, read).await
    }
}
