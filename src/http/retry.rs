//! Retries of failed calls: which errors are transient, how long to wait, and when to give up.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use tokio::time::Instant;

/// The maximum number of attempts of a call.
pub const MAX_ATTEMPTS: usize = 8;

/// The maximum wait before the second attempt. It doubles before each further attempt.
const MAX_FIRST_WAIT: Duration = Duration::from_millis(100);

/// The maximum wait before any attempt.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Whether a call may succeed shortly after a response with this HTTP status.
#[must_use]
pub fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// Makes up to [`MAX_ATTEMPTS`] attempts of a call. If `is_worth_it` refuses an error, or the next attempt would not begin before
/// `deadline`, the call ends with the last error.
///
/// The waits are exponential with full jitter: each is drawn between zero and a limit that doubles. So calls that failed together
/// are not retried together.
pub async fn retry<T, E, F>(
    deadline: Instant,
    is_worth_it: impl Fn(&E) -> bool,
    attempt: impl FnMut() -> F,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let before_deadline = |wait: &Duration| Instant::now() + *wait < deadline;
    let waits = ExponentialBuilder::new()
        .with_min_delay(MAX_FIRST_WAIT)
        .with_max_delay(MAX_WAIT)
        .with_max_times(MAX_ATTEMPTS - 1);
    attempt
        .retry(waits)
        .when(is_worth_it)
        .adjust(|_, limit| limit.map(|limit| limit.mul_f32(fastrand::f32())).filter(before_deadline))
        .await
}

#[cfg(test)]
mod tests;
