//! The budget counts the calls that the Hub's rate limit leaves. All calls of the process share it.
//!
//! The Hub counts the calls of a token in windows of a fixed length (1,000 in 5 minutes for a free user). Every response states
//! how many calls are left in the current window. A call in flight may not be counted yet. So a call begins only while fewer
//! calls are in flight than are left. Near the end of a window calls go one by one, and no call gets a 429.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::super::Problem;
use super::headers::{Bucket, MIN_PAUSE, RateLimitHeaders};

/// Two ends of a window that differ by less than this are the same end. The Hub states times in whole seconds, and responses
/// overtake each other.
const TOLERANCE: Duration = Duration::from_millis(1500);

/// How long the other calls wait for a *probe call*, which learns the new window. After that, another call becomes the probe
/// call.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(in crate::hub) struct Budget {
    bucket: Bucket,
    state: Mutex<State>,
    changed: Notify,
}

/// The state of the Hub's rate limit, as the responses have shown it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitStatus {
    /// How many calls the Hub refused (429) since the status was last taken.
    pub refused: u32,
    /// How many calls are left in the current window, if that is known.
    pub left: Option<u32>,
}

#[derive(Debug)]
struct State {
    window: Window,
    in_flight: u32,
    /// When the current probe call was sent.
    probing: Option<Instant>,
    /// The Hub takes no calls before this time.
    pause: Option<Instant>,
    /// How many calls were refused since the status was last taken.
    refused: u32,
    /// The calls of a whole window, and its length.
    quota: Option<(u32, Duration)>,
    /// When the last response came, by the monotonic clock and by the wall clock.
    last_response: Option<(Instant, SystemTime)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Window {
    /// No response has stated a limit yet.
    Unknown,
    /// The last response stated no limit.
    Unlimited,
    /// `left` calls are left until the window ends. This is known since `since`.
    Limited { left: u32, ends: Instant, since: Instant },
}

/// The next step of a call.
enum Next {
    Go {
        is_probe: bool,
    },
    /// Wait for a response that may allow the call, but at most until this time.
    WaitForResponse(Instant),
    WaitUntil(Instant),
}

impl State {
    fn next(&self, now: Instant) -> Next {
        if let Some(pause) = self.pause.filter(|pause| *pause > now) {
            return Next::WaitUntil(pause);
        }
        match self.window {
            Window::Unlimited => Next::Go { is_probe: false },
            Window::Limited { left: 0, ends, .. } if now < ends => Next::WaitUntil(ends),
            Window::Limited { left, ends, .. } if now < ends => {
                if self.in_flight < left {
                    Next::Go { is_probe: false }
                } else {
                    Next::WaitForResponse(ends)
                }
            }
            // One probe call learns the new window. The others wait for its response.
            Window::Unknown | Window::Limited { .. } => match self.probing.map(|since| since + PROBE_TIMEOUT)
            {
                Some(timeout) if now < timeout => Next::WaitForResponse(timeout),
                _ => Next::Go { is_probe: true },
            },
        }
    }

    /// If a call may be made now, counts it as in flight.
    fn begin(&mut self, now: Instant, wall_clock: SystemTime) -> (Next, Option<(u32, Duration)>) {
        // Between two events Lambda freezes the process, and maybe its monotonic clock. Then the state is out of date.
        let was_frozen = self.last_response.is_some_and(|(monotonic, wall)| {
            wall_clock.duration_since(wall).is_ok_and(|passed| passed > now - monotonic + TOLERANCE)
        });
        if was_frozen {
            (self.window, self.pause, self.last_response) = (Window::Unknown, None, None);
        }
        let next = self.next(now);
        if let Next::Go { is_probe } = next {
            self.in_flight += 1;
            if is_probe {
                self.probing = Some(now);
            }
        }
        (next, self.quota)
    }

    /// Takes note of what a response says about the limit. Its call was sent at `sent`.
    ///
    /// A refusal (429) while calls are left in the window is about another limit of the Hub, so this budget makes no call wait
    /// for it. A refused write that `is_from_page` makes no other call wait either: its own review waits before it reads the
    /// list again.
    fn learn(
        &mut self,
        status: StatusCode,
        limits: &RateLimitHeaders,
        sent: Instant,
        now: Instant,
        wall_clock: SystemTime,
        is_from_page: bool,
    ) {
        self.last_response = Some((now, wall_clock));
        self.quota = limits.quota.or(self.quota);
        let is_refusal = status == StatusCode::TOO_MANY_REQUESTS;
        self.refused += u32::from(is_refusal);
        let applies_to_all_calls = match limits.left {
            Some(0) => true,
            Some(_) => !is_from_page && !is_refusal,
            None => !is_from_page,
        };
        let pauses_all_calls = is_refusal && applies_to_all_calls;
        // If another limit refused the call, `left` may be about that limit.
        let left = limits.left.filter(|_| !is_refusal);
        self.update_window(status, left, limits.ends_in, sent, now, pauses_all_calls);

        let asked_for = limits.retry_after.filter(|_| !status.is_success() && applies_to_all_calls);
        let until_window_ends = limits.ends_in.filter(|_| pauses_all_calls);
        let at_least = pauses_all_calls.then_some(MIN_PAUSE);
        if let Some(pause) = asked_for.or(until_window_ends).max(at_least) {
            self.pause = self.pause.max(Some(now + pause));
        }
    }

