//! One attempt of a call. Its steps: wait for the pause, acquire the permits, spend the budget, exchange, judge the response.

use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, HeaderMap, HeaderValue};
use reqwest::{Request, Response, StatusCode};
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::super::limit::{Bucket, CallInFlight, RateLimitHeaders};
use super::super::moment::Moment;
use super::super::{HubError, Problem};
use super::{CallOptions, Calls, JSON};
use crate::http::{self, ReadError};
use crate::secrets::{Secret, redact};

/// A response of the Hub, read to its end if its body is needed.
pub(in crate::hub) struct HubResponse {
    pub(in crate::hub) status: StatusCode,
    pub(in crate::hub) headers: HeaderMap,
    retry_after: Option<Duration>,
    pub(in crate::hub) body: Vec<u8>,
    /// Whether the response says where its body ends. If it does not, the body may be incomplete.
    pub(in crate::hub) has_marked_end: bool,
    /// When the attempt with this response was sent.
    pub(in crate::hub) requested: Moment,
}

/// One attempt of a call.
pub(super) struct Attempt<'c> {
    calls: &'c Calls<'c>,
    /// The method and path of the call, for errors.
    call: &'c str,
    options: &'c CallOptions,
    token: &'c Secret,
    /// How long the exchange may take.
    timeout: Duration,
    /// For a write that was decided from a page: when that page becomes too old. Otherwise, the deadline.
    expires: Instant,
}

impl<'c> Attempt<'c> {
    pub(super) fn new(
        calls: &'c Calls<'_>,
        call: &'c str,
        options: &'c CallOptions,
        token: &'c Secret,
        timeout: Duration,
    ) -> Self {
        let too_old_at = |page: Moment| Instant::now() + page.time_to_write(calls.hub.now());
        let expires = options.page.map_or(calls.deadline, too_old_at);
        Self { calls, call, options, token, timeout, expires }
    }

    /// Sends the request when its time has come. A response other than a success is an error.
    pub(super) async fn send(&self, mut request: Request) -> Result<HubResponse, HubError> {
        let (kind, bucket) = (kind(&request), Bucket::of(request.url().path()));
        self.wait_for_pause(&kind).await?;
        let _permits = self.acquire_permits().await?;
        self.calls.may_go_on(self.call)?;
        let mut in_flight = self.spend_budget(bucket).await?;
        let requested = self.calls.hub.now();
        self.calls.count.fetch_add(1, Ordering::Relaxed);
        self.add_headers(&mut request).map_err(|problem| self.error(problem))?;
        let left = self.calls.deadline.saturating_duration_since(Instant::now());
        let exchange = self.exchange(request, &kind, &mut in_flight, requested);
        match timeout(self.timeout.min(left), exchange).await {
            Ok(Ok(response)) if self.is_accepted(response.status) => Ok(response),
            Ok(Ok(response)) => Err(self.refusal(&response)),
            Ok(Err(problem)) => Err(self.error(problem)),
            Err(_) if left <= self.timeout => {
                Err(HubError { may_be_done: true, ..self.error(Problem::OutOfTime) })
            }
            Err(_) => Err(self.error(Problem::TooSlow)),
        }
    }

    fn is_accepted(&self, status: StatusCode) -> bool {
        status.is_success() || self.options.also_accepts.contains(&status.as_u16())
    }

    /// If a limit other than the rate limit has refused a call of this kind, waits as long as the Hub asked for.
    async fn wait_for_pause(&self, kind: &str) -> Result<(), HubError> {
        let now = Instant::now();
        let Some(until) = self.calls.hub.pauses().get(kind).copied().filter(|until| *until > now) else {
            return Ok(());
        };
        if until >= self.calls.last_moment() {
            return Err(self.error(Problem::RateLimited { wait: until - now, quota: None }));
        }
        if until >= self.expires {
            return Err(self.error(Problem::Postponed));
        }
        sleep_until(until).await;
        Ok(())
    }

    /// Acquires a permit among these calls, and then one among all calls of the process.
    async fn acquire_permits(&self) -> Result<[SemaphorePermit<'c>; 2], HubError> {
        let calls: &'c Calls<'c> = self.calls;
        let acquire = async {
            let own = calls.own_permits.acquire().await?;
            Ok::<_, tokio::sync::AcquireError>([own, calls.hub.call_permits.acquire().await?])
        };
        let last_moment = calls.last_moment();
        // The semaphores are never closed, so an error can only mean that the time is up.
        match timeout_at(last_moment.min(self.expires), acquire).await {
            Ok(Ok(permits)) => Ok(permits),
            _ if self.expires < last_moment => Err(self.error(Problem::Stale)),
            _ => Err(self.error(Problem::OutOfTime)),
        }
    }

