//! The check whether sweeps fit the Hub's rate limit.

use std::time::Duration;

use hub_doorman::model::RepoPattern;

use super::findings::{Findings, Level};
use crate::screen::{count, grouped};

/// The minutes between two sweeps that `template.yaml` allows (`SweepMinutes`).
const PERIODS: [u64; 7] = [1, 2, 5, 10, 15, 30, 60];

/// The minutes that it sets if nothing else is chosen.
const DEFAULT_PERIOD: u64 = 5;

/// Sweeps may use the rate limit divided by this. The rest is for writes, webhooks, mails, and other users of the token.
const RATE_LIMIT_DIVISOR: u64 = 2;

/// Checks how often all repos can be swept. A sweep searches each namespace, and reads at least one page of each repo.
pub fn check(
    patterns: &[RepoPattern],
    repos: usize,
    quota: Option<(u32, Duration)>,
    findings: &mut Findings,
) {
    let Some((quota, window)) = quota.filter(|_| repos > 0) else { return };
    let searches = |pattern: &RepoPattern| match pattern {
        RepoPattern::One(_) => 0,
        RepoPattern::Namespace { only, .. } => {
            if only.is_some() {
                1
            } else {
                2
            }
        }
    };
    let calls = repos as u64 + patterns.iter().map(searches).sum::<u64>();
    let (level, text) = describe(calls, u64::from(quota), window.as_secs());
    findings.add(level, "rate limit", text);
}

fn describe(calls: u64, quota: u64, window: u64) -> (Level, String) {
    let calls_in_window = (calls * window).div_ceil(60);
    let shortest =
        PERIODS.into_iter().find(|minutes| calls * window * RATE_LIMIT_DIVISOR <= quota * minutes * 60);
    let of_a_minute = if calls_in_window > quota {
        ", which does not fit"
    } else if calls_in_window * RATE_LIMIT_DIVISOR > quota {
        ", which leaves too few for everything else"
    } else {
        ""
    };
    let takes = format!(
        "a sweep makes {}; once a minute, that is {} of the {} that the Hub allows in {}{of_a_minute}",
        count(calls, "call"),
        grouped(calls_in_window),
        grouped(quota),
        count(window / 60, "minute"),
    );
    match shortest {
        Some(minutes) if minutes <= DEFAULT_PERIOD => {
            (Level::Passed, format!("{takes}; a period of {} or more fits", count(minutes, "minute")))
        }
        Some(minutes) => (
            Level::Warning,
            format!(
                "{takes}; set the period of the schedule (SweepMinutes) to {} or more",
                count(minutes, "minute")
            ),
        ),
        None => (Level::Warning, format!("{takes}; no period of up to an hour fits, so sweep fewer repos")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortest_period_leaves_half_of_the_rate_limit() {
        let cases = [
            (100, 1000, Level::Passed, "1 minute or more fits"),
            (101, 1000, Level::Passed, "2 minutes or more fits"),
            (500, 1000, Level::Passed, "5 minutes or more fits"),
            (501, 1000, Level::Warning, "to 10 minutes or more"),
            (6000, 1000, Level::Warning, "to 60 minutes or more"),
            (6001, 1000, Level::Warning, "no period of up to an hour"),
            (501, 2500, Level::Passed, "5 minutes or more fits"),
        ];
        for (calls, quota, level, part) in cases {
            let (found, text) = describe(calls, quota, 300);
            assert!(found == level && text.contains(part), "{calls} of {quota}: {text}");
        }
    }

    #[test]
    fn text_says_whether_a_sweep_each_minute_fits() {
        let allowed = "of the 1,000 that the Hub allows in 5 minutes";
        let cases = [
            (52, format!("260 {allowed}; a period of 1 minute")),
            (100, format!("500 {allowed}; a period of 1 minute")),
            (101, format!("505 {allowed}, which leaves too few for everything else; a period of 2 minutes")),
            (
                200,
                format!("1,000 {allowed}, which leaves too few for everything else; a period of 2 minutes"),
            ),
            (201, format!("1,005 {allowed}, which does not fit; a period of 5 minutes")),
            (501, format!("2,505 {allowed}, which does not fit; set the period")),
        ];
        for (calls, part) in cases {
            let (_, text) = describe(calls, 1000, 300);
            assert!(text.contains(&format!("{calls} calls; once a minute, that is {part}")), "{text}");
        }
    }
}
