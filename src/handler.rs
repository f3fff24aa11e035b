//! Takes a Lambda event and returns a response. This is the only place that knows the status codes of responses.

mod deadline;
mod digest;
mod init_error;
mod mail;
mod push;
mod response;
mod sweep;
mod webhook;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use lambda_http::http::{StatusCode, header};
use lambda_http::request::{LambdaRequest, RequestContext};
use lambda_http::{Adapter, Body, IntoResponse, Request, RequestExt, Response, Service, TransformResponse};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use reqwest::Client;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::Instrument;

use crate::config::{Config, ConfigError};
use crate::digest::Destination;
use crate::http;
use crate::hub::{Connections, Hub, HubError, Transport};
use crate::model::{Repo, RepoPattern};
use crate::plan::Mode;
use crate::policy::Policy;
use crate::report::audit::{Step, log_decision};
use crate::report::metrics::{Event, Metric, Metrics, Values};
use crate::report::{RepoReport, Report, SearchReport, UnlistedRepos};
use crate::review::review;
use crate::secrets::Keyring;
use crate::source::Source;
use crate::sweep::SweepHistory;
use crate::trigger::mail::MailFrom;
use crate::trigger::webhook::DELIVERY_HEADER;
pub use init_error::report_init_error;
use mail::Looks;
use push::LastPush;

/// The error for an unreadable HTTP request.
const UNREADABLE_REQUEST: &str = "this is not an HTTP request that can be read";

/// The policy of one event, which its reviews share.
type PolicyOfEvent<'a> = Shared<BoxFuture<'a, Arc<Policy>>>;

/// Answers the events of a process. It holds everything that outlives an event.
#[derive(Debug)]
pub struct Handler {
    keyring: Arc<Keyring>,
    metrics: Metrics,
    repos: Option<Vec<RepoPattern>>,
    policy: Source,
    hub: Hub,
    history: SweepHistory,
    last_push: Mutex<LastPush>,
    looks: std::sync::Mutex<Looks>,
    mail_from: MailFrom,
    digest_to: Vec<Destination>,
    http: Client,
    dry_run: bool,
}

impl Handler {
    /// Sets up the HTTP client that all events share, and reads the secrets that AWS keeps. If AWS keeps none, no call is
    /// made.
    pub async fn new(config: Config, metrics: Metrics) -> Result<Self, ConfigError> {
        let http =
            http::client().map_err(|error| ConfigError(vec![format!("HTTPS cannot be set up: {error}")]))?;
        Self::with_transport(config, metrics, &http, Connections::new(http.clone())).await
    }

    /// Like [`Handler::new`], but `transport` carries the calls to the Hub. `http` carries those to AWS.
    pub async fn with_transport(
        config: Config,
        metrics: Metrics,
        http: &Client,
        transport: impl Transport + 'static,
    ) -> Result<Self, ConfigError> {
        let Config { secrets, endpoint, policy, repos, mail_from, digest_to, dry_run, concurrency } = config;
        let keyring = Arc::new(Keyring::read(secrets, http).await.map_err(ConfigError)?);
        let hub = Hub::new(transport, endpoint, Arc::clone(&keyring), concurrency);
        let policy = Source::new(policy, http.clone());
        if repos.is_none() {
            tracing::warn!("REPOS is empty: there are no sweeps, so nobody is decided until a webhook comes");
        }
        Ok(Self {
            keyring,
            metrics,
            repos,
            policy,
            hub,
            history: SweepHistory::default(),
            last_push: Mutex::default(),
            looks: std::sync::Mutex::default(),
            mail_from,
            digest_to,
            http: http.clone(),
            dry_run,
        })
    }

