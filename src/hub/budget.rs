//! What the Hub's rate limit leaves, shared by all calls of the process.
//!
//! The Hub counts calls by token in windows of a fixed length (1,000 in 5 minutes for a free user), and tells with every
//! answer how many are left in the current one. A call in flight may not have been counted yet, so one more is made only
//! while fewer are in flight than are left: near the end of a window they go one by one, and nobody runs into a 429.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::Problem;
use super::told::{Bucket, SHORTEST_PAUSE, Told};

/// Times are told in whole seconds, and answers overtake each other: two ends of a window that lie this close together
/// are the same end.
const SAME: Duration = Duration::from_millis(1500);

/// How long a call that is to find out about the window is waited for before another one does.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Budget {
    bucket: Bucket,
    state: Mutex<State>,
    changed: Notify,
}

/// What is known of the Hub's limit on calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// How many calls were refused for it (429) since this was last asked.
    pub refused: u32,
    /// How many it leaves in the current window, if the Hub has told.
    pub left: Option<u32>,
}

#[derive(Debug)]
struct State {
    window: Window,
    in_flight: u32,
    /// Since when a call is on its way to find out about the window.
    probing: Option<Instant>,
    /// The Hub has asked for no call before this time.
    pause: Option<Instant>,
    /// How many calls were refused since that was last asked.
    refused: u32,
    /// How many calls there are in a whole window, and how long that is.
    quota: Option<(u32, Duration)>,
    /// When the last answer came, by the clock of the process and by that of the world.
    heard: Option<(Instant, SystemTime)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Window {
    /// No answer has told.
    Unknown,
    /// The last answer told of no limit.
    Unlimited,
    /// So many calls are left until it ends; known since.
    Limited { left: u32, ends: Instant, since: Instant },
}

/// What a call has to do before it is made.
enum Next {
    Go {
        probe: bool,
    },
    /// An answer may allow it before that time, when it is to be looked at again in any case.
    WaitForAnswer(Instant),
    WaitUntil(Instant),
}

impl State {
    fn next(&self, now: Instant) -> Next {
        if let Some(pause) = self.pause.filter(|pause| *pause > now) {
            return Next::WaitUntil(pause);
        }
        match self.window {
            Window::Unlimited => Next::Go { probe: false },
            Window::Limited { left: 0, ends, .. } if now < ends => Next::WaitUntil(ends),
            Window::Limited { left, ends, .. } if now < ends => {
                if self.in_flight < left {
                    Next::Go { probe: false }
                } else {
                    Next::WaitForAnswer(ends)
                }
            }
            // One goes ahead and finds out, rather than all of them.
            Window::Unknown | Window::Limited { .. } => match self.probing.map(|since| since + PATIENCE) {
                Some(patience) if now < patience => Next::WaitForAnswer(patience),
                _ => Next::Go { probe: true },
            },
        }
    }

    /// Counts a call that may be made now as made.
    fn begin(&mut self, now: Instant, wall_clock: SystemTime) -> (Next, Option<(u32, Duration)>) {
        // Between two events Lambda freezes the process, and maybe its clock: then what was known is of long ago.
        let frozen = self.heard.is_some_and(|(heard, then)| {
            wall_clock.duration_since(then).is_ok_and(|passed| passed > now - heard + SAME)
        });
        if frozen {
            (self.window, self.pause, self.heard) = (Window::Unknown, None, None);
        }
        let next = self.next(now);
        if let Next::Go { probe } = next {
            self.in_flight += 1;
            if probe {
                self.probing = Some(now);
            }
        }
        (next, self.quota)
    }

