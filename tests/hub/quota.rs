//! How many calls the Hub allows.

use std::time::Duration;

use tokio::time::Instant;

/// The Hub's limit on calls, in windows of a fixed length.
#[derive(Clone, Debug)]
pub struct Quota {
    pub calls: u32,
    pub window: Duration,
    /// Whether a 429 has a `Retry-After`.
    pub tells_when: bool,
    pub used: u32,
    pub began: Instant,
}

impl Quota {
    pub fn new(calls: u32, window: Duration) -> Self {
        Self { calls, window, tells_when: false, used: 0, began: Instant::now() }
    }

    /// Counts a call: how many are left after it, or nothing if there was none left for it; and how long the window lasts.
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
