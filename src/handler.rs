//! A Lambda event in, a response out: the only place that knows status codes.

mod deadline;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use lambda_http::http::{Method, StatusCode, header};
use lambda_http::request::{LambdaRequest, RequestContext};
use lambda_http::{Adapter, Body, IntoResponse, Request, RequestExt, Response, Service, TransformResponse};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use reqwest::Client;
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;
use tracing::Instrument;

use crate::config::{Config, ConfigError};
use crate::http;
use crate::hub::{Connections, Hub, HubError, Transport};
use crate::keyring::Keyring;
use crate::metrics::{Event, Metrics, Values};
use crate::model::{Repo, RepoPattern};
use crate::plan::Mode;
use crate::policy::Policy;
use crate::report::{self, Counts, RepoReport, Report, Step, UnlistedRepos};
use crate::review::review;
use crate::schedule::{self, NoPrompt, Sweep};
use crate::secret::WebhookSecrets;
use crate::sweep::{Memory, catch_panic, sweep};
use crate::webhook::{self, Delivery, Verified};

/// What comes as HTTP and cannot be read is told this, whoever sent it.
const NO_REQUEST: &str = "this is no HTTP request that can be read";

/// Everything that outlives an event.
#[derive(Debug)]
pub struct Doorman {
    keyring: Arc<Keyring>,
    metrics: Metrics,
    repos: Option<Vec<RepoPattern>>,
    policy: Policy,
    hub: Hub,
    memory: Memory,
    dry_run: bool,
}

impl Doorman {
    /// Sets up the one client that all events share, and reads the secrets that AWS keeps; without any it makes no call.
    /// `metrics` is where metrics are written to.
    pub async fn new(config: Config, metrics: Metrics) -> Result<Self, ConfigError> {
        let http =
            http::client().map_err(|error| ConfigError(vec![format!("HTTPS cannot be set up: {error}")]))?;
        Self::with_transport(config, metrics, &http, Connections::new(http.clone())).await
    }

    /// The same, where something else than the HTTP client may carry the calls to the Hub. Those to AWS are carried by `http`.
    pub async fn with_transport(
        config: Config,
        metrics: Metrics,
        http: &Client,
        transport: impl Transport + 'static,
    ) -> Result<Self, ConfigError> {
        let Config { secrets, endpoint, policy, repos, dry_run, concurrency } = config;
        let keyring = Arc::new(Keyring::read(secrets, http).await.map_err(ConfigError)?);
        let hub = Hub::new(transport, endpoint, Arc::clone(&keyring), concurrency);
        Ok(Self { keyring, metrics, repos, policy, hub, memory: Memory::default(), dry_run })
    }

