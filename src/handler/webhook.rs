//! The response to a webhook: its secret is verified, and then its repo is reviewed.

use lambda_http::http::{Method, StatusCode};
use lambda_http::{Body, Request, Response};
use tokio::time::Instant;
use tracing::Instrument;

use super::sweep::Scope;
use super::{Handler, InvocationError, deadline, is_unusable, response};
use crate::hub::HubError;
use crate::model::Repo;
use crate::report::metrics::{Event, Metric, Values};
use crate::report::{Counts, UnlistedRepos};
use crate::secrets::AcceptedSecrets;
use crate::sweep::catch_panic;
use crate::trigger::Trigger;
use crate::trigger::webhook::{self, SECRET_HEADER, Verified};

impl Handler {
    /// Answers a webhook. Once the secret is verified, the status is never a 5xx: the Hub suspends webhooks that fail, and
    /// requests that were not decided are still pending for the next run.
    pub(super) async fn respond_to_webhook(&self, request: &Request, mut event: Event) -> Response<Body> {
        // A load balancer's health check or a browser. It is not counted as a rejected webhook, which would look like an
        // attack.
        if matches!(*request.method(), Method::GET | Method::HEAD)
            && !request.headers().contains_key(SECRET_HEADER)
        {
            return response::method_not_allowed();
        }
        let begun = Instant::now();
        let deadline = deadline::of_webhook(request);
        let Some(verified) = self.verify(request, deadline).await else {
            self.metrics.write(&event, &Values::one(Metric::RejectedWebhooks));
            return response::empty(StatusCode::UNAUTHORIZED);
        };
        if request.method() != Method::POST {
            return response::method_not_allowed();
        }
        let trigger = webhook::parse(verified);
        if let Some((file, push)) = self.policy.place().on_hub().zip(webhook::push(verified))
            && trigger.is_ok()
            && push.is_about(&file.repo)
        {
            let repo = &file.repo;
            event.repo = Some(repo.to_string());
            let span = tracing::info_span!("webhook", %repo);
            return self.respond_to_push(file, &push, &event, deadline).instrument(span).await;
        }
        match trigger {
            Ok(Trigger::Review(repo)) => {
                event.repo = Some(repo.to_string());
                let span = tracing::info_span!("webhook", %repo);
                self.review_and_respond(&repo, &event, begun, deadline).instrument(span).await
            }
            Ok(Trigger::Ignore(reason)) => response::ignored(reason),
            Ok(Trigger::SweepAll) => match &self.repos {
                Some(repos) => self.sweep_by_order(Scope::of(repos, true), &event, deadline).await,
                None => {
                    response::error(StatusCode::BAD_REQUEST, &InvocationError::NothingToSweep.to_string())
                }
            },
            Ok(Trigger::Sweep(patterns)) => match self.only_covered(patterns) {
                Ok(patterns) => self.sweep_by_order(Scope::of(&patterns, false), &event, deadline).await,
                Err(error) => response::error(StatusCode::BAD_REQUEST, &error.to_string()),
            },
            Ok(Trigger::Digest) => self.respond_with_digest(&event, deadline).await,
            // `parse` never returns this for a webhook.
            Ok(Trigger::Mails(_)) => response::ignored("a webhook brings no mail"),
            Err(error) => response::error(StatusCode::BAD_REQUEST, &error),
        }
    }

    /// Carries out an order that showed the webhook's secret, in the time of a webhook. What is left then is for the schedule.
    async fn sweep_by_order(&self, scope: Scope<'_>, event: &Event, deadline: Instant) -> Response<Body> {
        let swept = self.sweep(scope, &self.policy(deadline), deadline, event).await;
        let status = if swept.is_complete { StatusCode::OK } else { StatusCode::ACCEPTED };
        response::json(status, &swept.report.shortened())
    }

    /// Verifies the secret of a webhook. If it is wrong, the secrets are read again, because they may have been rotated.
    async fn verify<'a>(&self, request: &'a Request, deadline: Instant) -> Option<Verified<'a>> {
        let Some(shown) = request.headers().get(SECRET_HEADER) else {
            tracing::warn!(secret = "missing", "webhook refused");
            return None;
        };
        let verify = |accepted: &AcceptedSecrets| webhook::verify(accepted, shown.as_bytes(), request.body());
        let mut verified = verify(&self.keyring.webhook().current());
        if verified.is_none() {
            verified = verify(&*self.keyring.webhook().renewed(deadline).await);
        }
        if verified.is_none() {
            tracing::warn!(secret = "wrong", "webhook refused");
        }
        verified
    }

    async fn review_and_respond(
        &self,
        repo: &Repo,
        event: &Event,
        begun: Instant,
        deadline: Instant,
    ) -> Response<Body> {
        if !self.is_covered(repo) {
            return response::ignored(&format!("REPOS does not name {repo}"));
        }
        let policy = self.policy(deadline);
        let report = catch_panic(repo, self.review(repo, &policy, deadline)).await;
        let dry_run = self.is_dry(policy.peek());
        report.log(dry_run);
        // A 403 is about this repo, not about the token.
        let is_refused = report.hub_error().is_some_and(|error| error.status() == Some(401));
        let values = Values::of(&report.counts, report.complete, dry_run, self.hub.take_limit_status())
            .level(Metric::OldestPendingAge, report.counts.oldest_pending_s)
            .waits(&report.waits)
            .duration(Metric::ReviewDuration, begun.elapsed())
            .count(Metric::LimitsReached, (!report.limits_reached.is_empty()).into())
            .count(Metric::PolicyUnusable, is_unusable(&policy).into())
            .count(Metric::TokenRefused, is_refused.into());
        self.metrics.write(event, &values);
        let Counts { listed, held, over_limit, failed, .. } = report.counts;
        if report.hub_error().is_some_and(HubError::is_not_gated) && listed == held + over_limit + failed {
            return response::ignored(&format!("{repo} is not gated"));
        }
        let report = self.report(&policy, vec![report], Vec::new(), UnlistedRepos::default());
        let status = if report.is_complete() { StatusCode::OK } else { StatusCode::ACCEPTED };
        response::json(status, &report)
    }
}