    /// Takes note of what an answer says of the limit. Its call was made at the time `sent`.
    ///
    /// A refusal (429) while calls are left in the window is about another limit of the Hub, so this budget makes no call wait for it.
    /// A refused write that `is_from_page` makes no other call wait either: its own review waits before it reads the list again.
    fn learn(
        &mut self,
        status: StatusCode,
        told: &Told,
        sent: Instant,
        now: Instant,
        wall_clock: SystemTime,
        is_from_page: bool,
    ) {
        self.heard = Some((now, wall_clock));
        self.quota = told.quota.or(self.quota);
        let is_refusal = status == StatusCode::TOO_MANY_REQUESTS;
        self.refused += u32::from(is_refusal);
        let is_about_all = match told.left {
            Some(0) => true,
            Some(_) => !is_from_page && !is_refusal,
            None => !is_from_page,
        };
        let refused = is_refusal && is_about_all;
        // A refusal while calls are left is about another limit. What it says of the window is not known to be true.
        let left = told.left.filter(|_| !is_refusal);
        match (left, told.ends_in, &mut self.window) {
            // Whatever it says is left did not help: after the pause one call finds out.
            (_, _, window) if refused => *window = Window::Unknown,
            // Of the window before: an answer of this one has overtaken it.
            (Some(_), Some(ends_in), Window::Limited { ends, since, .. })
                if now < *ends && now + ends_in + SAME < *ends && sent < *since => {}
            // Of the same window, however long the answer took.
            (Some(left), Some(ends_in), Window::Limited { left: known, ends, .. })
                if now < *ends && sent + ends_in < *ends + SAME && *ends <= now + ends_in + SAME =>
            {
                *known = left.min(*known);
                *ends = (*ends).max(sent + ends_in);
            }
            (Some(left), Some(ends_in), window) => {
                *window = Window::Limited { left, ends: now + ends_in, since: now };
            }
            // An answer without the header does not end the window.
            (_, _, Window::Limited { ends, .. }) if now < *ends => {}
            // What stands before the Hub may fail without telling: only a success says that there is no limit.
            (_, _, window) if status.is_success() => *window = Window::Unlimited,
            _ => {}
        }
        let asked_for = told.retry_after.filter(|_| !status.is_success() && is_about_all);
        let until_window_ends = told.ends_in.filter(|_| refused);
        let at_least = refused.then_some(SHORTEST_PAUSE);
        if let Some(pause) = asked_for.or(until_window_ends).max(at_least) {
            self.pause = self.pause.max(Some(now + pause));
        }
    }
}

impl Budget {
    pub(super) fn new(bucket: Bucket) -> Self {
        let state = State {
            window: Window::Unknown,
            in_flight: 0,
            probing: None,
            pause: None,
            refused: 0,
            quota: None,
            heard: None,
        };
        Self { bucket, state: Mutex::new(state), changed: Notify::new() }
    }

    /// Waits until a call may be made. If that is not before `deadline`, the error says how long the Hub wants no call; if it
    /// is not before `postpone`, the call is not to be made but to be put off.
    /// `wall_clock` tells the time.
    pub(super) async fn begin(
        &self,
        deadline: Instant,
        postpone: Instant,
        wall_clock: impl Fn() -> SystemTime,
    ) -> Result<UnderWay<'_>, Problem> {
        loop {
            // Whoever is told of a change has to have been waiting before the state was looked at.
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let now = Instant::now();
            let (next, quota) = self.state().begin(now, wall_clock());
            match next {
                Next::Go { probe } => {
                    return Ok(UnderWay { budget: self, sent: now, probe, answered: false });
                }
                Next::WaitUntil(when) if when >= deadline => {
                    return Err(Problem::RateLimited { wait: when - now, quota });
                }
                Next::WaitUntil(when) if when >= postpone => return Err(Problem::Postponed),
                Next::WaitUntil(when) => sleep_until(when).await,
                Next::WaitForAnswer(until) => {
                    let waited = timeout_at(until.min(deadline).min(postpone), changed).await;
                    if waited.is_err() && Instant::now() >= deadline {
                        return Err(Problem::OutOfTime);
                    }
                    if waited.is_err() && Instant::now() >= postpone {
                        return Err(Problem::Postponed);
                    }
                }
            }
        }
    }

    /// How long no call is to be made, as far as that is known.
    pub(super) fn wait(&self) -> Option<Duration> {
        let now = Instant::now();
        match self.state().next(now) {
            Next::WaitUntil(when) => Some(when - now),
            Next::Go { .. } | Next::WaitForAnswer(_) => None,
        }
    }

