//! The three headers in which the Hub states its rate limit with every response: `RateLimit`, `RateLimit-Policy` and
//! `Retry-After`.
//!
//! The first two follow a draft of the IETF, but loosely, so they are read loosely. The crate for structured fields, `sfv`,
//! rejects the `RateLimit-Policy` that the Hub documents; see [`parameters`](crate::hub::parameters).

use std::cmp::Reverse;
use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::super::parameters::{parameters, split_outside_quotes};

/// The shortest pause after a 429, even if the headers ask for less. The Hub states times in whole seconds, so "0" may be
/// almost a second, and clocks differ.
pub(in crate::hub) const MIN_PAUSE: Duration = Duration::from_secs(1);

/// The longest time that is believed. A window of the Hub lasts five minutes. After an hour, one call may find out.
pub(in crate::hub) const MAX_PAUSE: Duration = Duration::from_secs(60 * 60);

/// The kinds of calls that the Hub counts separately. `RateLimit` names the bucket (the Hub's documentation of rate limits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hub) enum Bucket {
    /// Calls under `/api/`.
    Api,
    /// Files: calls with `/resolve/` in their path.
    Resolvers,
    /// All other calls.
    Pages,
}

impl Bucket {
    pub(in crate::hub) const ALL: [Self; 3] = [Self::Api, Self::Resolvers, Self::Pages];

    /// The bucket of a call with this path.
    pub(in crate::hub) fn of(path: &str) -> Self {
        match path {
            _ if path.contains("/resolve/") => Self::Resolvers,
            _ if path.contains("/api/") => Self::Api,
            _ => Self::Pages,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Resolvers => "resolvers",
            Self::Pages => "pages",
        }
    }
}

/// The rate limit as the headers of a response state it. A value that is missing or cannot be read is `None`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::hub) struct RateLimitHeaders {
    /// The calls that are left in the window.
    pub(in crate::hub) left: Option<u32>,
    /// The time from now to the end of the window.
    pub(in crate::hub) ends_in: Option<Duration>,
    /// The calls of a whole window, and its length.
    pub(in crate::hub) quota: Option<(u32, Duration)>,
    /// How long the Hub takes no calls.
    pub(in crate::hub) retry_after: Option<Duration>,
}

impl RateLimitHeaders {
    /// Reads `RateLimit` (`"api";r=999;t=300`), `RateLimit-Policy` (`"fixed window";"api";q=1000;w=300`) and `Retry-After`
    /// (seconds, or a date). Limits of buckets other than `bucket` are ignored.
    pub(in crate::hub) fn read(headers: &HeaderMap, now: SystemTime, bucket: Bucket) -> Self {
        let names_another_bucket = |limit: &str| {
            Bucket::ALL
                .iter()
                .any(|other| *other != bucket && limit.contains(&format!("\"{}\"", other.as_str())))
        };
        let texts = |name| headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        let limits = |name| {
            texts(name)
                .flat_map(|text| split_outside_quotes(text, ','))
                .filter(|limit| !names_another_bucket(limit))
        };
        let quota = limits("ratelimit-policy")
            .find_map(|policy| Some((number(policy, "q")?, seconds(number(policy, "w")?))));
        // If there are several limits, the limit with the fewest calls left counts. Among equal ones, the limit that ends last counts.
        let strictest = limits("ratelimit")
            .filter_map(|limit| Some((number(limit, "r")?, Reverse(number(limit, "t").map(seconds)))))
            .min();
        let (left, ends_in) = strictest.map(|(left, Reverse(ends_in))| (left, ends_in)).unzip();
        let (window, at_least) = (quota.map(|(_, window)| window), left.map(|_| MIN_PAUSE));
        Self {
            left,
            ends_in: ends_in.flatten().or(window).or(at_least),
            quota,
            retry_after: texts(RETRY_AFTER.as_str()).find_map(|text| retry_after(text.trim(), now)),
        }
    }
}

/// The value of a numeric parameter of a limit.
fn number(limit: &str, name: &str) -> Option<u32> {
    // If a structured field repeats a parameter, the last one counts. In a `Link`, it is the first one.
    let (_, value) = parameters(limit).filter(|(key, _)| key.eq_ignore_ascii_case(name)).last()?;
    digits(&value)
}

/// A number of digits. If it is too large for an `u32`, it is `u32::MAX`.
fn digits(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u32::MAX))
}

pub(in crate::hub) fn seconds(number: u32) -> Duration {
    Duration::from_secs(number.into()).min(MAX_PAUSE)
}

fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let until = |date: SystemTime| date.duration_since(now).unwrap_or_default().min(MAX_PAUSE);
    digits(text).map(seconds).or_else(|| httpdate::parse_http_date(text).ok().map(until))
}

#[cfg(test)]
pub(super) mod tests;
