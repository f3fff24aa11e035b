//! The response to an order for the digest: it is made and sent to all of `DIGEST_TO`.

use chrono::{Datelike, Utc, Weekday};
use lambda_http::http::StatusCode;
use lambda_http::{Body, Response};
use serde_json::json;
use tokio::time::Instant;

use super::{Handler, response};
use crate::digest::{Destination, Digest};
use crate::report::metrics::{Event, Metric, Values};

/// The day on which a digest is sent although nobody waits, so that silence never means that it is broken.
const DAY_OF_ALL_WELL: Weekday = Weekday::Mon;

impl Handler {
    /// Makes the digest and sends it. A failure is reported, and affects nothing else. If nobody waits, it is sent only once a week.
    pub(super) async fn respond_with_digest(&self, event: &Event, deadline: Instant) -> Response<Body> {
        let Self { hub, repos, digest_to, http, .. } = self;
        let Some(patterns) = repos else {
            return response::ignored("REPOS is not set, so there is nothing to report");
        };
        if digest_to.is_empty() {
            return response::ignored("DIGEST_TO is not set, so the digest would reach nobody");
        }
        let left = deadline.saturating_duration_since(Instant::now());
        // A quarter of the time is for sending.
        let read_until = deadline - left / 4;
        let is_covered = |repo: &_| self.is_covered(repo);
        let digest = Digest::collect(hub, patterns, is_covered, self.policy(read_until), read_until).await;
        if digest.is_quiet() && Utc::now().weekday() != DAY_OF_ALL_WELL {
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
