//! The rate limit of the Hub.

use std::time::Duration;

use tokio::time::Instant;

/// How many calls a window of the rate limit allows: a "fixed 5-minute window" on the real Hub (its documentation, 2025-09).
#[derive(Clone, Debug)]
pub struct Quota {
    pub calls: u32,
    pub window: Duration,
    /// Whether a 429 has a `Retry-After`. On the real Hub it may have one (`huggingface_hub` reads it), so tests try both.
    pub tells_when: bool,
    pub used: u32,
    pub began: Instant,
}

impl Quota {
    pub fn new(calls: u32, window: Duration) -> Self {
        Self { calls, window, tells_when: false, used: 0, began: Instant::now() }
    }

    /// Counts a call. Returns how many calls are left after it (`None` if there was none left for it), and the time until the
    /// window ends.
    pub fn count(&mut self) -> (Option<u32>, Duration) {
        let windows = self.began.elapsed().as_nanos() / self.window.as_nanos().max(1);
        if let Ok(passed @ 1..) = u32::try_from(windows) {
            self.began += self.window * passed;
            self.used = 0;
        }
        let left = self.calls.checked_sub(self.used + 1);
        self.used += u32::from(left.is_some());
        (left, self.window.saturating_sub(self.began.elapsed()))
    }
}