    fn update_window(
        &mut self,
        status: StatusCode,
        left: Option<u32>,
        ends_in: Option<Duration>,
        sent: Instant,
        now: Instant,
        pauses_all_calls: bool,
    ) {
        match (left, ends_in, &mut self.window) {
            // The known window was wrong. After the pause, one probe call learns the new one.
            (_, _, window) if pauses_all_calls => *window = Window::Unknown,
            // The response is about the window before, and a response about the current window has overtaken it.
            (Some(_), Some(ends_in), Window::Limited { ends, since, .. })
                if now < *ends && now + ends_in + TOLERANCE < *ends && sent < *since => {}
            // The response is about the current window, however long it took.
            (Some(left), Some(ends_in), Window::Limited { left: known, ends, .. })
                if now < *ends
                    && sent + ends_in < *ends + TOLERANCE
                    && *ends <= now + ends_in + TOLERANCE =>
            {
                *known = left.min(*known);
                *ends = (*ends).max(sent + ends_in);
            }
            (Some(left), Some(ends_in), window) => {
                *window = Window::Limited { left, ends: now + ends_in, since: now };
            }
            // A response without the header does not end the window.
            (_, _, Window::Limited { ends, .. }) if now < *ends => {}
            // A proxy before the Hub may fail without the header. Only a success shows that there is no limit.
            (_, _, window) if status.is_success() => *window = Window::Unlimited,
            _ => {}
        }
    }
}

impl Budget {
    pub(in crate::hub) fn new(bucket: Bucket) -> Self {
        let state = State {
            window: Window::Unknown,
            in_flight: 0,
            probing: None,
            pause: None,
            refused: 0,
            quota: None,
            last_response: None,
        };
        Self { bucket, state: Mutex::new(state), changed: Notify::new() }
    }

    /// Waits until a call may be made.
    ///
    /// If the call would have to wait until `deadline` or longer, the error is [`Problem::RateLimited`] or
    /// [`Problem::OutOfTime`]. If it would have to wait until `expires` or longer, the error is [`Problem::Postponed`].
    /// `wall_clock` reads the wall clock.
    pub(in crate::hub) async fn begin(
        &self,
        deadline: Instant,
        expires: Instant,
        wall_clock: impl Fn() -> SystemTime,
    ) -> Result<CallInFlight<'_>, Problem> {
        loop {
            // The waiting has to begin before the state is read. Otherwise a change in between would be missed.
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let now = Instant::now();
            let (next, quota) = self.state().begin(now, wall_clock());
            match next {
                Next::Go { is_probe } => {
                    return Ok(CallInFlight { budget: self, sent: now, is_probe, is_settled: false });
                }
                Next::WaitUntil(when) if when >= deadline => {
                    return Err(Problem::RateLimited { wait: when - now, quota });
                }
                Next::WaitUntil(when) if when >= expires => return Err(Problem::Postponed),
                Next::WaitUntil(when) => sleep_until(when).await,
                Next::WaitForResponse(until) => {
                    let waited = timeout_at(until.min(deadline).min(expires), changed).await;
                    if waited.is_err() && Instant::now() >= deadline {
                        return Err(Problem::OutOfTime);
                    }
                    if waited.is_err() && Instant::now() >= expires {
                        return Err(Problem::Postponed);
                    }
                }
            }
        }
    }

    /// How long no call may be made, as far as that is known.
    pub(in crate::hub) fn wait(&self) -> Option<Duration> {
        let now = Instant::now();
        match self.state().next(now) {
            Next::WaitUntil(when) => Some(when - now),
            Next::Go { .. } | Next::WaitForResponse(_) => None,
        }
    }

    pub(in crate::hub) fn quota(&self) -> Option<(u32, Duration)> {
        self.state().quota
    }

    pub(in crate::hub) fn take_status(&self) -> LimitStatus {
        let mut state = self.state();
        let left = match state.window {
            Window::Limited { left, ends, .. } if Instant::now() < ends => Some(left),
            _ => None,
        };
        LimitStatus { refused: std::mem::take(&mut state.refused), left }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that the budget counts as in flight, until it is dropped.
#[derive(Debug)]
pub(in crate::hub) struct CallInFlight<'a> {
    budget: &'a Budget,
    sent: Instant,
    is_probe: bool,
    /// Whether it is known if the Hub counted the call. It is known after a response, or if the call was not sent.
    is_settled: bool,
}

impl CallInFlight<'_> {
    /// The call is not sent, so the Hub does not count it.
    pub(in crate::hub) fn cancel(&mut self) {
        self.is_settled = true;
    }

    /// Takes note of what a response says about the limit, and returns it; see [`State::learn`].
    pub(in crate::hub) fn record_response(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        wall_clock: SystemTime,
        is_from_page: bool,
    ) -> RateLimitHeaders {
        self.is_settled = true;
        let limits = RateLimitHeaders::read(headers, wall_clock, self.budget.bucket);
        self.budget.state().learn(status, &limits, self.sent, Instant::now(), wall_clock, is_from_page);
        limits
    }
}

impl Drop for CallInFlight<'_> {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        state.in_flight -= 1;
        state.probing = state.probing.filter(|since| !self.is_probe || *since != self.sent);
        // The Hub may have counted a call without a response.
        if let (false, Window::Limited { left, .. }) = (self.is_settled, &mut state.window) {
            *left = left.saturating_sub(1);
        }
        drop(state);
        self.budget.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
