use tokio::time::timeout;

use super::super::headers::tests::{LIMIT, POLICY, headers};
use super::super::headers::{MAX_PAUSE, seconds};
use super::*;

/// Begins a call that may wait until the deadline.
async fn begin(budget: &Budget, deadline: Instant) -> Result<CallInFlight<'_>, Problem> {
    budget.begin(deadline, deadline, SystemTime::now).await
}

/// Makes a call with an immediate response.
async fn call(budget: &Budget, status: u16, limits: &[(&'static str, &str)]) {
    let mut call = begin(budget, Instant::now() + MAX_PAUSE).await.expect("a call");
    call.record_response(
        StatusCode::from_u16(status).expect("a status"),
        &headers(limits),
        SystemTime::now(),
        false,
    );
}

/// The response to a call that is in flight arrives now.
fn receive(budget: &Budget, status: u16, limits: &[(&'static str, &str)]) {
    let (now, wall_clock) = (Instant::now(), SystemTime::now());
    let limits = RateLimitHeaders::read(&headers(limits), wall_clock, Bucket::Api);
    let status = StatusCode::from_u16(status).expect("a status");
    budget.state().learn(status, &limits, now, now, wall_clock, false);
}

/// How long the next call has to wait.
async fn wait(budget: &Budget) -> Duration {
    let now = Instant::now();
    let call = begin(budget, now + MAX_PAUSE * 2).await.expect("a call");
    let waited = now.elapsed();
    drop(call);
    Duration::from_secs(waited.as_secs())
}

/// How many calls may be in flight now: 20 if there is no limit.
async fn possible_calls(budget: &Budget) -> usize {
    let mut calls = Vec::new();
    while let Ok(Ok(call)) =
        timeout(Duration::from_millis(1), begin(budget, Instant::now() + MAX_PAUSE)).await
    {
        calls.push(call);
        if calls.len() == 20 {
            break;
        }
    }
    // The window is restored, as if these calls had never been sent.
    let count = calls.len();
    let window = budget.state().window;
    drop(calls);
    budget.state().window = window;
    count
}

#[tokio::test(start_paused = true)]
async fn one_call_goes_ahead_until_the_limit_is_known() {
    let budget = Budget::new(Bucket::Api);
    assert_eq!(possible_calls(&budget).await, 1);
    call(&budget, 500, &[]).await;
    assert_eq!(possible_calls(&budget).await, 1, "a proxy may have answered");
    call(&budget, 200, &[]).await;
    assert_eq!(possible_calls(&budget).await, 20, "there is no limit");
    call(&budget, 200, &[(LIMIT, r#""api";r=3;t=60"#)]).await;
    assert_eq!(possible_calls(&budget).await, 3);
}

#[tokio::test(start_paused = true)]
async fn calls_in_flight_never_exceed_the_calls_left() {
    let budget = Budget::new(Bucket::Api);
    for left in (0..6).rev() {
        call(&budget, 200, &[(LIMIT, &format!(r#""api";r={left};t=60"#))]).await;
        if left > 0 {
            assert_eq!(possible_calls(&budget).await, left);
        }
    }
    assert_eq!(wait(&budget).await, Duration::from_secs(60));
    assert_eq!(possible_calls(&budget).await, 1, "one probe call learns the new window");
}

#[tokio::test(start_paused = true)]
async fn status_holds_until_the_window_ends() {
    let budget = Budget::new(Bucket::Api);
    assert_eq!(budget.take_status(), LimitStatus::default(), "nothing is known");
    call(&budget, 429, &[]).await;
    call(&budget, 200, &[(LIMIT, r#""api";r=7;t=60"#)]).await;
    assert_eq!(budget.take_status(), LimitStatus { refused: 1, left: Some(7) });
    assert_eq!(
        budget.take_status(),
        LimitStatus { refused: 0, left: Some(7) },
        "each refusal is reported once"
    );
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(budget.take_status(), LimitStatus::default(), "the window has ended");
}

#[tokio::test(start_paused = true)]
async fn overtaken_responses_do_not_raise_the_limit() {
    let budget = Budget::new(Bucket::Api);
    call(&budget, 200, &[(LIMIT, r#""api";r=9;t=60"#)]).await;
    let deadline = Instant::now() + MAX_PAUSE;
    let mut slow = begin(&budget, deadline).await.expect("a call");
    let mut slower = begin(&budget, deadline).await.expect("a call");
    sleep_until(Instant::now() + seconds(1)).await;
    call(&budget, 200, &[(LIMIT, r#""api";r=3;t=60"#)]).await;
    sleep_until(Instant::now() + seconds(10)).await;
    slow.record_response(StatusCode::OK, &headers(&[(LIMIT, r#""api";r=8;t=60"#)]), SystemTime::now(), false);
    drop(slow);
    assert_eq!(possible_calls(&budget).await, 2, "the same window; one call is still in flight");

    sleep_until(Instant::now() + seconds(50)).await;
    call(&budget, 200, &[(LIMIT, r#""api";r=9;t=300"#)]).await;
    assert_eq!(possible_calls(&budget).await, 8, "the next window");
    slower.record_response(
        StatusCode::OK,
        &headers(&[(LIMIT, r#""api";r=7;t=1"#)]),
        SystemTime::now(),
        false,
    );
    drop(slower);
    assert_eq!(possible_calls(&budget).await, 9, "the window before");
    call(&budget, 200, &[(LIMIT, r#""api";r=5;t=200"#)]).await;
    assert_eq!(
        possible_calls(&budget).await,
        5,
        "the response to a later call counts, even with another window"
    );
}

#[tokio::test(start_paused = true)]
async fn response_without_a_limit_does_not_end_the_window() {
    let budget = Budget::new(Bucket::Api);
    call(&budget, 200, &[(LIMIT, r#""api";r=0;t=60"#)]).await;
    receive(&budget, 200, &[]);
    assert_eq!(wait(&budget).await, Duration::from_secs(60));
    call(&budget, 200, &[]).await;
    assert_eq!(possible_calls(&budget).await, 20, "the window has ended");
}

#[tokio::test(start_paused = true)]
async fn call_without_a_response_counts_as_used() {
    let budget = Budget::new(Bucket::Api);
    call(&budget, 200, &[(LIMIT, r#""api";r=3;t=60"#)]).await;
    drop(begin(&budget, Instant::now() + MAX_PAUSE).await);
    assert_eq!(possible_calls(&budget).await, 2);
}

#[tokio::test(start_paused = true)]
async fn call_that_was_not_sent_is_not_counted() {
    let budget = Budget::new(Bucket::Api);
    call(&budget, 200, &[(LIMIT, r#""api";r=3;t=60"#)]).await;
    begin(&budget, Instant::now() + MAX_PAUSE).await.expect("a call").cancel();
    assert_eq!(possible_calls(&budget).await, 3);
}

#[tokio::test(start_paused = true)]
async fn response_pauses_calls_as_its_headers_ask() {
    let after = |seconds| ("retry-after", seconds);
    let cases = [
        (429, vec![(LIMIT, r#""api";r=0;t=55"#)], 55),
        (429, vec![(LIMIT, r#""api";r=0;t=55"#), after("70")], 70),
        (429, vec![(LIMIT, r#""api";r=9;t=55"#), after("3")], 0),
        (429, vec![(LIMIT, r#""api";r=0;t=0"#)], 1),
        (429, vec![after("7")], 7),
        (429, vec![after("0")], 1),
        (429, vec![after("Sun, 22 Nov 2020 12:00:00 GMT")], 1),
        (429, vec![], 1),
        (503, vec![after("7")], 7),
        (503, vec![], 0),
        (200, vec![after("7")], 0),
    ];
    for (status, limits, expected) in cases {
        let budget = Budget::new(Bucket::Api);
        call(&budget, status, &limits).await;
        receive(&budget, 503, &[after("0")]);
        assert_eq!(wait(&budget).await, Duration::from_secs(expected), "{status} {limits:?}");
        if status == 429 {
            assert_eq!(possible_calls(&budget).await, 1, "{limits:?}: one probe call learns the new window");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_call_waits_past_the_deadline() {
    let budget = Budget::new(Bucket::Api);
    let limits = [(LIMIT, r#""api";r=0;t=55"#), (POLICY, r#""api";q=1000;w=300"#)];
    call(&budget, 200, &limits).await;
    let now = Instant::now();
    let refused = begin(&budget, now + Duration::from_secs(20)).await.expect_err("no call");
    let expected =
        Problem::RateLimited { wait: Duration::from_secs(55), quota: Some((1000, Duration::from_secs(300))) };
    assert_eq!((refused, now.elapsed()), (expected, Duration::ZERO));

    let postponed =
        budget.begin(now + Duration::from_secs(60), now + Duration::from_secs(50), SystemTime::now).await;
    assert_eq!((postponed.err(), now.elapsed()), (Some(Problem::Postponed), Duration::ZERO));

    let budget = Budget::new(Bucket::Api);
    call(&budget, 200, &[(LIMIT, r#""api";r=1;t=55"#), (POLICY, r#""api";q=1000;w=300"#)]).await;
    call(&budget, 200, &[(LIMIT, r#""api";r=1;t=55"#)]).await;
    let _last = begin(&budget, now + Duration::from_secs(20)).await.expect("a call");
    let refused = begin(&budget, now + Duration::from_secs(20)).await.expect_err("no call");
    assert_eq!((refused, now.elapsed()), (Problem::OutOfTime, Duration::from_secs(20)));
    assert_eq!(budget.state().quota, Some((1000, Duration::from_secs(300))));
}

#[tokio::test(start_paused = true)]
async fn call_is_postponed_if_its_page_expires_while_it_waits() {
    let budget = Budget::new(Bucket::Api);
    call(&budget, 200, &[(LIMIT, r#""api";r=1;t=55"#)]).await;
    let now = Instant::now();
    let _last = begin(&budget, now + seconds(60)).await.expect("a call");
    let postponed = budget.begin(now + seconds(60), now + seconds(2), SystemTime::now).await;
    assert_eq!((postponed.err(), now.elapsed()), (Some(Problem::Postponed), seconds(2)));
}

#[tokio::test(start_paused = true)]
async fn stalled_probe_delays_other_calls_for_one_second() {
    let deadline = Instant::now() + seconds(60);
    let budget = Budget::new(Bucket::Api);
    let probe = begin(&budget, deadline).await.expect("a call");
    assert_eq!(wait(&budget).await, PROBE_TIMEOUT, "the window is unknown");
    drop(probe);
    call(&budget, 200, &[(LIMIT, r#""api";r=1;t=2"#)]).await;
    let _last = begin(&budget, deadline).await.expect("a call");
    assert_eq!(wait(&budget).await, seconds(2), "the window ends");
}

#[test]
fn freeze_resets_the_budget() {
    for (frozen, is_reset) in [(0, false), (1, false), (2, true), (1000, true)] {
        let (now, wall_clock) = (Instant::now(), SystemTime::now());
        let mut state = Budget::new(Bucket::Api).state.into_inner().expect("no panic");
        let limits =
            RateLimitHeaders { left: Some(0), ends_in: Some(seconds(300)), ..RateLimitHeaders::default() };
        state.learn(StatusCode::TOO_MANY_REQUESTS, &limits, now, now, wall_clock, false);
        let (next, _) = state.begin(now + seconds(10), wall_clock + seconds(10 + frozen));
        assert_eq!(matches!(next, Next::Go { is_probe: true }), is_reset, "{frozen}");
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_calls_begin_when_a_response_allows_them() {
    let budget = Budget::new(Bucket::Api);
    let mut probe = begin(&budget, Instant::now() + MAX_PAUSE).await.expect("a call");
    let others = futures_util::future::join_all((0..5).map(|_| begin(&budget, Instant::now() + MAX_PAUSE)));
    let response = async {
        tokio::task::yield_now().await;
        probe.record_response(
            StatusCode::OK,
            &headers(&[(LIMIT, r#""api";r=9;t=60"#)]),
            SystemTime::now(),
            false,
        );
        drop(probe);
    };
    let start = Instant::now();
    let (calls, ()) = tokio::join!(others, response);
    assert!(calls.iter().all(Result::is_ok) && start.elapsed().is_zero());
}
