//! How long requesters waited until a run decided.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

/// The waits of the requests that a run accepted, rejected or reset, in seconds, from the request to the Hub's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waits(Vec<u32>);

/// The most values that a metric may have in one line of the Embedded Metric Format.
const MAX_SAMPLES: usize = 100;

impl Waits {
    /// Adds a request that was decided at `now`. Nothing is added if it has no time.
    pub fn add(&mut self, requested_at: Option<DateTime<Utc>>, now: DateTime<Utc>) {
        let wait = requested_at.map(|at| (now - at).num_seconds().max(0));
        self.0.extend(wait.map(|wait| u32::try_from(wait).unwrap_or(u32::MAX)));
    }

    /// Whether nobody was decided.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// At most 100 of the waits, from the shortest to the longest and evenly spread between them, so that their percentiles are about
    /// those of all.
    #[must_use]
    pub fn samples(&self) -> Vec<u32> {
        let sorted = self.sorted();
        if sorted.len() <= MAX_SAMPLES {
            return sorted;
        }
        (0..MAX_SAMPLES).map(|number| sorted[number * (sorted.len() - 1) / (MAX_SAMPLES - 1)]).collect()
    }

    fn sorted(&self) -> Vec<u32> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted
    }
}

impl<'a> FromIterator<&'a Waits> for Waits {
    fn from_iter<I: IntoIterator<Item = &'a Self>>(all: I) -> Self {
        Self(all.into_iter().flat_map(|waits| &waits.0).copied().collect())
    }
}

impl Serialize for Waits {
    /// Writes the median, the 99th percentile and the maximum. Each is the wait of one request, the smallest that at least so many
    /// did not exceed.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Percentiles {
            median: u32,
            p99: u32,
            max: u32,
        }
        let sorted = self.sorted();
        let percentile = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).max(1);
            sorted.get(rank - 1).copied().unwrap_or_default()
        };
        Percentiles { median: percentile(50), p99: percentile(99), max: percentile(100) }
            .serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_waits_of_requests() {
        let cases = [
            (vec![7], [7, 7, 7]),
            (vec![9, 1], [1, 9, 9]),
            ((1..=100).rev().collect(), [50, 99, 100]),
            ((1..=1000).collect(), [500, 990, 1000]),
        ];
        for (waits, [median, p99, max]) in cases {
            let expected = serde_json::json!({"median": median, "p99": p99, "max": max});
            assert_eq!(serde_json::to_value(Waits(waits)).expect("JSON"), expected);
        }
    }

    #[test]
    fn samples_reach_from_the_shortest_to_the_longest_wait() {
        assert_eq!(Waits(vec![3, 1, 2]).samples(), [1, 2, 3]);
        let samples = Waits((0..100_000).rev().collect()).samples();
        assert_eq!((samples.len(), samples[0], samples[50], samples[99]), (100, 0, 50_504, 99_999));
    }

    #[test]
    fn wait_of_a_request_from_the_future_is_zero() {
        let now: DateTime<Utc> = "2026-11-27T12:00:00Z".parse().expect("a time");
        let mut waits = Waits::default();
        for seconds in [5, -5] {
            waits.add(Some(now - chrono::TimeDelta::seconds(seconds)), now);
        }
        waits.add(None, now);
        assert_eq!(waits, Waits(vec![5, 0]));
    }
}
