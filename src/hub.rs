//! The Hub's API, as far as deciding access requests needs it: pages of pending requests, `handle` and `batch`.
//!
//! Wire formats stay in here. Reading is tolerant (unknown keys, missing keys, values of another type), writing exact.

mod error;
mod link;
mod wire;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, LINK};
use reqwest::{Client, ClientBuilder, RequestBuilder, Url, redirect};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

pub use error::{HubError, Problem};

use crate::model::{AccessRequest, Identity, Repo, Verdict};
use crate::secret::Secret;

/// What this client calls itself.
const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// The most requests that the Hub takes in one batch.
pub const MAX_BATCH: usize = 100;

/// The most entries that the Hub gives in one page.
const PAGE: usize = 1000;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The Hub, by one token. One is made in a process, so that connections and the limit on calls in flight are shared.
#[derive(Debug)]
pub struct Hub {
    http: Client,
    endpoint: Url,
    token: Secret,
    in_flight: Semaphore,
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
        Ok(Self { http, endpoint, token, in_flight: Semaphore::new(concurrency) })
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
        let answered = self.send(&call, self.hub.http.get(url.clone())).await.map_err(|e| self.heed(e))?;
        let fail = |problem| HubError::new(&call, problem);
        let next = link::next(answered.headers.get_all(LINK), &url).map_err(fail)?;
        if let Some(next) =
            next.as_ref().filter(|next| next.origin() != url.origin() || next.path() != url.path())
        {
            let place = format!("{}{}", next.origin().ascii_serialization(), next.path());
            return Err(fail(Problem::ForeignPage(error::shown(&place, None))));
        }
        let requests = wire::page(&answered.body).map_err(|what| fail(Problem::Unreadable(what)))?;
        Ok(Page { requests, next })
    }

    /// Gives one request a new status.
    pub async fn handle(&self, identity: &Identity, answer: &Answer) -> Result<Handled, HubError> {
        let body = wire::HandleBody { identity: identity.into(), answer: answer.into() };
        match self.post("handle", &body).await {
            Ok((call, body)) => match wire::handled(&body) {
                Ok(()) => Ok(Handled::Done),
                Err(what) => Err(HubError::new(&call, Problem::Unreadable(what))),
            },
            Err(error) if error.is_no_such_request() => Ok(Handled::Gone),
            Err(error) => Err(self.heed(error)),
        }
    }

    /// Gives up to [`MAX_BATCH`] requests the same new status; one result for each, in their order.
    pub async fn batch(&self, identities: &[Identity], answer: &Answer) -> Result<Vec<Handled>, HubError> {
        let requests = identities.iter().map(Into::into).collect();
        let answered = self.post("batch", &wire::BatchBody { answer: answer.into(), requests }).await;
        let (call, body) = answered.map_err(|e| self.heed(e))?;
        wire::batch(&body, identities).map_err(|error| HubError::new(&call, Problem::Unreadable(error)))
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

    async fn post(&self, rest: &str, body: &impl serde::Serialize) -> Result<(String, Vec<u8>), HubError> {
        let url = self.url(rest)?;
        let call = format!("POST {}", url.path());
        let body = serde_json::to_vec(body)
            .map_err(|error| HubError::new(&call, Problem::Unreadable(wire::describe(&error))))?;
        let request = self.hub.http.post(url).header(CONTENT_TYPE, "application/json").body(body);
        let answered = self.send(&call, request).await?;
        Ok((call, answered.body))
    }

    /// Sends a request when its turn has come, reads the answer, and makes an error of any but a success.
    async fn send(&self, call: &str, request: RequestBuilder) -> Result<Answered, HubError> {
        let Hub { token, in_flight, .. } = self.hub;
        let fail = |problem| HubError::new(call, problem);
        let _permit =
            timeout_at(self.deadline, in_flight.acquire()).await.map_err(|_| fail(Problem::OutOfTime))?;
        if let Some(error) = self.stopped_by.get() {
            return Err(error.clone());
        }
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(fail(Problem::OutOfTime));
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        // `bearer_auth` marks the header as sensitive, so that no debug output shows it.
        let request = request.bearer_auth(token.expose()).header(ACCEPT, "application/json").timeout(left);
        let response = request.send().await.map_err(|error| fail(Problem::of(&error)))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.map_err(|error| fail(Problem::of(&error)))?;
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