    /// Answers an event of the runtime. An HTTP event is always answered, even an unreadable one: anybody may send it, and a
    /// failed invocation would raise an alarm.
    pub fn answer(
        self: &Arc<Self>,
        mut event: LambdaEvent<LambdaRequest>,
    ) -> TransformResponse<'static, Response<Body>, InvocationError> {
        remove_host(&mut event.payload);
        let (origin, context, handler) =
            (event.payload.request_origin(), event.context.clone(), Arc::clone(self));
        let handle = service_fn(move |request| {
            let handler = Arc::clone(&handler);
            async move { handler.handle(request).await }
        });
        // lambda_http panics if it cannot make a URL or a body from the event.
        catch_unwind(AssertUnwindSafe(|| Adapter::from(handle).call(event))).unwrap_or_else(|_| {
            let response = self.refuse_unreadable(&Event::of("webhook", Some(&context)));
            TransformResponse::Response(origin, response.into_response())
        })
    }

    /// Answers a request: a webhook, or an event that is not HTTP. A webhook never fails. Other events fail if
    /// they are unknown, if `REPOS` does not cover them, or if the Hub refuses the token.
    pub async fn handle(&self, request: Request) -> Result<Response<Body>, InvocationError> {
        if let Some(RequestContext::PassThrough) = request.request_context_ref() {
            let event = event_of(&request, "sweep");
            return self.respond_to_event(&request, &event).instrument(tracing::info_span!("sweep")).await;
        }
        let event = event_of(&request, "webhook");
        let span = tracing::info_span!("webhook", delivery_id = event.delivery_id);
        Ok(self.respond_to_webhook(&request, event).instrument(span).await)
    }

    /// Refuses an unreadable HTTP request. It counts as a rejected webhook, because it has not shown the secret.
    fn refuse_unreadable(&self, event: &Event) -> Response<Body> {
        self.metrics.write(event, &Values::one(Metric::RejectedWebhooks));
        response::error(StatusCode::BAD_REQUEST, UNREADABLE_REQUEST)
    }

    /// Whether `REPOS` covers this repo. If `REPOS` is not set, every repo is covered.
    fn is_covered(&self, repo: &Repo) -> bool {
        self.repos.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| pattern.covers(repo)))
    }

    /// The policy for one event. It is asked for when the first review begins.
    fn policy(&self, deadline: Instant) -> PolicyOfEvent<'_> {
        self.policy.current(&self.hub, deadline).boxed().shared()
    }

    /// The report of a run, which says whether the policy is paused or cannot be used.
    fn report(
        &self,
        policy: &PolicyOfEvent<'_>,
        repos: Vec<RepoReport>,
        searches: Vec<SearchReport>,
        unlisted: UnlistedRepos,
    ) -> Report {
        let policy = policy.peek();
        let paused = policy.is_some_and(|policy| policy.is_paused());
        if paused {
            tracing::warn!("the policy is paused, so nobody is decided");
        }
        let policy_fault = policy.and_then(|policy| policy.why_unusable()).map(str::to_owned);
        Report { paused, policy_fault, ..Report::new(self.is_dry(policy), repos, searches, unlisted) }
    }

    /// Whether nothing is written. A paused policy decides nobody, and its decisions are only reported, as in a dry run.
    fn is_dry(&self, policy: Option<&Arc<Policy>>) -> bool {
        self.dry_run || policy.is_some_and(|policy| policy.is_paused())
    }

    async fn review(&self, repo: &Repo, policy: &PolicyOfEvent<'_>, deadline: Instant) -> RepoReport {
        let Self { hub, dry_run, .. } = self;
        let mut log = |step: Step| {
            if let Some(policy) = policy.peek() {
                log_decision(step, policy, *dry_run);
            }
        };
        let began = hub.time();
        let report = review(repo, policy.clone(), hub, Mode::of(*dry_run), deadline, &mut log).await;
        self.looks().note(&report, began);
        report
    }
}

/// Whether the policy of an event, or one of its lists, cannot be used.
fn is_unusable(policy: &PolicyOfEvent<'_>) -> bool {
    let has_unreadable_list = |policy: &Arc<Policy>| policy.lists().any(|(_, entries)| entries.is_err());
    policy.peek().is_some_and(|policy| policy.why_unusable().is_some() || has_unreadable_list(policy))
}

/// Why an invocation fails. The caller of the function gets this error, Lambda's metric `Errors` counts it, and an alarm is
/// raised.
#[derive(thiserror::Error)]
pub enum InvocationError {
    /// The event is neither a webhook nor a trigger of a sweep.
    #[error("{0}")]
    UnknownEvent(String),
    /// All repos should be swept, but `REPOS` is not set.
    #[error("there is nothing to sweep: set REPOS to the repos to review, such as `acme/*`")]
    NothingToSweep,
    /// An order names a repo that `REPOS` does not cover.
    #[error("`sweep` names `{0}`, which REPOS does not cover")]
    NotCovered(RepoPattern),
    /// The Hub refuses this token for every repo.
    #[error("the Hub refuses HF_TOKEN: {0}")]
    TokenRefused(HubError),
}

/// The same as `Display`, because the runtime writes `Debug` to the log.
impl fmt::Debug for InvocationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<InvocationError> for Diagnostic {
    fn from(error: InvocationError) -> Self {
        let error_type = match error {
            InvocationError::UnknownEvent(_) => "UnknownEvent",
            InvocationError::NothingToSweep => "NothingToSweep",
            InvocationError::NotCovered(_) => "NotCovered",
            InvocationError::TokenRefused(_) => "TokenRefused",
        };
        Self { error_type: error_type.to_owned(), error_message: error.to_string() }
    }
}

/// Removes the parts from which `lambda_http` makes the URL of the request. The URL is not used, and `lambda_http` panics on
/// a host such as `0123456789.execute-api.{dns_suffix}` in AWS's templates of test events.
fn remove_host(event: &mut LambdaRequest) {
    let headers = match event {
        LambdaRequest::ApiGatewayV1(request) => {
            request.request_context.domain_name = None;
            &mut request.headers
        }
        LambdaRequest::ApiGatewayV2(request) => {
            request.request_context.domain_name = None;
            &mut request.headers
        }
        LambdaRequest::Alb(request) => &mut request.headers,
        _ => return,
    };
    headers.remove(header::HOST);
}

/// The names of a request in the log.
fn event_of(request: &Request, name: &'static str) -> Event {
    // Anybody may write anything into the header, so it is logged only if it looks like an id.
    let is_id =
        |id: &&str| id.len() <= 100 && id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let delivery_id = request.headers().get(DELIVERY_HEADER).and_then(|id| id.to_str().ok());
    let delivery_id = delivery_id.filter(is_id).map(str::to_owned);
    Event { delivery_id, ..Event::of(name, request.lambda_context_ref()) }
}