    /// Answers an event of the runtime. What comes as HTTP is always answered: an invocation that fails raises an alarm, and
    /// anybody may send what is no request.
    pub fn answer(
        self: &Arc<Self>,
        mut event: LambdaEvent<LambdaRequest>,
    ) -> TransformResponse<'static, Response<Body>, InvocationError> {
        forget_address(&mut event.payload);
        let (origin, context, doorman) =
            (event.payload.request_origin(), event.context.clone(), Arc::clone(self));
        let handle = service_fn(move |request| {
            let doorman = Arc::clone(&doorman);
            async move { doorman.handle(request).await }
        });
        // lambda_http panics where it cannot make a URL or a body of what it is given.
        catch_unwind(AssertUnwindSafe(|| Adapter::from(handle).call(event))).unwrap_or_else(|_| {
            let response = self.answer_no_request(&Event::of("webhook", Some(&context)));
            TransformResponse::Response(origin, response.into_response())
        })
    }

    /// Counted as one without the secret, which nobody has read.
    fn answer_no_request(&self, event: &Event) -> Response<Body> {
        self.metrics.write(event, &Values::one("RejectedWebhooks"));
        not_understood(StatusCode::BAD_REQUEST, NO_REQUEST)
    }

    /// Does what an event asks for: a webhook's review, or a sweep. A webhook never fails, and neither does a sweep that
    /// gets anywhere.
    pub async fn handle(&self, request: Request) -> Result<Response<Body>, InvocationError> {
        if let Some(RequestContext::PassThrough) = request.request_context_ref() {
            let event = event(&request, "sweep");
            return self.answer_schedule(&request, &event).instrument(tracing::info_span!("sweep")).await;
        }
        let event = event(&request, "webhook");
        let span = tracing::info_span!("webhook", delivery_id = event.delivery_id);
        Ok(self.answer_webhook(&request, event).instrument(span).await)
    }

    /// Answers a webhook. After the secret was verified the answer is never a 5xx: the Hub suspends webhooks that fail,
    /// and what was left undone is still pending for the next run.
    async fn answer_webhook(&self, request: &Request, mut event: Event) -> Response<Body> {
        // No webhook, but a load balancer's health check or a browser. Counted as refused, it would look like somebody who guesses.
        if matches!(*request.method(), Method::GET | Method::HEAD)
            && !request.headers().contains_key(webhook::SECRET_HEADER)
        {
            return not_a_post();
        }
        let begun = Instant::now();
        let deadline = deadline::of_webhook(request);
        let Some(verified) = self.verify(request, deadline).await else {
            self.metrics.write(&event, &Values::one("RejectedWebhooks"));
            return empty(StatusCode::UNAUTHORIZED);
        };
        if request.method() != Method::POST {
            return not_a_post();
        }
        match webhook::parse(verified) {
            Ok(Delivery::Review(repo)) => {
                event.repo = Some(repo.to_string());
                let span = tracing::info_span!("webhook", %repo);
                self.answer_about(&repo, &event, begun, deadline).instrument(span).await
            }
            Ok(Delivery::Ignore(reason)) => ignored(reason),
            Err(error) => not_understood(StatusCode::BAD_REQUEST, &error),
        }
    }

    /// Answers a webhook that is about this repo.
    async fn answer_about(
        &self,
        repo: &Repo,
        event: &Event,
        begun: Instant,
        deadline: Instant,
    ) -> Response<Body> {
        if !self.looks_after(repo) {
            return ignored(&format!("REPOS does not name {repo}"));
        }
        let report = catch_panic(repo, self.review(repo, deadline)).await;
        report.log(self.dry_run);
        // What is said of one repo only (403) is not said of the token.
        let is_refused = report.hub_error().is_some_and(|error| error.status() == Some(401));
        let values = Values::of(&report.counts, report.complete, self.dry_run, self.hub.take_limit())
            .level("OldestPendingAge", "Seconds", report.counts.oldest_pending_s)
            .duration("ReviewDuration", begun.elapsed())
            .count("TokenRefused", is_refused.into());
        self.metrics.write(event, &values);
        let Counts { listed, held, failed, .. } = report.counts;
        if report.hub_error().is_some_and(HubError::is_not_gated) && listed == held + failed {
            return ignored(&format!("{repo} is not gated"));
        }
        let report = Report::new(self.dry_run, vec![report], UnlistedRepos::default());
        let status = if report.is_complete() { StatusCode::OK } else { StatusCode::ACCEPTED };
        respond(status, &report)
    }

    /// The body of a webhook that shows the secret, or a newer one than this process knows.
    async fn verify<'a>(&self, request: &'a Request, deadline: Instant) -> Option<Verified<'a>> {
        let Some(shown) = request.headers().get(webhook::SECRET_HEADER) else {
            tracing::warn!(secret = "missing", "webhook refused");
            return None;
        };
        let verify = |accepted: &WebhookSecrets| webhook::verify(accepted, shown.as_bytes(), request.body());
        let mut verified = verify(&self.keyring.accepted());
        if verified.is_none() {
            verified = verify(&*self.keyring.renew_accepted(deadline).await);
        }
        if verified.is_none() {
            tracing::warn!(secret = "wrong", "webhook refused");
        }
        verified
    }

    /// Sweeps over what a schedule, or somebody who may invoke the function, asks for.
    async fn answer_schedule(
        &self,
        request: &Request,
        event: &Event,
    ) -> Result<Response<Body>, InvocationError> {
        let order = match schedule::parse(str::from_utf8(request.body()).unwrap_or_default()) {
            Ok(order) => order,
            Err(NoPrompt::Ping) => return Ok(ignored("a ping that keeps the function warm")),
            // What lambda_http does not know is answered as it is: so the answer here is that of HTTP, spelt out.
            Err(NoPrompt::Http) => {
                let response = self.answer_no_request(&Event { name: "webhook", ..event.clone() });
                let (status, body) = (response.status().as_u16(), str::from_utf8(response.body()));
                let headers = json!({"content-type": "application/json"});
                let spelt_out =
                    json!({"statusCode": status, "headers": headers, "body": body.unwrap_or_default()});
                return Ok(respond(StatusCode::OK, &spelt_out));
            }
            Err(NoPrompt::Unknown(why)) => return Err(InvocationError::UnknownEvent(why)),
        };
        let is_all = matches!(order, Sweep::All);
        let patterns = match (order, &self.repos) {
            (Sweep::All, None) => return Err(InvocationError::NothingToSweep),
            (Sweep::All, Some(repos)) => repos.clone(),
            (Sweep::Some(named), None) => named,
            (Sweep::Some(named), Some(repos)) => {
                let is_foreign = |named: &&RepoPattern| !repos.iter().any(|repo| repo.overlaps(named));
                match named.iter().find(is_foreign) {
                    Some(foreign) => return Err(InvocationError::NotOurs(foreign.clone())),
                    None => named,
                }
            }
        };
        let (begun, deadline) = (Instant::now(), deadline::of_sweep(request));
        let review = |repo: Repo| {
            let span = tracing::info_span!("sweep", %repo);
            let review = async move {
                let report = self.review(&repo, deadline).await;
                // A line for each repo in which nobody waits, in every sweep, would cost more than all the rest. Those that
                // got no turn are told of together.
                if report.had_its_turn() && (report.counts.listed > 0 || !report.complete) {
                    report.log(self.dry_run);
                }
                report
            };
            review.instrument(span)
        };
        let are_ours = |repo: &Repo| self.looks_after(repo);
        let swept = sweep(&self.hub, &patterns, are_ours, &self.memory, deadline, review).await;
        for pattern in &swept.unmatched {
            tracing::warn!(%pattern, "no gated repo found; is it misspelt, or hidden from HF_TOKEN?");
        }
        let report = Report::new(self.dry_run, swept.reports, swept.others);
        let counts = report.log(swept.calls);
        let (complete, refused) =
            (report.is_complete() && swept.unmatched.is_empty(), report.token_refused());
        // What is said of some repos only (403) is not said of the token.
        let is_refused = refused.is_some_and(|error| is_all || error.status() == Some(401));
        // Nobody waits, if that is known.
        let oldest = counts.oldest_pending_s.or(complete.then_some(0));
        let values = Values::of(&counts, complete, self.dry_run, self.hub.take_limit())
            .level("OldestPendingAge", "Seconds", oldest)
            .duration("SweepDuration", begun.elapsed())
            .count("SweepFinished", (is_all && complete).into())
            .count("TokenRefused", is_refused.into());
        self.metrics.write(event, &values);
        match refused {
            Some(error) => Err(InvocationError::TokenRefused(error.clone())),
            None => Ok(respond(StatusCode::OK, &report.shortened())),
        }
    }

    fn looks_after(&self, repo: &Repo) -> bool {
        self.repos.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| pattern.covers(repo)))
    }

    async fn review(&self, repo: &Repo, deadline: Instant) -> RepoReport {
        let Self { policy, hub, dry_run, .. } = self;
        let mut audit = |step: Step| report::audit(step, policy.fingerprint(), *dry_run);
        review(repo, policy, hub, Mode::of(*dry_run), deadline, &mut audit).await
    }
}

