//! Making calls: each when its time has come, again while that may help, and none after the deadline.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue,
};
use reqwest::{Method, Request, StatusCode, Url};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::moment::Moment;
use super::told::Bucket;
use super::{Hub, HubError, PAGE, Problem, Turn, link, wire};
use crate::http::{self, Unread};
use crate::retry;
use crate::secret::{Secret, shown};

/// How long a whole call may take. A second attempt may take twice as long, a third one three times: one call that stalls
/// is soon given up, and a Hub that is slow at everything is still waited for.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a call may stall; with [`CALL_TIMEOUT`] that is half a minute. What is silent for so long is left to the next
/// run, rather than to have this one last for ever.
const MAX_STALLS: u32 = 3;

/// No call begins this shortly before the deadline: it would hardly be answered, and what it did would not be known.
const TIME_TO_ANSWER: Duration = Duration::from_millis(250);

/// The longest answer that is read, in bytes. The longest that are expected are pages, of about a kilobyte an entry, and what
/// is longer may be had in smaller ones. Eight of them may be in hand at once, which leaves half of the function's 128 MB.
const LARGEST_ANSWER: usize = 4 * 1024 * 1024;

/// The least entries that the Hub gives in one page, if it is asked for so few.
const SMALLEST_PAGE: usize = 10;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// How a call is made.
#[derive(Debug)]
pub(super) struct Manner {
    /// For a write that was decided from a page: when that page was requested. The write is attempted once, and only while the page
    /// is at most [`MAX_PAGE_AGE`](super::MAX_PAGE_AGE) old. If it fails, the review reads the list again before it makes
    /// another attempt.
    pub(super) page: Option<Moment>,
    /// How long the first attempt may take.
    pub(super) timeout: Duration,
    /// The most bytes that its answer may have.
    pub(super) largest: usize,
    /// What was done already is not done twice. Else a call whose answer was lost is not made again.
    pub(super) may_be_repeated: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Self { page: None, timeout: CALL_TIMEOUT, largest: LARGEST_ANSWER, may_be_repeated: true }
    }
}

/// Calls that belong together: they are counted, none lasts longer than the deadline, and they may be stopped all at once.
#[derive(Debug)]
pub(super) struct Calls<'a> {
    pub(super) hub: &'a Hub,
    deadline: Instant,
    /// How many of them may stand in line for a lane: so many that they could use all lanes, and no more, or whoever has
    /// hundreds of calls to make would hold up everybody else.
    line: Semaphore,
    count: AtomicU32,
    /// Set when the Hub has said something that holds for all of them: none is made after that, and those that were to be
    /// made end with the same error.
    stopped_by: OnceLock<HubError>,
}

impl<'a> Calls<'a> {
    pub(super) fn new(hub: &'a Hub, deadline: Instant) -> Self {
        let line = Semaphore::new(hub.concurrency);
        Self { hub, deadline, line, count: AtomicU32::new(0), stopped_by: OnceLock::new() }
    }

    pub(super) fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// Ends all calls to come with this error.
    pub(super) fn stop(&self, error: &HubError) {
        self.stopped_by.get_or_init(|| error.clone());
    }