    /// Waits until the rate limit leaves a call. By then the calls may have been stopped, or the page may have become too old.
    async fn spend_budget(&self, bucket: Bucket) -> Result<CallInFlight<'c>, HubError> {
        let hub = self.calls.hub;
        let [api, resolvers, pages] = &hub.budgets;
        let budget = match bucket {
            Bucket::Api => api,
            Bucket::Resolvers => resolvers,
            Bucket::Pages => pages,
        };
        let wall_clock = || hub.transport.wall_clock();
        let in_flight = budget.begin(self.calls.last_moment(), self.expires, wall_clock).await;
        let mut in_flight = in_flight.map_err(|problem| self.error(problem))?;
        let may_go_on = self.calls.may_go_on(self.call).and_then(|()| self.check_age_of_page());
        if may_go_on.is_err() {
            in_flight.cancel();
        }
        may_go_on.map(|()| in_flight)
    }

    fn check_age_of_page(&self) -> Result<(), HubError> {
        // The clocks are read again, because the process may have been frozen while the attempt waited.
        let is_too_old = |page: Moment| page.time_to_write(self.calls.hub.now()).is_zero();
        if self.options.page.is_some_and(is_too_old) { Err(self.error(Problem::Stale)) } else { Ok(()) }
    }

    fn add_headers(&self, request: &mut Request) -> Result<(), Problem> {
        // The token is for the Hub alone. A large file is kept at another origin.
        let is_for_hub = request.url().origin() == self.calls.hub.endpoint.origin();
        let headers = request.headers_mut();
        if is_for_hub {
            headers.insert(AUTHORIZATION, bearer(self.token)?);
        }
        headers.entry(ACCEPT).or_insert(JSON);
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        Ok(())
    }

    /// Sends the request, takes note of the limits that the response states, and reads the response to its end if its body is needed.
    async fn exchange(
        &self,
        request: Request,
        kind: &str,
        in_flight: &mut CallInFlight<'_>,
        requested: Moment,
    ) -> Result<HubResponse, Problem> {
        let hub = self.calls.hub;
        let response = hub.transport.carry(request).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let is_from_page = self.options.page.is_some();
        let limits = in_flight.record_response(status, &headers, hub.transport.wall_clock(), is_from_page);
        self.begin_pause(kind, status, &limits);
        let has_marked_end = http::has_marked_end(&response);
        let body = if status.is_success() && !self.options.needs_body {
            Vec::new()
        } else {
            self.read_body(response).await?
        };
        let retry_after = limits.retry_after;
        Ok(HubResponse { status, headers, retry_after, body, has_marked_end, requested })
    }

    /// If the Hub refuses the call although the rate limit leaves calls, another limit of the Hub is reached. Then calls of
    /// this kind wait as long as the Hub asks for.
    fn begin_pause(&self, kind: &str, status: StatusCode, limits: &RateLimitHeaders) {
        if status == StatusCode::TOO_MANY_REQUESTS
            && limits.left.is_some_and(|left| left > 0)
            && let Some(after) = limits.retry_after
        {
            self.calls.hub.pauses().insert(kind.to_owned(), Instant::now() + after);
        }
    }

    fn check_encoding(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(encoding) = headers.get(CONTENT_ENCODING).filter(|encoding| *encoding != "identity") else {
            return Ok(());
        };
        let encoding = String::from_utf8_lossy(encoding.as_bytes());
        let encoding = redact(&encoding, &self.calls.hub.keyring.secrets());
        Err(Problem::Unreadable(format!("it is encoded as `{encoding}`, which was not requested")))
    }

    async fn read_body(&self, response: Response) -> Result<Vec<u8>, Problem> {
        let is_success = response.status().is_success();
        if is_success {
            self.check_encoding(response.headers())?;
        }
        match http::read_within(self.options.max_bytes, response).await {
            Ok(body) => Ok(body),
            // For the caller, the status of the error is enough.
            Err(ReadError::TooLarge) if !is_success => Ok(Vec::new()),
            Err(ReadError::TooLarge) => Err(Problem::TooLarge(self.options.max_bytes)),
            Err(ReadError::Lost(error)) => Err(Problem::from_client(&error)),
        }
    }

    fn refusal(&self, response: &HubResponse) -> HubError {
        let mut secrets = self.calls.hub.keyring.secrets();
        // The keyring may have a newer token by now.
        secrets.push(self.token.clone());
        let HubResponse { status, headers, retry_after, body, .. } = response;
        HubError::refused(self.call, status.as_u16(), headers, *retry_after, body, &secrets)
    }

    fn error(&self, problem: Problem) -> HubError {
        HubError::new(self.call, problem)
    }
}

/// The kind of a call, by which the Hub's other limits are remembered: `GET pending`, `POST batch`.
fn kind(request: &Request) -> String {
    format!("{} {}", request.method(), request.url().path().rsplit('/').next().unwrap_or_default())
}

/// The header with the token. It is marked as sensitive, so that no debug output shows it.
fn bearer(token: &Secret) -> Result<HeaderValue, Problem> {
    let bearer = HeaderValue::try_from(format!("Bearer {}", token.expose()));
    let mut bearer = bearer.map_err(|_| Problem::Unreachable("HF_TOKEN is not a valid token".to_owned()))?;
    bearer.set_sensitive(true);
    Ok(bearer)
}