    pub(super) fn take_limit(&self) -> Limit {
        let mut state = self.state();
        let left = match state.window {
            Window::Limited { left, ends, .. } if Instant::now() < ends => Some(left),
            _ => None,
        };
        Limit { refused: std::mem::take(&mut state.refused), left }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that is being made; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay<'a> {
    budget: &'a Budget,
    sent: Instant,
    probe: bool,
    answered: bool,
}

impl UnderWay<'_> {
    /// The call is not sent after all, so the Hub does not count it.
    pub(super) fn cancel(&mut self) {
        self.answered = true;
    }

    /// Takes note of what an answer says of the limit, and returns it; see [`State::learn`].
    pub(super) fn answered(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        wall_clock: SystemTime,
        is_from_page: bool,
    ) -> Told {
        self.answered = true;
        let told = Told::by(headers, wall_clock, self.budget.bucket);
        self.budget.state().learn(status, &told, self.sent, Instant::now(), wall_clock, is_from_page);
        told
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        state.in_flight -= 1;
        state.probing = state.probing.filter(|since| !self.probe || *since != self.sent);
        // The Hub may have counted what it did not answer.
        if let (false, Window::Limited { left, .. }) = (self.answered, &mut state.window) {
            *left = left.saturating_sub(1);
        }
        drop(state);
        self.budget.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::super::told::tests::{LIMIT, POLICY, headers};
    use super::super::told::{LONGEST_PAUSE, seconds};
    use super::*;

    /// A call that may wait until the deadline.
    async fn begin(budget: &Budget, deadline: Instant) -> Result<UnderWay<'_>, Problem> {
        budget.begin(deadline, deadline, SystemTime::now).await
    }

