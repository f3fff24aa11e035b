//! The Hub's API, as far as deciding access requests needs it: pages of pending requests, `handle` and `batch`.
//!
//! Wire formats stay in here. Reading is tolerant (unknown keys, missing keys, values of another type), writing exact.

mod budget;
mod error;
mod link;
mod told;
mod wire;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, LINK};
use reqwest::{Client, ClientBuilder, RequestBuilder, Url, redirect};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use budget::Budget;
pub use error::{HubError, Problem};

use crate::model::{AccessRequest, Identity, Repo, Verdict};
use crate::retry;
use crate::secret::Secret;

/// What this client calls itself.
const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// The most requests that the Hub takes in one batch.
pub const MAX_BATCH: usize = 100;

/// The most entries that the Hub gives in one page.
pub const PAGE: usize = 1000;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a whole call may take. A second attempt may take twice as long, a third one three times, and so on: one call
/// that stalls is soon given up, and a Hub that is slow at everything is still waited for.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a decision may wait for the Hub's rate limit to be written. What a person decides meanwhile would be overruled
/// by it; after a longer wait the list is read again instead.
const WRITE_PATIENCE: Duration = Duration::from_secs(2);

/// No call begins this shortly before the deadline: it would hardly be answered, and what it did would not be known.
const TIME_TO_ANSWER: Duration = Duration::from_millis(250);

/// The Hub, by one token. One is made in a process, so that connections, the limit on calls in flight and what is known of
/// the Hub's rate limit are shared.
#[derive(Debug)]
pub struct Hub {
    http: Client,
    endpoint: Url,
    token: Secret,
    concurrency: usize,
    lanes: Semaphore,
    budget: Budget,
}

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
    /// It was in that state already, or there is no such request or user any more.
    Gone,
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
    /// Makes a client. Fails only if TLS cannot be set up. No connection is made yet.
    pub fn new(endpoint: Url, token: Secret, concurrency: usize) -> Result<Self, HubError> {
        let http = http_client_builder()
            .build()
            .map_err(|error| HubError::new("setting up HTTPS", Problem::of(&error)))?;
        let lanes = Semaphore::new(concurrency);
        Ok(Self { http, endpoint, token, concurrency, lanes, budget: Budget::new() })
    }

    /// The most calls in flight at once.
    pub fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// The Hub as one review of `repo` sees it: its calls are counted, and none lasts longer than `deadline`.
    pub fn repo<'a>(&'a self, repo: &'a Repo, deadline: Instant) -> RepoCalls<'a> {
        RepoCalls { hub: self, repo, deadline, count: AtomicU32::new(0), stopped_by: OnceLock::new() }
    }
}

/// The HTTP client before it is built. It follows no redirect: the token is for one origin, and the policy was asked about
/// one repo; a redirect may lead to another of either.
///
/// Of the ways to do TLS this one is ready soonest: the roots are compiled in, and nothing is read from disk.
pub fn http_client_builder() -> ClientBuilder {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = Client::builder().user_agent(USER_AGENT).connect_timeout(CONNECT_TIMEOUT);
    let builder = builder.redirect(redirect::Policy::none());
    match rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions() {
        Ok(tls) => builder.tls_backend_preconfigured(tls.with_root_certificates(roots).with_no_client_auth()),
        // Cannot happen with a provider that has TLS 1.2 and 1.3; building the client says so then.
        Err(_) => builder,
    }
}

/// The calls of one review of one repo.
#[derive(Debug)]
pub struct RepoCalls<'a> {
    hub: &'a Hub,
    repo: &'a Repo,
    deadline: Instant,
    count: AtomicU32,
    /// Set when the Hub has said something that holds for every call about this repo: none is made after that, and those
    /// that were to be made end with the same error.
    stopped_by: OnceLock<HubError>,
}

