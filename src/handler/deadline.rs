//! Deadlines: a run ends before the Hub stops waiting for the response and before Lambda stops the function.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt};
use tokio::time::Instant;

/// The time in which the Hub must get a response. It counts a delivery as failed after 30 seconds, and suspends webhooks that
/// fail. Three of these seconds are left for the network.
const HUB_TIMEOUT: Duration = Duration::from_secs(27);

/// The most time for the review of a webhook.
const MAX_WEBHOOK_TIME: Duration = Duration::from_secs(20);

/// The most time that Lambda allows for an invocation.
const MAX_INVOCATION: Duration = Duration::from_secs(15 * 60);

/// The time between the end of a run and Lambda's deadline, in which the report is written.
const TIME_TO_REPORT: Duration = Duration::from_secs(1);

/// When the review of a webhook has to end.
pub(super) fn of_webhook(request: &Request) -> Instant {
    of_run(request, time_for_webhook(arrived(request), now()))
}

/// When a sweep has to end. A longer sweep may have more repos to report, so a hundredth of the time is kept for the report.
pub(super) fn of_sweep(request: &Request) -> Instant {
    let deadline = of_run(request, MAX_INVOCATION);
    deadline - deadline.saturating_duration_since(Instant::now()) / 100
}

/// When a run has to end that may take `at_most` this long.
fn of_run(request: &Request, at_most: Duration) -> Instant {
    let deadline = request.lambda_context_ref().map_or(0, |context| context.deadline);
    Instant::now() + time_for_run(Duration::from_millis(deadline), now(), at_most)
}

/// The time since 1970.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// When the HTTP request reached AWS, since 1970, if the event contains that time.
fn arrived(request: &Request) -> Option<Duration> {
    let milliseconds = match request.request_context_ref()? {
        RequestContext::ApiGatewayV1(context) => context.request_time_epoch,
        RequestContext::ApiGatewayV2(context) => context.time_epoch,
        _ => return None,
    };
    u64::try_from(milliseconds).ok().map(Duration::from_millis)
}

/// How long the review of a webhook may take. `arrived` and `now` are times since 1970. If the function had to start first,
/// some of the Hub's time has already passed.
fn time_for_webhook(arrived: Option<Duration>, now: Duration) -> Duration {
    let passed = arrived.and_then(|arrived| now.checked_sub(arrived)).unwrap_or_default();
    // An event that arrived so long ago is a recorded one. Nobody waits for its response.
    let passed = if passed > MAX_INVOCATION { Duration::ZERO } else { passed };
    HUB_TIMEOUT.saturating_sub(passed).min(MAX_WEBHOOK_TIME)
}

/// How long a run may take before Lambda's `deadline`. `deadline` and `now` are times since 1970.
fn time_for_run(deadline: Duration, now: Duration, at_most: Duration) -> Duration {
    // A deadline further back than a function can run is not a deadline. Emulators set any value.
    if deadline + MAX_INVOCATION < now {
        return at_most;
    }
    deadline.saturating_sub(now).saturating_sub(TIME_TO_REPORT).min(at_most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ends_before_the_deadlines_of_the_hub_and_lambda() {
        let time = |deadline| time_for_run(deadline, Duration::from_secs(1_800_000_000), MAX_WEBHOOK_TIME);
        let cases =
            [(900, 20), (30, 20), (22, 20), (20, 19), (5, 4), (1, 0), (0, 0), (-1, 0), (-899, 0), (-901, 20)];
        for (left, expected) in cases {
            let deadline = Duration::from_secs(1_800_000_000_u64.saturating_add_signed(left));
            assert_eq!(time(deadline), Duration::from_secs(expected), "{left} s left");
        }
        assert_eq!(time(Duration::ZERO), Duration::from_secs(20), "the deadline is unknown");
    }

    #[test]
    fn webhook_that_waited_for_the_start_has_less_time() {
        let now = Duration::from_secs(1_800_000_000);
        let time = |passed: i64| {
            let arrived = Duration::from_secs(1_800_000_000_u64.saturating_add_signed(-passed));
            time_for_webhook(Some(arrived), now).as_secs()
        };
        let cases = [(0, 20), (7, 20), (8, 19), (26, 1), (27, 0), (900, 0), (901, 20), (-5, 20)];
        for (passed, expected) in cases {
            assert_eq!(time(passed), expected, "{passed} s ago");
        }
        assert_eq!(time_for_webhook(None, now).as_secs(), 20, "the arrival is unknown");
    }
}