    /// Makes a call that is answered at once.
    async fn call(budget: &Budget, status: u16, told: &[(&'static str, &str)]) {
        let mut call = begin(budget, Instant::now() + LONGEST_PAUSE).await.expect("leave");
        call.answered(
            StatusCode::from_u16(status).expect("a status"),
            &headers(told),
            SystemTime::now(),
            false,
        );
    }

    /// A call that was under way is answered now.
    fn call_anyway(budget: &Budget, status: u16, told: &[(&'static str, &str)]) {
        let (now, wall_clock) = (Instant::now(), SystemTime::now());
        let told = Told::by(&headers(told), wall_clock, Bucket::Api);
        let status = StatusCode::from_u16(status).expect("a status");
        budget.state().learn(status, &told, now, now, wall_clock, false);
    }

    /// How long a call would have to wait from now on.
    async fn wait(budget: &Budget) -> Duration {
        let now = Instant::now();
        let call = begin(budget, now + LONGEST_PAUSE * 2).await.expect("leave");
        let waited = now.elapsed();
        drop(call);
        Duration::from_secs(waited.as_secs())
    }

    /// How many calls may be in flight now.
    async fn lanes(budget: &Budget) -> usize {
        let mut calls = Vec::new();
        while let Ok(Ok(call)) =
            timeout(Duration::from_millis(1), begin(budget, Instant::now() + LONGEST_PAUSE)).await
        {
            calls.push(call);
            if calls.len() == 20 {
                break;
            }
        }
        // As if they had never been sent.
        let lanes = calls.len();
        let window = budget.state().window;
        drop(calls);
        budget.state().window = window;
        lanes
    }

    #[tokio::test(start_paused = true)]
    async fn until_an_answer_has_told_of_the_limit_one_call_goes_ahead() {
        let budget = Budget::new(Bucket::Api);
        assert_eq!(lanes(&budget).await, 1);
        call(&budget, 500, &[]).await;
        assert_eq!(lanes(&budget).await, 1, "whatever answered that may not know of the limit");
        call(&budget, 200, &[]).await;
        assert_eq!(lanes(&budget).await, 20, "there is none");
        call(&budget, 200, &[(LIMIT, r#""api";r=3;t=60"#)]).await;
        assert_eq!(lanes(&budget).await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_calls_are_in_flight_than_are_left_and_then_the_window_is_waited_out() {
        let budget = Budget::new(Bucket::Api);
        for left in (0..6).rev() {
            call(&budget, 200, &[(LIMIT, &format!(r#""api";r={left};t=60"#))]).await;
            if left > 0 {
                assert_eq!(lanes(&budget).await, left);
            }
        }
        assert_eq!(wait(&budget).await, Duration::from_secs(60));
        assert_eq!(lanes(&budget).await, 1, "one finds out about the new window");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_known_of_the_limit_can_be_told_as_long_as_it_holds() {
        let budget = Budget::new(Bucket::Api);
        assert_eq!(budget.take_limit(), Limit::default(), "nothing is known");
        call(&budget, 429, &[]).await;
        call(&budget, 200, &[(LIMIT, r#""api";r=7;t=60"#)]).await;
        assert_eq!(budget.take_limit(), Limit { refused: 1, left: Some(7) });
        assert_eq!(budget.take_limit(), Limit { refused: 0, left: Some(7) }, "each is told once");
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(budget.take_limit(), Limit::default(), "the window has ended");
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_overtake_each_other_do_not_make_more_of_the_limit() {
        let budget = Budget::new(Bucket::Api);
        call(&budget, 200, &[(LIMIT, r#""api";r=9;t=60"#)]).await;
        let deadline = Instant::now() + LONGEST_PAUSE;
        let mut slow = begin(&budget, deadline).await.expect("leave");
        let mut slower = begin(&budget, deadline).await.expect("leave");
        sleep_until(Instant::now() + seconds(1)).await;
        call(&budget, 200, &[(LIMIT, r#""api";r=3;t=60"#)]).await;
        sleep_until(Instant::now() + seconds(10)).await;
        slow.answered(StatusCode::OK, &headers(&[(LIMIT, r#""api";r=8;t=60"#)]), SystemTime::now(), false);
        drop(slow);
        assert_eq!(lanes(&budget).await, 2, "the same window, told of before; one call is still in flight");

        sleep_until(Instant::now() + seconds(50)).await;
        call(&budget, 200, &[(LIMIT, r#""api";r=9;t=300"#)]).await;
        assert_eq!(lanes(&budget).await, 8, "the next window");
        slower.answered(StatusCode::OK, &headers(&[(LIMIT, r#""api";r=7;t=1"#)]), SystemTime::now(), false);
        drop(slower);
        assert_eq!(lanes(&budget).await, 9, "the window before");
        call(&budget, 200, &[(LIMIT, r#""api";r=5;t=200"#)]).await;
        assert_eq!(
            lanes(&budget).await,
            5,
            "what a later call is told counts, even if the window is another"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn answer_that_does_not_tell_of_the_limit_does_not_end_it() {
        let budget = Budget::new(Bucket::Api);
        call(&budget, 200, &[(LIMIT, r#""api";r=0;t=60"#)]).await;
        call_anyway(&budget, 200, &[]);
        assert_eq!(wait(&budget).await, Duration::from_secs(60));
        call(&budget, 200, &[]).await;
        assert_eq!(lanes(&budget).await, 20, "after it has ended");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_without_an_answer_may_have_been_counted() {
        let budget = Budget::new(Bucket::Api);
        call(&budget, 200, &[(LIMIT, r#""api";r=3;t=60"#)]).await;
        drop(begin(&budget, Instant::now() + LONGEST_PAUSE).await);
        assert_eq!(lanes(&budget).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn call_that_was_not_sent_is_not_counted() {
        let budget = Budget::new(Bucket::Api);
        call(&budget, 200, &[(LIMIT, r#""api";r=3;t=60"#)]).await;
        begin(&budget, Instant::now() + LONGEST_PAUSE).await.expect("leave").cancel();
        assert_eq!(lanes(&budget).await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn past_the_limit_the_time_that_the_hub_asks_for_is_waited_out() {
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
        for (status, told, expected) in cases {
            let budget = Budget::new(Bucket::Api);
            call(&budget, status, &told).await;
            call_anyway(&budget, 503, &[after("0")]);
            assert_eq!(wait(&budget).await, Duration::from_secs(expected), "{status} {told:?}");
            if status == 429 {
                assert_eq!(lanes(&budget).await, 1, "{told:?}: one finds out");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_past_the_deadline() {
        let budget = Budget::new(Bucket::Api);
        let told = [(LIMIT, r#""api";r=0;t=55"#), (POLICY, r#""api";q=1000;w=300"#)];
        call(&budget, 200, &told).await;
        let now = Instant::now();
        let refused = begin(&budget, now + Duration::from_secs(20)).await.expect_err("no leave");
        let expected = Problem::RateLimited {
            wait: Duration::from_secs(55),
            quota: Some((1000, Duration::from_secs(300))),
        };
        assert_eq!((refused, now.elapsed()), (expected, Duration::ZERO));

        let put_off =
            budget.begin(now + Duration::from_secs(60), now + Duration::from_secs(50), SystemTime::now).await;
        assert_eq!((put_off.err(), now.elapsed()), (Some(Problem::Postponed), Duration::ZERO));

        let budget = Budget::new(Bucket::Api);
        call(&budget, 200, &[(LIMIT, r#""api";r=1;t=55"#), (POLICY, r#""api";q=1000;w=300"#)]).await;
        call(&budget, 200, &[(LIMIT, r#""api";r=1;t=55"#)]).await;
        let _last = begin(&budget, now + Duration::from_secs(20)).await.expect("leave");
        let refused = begin(&budget, now + Duration::from_secs(20)).await.expect_err("no leave");
        assert_eq!((refused, now.elapsed()), (Problem::OutOfTime, Duration::from_secs(20)));
        assert_eq!(budget.state().quota, Some((1000, Duration::from_secs(300))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_put_off_that_would_wait_too_long_for_the_answer_to_another() {
        let budget = Budget::new(Bucket::Api);
        call(&budget, 200, &[(LIMIT, r#""api";r=1;t=55"#)]).await;
        let now = Instant::now();
        let _last = begin(&budget, now + seconds(60)).await.expect("leave");
        let put_off = budget.begin(now + seconds(60), now + seconds(2), SystemTime::now).await;
        assert_eq!((put_off.err(), now.elapsed()), (Some(Problem::Postponed), seconds(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_stalls_does_not_hold_up_the_others_for_long() {
        let deadline = Instant::now() + seconds(60);
        let budget = Budget::new(Bucket::Api);
        let probe = begin(&budget, deadline).await.expect("leave");
        assert_eq!(wait(&budget).await, PATIENCE, "nobody knows of the window");
        drop(probe);
        call(&budget, 200, &[(LIMIT, r#""api";r=1;t=2"#)]).await;
        let _last = begin(&budget, deadline).await.expect("leave");
        assert_eq!(wait(&budget).await, seconds(2), "the window ends");
    }

    #[test]
    fn after_a_freeze_that_the_clock_did_not_count_what_was_known_is_forgotten() {
        for (passed, is_over) in [(0, false), (1, false), (2, true), (1000, true)] {
            let (now, wall_clock) = (Instant::now(), SystemTime::now());
            let mut state = Budget::new(Bucket::Api).state.into_inner().expect("no panic");
            let told = Told { left: Some(0), ends_in: Some(seconds(300)), ..Told::default() };
            state.learn(StatusCode::TOO_MANY_REQUESTS, &told, now, now, wall_clock, false);
            let (next, _) = state.begin(now + seconds(10), wall_clock + seconds(10 + passed));
            assert_eq!(matches!(next, Next::Go { probe: true }), is_over, "{passed}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_go_on_as_soon_as_an_answer_allows_it() {
        let budget = Budget::new(Bucket::Api);
        let mut probe = begin(&budget, Instant::now() + LONGEST_PAUSE).await.expect("leave");
        let others =
            futures_util::future::join_all((0..5).map(|_| begin(&budget, Instant::now() + LONGEST_PAUSE)));
        let answer = async {
            tokio::task::yield_now().await;
            probe.answered(
                StatusCode::OK,
                &headers(&[(LIMIT, r#""api";r=9;t=60"#)]),
                SystemTime::now(),
                false,
            );
            drop(probe);
        };
        let begun = Instant::now();
        let (calls, ()) = tokio::join!(others, answer);
        assert!(calls.iter().all(Result::is_ok) && begun.elapsed().is_zero());
    }
}