impl RepoCalls<'_> {
    /// How many calls were made so far.
    pub fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// Reads a page of the pending requests: the first one, or the one that [`Page::next`] named.
    pub async fn pending(&self, page: Option<Url>) -> Result<Page, HubError> {
        let url = page.map_or_else(|| self.url(&format!("pending?limit={PAGE}")), Ok)?;
        let call = format!("GET {}", url.path());
        let get = || self.hub.http.get(url.clone());
        let page = self.send(&call, None, get, |answered| read_page(answered, &url));
        page.await.map_err(|error| self.heed(error))
    }

    /// Gives one request a new status. Where an answer was lost and the request is then found in that status already, it is
    /// taken for done.
    pub async fn handle(&self, identity: &Identity, answer: &Answer) -> Result<Handled, HubError> {
        let body = wire::HandleBody { identity: identity.into(), answer: answer.into() };
        match self.post("handle", &body, |answered| wire::handled(&answered.body)).await {
            Ok(()) => Ok(Handled::Done),
            Err(error) if error.is_no_such_request() && error.may_be_done => Ok(Handled::Done),
            Err(error) if error.is_no_such_request() => Ok(Handled::Gone),
            Err(error) => Err(self.heed(error)),
        }
    }

    /// Gives up to [`MAX_BATCH`] requests the same new status; one result for each, in their order.
    pub async fn batch(&self, identities: &[Identity], answer: &Answer) -> Result<Vec<Handled>, HubError> {
        let requests = identities.iter().map(Into::into).collect();
        let body = wire::BatchBody { answer: answer.into(), requests };
        let handled = self.post("batch", &body, |answered| wire::batch(&answered.body, identities));
        handled.await.map_err(|error| self.heed(error))
    }

    /// Makes sure that an error that holds for every call about this repo is the last one.
    fn heed(&self, error: HubError) -> HubError {
        if error.is_about_the_repo() {
            self.stopped_by.get_or_init(|| error.clone());
        }
        error
    }

    fn url(&self, rest: &str) -> Result<Url, HubError> {
        let endpoint = self.hub.endpoint.as_str().trim_end_matches('/');
        let Self { repo, .. } = self;
        let url = format!(
            "{endpoint}/api/{}s/{}/user-access-request/{rest}",
            repo.repo_type().as_str(),
            repo.name()
        );
        Url::parse(&url).map_err(|error| HubError::new(&url, Problem::Unreadable(error.to_string())))
    }

    async fn post<T>(
        &self,
        rest: &str,
        body: &impl serde::Serialize,
        read: impl Fn(&Answered) -> Result<T, String>,
    ) -> Result<T, HubError> {
        let url = self.url(rest)?;
        let call = format!("POST {}", url.path());
        let body = serde_json::to_vec(body)
            .map_err(|error| HubError::new(&call, Problem::Unreadable(wire::describe(&error))))?;
        let request =
            || self.hub.http.post(url.clone()).header(CONTENT_TYPE, "application/json").body(body.clone());
        self.send(&call, Some(WRITE_PATIENCE), request, |answered| {
            read(answered).map_err(Problem::Unreadable)
        })
        .await
    }

    /// Makes a call, again and again while that may help, and reads what is answered. Each attempt waits for the rate limit
    /// for `patience`, or as long as there is time. All calls of this project may be repeated: what was done already is not
    /// done twice.
    async fn send<T>(
        &self,
        call: &str,
        patience: Option<Duration>,
        request: impl Fn() -> RequestBuilder,
        read: impl Fn(&Answered) -> Result<T, Problem>,
    ) -> Result<T, HubError> {
        let (attempts, may_be_done) = (AtomicU32::new(0), AtomicBool::new(false));
        let attempt = || async {
            let timeout = CALL_TIMEOUT * (attempts.fetch_add(1, Ordering::Relaxed) + 1);
            let answered = self.send_once(call, patience, request(), timeout).await;
            let read = |answered| read(&answered).map_err(|problem| HubError::new(call, problem));
            answered.and_then(read).map_err(|mut error| {
                error.may_be_done |= may_be_done.fetch_or(error.may_be_done, Ordering::Relaxed);
                error
            })
        };
        retry::retry(self.last_moment(), HubError::is_transient, attempt).await
    }

    /// When the last call may begin.
    fn last_moment(&self) -> Instant {
        self.deadline.checked_sub(TIME_TO_ANSWER).unwrap_or(self.deadline)
    }

    /// Neither has the Hub said what stops every call about this repo, nor is the time up.
    fn may_go_on(&self, call: &str) -> Result<(), HubError> {
        match self.stopped_by.get() {
            Some(error) => Err(error.clone()),
            None if Instant::now() >= self.last_moment() => Err(HubError::new(call, Problem::OutOfTime)),
            None => Ok(()),
        }
    }

    /// Makes a call when its turn has come, reads the answer to its end, and makes an error of any but a success.
    async fn send_once(
        &self,
        call: &str,
        patience: Option<Duration>,
        request: RequestBuilder,
        timeout: Duration,
    ) -> Result<Answered, HubError> {
        let Hub { token, lanes, budget, .. } = self.hub;
        let fail = |problem| HubError::new(call, problem);
        let lane = timeout_at(self.last_moment(), lanes.acquire()).await;
        let _lane = lane.map_err(|_| fail(Problem::OutOfTime))?;
        self.may_go_on(call)?;
        let postpone = patience.map_or(self.deadline, |patience| Instant::now() + patience);
        let mut turn = budget.turn(self.last_moment(), postpone).await.map_err(fail)?;
        self.may_go_on(call)?;
        self.count.fetch_add(1, Ordering::Relaxed);
        // `bearer_auth` marks the header as sensitive, so that no debug output shows it.
        let request = request.bearer_auth(token.expose()).header(ACCEPT, "application/json");
        let left = self.deadline.saturating_duration_since(Instant::now());
        let lost = |error: reqwest::Error| match Problem::of(&error) {
            Problem::Unanswered(_) if left <= timeout && error.is_timeout() => {
                HubError { may_be_done: true, ..fail(Problem::OutOfTime) }
            }
            problem => fail(problem),
        };
        let response = request.timeout(timeout.min(left)).send().await.map_err(lost)?;
        let (status, headers) = (response.status(), response.headers().clone());
        turn.answered(status, &headers);
        let body = response.bytes().await.map_err(lost)?;
        if status.is_success() {
            return Ok(Answered { headers, body: body.into() });
        }
        Err(HubError::refused(call, status.as_u16(), &headers, &body, token))
    }
}

/// A successful answer, read to its end.
struct Answered {
    headers: HeaderMap,
    body: Vec<u8>,
}

/// A page, and where the next one is: that has to be of the same list.
fn read_page(answered: &Answered, url: &Url) -> Result<Page, Problem> {
    let next = link::next(answered.headers.get_all(LINK), url)?;
    if let Some(next) =
        next.as_ref().filter(|next| next.origin() != url.origin() || next.path() != url.path())
    {
        let place = format!("{}{}", next.origin().ascii_serialization(), next.path());
        return Err(Problem::ForeignPage(error::shown(&place, None)));
    }
    let requests = wire::page(&answered.body).map_err(Problem::Unreadable)?;
    Ok(Page { requests, next })
}
