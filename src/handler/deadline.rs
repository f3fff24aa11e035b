//! When a run has to end: before the Hub or Lambda gives it up.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt};
use tokio::time::Instant;

/// The Hub counts a delivery as failed after 30 seconds, and suspends webhooks that fail. Some of them are the network's.
const HUBS_PATIENCE: Duration = Duration::from_secs(27);

/// The longest that a webhook's review may take.
const WEBHOOK_BUDGET: Duration = Duration::from_secs(20);

/// The longest that Lambda lets a function run.
const LONGEST_INVOCATION: Duration = Duration::from_secs(15 * 60);

/// A run ends so long before Lambda's deadline, so that the report can be written.
const TIME_TO_REPORT: Duration = Duration::from_secs(1);

/// When the review of a webhook has to end: before the Hub and Lambda give up.
pub(super) fn of_webhook(request: &Request) -> Instant {
    of_run(request, time_for_webhook(arrived(request), now()))
}

/// When a sweep has to end: before Lambda gives up. The more time there is, the more repos there may be to report, so a hundredth
/// of the time is for that.
pub(super) fn of_sweep(request: &Request) -> Instant {
    let deadline = of_run(request, LONGEST_INVOCATION);
    deadline - deadline.saturating_duration_since(Instant::now()) / 100
}

/// When a run has to end that may take `at_most` so long: before Lambda gives up.
fn of_run(request: &Request, at_most: Duration) -> Instant {
    let deadline = request.lambda_context_ref().map_or(0, |context| context.deadline);
    Instant::now() + time_for_run(Duration::from_millis(deadline), now(), at_most)
}

/// The time since 1970.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// When AWS was called, since 1970, as far as that is told.
fn arrived(request: &Request) -> Option<Duration> {
    let milliseconds = match request.request_context_ref()? {
        RequestContext::ApiGatewayV1(context) => context.request_time_epoch,
        RequestContext::ApiGatewayV2(context) => context.time_epoch,
        _ => return None,
    };
    u64::try_from(milliseconds).ok().map(Duration::from_millis)
}

/// How long a webhook may take that has arrived then, both since 1970: some of the Hub's time may be gone, because the
/// function had to start first.
fn time_for_webhook(arrived: Option<Duration>, now: Duration) -> Duration {
    let passed = arrived.and_then(|arrived| now.checked_sub(arrived)).unwrap_or_default();
    // What came so long ago was recorded: neither Lambda nor the Hub waits for it.
    let passed = if passed > LONGEST_INVOCATION { Duration::ZERO } else { passed };
    HUBS_PATIENCE.saturating_sub(passed).min(WEBHOOK_BUDGET)
}

/// How long a run may take, by Lambda's deadline and the time, both since 1970.
fn time_for_run(deadline: Duration, now: Duration, at_most: Duration) -> Duration {
    // What lies further back than a function can run is no deadline: emulators set whatever they like.
    if deadline + LONGEST_INVOCATION < now {
        return at_most;
    }
    deadline.saturating_sub(now).saturating_sub(TIME_TO_REPORT).min(at_most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_before_the_hub_and_before_lambda_give_up() {
        let time = |deadline| time_for_run(deadline, Duration::from_secs(1_800_000_000), WEBHOOK_BUDGET);
        let cases =
            [(900, 20), (30, 20), (22, 20), (20, 19), (5, 4), (1, 0), (0, 0), (-1, 0), (-899, 0), (-901, 20)];
        for (left, expected) in cases {
            let deadline = Duration::from_secs(1_800_000_000_u64.saturating_add_signed(left));
            assert_eq!(time(deadline), Duration::from_secs(expected), "{left} s left");
        }
        assert_eq!(time(Duration::ZERO), Duration::from_secs(20), "none is known");
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
        assert_eq!(time_for_webhook(None, now).as_secs(), 20, "nobody knows");
    }
}
