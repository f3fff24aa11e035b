//! Logical calls. A call is attempted when its time has come, again while that may help, and never after the deadline.

mod attempt;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, Url};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use attempt::Attempt;
pub(super) use attempt::HubResponse;

use super::moment::Moment;
use super::{Hub, HubError, MAX_PAGE, PagePermit, Problem, link, wire};
use crate::http::retry;

/// How long the first attempt of a call may take. The second attempt may take twice as long, and the third one three times as
/// long. So a call that stalls is soon attempted again, and a Hub that is slow at everything still has enough time.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a call may stall. With [`CALL_TIMEOUT`] that is half a minute. After that the call is left to the next run, because
/// this run has to end.
const MAX_STALLS: u32 = 3;

/// No call begins later than this before the deadline. Its response would come too late, so its result would not be known.
const MIN_TIME_TO_RESPOND: Duration = Duration::from_millis(250);

/// The most bytes of a response. The largest expected responses are pages, with about a kilobyte per entry. A larger page is
/// requested again with fewer entries. Up to eight pages may be in memory at once, which leaves half of the function's 128 MB.
const MAX_RESPONSE_BYTES: usize = 4 * 1024 * 1024;

/// The smallest `limit` of a page: the Hub gives no fewer entries.
const MIN_PAGE: usize = 10;

/// The `limit` for a page that was too large. The review also halves limits, so a limit is not always a power of ten.
fn smaller(limit: usize) -> usize {
    (limit / 10).max(MIN_PAGE)
}

/// The `limit` for the page after one with this limit.
fn larger(limit: usize) -> usize {
    (limit * 10).min(MAX_PAGE)
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// How a call is made.
#[derive(Debug)]
pub(super) struct CallOptions {
    /// For a write that was decided from a page: when that page was requested. The write is attempted once, and only while the
    /// page is at most [`MAX_PAGE_AGE`](super::MAX_PAGE_AGE) old. If it fails, the review reads the list again before it makes
    /// another attempt.
    pub(super) page: Option<Moment>,
    /// How long the first attempt may take.
    pub(super) timeout: Duration,
    /// The most bytes of the response.
    pub(super) max_bytes: usize,
    /// The statuses that are read as a response, beside those of a success.
    pub(super) also_accepts: &'static [u16],
    /// Whether repeating the call is harmless. If it is not, the call is not retried after a lost response.
    pub(super) is_repeatable: bool,
    /// Whether the body of a success is needed. If it is not, it is not read.
    pub(super) needs_body: bool,
}

impl Default for CallOptions {
    fn default() -> Self {
        Self {
            page: None,
            timeout: CALL_TIMEOUT,
            max_bytes: MAX_RESPONSE_BYTES,
            also_accepts: &[],
            is_repeatable: true,
            needs_body: true,
        }
    }
}

/// Calls that belong together. They are counted, none lasts beyond the deadline, and all of them can be stopped at once.
#[derive(Debug)]
pub(super) struct Calls<'a> {
    pub(super) hub: &'a Hub,
    deadline: Instant,
    /// One permit for each of these calls that waits for a call permit or has one. There are as many as call permits. With
    /// more, a review with hundreds of calls would delay all others, because call permits are first come, first served.
    own_permits: Semaphore,
    count: AtomicU32,
    /// Set when the Hub has answered with an error that applies to all of these calls. After that, no call is sent. Calls that
    /// still wait fail with the same error.
    stopped_by: OnceLock<HubError>,
}

impl<'a> Calls<'a> {
    pub(super) fn new(hub: &'a Hub, deadline: Instant) -> Self {
        let own_permits = Semaphore::new(hub.concurrency);
        Self { hub, deadline, own_permits, count: AtomicU32::new(0), stopped_by: OnceLock::new() }
    }

    pub(super) fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// Makes all further calls fail with this error.
    pub(super) fn stop(&self, error: &HubError) {
        self.stopped_by.get_or_init(|| error.clone());
    }

