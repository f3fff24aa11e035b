//! The response to an order for the digest: it is made and sent to all of `DIGEST_TO`.

use lambda_http::http::StatusCode;
use lambda_http::{Body, Response};
use serde_json::json;
use tokio::time::Instant;

use super::{Handler, response};
use crate::digest::{Destination, Digest, Scope};
use crate::report::metrics::{Event, Metric, Values};

impl Handler {
    /// Makes the digest and sends it, unless nobody has to do anything. A failure is reported, and affects nothing else.
    pub(super) async fn respond_with_digest(&self, event: &Event, deadline: Instant) -> Response<Body> {
        let Self { hub, repos, digest_to, http, dry_run, .. } = self;
        let Some(patterns) = repos else {
            return response::ignored("REPOS is not set, so there is nothing to report");
        };
        if digest_to.is_empty() {
            return response::ignored("DIGEST_TO is not set, so the digest would reach nobody");
        }
        let left = deadline.saturating_duration_since(Instant::now());
        // A quarter of the time is for sending.
        let read_until = deadline - left / 4;
        let scope = Scope { hub, patterns, is_covered: |repo: &_| self.is_covered(repo), dry_run: *dry_run };
        let digest = Digest::collect(scope, self.policy(read_until), read_until).await;
        if !digest.is_due() {
            return response::json(StatusCode::OK, &json!({"status": "quiet", "held": 0}));
        }
        let sent = Destination::send_all(digest_to, &digest, http, deadline).await;
        let failures: Vec<_> =
            sent.iter().filter_map(|sent| Some((&sent.destination, sent.failure.as_ref()?))).collect();
        for (destination, error) in &failures {
            tracing::error!(destination, error, "the digest could not be sent");
        }
        let failed = u32::try_from(failures.len()).unwrap_or(u32::MAX);
        let event = &Event { name: "digest", ..event.clone() };
        self.metrics.write(event, &Values::default().count(Metric::DigestFailed, failed));
        let status = if failures.is_empty() { "sent" } else { "failed" };
        let failures: Vec<_> = failures
            .iter()
            .map(|(destination, error)| json!({"destination": destination, "error": error}))
            .collect();
        let body =
            json!({"status": status, "held": digest.total, "destinations": sent.len(), "failures": failures});
        response::json(StatusCode::OK, &body)
    }
}