/// Why an invocation fails, so that whoever invoked the function, Lambda's own metric of errors, and an alarm on it see it.
#[derive(thiserror::Error)]
pub enum InvocationError {
    /// The event is neither a webhook nor a prompt to sweep.
    #[error("{0}")]
    UnknownEvent(String),
    /// All that are looked after are to be swept, and nothing says which those are.
    #[error("there is nothing to sweep: set REPOS to the repos to look after, such as `acme/*`")]
    NothingToSweep,
    /// A repo is to be swept that is not looked after.
    #[error("`sweep` names `{0}`, which REPOS does not")]
    NotOurs(RepoPattern),
    /// The Hub does not let this token do anything.
    #[error("the Hub refuses HF_TOKEN: {0}")]
    TokenRefused(HubError),
}

/// As it reads: this is what the runtime writes to the log.
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
            InvocationError::NotOurs(_) => "NotOurs",
            InvocationError::TokenRefused(_) => "TokenRefused",
        };
        Self { error_type: error_type.to_owned(), error_message: error.to_string() }
    }
}

/// Tells Lambda why the function cannot start, and so whoever invokes it; the runtime crate does this only for faults of
/// its own. `api` is the host and port of Lambda's Runtime API. Fails if that does not answer.
pub async fn report_init_error(api: &str, message: &str) -> Result<(), reqwest::Error> {
    let body = json!({"errorType": "Configuration", "errorMessage": message, "stackTrace": []});
    let client = http::client_builder().no_proxy().build()?;
    let url = format!("http://{api}/2018-06-01/runtime/init/error");
    client.post(url).body(body.to_string()).send().await.map(drop)
}

/// Removes what `lambda_http` would make the URL of the request of. It panics if that is none, such as
/// `0123456789.execute-api.{dns_suffix}` in AWS's templates of test events, and nobody here reads it.
fn forget_address(event: &mut LambdaRequest) {
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

/// What a request is known by in the log.
fn event(request: &Request, name: &'static str) -> Event {
    // What a stranger writes there is not repeated.
    let is_id =
        |id: &&str| id.len() <= 100 && id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let delivery_id = request.headers().get(webhook::DELIVERY_HEADER).and_then(|id| id.to_str().ok());
    let delivery_id = delivery_id.filter(is_id).map(str::to_owned);
    Event { delivery_id, ..Event::of(name, request.lambda_context_ref()) }
}

/// Answers what is not sent as the Hub sends webhooks.
fn not_a_post() -> Response<Body> {
    let mut response = not_understood(StatusCode::METHOD_NOT_ALLOWED, "a webhook is a POST");
    response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("POST"));
    response
}

fn not_understood(status: StatusCode, error: &str) -> Response<Body> {
    tracing::warn!(error, "webhook not understood");
    respond(status, &json!({"error": error}))
}

fn ignored(reason: &str) -> Response<Body> {
    #[derive(Serialize)]
    struct Ignored<'a> {
        status: &'static str,
        reason: &'a str,
    }
    tracing::info!(reason, "webhook ignored");
    respond(StatusCode::OK, &Ignored { status: "ignored", reason })
}

fn respond(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    let mut response = Response::new(Body::Text(serde_json::to_string(body).unwrap_or_default()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}