    /// Waits for one of the turns that all who read lists share; see [`Hub`].
    pub(super) async fn turn(&self, call: &str) -> Result<Turn<'a>, HubError> {
        let turn = timeout_at(self.last_moment(), self.hub.turns.acquire()).await;
        turn.ok().and_then(Result::ok).ok_or_else(|| HubError::new(call, Problem::OutOfTime))
    }

    /// The URL of a path under the Hub's endpoint.
    pub(super) fn url(&self, path: &str) -> Result<Url, HubError> {
        let endpoint = self.hub.endpoint.as_str().trim_end_matches('/');
        let url = format!("{endpoint}{path}");
        Url::parse(&url).map_err(|error| HubError::new(&url, Problem::Unreadable(error.to_string())))
    }

    /// Reads one page of a list, and where the next one is: that has to be of the same list.
    ///
    /// If a page is too large to be read, it is requested again with fewer entries. So long answers do not block the requests
    /// that are listed after them.
    pub(super) async fn page<T>(
        &self,
        url: &Url,
        read: impl Fn(&[u8]) -> Result<T, Problem>,
    ) -> Result<Paged<T>, HubError> {
        let call = format!("GET {}", url.path());
        let (manner, mut url) = (Manner::default(), url.clone());
        loop {
            let limit = link::limit(&url).unwrap_or(PAGE);
            let get = || Request::new(Method::GET, url.clone());
            let page = self.send(&call, &manner, get, |answered| {
                let next = link::next_of_list(&answered.headers, &url, &self.hub.keyring.secrets())?;
                // The pages that follow may have more entries again.
                let longer = |next| if limit < PAGE { link::with_limit(&next, limit * 10) } else { next };
                let next = next.map(longer);
                // To read a large page may take longer than what is left of Lambda's time.
                if Instant::now() >= self.last_moment() {
                    return Err(Problem::OutOfTime);
                }
                let content = read(&answered.body)?;
                let requested = answered.requested;
                Ok(Paged { content, next, url: url.clone(), limit, requested })
            });
            match page.await {
                Err(HubError { problem: Problem::TooLarge(_), .. }) if limit > SMALLEST_PAGE => {
                    url = link::with_limit(&url, limit / 10);
                }
                page => return page,
            }
        }
    }

    /// Reads what is at a path.
    pub(super) async fn get<T>(
        &self,
        path: &str,
        manner: &Manner,
        read: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, HubError> {
        let url = self.url(path)?;
        let read = |answered: &Answered| read(&answered.body).map_err(Problem::Unreadable);
        self.send(&format!("GET {path}"), manner, || Request::new(Method::GET, url.clone()), read).await
    }

    /// Sends this as JSON.
    pub(super) async fn post<T>(
        &self,
        path: &str,
        body: &impl Serialize,
        manner: &Manner,
        read: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, HubError> {
        let (url, call) = (self.url(path)?, format!("POST {path}"));
        let body = serde_json::to_vec(body)
            .map_err(|error| HubError::new(&call, Problem::Unreadable(wire::describe(&error))))?;
        let request = || {
            let mut request = Request::new(Method::POST, url.clone());
            request.headers_mut().insert(CONTENT_TYPE, JSON);
            *request.body_mut() = Some(body.clone().into());
            request
        };
        let read = |answered: &Answered| read(&answered.body).map_err(Problem::Unreadable);
        self.send(&call, manner, request, read).await
    }

    /// Deletes what is at a path.
    pub(super) async fn delete(&self, path: &str) -> Result<(), HubError> {
        let url = self.url(path)?;
        let request = || Request::new(Method::DELETE, url.clone());
        self.send(&format!("DELETE {path}"), &Manner::default(), request, |_| Ok(())).await
    }

    /// Makes a call, again and again while that may help and does no harm, and reads what is answered.
    pub(super) async fn send<T>(
        &self,
        call: &str,
        manner: &Manner,
        request: impl Fn() -> Request,
        read: impl Fn(&Answered) -> Result<T, Problem>,
    ) -> Result<T, HubError> {
        let (attempts, may_be_done) = (AtomicU32::new(0), AtomicBool::new(false));
        let attempt = || async {
            let time = manner.timeout * (attempts.fetch_add(1, Ordering::Relaxed) + 1);
            let token = self.hub.keyring.token();
            let mut answered = self.send_once(call, manner, request(), &token, time).await;
            if answered.as_ref().is_err_and(HubError::is_about_the_token)
                && let Some(token) = self.hub.keyring.newer_token(&token, self.last_moment()).await
            {
                answered = self.send_once(call, manner, request(), &token, time).await;
            }
            let read = |answered| read(&answered).map_err(|problem| HubError::new(call, problem));
            answered.and_then(read).map_err(|mut error| {
                error.may_be_done |= may_be_done.fetch_or(error.may_be_done, Ordering::Relaxed);
                error
            })
        };
        let stalls = AtomicU32::new(0);
        let is_worth_it = |error: &HubError| {
            if manner.page.is_some() {
                return false;
            }
            let stalled = u32::from(error.problem == Problem::TooSlow);
            if stalled > 0 {
                // The connection may be dead, and so may the others that are kept open.
                self.hub.transport.renew();
            }
            error.is_transient()
                && (manner.may_be_repeated || !error.may_be_done)
                && stalls.fetch_add(stalled, Ordering::Relaxed) + stalled < MAX_STALLS
        };
        retry::retry(self.last_moment(), is_worth_it, attempt).await
    }

    /// When the last call may begin.
    fn last_moment(&self) -> Instant {
        self.deadline.checked_sub(TIME_TO_ANSWER).unwrap_or(self.deadline)
    }

    /// Neither has the Hub said what stops all of these calls, nor is the time up.
    fn may_go_on(&self, call: &str) -> Result<(), HubError> {
        match self.stopped_by.get() {
            Some(error) => Err(error.clone()),
            None if Instant::now() >= self.last_moment() => Err(HubError::new(call, Problem::OutOfTime)),
            None => Ok(()),
        }
    }

    fn pauses(&self) -> MutexGuard<'a, HashMap<String, Instant>> {
        self.hub.pauses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a call when its time has come, reads the answer to its end, and makes an error of any but a success.
    async fn send_once(
        &self,
        call: &str,
        manner: &Manner,
        mut request: Request,
        token: &Secret,
        time: Duration,
    ) -> Result<Answered, HubError> {
        let Hub { lanes, budgets, .. } = self.hub;
        let bucket = Bucket::of(request.url().path());
        let fail = |problem| HubError::new(call, problem);
        let expires =
            manner.page.map_or(self.deadline, |page| Instant::now() + page.time_to_write(self.hub.now()));
        let kind = kind(&request);
        let paused = self.pauses().get(&kind).copied().filter(|until| *until > Instant::now());
        match paused {
            Some(until) if until >= self.last_moment() => {
                return Err(fail(Problem::RateLimited { wait: until - Instant::now(), quota: None }));
            }
            Some(until) if until >= expires => return Err(fail(Problem::Postponed)),
            Some(until) => sleep_until(until).await,
            None => {}
        }
        let lane = async { (self.line.acquire().await, lanes.acquire().await) };
        let _lane = timeout_at(self.last_moment().min(expires), lane).await.map_err(|_| {
            fail(if expires < self.last_moment() { Problem::Stale } else { Problem::OutOfTime })
        })?;
        self.may_go_on(call)?;
        let [api, resolvers, pages] = budgets;
        let budget = match bucket {
            Bucket::Api => api,
            Bucket::Resolvers => resolvers,
            Bucket::Pages => pages,
        };
        let wall_clock = || self.hub.transport.wall_clock();
        let mut under_way = budget.begin(self.last_moment(), expires, wall_clock).await.map_err(fail)?;
        // The wall clock is read again, because the process may have been frozen while it waited.
        let is_stale = || manner.page.is_some_and(|page| page.time_to_write(self.hub.now()).is_zero());
        let may_go_on = self.may_go_on(call).and(if is_stale() { Err(fail(Problem::Stale)) } else { Ok(()) });
        if may_go_on.is_err() {
            under_way.cancel();
        }
        may_go_on?;
        let requested = self.hub.now();
        self.count.fetch_add(1, Ordering::Relaxed);
        request.headers_mut().insert(AUTHORIZATION, bearer(token).map_err(fail)?);
        request.headers_mut().insert(ACCEPT, JSON);
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let left = self.deadline.saturating_duration_since(Instant::now());
        let exchange = async {
            let response = self.hub.transport.carry(request).await?;
            let (status, headers) = (response.status(), response.headers().clone());
            let told = under_way.answered(status, &headers, wall_clock(), manner.page.is_some());
            if status == StatusCode::TOO_MANY_REQUESTS
                && told.left.is_some_and(|left| left > 0)
                && let Some(after) = told.retry_after
            {
                self.pauses().insert(kind.clone(), Instant::now() + after);
            }
            let encoding = headers
                .get(CONTENT_ENCODING)
                .filter(|encoding| status.is_success() && *encoding != "identity");
            if let Some(encoding) = encoding {
                let encoding =
                    shown(&String::from_utf8_lossy(encoding.as_bytes()), &self.hub.keyring.secrets());
                return Err(Problem::Unreadable(format!(
                    "it is encoded as `{encoding}`, which was not asked for"
                )));
            }
            let body = match http::read_within(manner.largest, response).await {
                Ok(body) => body,
                // That it is an error says enough.
                Err(Unread::TooLarge) if !status.is_success() => Vec::new(),
                Err(Unread::TooLarge) => return Err(Problem::TooLarge(manner.largest)),
                Err(Unread::Lost(error)) => return Err(Problem::of(&error)),
            };
            Ok((status, headers, body))
        };
        let (status, headers, body) = match timeout(time.min(left), exchange).await {
            Ok(answered) => answered.map_err(fail)?,
            Err(_) if left <= time => return Err(HubError { may_be_done: true, ..fail(Problem::OutOfTime) }),
            Err(_) => return Err(fail(Problem::TooSlow)),
        };
        if status.is_success() {
            return Ok(Answered { headers, body, requested });
        }
        let mut secrets = self.hub.keyring.secrets();
        secrets.push(token.clone());
        Err(HubError::refused(call, status.as_u16(), &headers, &body, &secrets))
    }
}

/// What kind of call this is: `GET pending`, `POST batch`.
fn kind(request: &Request) -> String {
    format!("{} {}", request.method(), request.url().path().rsplit('/').next().unwrap_or_default())
}

/// The header that shows a token; marked, so that no debug output shows it.
fn bearer(token: &Secret) -> Result<HeaderValue, Problem> {
    let bearer = HeaderValue::try_from(format!("Bearer {}", token.expose()));
    let mut bearer = bearer.map_err(|_| Problem::Unreachable("HF_TOKEN is no token".to_owned()))?;
    bearer.set_sensitive(true);
    Ok(bearer)
}

/// A successful answer, read to its end.
pub(super) struct Answered {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// When the answered attempt began.
    pub(super) requested: Moment,
}

/// A page of a list.
pub(super) struct Paged<T> {
    pub(super) content: T,
    /// Where the next page is.
    pub(super) next: Option<Url>,
    /// The URL of this page.
    pub(super) url: Url,
    /// How many entries were requested at most.
    pub(super) limit: usize,
    pub(super) requested: Moment,
}
