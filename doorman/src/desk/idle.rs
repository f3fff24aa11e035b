//! When the desk was used last.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

pub struct LastUse(Mutex<Instant>);

impl LastUse {
    pub fn new() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    /// Notes that the desk is used now.
    pub fn touch(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Returns once the desk was not used for this time.
    pub async fn until_idle_for(&self, time: Duration) {
        loop {
            let end = *self.0.lock().unwrap_or_else(PoisonError::into_inner) + time;
            if end <= Instant::now() {
                return;
            }
            sleep_until(end).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn desk_is_idle_an_hour_after_its_last_use() {
        let (begun, hour) = (Instant::now(), Duration::from_secs(3600));
        let last_use = LastUse::new();
        let used = async {
            tokio::time::sleep(hour / 2).await;
            last_use.touch();
        };
        tokio::join!(last_use.until_idle_for(hour), used);
        assert_eq!(begun.elapsed().as_secs(), 5400);
    }
}
