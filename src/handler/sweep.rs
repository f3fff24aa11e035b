//! The response to an event that is not HTTP: a sweep.

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use serde_json::json;
use tokio::time::Instant;
use tracing::Instrument;

use super::{Handler, InvocationError, PolicyOfEvent, deadline, is_unusable, response};
use crate::model::{Repo, RepoPattern};
use crate::report::Report;
use crate::report::metrics::{Event, Metric, Values};
use crate::sweep::sweep;
use crate::trigger::Trigger;
use crate::trigger::schedule::{self, NotATrigger};

/// The repos that a sweep reviews, of those that `REPOS` covers.
pub(super) struct Scope<'a> {
    pub(super) patterns: &'a [RepoPattern],
    /// Whether these are all patterns of `REPOS`.
    pub(super) is_all: bool,
    /// Whether a repo of the patterns is reviewed.
    pub(super) is_wanted: &'a (dyn Fn(&Repo) -> bool + Sync),
}

impl<'a> Scope<'a> {
    /// All repos that the patterns match.
    pub(super) fn of(patterns: &'a [RepoPattern], is_all: bool) -> Self {
        Self { patterns, is_all, is_wanted: &|_| true }
    }
}

/// A sweep that has ended.
pub(super) struct Swept {
    pub(super) report: Report,
    /// Whether nothing is left undone, and each pattern has matched a repo.
    pub(super) is_complete: bool,
}

impl Handler {
    /// Answers a schedule, or an order from a caller who may invoke the function.
    pub(super) async fn respond_to_event(
        &self,
        request: &Request,
        event: &Event,
    ) -> Result<Response<Body>, InvocationError> {
        let (patterns, is_all) = match schedule::parse(str::from_utf8(request.body()).unwrap_or_default()) {
            Ok(Trigger::SweepAll) => (self.repos.clone().ok_or(InvocationError::NothingToSweep)?, true),
            Ok(Trigger::Sweep(patterns)) => (self.only_covered(patterns)?, false),
            Ok(Trigger::Review(repo)) => (self.only_covered(vec![RepoPattern::One(repo)])?, false),
            Ok(Trigger::Mails(mails)) => return Ok(self.respond_to_mails(mails, request, event).await),
            Ok(Trigger::Digest) => {
                return Ok(self.respond_with_digest(event, deadline::of_sweep(request)).await);
            }
            Ok(Trigger::Ignore(reason)) => return Ok(response::ignored(reason)),
            Err(NotATrigger::Http) => return Ok(self.refuse_unreadable_http(event)),
            Err(NotATrigger::Unknown(why)) => return Err(InvocationError::UnknownEvent(why)),
        };
        self.sweep_and_respond(&patterns, is_all, request, event).await
    }

    /// The patterns, or an error if `REPOS` covers no repo of one of them.
    pub(super) fn only_covered(
        &self,
        patterns: Vec<RepoPattern>,
    ) -> Result<Vec<RepoPattern>, InvocationError> {
        let Some(repos) = &self.repos else { return Ok(patterns) };
        let is_covered = |pattern: &RepoPattern| repos.iter().any(|repo| repo.overlaps(pattern));
        match patterns.iter().find(|pattern| !is_covered(pattern)) {
            Some(other) => Err(InvocationError::NotCovered(other.clone())),
            None => Ok(patterns),
        }
    }

    /// Answers an HTTP event of a form that `lambda_http` does not know. `lambda_http` passes the response on unchanged, so
    /// the response here is written in the form that AWS expects for HTTP.
    fn refuse_unreadable_http(&self, event: &Event) -> Response<Body> {
        let refused = self.refuse_unreadable(&Event { name: "webhook", ..event.clone() });
        let body = str::from_utf8(refused.body()).unwrap_or_default();
        let headers = json!({"content-type": "application/json"});
        let written = json!({"statusCode": refused.status().as_u16(), "headers": headers, "body": body});
        response::json(StatusCode::OK, &written)
    }

    async fn sweep_and_respond(
        &self,
        patterns: &[RepoPattern],
        is_all: bool,
        request: &Request,
        event: &Event,
    ) -> Result<Response<Body>, InvocationError> {
        let deadline = deadline::of_sweep(request);
        let swept = self.sweep(Scope::of(patterns, is_all), &self.policy(deadline), deadline, event).await;
        match swept.report.token_refused() {
            Some(error) => Err(InvocationError::TokenRefused(error.clone())),
            None => Ok(response::json(StatusCode::OK, &swept.report.shortened())),
        }
    }

    /// Sweeps the repos that these patterns match, and writes the log lines and the metrics.
    pub(super) async fn sweep(
        &self,
        scope: Scope<'_>,
        policy: &PolicyOfEvent<'_>,
        deadline: Instant,
        event: &Event,
    ) -> Swept {
        let (begun, begun_at) = (Instant::now(), self.hub.time());
        let review = |repo: Repo| {
            let span = tracing::info_span!("sweep", %repo);
            let review = async move {
                let report = self.review(&repo, policy, deadline).await;
                // A line for each repo with nothing to report would cost more than the rest of a sweep. The repos that were
                // not reached share one line.
                if !report.is_quiet() {
                    report.log(self.is_dry(policy.peek()));
                }
                report
            };
            review.instrument(span)
        };
        let Scope { patterns, is_all, is_wanted } = scope;
        let is_wanted = |repo: &Repo| self.is_covered(repo) && is_wanted(repo);
        let swept = sweep(&self.hub, patterns, is_wanted, &self.history, deadline, review).await;
        // A mail may name what does not exist.
        for pattern in swept.unmatched.iter().filter(|_| event.name != "mail") {
            tracing::warn!(%pattern, "no gated repo found; is it misspelt, or hidden from HF_TOKEN?");
        }
        let report = self.report(policy, swept.repos, swept.failed_searches, swept.unlisted);
        let counts = report.log_sweep(swept.search_calls);
        let is_complete = report.is_complete() && swept.unmatched.is_empty();
        if is_all && is_complete {
            self.looks().note_all(begun_at);
        }
        // In a sweep of only some repos, a 403 is about those repos, not about the token.
        let is_refused = report.token_refused().is_some_and(|error| is_all || error.status() == Some(401));
        // A complete sweep without a pending request proves that no request is waiting.
        let oldest = counts.oldest_pending_s.or(is_complete.then_some(0));
        let values = Values::of(&counts, is_complete, report.dry_run, self.hub.take_limit_status())
            .level(Metric::OldestPendingAge, oldest)
            .waits(&report.waits)
            .duration(Metric::SweepDuration, begun.elapsed())
            .count(Metric::SweepFinished, (is_all && is_complete).into())
            .count(Metric::LimitsReached, report.limits_reached())
            .count(Metric::PolicyUnusable, is_unusable(policy).into())
            .count(Metric::TokenRefused, is_refused.into());
        self.metrics.write(event, &values);
        Swept { report, is_complete }
    }
}
