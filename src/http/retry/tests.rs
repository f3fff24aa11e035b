use std::cell::Cell;

use super::*;

fn in_a_minute() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[test]
fn transient_statuses_are_these() {
    let transient: Vec<u16> = (100..600).filter(|status| is_transient(*status)).collect();
    assert_eq!(transient, [408, 425, 429, 500, 502, 503, 504]);
}

#[tokio::test(start_paused = true)]
async fn call_is_retried_until_it_succeeds() {
    let attempts = Cell::new(0);
    let call = || async { if attempts.replace(attempts.get() + 1) < 3 { Err("no") } else { Ok("yes") } };
    assert_eq!(retry(in_a_minute(), |_| true, call).await, Ok("yes"));
    assert_eq!(attempts.get(), 4);
}

#[tokio::test(start_paused = true)]
async fn call_ends_at_the_last_attempt_or_a_final_error() {
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
async fn waits_are_spread_between_zero_and_a_growing_limit() {
    let (mut first, mut sixth, mut seventh) = (Vec::new(), Vec::new(), Vec::new());
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
        seventh.push(waits[MAX_ATTEMPTS - 1]);
    }
    for (waits, limit) in [(first, MAX_FIRST_WAIT), (sixth, MAX_FIRST_WAIT * 32), (seventh, MAX_WAIT)] {
        let millisecond = Duration::from_millis(1);
        let (shortest, longest) = (waits.iter().min().expect("500"), waits.iter().max().expect("500"));
        assert!(
            *shortest < limit / 10 + millisecond && *longest > limit * 9 / 10,
            "{shortest:?} to {longest:?}"
        );
        assert!(*longest <= limit + millisecond, "{longest:?}");
    }
}
