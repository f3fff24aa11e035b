//! What is transient, how long to wait, when to give up: pure functions, and one loop under a deadline.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use tokio::time::Instant;

/// The most times that a call is made.
pub const MAX_ATTEMPTS: usize = 8;

/// The longest wait before the second attempt; it doubles with every further one.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The longest wait of all.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Whether a call that was answered with this HTTP status may do better in a moment.
#[must_use]
pub fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// Makes a call up to [`MAX_ATTEMPTS`] times, as long as its error is worth another attempt and the next one can begin
/// before `deadline`; the last error is what comes of it otherwise.
///
/// The waits are exponential with full jitter: anything up to a limit that doubles. So those that failed together do not
/// come back together.
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
        .with_min_delay(FIRST_WAIT)
        .with_max_delay(LONGEST_WAIT)
        .with_max_times(MAX_ATTEMPTS - 1);
    attempt
        .retry(waits)
        .when(is_worth_it)
        .adjust(|_, longest| longest.map(|longest| longest.mul_f32(fastrand::f32())).filter(before_deadline))
        .await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn in_a_minute() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn only_what_may_pass_by_itself_is_transient() {
        let transient: Vec<u16> = (100..600).filter(|status| is_transient(*status)).collect();
        assert_eq!(transient, [408, 425, 429, 500, 502, 503, 504]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_made_until_it_succeeds() {
        let attempts = Cell::new(0);
        let call = || async { if attempts.replace(attempts.get() + 1) < 3 { Err("no") } else { Ok("yes") } };
        assert_eq!(retry(in_a_minute(), |_| true, call).await, Ok("yes"));
        assert_eq!(attempts.get(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn no_call_is_made_too_often_or_after_an_error_that_is_final() {
        for (transient, expected) in [(true, MAX_ATTEMPTS), (false, 1)] {
            let attempts = Cell::new(0);
            let call = || async { Err::<(), _>(attempts.replace(attempts.get() + 1)) };
            let result = retry(in_a_minute(), |_| transient, call).await;
            assert_eq!((attempts.get(), result), (expected, Err(expected - 1)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_attempt_begins_after_the_deadline() {
        for milliseconds in 0..300 {
            let deadline = Instant::now() + Duration::from_millis(milliseconds);
            let last = Cell::new(Instant::now());
            let call = || async {
                last.set(Instant::now());
                Err::<(), _>(())
            };
            let _ = retry(deadline, |()| true, call).await;
            assert!(last.get() <= deadline);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_waits_grow_and_are_spread_from_nothing_to_their_limit() {
        let (mut first, mut sixth, mut last_of_all) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..500 {
            let (mut last, mut waits) = (Instant::now(), Vec::new());
            let call = || {
                waits.push(last.elapsed());
                last = Instant::now();
                async { Err::<(), _>(()) }
            };
            let _ = retry(in_a_minute(), |()| true, call).await;
            first.push(waits[1]);
            sixth.push(waits[6]);
            last_of_all.push(waits[MAX_ATTEMPTS - 1]);
        }
        for (waits, limit) in [(first, FIRST_WAIT), (sixth, FIRST_WAIT * 32), (last_of_all, LONGEST_WAIT)] {
            let millisecond = Duration::from_millis(1);
            let (shortest, longest) = (waits.iter().min().expect("500"), waits.iter().max().expect("500"));
            assert!(
                *shortest < limit / 10 + millisecond && *longest > limit * 9 / 10,
                "{shortest:?} to {longest:?}"
            );
            assert!(*longest <= limit + millisecond, "{longest:?}");
        }
    }
}