    /// Waits for a permit to hold a page in memory; see [`Hub`].
    pub(super) async fn acquire_page_permit(&self, call: &str) -> Result<PagePermit<'a>, HubError> {
        let permit = timeout_at(self.last_moment(), self.hub.page_permits.acquire()).await;
        permit.ok().and_then(Result::ok).ok_or_else(|| HubError::new(call, Problem::OutOfTime))
    }

    /// The URL of a path under the Hub's endpoint.
    pub(super) fn url(&self, path: &str) -> Result<Url, HubError> {
        let endpoint = self.hub.endpoint.as_str().trim_end_matches('/');
        let url = format!("{endpoint}{path}");
        Url::parse(&url).map_err(|error| HubError::new(&url, Problem::Unreadable(error.to_string())))
    }

    /// Reads one page of a list, and the link to the next page of the same list.
    ///
    /// If a page is too large, it is requested again with fewer entries. So requests with long answers do not block the requests
    /// that are listed after them.
    pub(super) async fn page<T>(
        &self,
        url: &Url,
        read: impl Fn(&[u8]) -> Result<T, Problem>,
    ) -> Result<PageOf<T>, HubError> {
        let call = format!("GET {}", url.path());
        let (options, mut url) = (CallOptions::default(), url.clone());
        loop {
            let limit = link::limit(&url).unwrap_or(MAX_PAGE);
            let get = || Request::new(Method::GET, url.clone());
            let page = self.send(&call, &options, get, |response: HubResponse| {
                let next = link::next_of_list(&response.headers, &url, &self.hub.keyring.secrets())?;
                // The next page may have more entries again.
                let enlarge =
                    |next| if limit < MAX_PAGE { link::with_limit(&next, larger(limit)) } else { next };
                let next = next.map(enlarge);
                // Parsing a large page may take longer than the rest of Lambda's time.
                if Instant::now() >= self.last_moment() {
                    return Err(Problem::OutOfTime);
                }
                let content = read(&response.body)?;
                let requested = response.requested;
                Ok(PageOf { content, next, url: url.clone(), limit, requested })
            });
            match page.await {
                Err(HubError { problem: Problem::TooLarge(_), .. }) if limit > MIN_PAGE => {
                    url = link::with_limit(&url, smaller(limit));
                }
                page => return page,
            }
        }
    }

    /// Calls `GET` with this path, and reads the body of the response.
    pub(super) async fn get<T>(
        &self,
        path: &str,
        options: &CallOptions,
        read: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, HubError> {
        let url = self.url(path)?;
        let read = |response: HubResponse| read(&response.body).map_err(Problem::Unreadable);
        self.send(&format!("GET {path}"), options, || Request::new(Method::GET, url.clone()), read).await
    }

    /// Calls `POST` with this path and a JSON body, and reads the body of the response.
    pub(super) async fn post<T>(
        &self,
        path: &str,
        body: &impl Serialize,
        options: &CallOptions,
        read: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, HubError> {
        self.write(&Method::POST, path, body, options, read).await
    }

    /// Calls `PUT` with this path and a JSON body. The status of the response is enough.
    pub(super) async fn put(&self, path: &str, body: &impl Serialize) -> Result<(), HubError> {
        let options = CallOptions { needs_body: false, ..CallOptions::default() };
        self.write(&Method::PUT, path, body, &options, |_| Ok(())).await
    }

    async fn write<T>(
        &self,
        method: &Method,
        path: &str,
        body: &impl Serialize,
        options: &CallOptions,
        read: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, HubError> {
        let body = serde_json::to_vec(body).map_err(|error| {
            HubError::new(&format!("{method} {path}"), Problem::Unreadable(wire::describe(&error)))
        })?;
        self.write_bytes(method, path, (&JSON, body), options, read).await
    }

    /// Calls `POST` with this path and a body of this type, and reads the body of the response.
    pub(super) async fn post_bytes<T>(
        &self,
        path: &str,
        content_type: &HeaderValue,
        body: Vec<u8>,
        options: &CallOptions,
        read: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, HubError> {
        self.write_bytes(&Method::POST, path, (content_type, body), options, read).await
    }

    async fn write_bytes<T>(
        &self,
        method: &Method,
        path: &str,
        (content_type, body): (&HeaderValue, Vec<u8>),
        options: &CallOptions,
        read: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, HubError> {
        let (url, call) = (self.url(path)?, format!("{method} {path}"));
        let request = || {
            let mut request = Request::new(method.clone(), url.clone());
            request.headers_mut().insert(CONTENT_TYPE, content_type.clone());
            *request.body_mut() = Some(body.clone().into());
            request
        };
        let read = |response: HubResponse| read(&response.body).map_err(Problem::Unreadable);
        self.send(&call, options, request, read).await
    }

    /// Calls `DELETE` with this path.
    pub(super) async fn delete(&self, path: &str) -> Result<(), HubError> {
        let url = self.url(path)?;
        let request = || Request::new(Method::DELETE, url.clone());
        self.send(&format!("DELETE {path}"), &CallOptions::default(), request, |_| Ok(())).await
    }

    /// Makes a call and reads its response. A failed attempt is repeated while that may help and is harmless. If the Hub
    /// refuses the token and the keyring has a newer one, the attempt is repeated at once.
    pub(super) async fn send<T>(
        &self,
        call: &str,
        options: &CallOptions,
        request: impl Fn() -> Request,
        read: impl Fn(HubResponse) -> Result<T, Problem>,
    ) -> Result<T, HubError> {
        let (attempts, may_be_done) = (AtomicU32::new(0), AtomicBool::new(false));
        let attempt = || async {
            let timeout = options.timeout * (attempts.fetch_add(1, Ordering::Relaxed) + 1);
            let token = self.hub.keyring.token();
            let mut sent = Attempt::new(self, call, options, &token, timeout).send(request()).await;
            if sent.as_ref().is_err_and(HubError::is_about_the_token)
                && let Some(token) = self.hub.keyring.newer_token(&token, self.last_moment()).await
            {
                sent = Attempt::new(self, call, options, &token, timeout).send(request()).await;
            }
            let read = |response| read(response).map_err(|problem| HubError::new(call, problem));
            sent.and_then(read).map_err(|mut error| {
                error.may_be_done |= may_be_done.fetch_or(error.may_be_done, Ordering::Relaxed);
                error
            })
        };
        let stalls = AtomicU32::new(0);
        let is_worth_it = |error: &HubError| {
            if options.page.is_some() {
                return false;
            }
            let stalled = u32::from(error.problem == Problem::TooSlow);
            if stalled > 0 {
                // The connection may be dead, and so may the other open ones.
                self.hub.transport.renew();
            }
            error.is_transient()
                && (options.is_repeatable || !error.may_be_done)
                && stalls.fetch_add(stalled, Ordering::Relaxed) + stalled < MAX_STALLS
        };
        retry::retry(self.last_moment(), is_worth_it, attempt).await
    }

    /// No call begins after this time.
    fn last_moment(&self) -> Instant {
        self.deadline.checked_sub(MIN_TIME_TO_RESPOND).unwrap_or(self.deadline)
    }

    /// An error if these calls were stopped, or if the time is up.
    fn may_go_on(&self, call: &str) -> Result<(), HubError> {
        match self.stopped_by.get() {
            Some(error) => Err(error.clone()),
            None if Instant::now() >= self.last_moment() => Err(HubError::new(call, Problem::OutOfTime)),
            None => Ok(()),
        }
    }
}

/// One page of a list.
pub(super) struct PageOf<T> {
    pub(super) content: T,
    /// The URL of the next page.
    pub(super) next: Option<Url>,
    /// The URL of this page.
    pub(super) url: Url,
    /// The most entries that were requested.
    pub(super) limit: usize,
    /// When the page was requested.
    pub(super) requested: Moment,
}

#[cfg(test)]
mod tests {
    use super::{larger, smaller};

    /// The Hub refuses a limit below 10 and above 1,000.
    #[test]
    fn limit_of_a_page_stays_within_what_the_hub_allows() {
        assert_eq!([1000, 500, 250, 100, 62, 10].map(smaller), [100, 50, 25, 10, 10, 10]);
        assert_eq!([10, 25, 50, 100, 250, 500].map(larger), [100, 250, 500, 1000, 1000, 1000]);
    }
}
