//! A Lambda event in, a response out: the only place that knows status codes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lambda_http::http::{Method, StatusCode, header};
use lambda_http::{Body, Request, RequestExt, Response};
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use crate::config::Config;
use crate::hub::{Hub, HubError, http_client_builder};
use crate::model::{Repo, RepoPattern};
use crate::policy::Policy;
use crate::report::Report;
use crate::review::review;
use crate::secret::WebhookSecrets;
use crate::webhook::{self, Delivery};

/// The Hub counts a delivery as failed after 30 seconds, and suspends webhooks that fail.
const WEBHOOK_BUDGET: Duration = Duration::from_secs(20);

/// The longest that Lambda lets a function run.
const LONGEST_INVOCATION: Duration = Duration::from_secs(15 * 60);

/// What is left of Lambda's time to write the report.
const TIME_TO_REPORT: Duration = Duration::from_secs(1);

/// Everything that outlives an event.
#[derive(Debug)]
pub struct Doorman {
    webhook_secrets: WebhookSecrets,
    repos: Option<Vec<RepoPattern>>,
    policy: Policy,
    hub: Hub,
    dry_run: bool,
}

impl Doorman {
    /// Sets up the one client that all events share. Fails only if HTTPS cannot be set up; makes no call.
    pub fn new(config: Config) -> Result<Self, HubError> {
        let Config { token, endpoint, webhook_secrets, policy, repos, dry_run, concurrency } = config;
        Ok(Self { webhook_secrets, repos, policy, hub: Hub::new(endpoint, token, concurrency)?, dry_run })
    }

    /// Answers a webhook. After the secret was verified the answer is never a 5xx: the Hub suspends webhooks that fail,
    /// and what was left undone is still pending for the next run.
    pub async fn handle(&self, request: Request) -> Response<Body> {
        let shown = request.headers().get(webhook::SECRET_HEADER).map(header::HeaderValue::as_bytes);
        let Some(verified) = webhook::verify(&self.webhook_secrets, shown, request.body()) else {
            let what = if shown.is_some() { "wrong" } else { "missing" };
            tracing::warn!(secret = what, "webhook refused");
            return empty(StatusCode::UNAUTHORIZED);
        };
        if request.method() != Method::POST {
            let mut response =
                respond(StatusCode::METHOD_NOT_ALLOWED, &json!({"error": "a webhook is a POST"}));
            response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("POST"));
            return response;
        }
        match webhook::parse(verified) {
            Ok(Delivery::Review(repo)) if self.looks_after(&repo) => {
                self.review(&repo, deadline(&request)).await
            }
            Ok(Delivery::Review(repo)) => ignored(&format!("REPOS does not name {repo}")),
            Ok(Delivery::Ignore(reason)) => ignored(reason),
            Err(error) => {
                tracing::warn!(error, "webhook not understood");
                respond(StatusCode::BAD_REQUEST, &json!({"error": error}))
            }
        }
    }

    fn looks_after(&self, repo: &Repo) -> bool {
        self.repos.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| pattern.covers(repo)))
    }

    async fn review(&self, repo: &Repo, deadline: Instant) -> Response<Body> {
        let report = review(repo, &self.policy, &self.hub, self.dry_run, deadline).await;
        report.log(self.dry_run);
        if report.not_gated && report.listed == report.held + report.failed {
            return ignored(&format!("{repo} is not gated"));
        }
        let report = Report::new(self.dry_run, vec![report]);
        let status = if report.is_complete() { StatusCode::OK } else { StatusCode::ACCEPTED };
        respond(status, &report)
    }
}

/// Tells Lambda why the function cannot start, and so whoever invokes it; the runtime crate does this only for faults of
/// its own. `api` is the host and port of Lambda's Runtime API. Fails if that does not answer.
pub async fn report_init_error(api: &str, message: &str) -> Result<(), reqwest::Error> {
    let body = json!({"errorType": "Configuration", "errorMessage": message, "stackTrace": []});
    let client = http_client_builder().no_proxy().build()?;
    let url = format!("http://{api}/2018-06-01/runtime/init/error");
    client.post(url).body(body.to_string()).send().await.map(drop)
}

/// When a webhook's review has to end: well before the Hub gives up, and before Lambda does.
fn deadline(request: &Request) -> Instant {
    let deadline = request.lambda_context_ref().map_or(0, |context| context.deadline);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::now() + time_for_review(Duration::from_millis(deadline), now)
}

/// How long a review may take, by Lambda's deadline and the time, both since 1970.
fn time_for_review(deadline: Duration, now: Duration) -> Duration {
    // What lies further back than a function can run is no deadline: emulators set whatever they like.
    if deadline + LONGEST_INVOCATION < now {
        return WEBHOOK_BUDGET;
    }
    deadline.saturating_sub(now).saturating_sub(TIME_TO_REPORT).min(WEBHOOK_BUDGET)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_review_ends_before_the_hub_and_before_lambda_give_up() {
        let now = Duration::from_secs(1_800_000_000);
        let cases =
            [(900, 20), (30, 20), (22, 20), (20, 19), (5, 4), (1, 0), (0, 0), (-1, 0), (-899, 0), (-901, 20)];
        for (left, expected) in cases {
            let deadline = Duration::from_secs(1_800_000_000_u64.saturating_add_signed(left));
            assert_eq!(time_for_review(deadline, now), Duration::from_secs(expected), "{left} s left");
        }
        assert_eq!(time_for_review(Duration::ZERO, now), Duration::from_secs(20), "none is known");
    }
}
