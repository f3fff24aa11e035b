//! A point in time by both clocks. Between two events Lambda freezes the process, and the monotonic clock may stop.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// The largest age of a page at which a decision from it may be written. The Hub has no conditional write, so a decision may
/// overrule a person who decided the request after the page was read. This bounds how long that can happen. The age counts from
/// the moment when the page was requested, because a response that is late, or that arrives while the process is frozen, may show
/// an old list.
pub const MAX_PAGE_AGE: Duration = Duration::from_secs(2);

/// How long the Hub's lists may lag behind its writes. On the real Hub, a lag of about a second was observed.
pub const LIST_LAG: Duration = Duration::from_secs(2);

/// A point in time by the monotonic clock and by the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    monotonic: Instant,
    wall: SystemTime,
}

impl Moment {
    /// The current time, with `wall` as the reading of the wall clock.
    #[must_use]
    pub fn now(wall: SystemTime) -> Self {
        Self { monotonic: Instant::now(), wall }
    }

    /// The time from this moment to `now`, by the clock that shows more.
    #[must_use]
    pub fn age_at(self, now: Self) -> Duration {
        let by_wall_clock = now.wall.duration_since(self.wall).unwrap_or_default();
        by_wall_clock.max(now.monotonic.saturating_duration_since(self.monotonic))
    }

    /// This point in time by the monotonic clock.
    pub(crate) fn monotonic(self) -> Instant {
        self.monotonic
    }

    /// How much longer a decision may be written whose page was requested at this moment.
    pub(super) fn time_to_write(self, now: Self) -> Duration {
        MAX_PAGE_AGE.saturating_sub(self.age_at(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_is_the_larger_of_both_clocks() {
        let then = Moment::now(SystemTime::now());
        let seconds = Duration::from_secs;
        for (monotonic, wall, expected) in [(1, 1, 1), (1, 90, 90), (3, 0, 3), (0, 0, 0)] {
            let now =
                Moment { monotonic: then.monotonic + seconds(monotonic), wall: then.wall + seconds(wall) };
            assert_eq!(then.age_at(now), seconds(expected));
        }
        let set_back = Moment { monotonic: then.monotonic + seconds(1), wall: then.wall - seconds(60) };
        assert_eq!(then.age_at(set_back), seconds(1), "a wall clock that was set back is ignored");
    }

    #[test]
    fn page_read_before_a_freeze_cannot_be_written_from() {
        let now = Moment::now(SystemTime::now());
        let frozen_since = Moment { wall: now.wall - Duration::from_secs(60), ..now };
        assert!(frozen_since.time_to_write(now).is_zero());
        assert_eq!(now.time_to_write(now), MAX_PAGE_AGE);
    }
}
