//! Simulations of reviews and sweeps. A seed draws everything around them: the Hub, the network, the faults, when processes are
//! stopped, and what requesters and reviewers do meanwhile. Time is simulated. Every call is checked against the policy in
//! force, and in the end no request that the policy decides may be pending.
//!
//! With `SCHEDULES=100000` in the environment, so many schedules are simulated. With `SCHEDULE=17`, only this one is simulated,
//! and its log is printed (with `-- --nocapture`).

// A panic is how a test reports what is wrong, and the counts are printed for a reader.
#![allow(clippy::expect_used, clippy::print_stdout)]

mod day;
mod network;
mod policies;
mod schedule;
mod simulate;
mod world;

use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use std::{env, fs};

use tokio::runtime::Builder;

use day::Day;
use hub_stand_in as hub;
use peak_alloc::PeakAlloc;
use world::World;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The limit on allocated bytes at any time. As many schedules run at once as there are processors, each with a Hub of its own.
const MAX_MEMORY: usize = 96 * 1024 * 1024;

/// How many schedules are simulated by default.
const SCHEDULES: u64 = 2000;

/// How many schedules are simulated over HTTP, in real time.
const SCHEDULES_OVER_HTTP: u64 = 16;

/// Simulates a schedule on a runtime of its own.
fn simulate(seed: u64, over_http: bool, keeps_log: bool) -> World {
    let runtime = Builder::new_current_thread().enable_all().start_paused(!over_http).build();
    runtime.expect("a runtime").block_on(simulate::simulate(seed, over_http, keeps_log))
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// The resident memory of this process, in MB. 0 if the system does not report it.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim_end_matches("kB").trim().parse::<u64>().unwrap_or_default() / 1024
}

/// Simulates the schedules of all seeds below `count`, as many at once as there are processors. Returns how often each thing
/// happened. Panics with the seeds of the schedules in which something was wrong.
fn simulate_all(count: u64, over_http: bool) -> BTreeMap<String, u64> {
    let (next, counts, violations) = (AtomicU64::new(0), Mutex::new(BTreeMap::new()), Mutex::new(Vec::new()));
    let (after_a_tenth, peak) = (AtomicU64::new(0), AtomicUsize::new(0));
    let violation = |seed: u64, what: String| violations.lock().expect("no panic").push((seed, what));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= count || violations.lock().expect("no panic").len() >= 5 {
                return;
            }
            if seed == count / 10 {
                after_a_tenth.store(resident(), Ordering::Relaxed);
            }
            let simulated = catch_unwind(|| simulate(seed, over_http, false));
            let allocated = MEMORY.peak_usage();
            MEMORY.reset_peak_usage();
            peak.fetch_max(allocated, Ordering::Relaxed);
            if allocated > MAX_MEMORY {
                let megabytes = allocated >> 20;
                violation(seed, format!("{megabytes} MB were allocated, by this schedule or one beside it"));
            }
            let Ok(world) = simulated else {
                violation(seed, "a panic".to_owned());
                continue;
            };
            let mut counts = counts.lock().expect("no panic");
            for (what, times) in world.counts.iter().chain(&world.model.fault_counts) {
                *counts.entry(what.clone()).or_default() += times;
            }
            if let Some(first) = world.violations.first() {
                violation(seed, format!("{first} (and {} more)", world.violations.len() - 1));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(work);
        }
    });
    let violations = violations.into_inner().expect("no panic");
    let variable = if over_http { "OVER_HTTP=1 SCHEDULE" } else { "SCHEDULE" };
    let messages: Vec<String> = violations
        .iter()
        .map(|(seed, what)| {
            format!("{what}\n    alone: {variable}={seed} cargo test --test simulation -- --nocapture")
        })
        .collect();
    assert!(messages.is_empty(), "{}", messages.join("\n"));
    let (before, after) = (after_a_tenth.into_inner(), resident());
    println!("at most {} MB at once", peak.into_inner() >> 20);
    println!("{before} MB after a tenth of {count} schedules, {after} MB after all of them");
    // Twice as much and 64 MB leave room for two of the largest schedules at once. With few schedules, the figures say nothing.
    assert!(
        count < 1000 || after <= 2 * before + 64,
        "memory grows with every schedule: {before} MB, {after} MB"
    );
    counts.into_inner().expect("no panic")
}

/// Every write is one that the policy in force decides, and in the end no request that it decides is pending.
#[test]
fn whatever_happens_decisions_follow_the_policy() {
    if let Some(seed) = number("SCHEDULE") {
        let world = simulate(seed, env::var_os("OVER_HTTP").is_some(), true);
        println!("{}", world.log.unwrap_or_default().join("\n"));
        assert!(world.violations.is_empty(), "schedule {seed}:\n{}", world.violations.join("\n"));
        return;
    }
    let count = number("SCHEDULES").unwrap_or(SCHEDULES);
    let counts = simulate_all(count, false);
    println!("in {count} schedules there were");
    for (what, times) in counts {
        println!("{times:>10} {what}");
    }
}

#[test]
fn over_http_decisions_follow_the_policy() {
    let counts = simulate_all(SCHEDULES_OVER_HTTP, true);
    assert!(counts.keys().any(|what| what.starts_with("done, ")), "{counts:?}");
}

#[test]
fn one_seed_always_gives_the_same_simulation() {
    for seed in 0..30 {
        let [one, other] = [(); 2].map(|()| simulate(seed, false, true).log.unwrap_or_default());
        let different = one.iter().zip(&other).find(|(one, other)| one != other);
        assert!(different.is_none() && one.len() == other.len(), "schedule {seed}: {different:#?}");
    }
}

/// Simulates a day, and prints a line of the table in docs/performance.md.
fn day(what: &str, day: Day) -> day::Outcome {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build();
    let outcome = runtime.expect("a runtime").block_on(day::simulate(day));
    let [median, p99, max] = [50, 99, 100].map(|percent| outcome.percentile(percent).as_secs());
    let (decided, mails, sweeps) = (outcome.waits.len(), outcome.calls_for_mails, outcome.calls_for_sweeps);
    println!("| {what} | {decided} | {median} s | {p99} s | {max} s | {mails} | {sweeps} |");
    assert_eq!(outcome.undecided, 0, "{what}");
    outcome
}

/// With `DAYS=1` in the environment, a whole day is simulated instead of a fifth of one, and later days with other seeds.
#[test]
fn mails_shorten_the_wait_for_a_decision() {
    let days = number("DAYS");
    println!("| | decided | median | p99 | maximum | calls for mails | calls for sweeps |");
    for seed in 0..days.unwrap_or(1) {
        let (part, requests) = if days.is_some() { (1, 500) } else { (5, 100) };
        let (lasts, sweeps) = (Duration::from_secs(24 * 60 * 60) / part, Duration::from_secs(300));
        let with = Day { seed, lasts, requests, repos: 20, instances: 3, mails: true, sweeps };
        let mailed = day("with mails", with);
        let swept = day("without mails", Day { mails: false, ..with });
        assert!(mailed.percentile(50) < Duration::from_secs(10), "{:?}", mailed.waits);
        assert!(mailed.percentile(100) < Duration::from_secs(360), "{:?}", mailed.waits);
        assert!(mailed.calls_for_mails <= requests * 5, "{}", mailed.calls_for_mails);
        assert!(days.is_none() || mailed.percentile(99) < Duration::from_secs(60), "{:?}", mailed.waits);
        assert!(swept.percentile(50) > Duration::from_secs(60) && swept.calls_for_mails == 0);
    }
}

/// A thousand people ask within a minute.
#[test]
fn thousand_mails_in_a_minute_cost_few_calls() {
    let (lasts, sweeps) = (Duration::from_secs(60), Duration::from_secs(300));
    for seed in 0..10 {
        let burst = Day { seed, lasts, requests: 834, repos: 1, instances: 10, mails: true, sweeps };
        let outcome = day("1,000 mails in a minute", burst);
        assert_eq!(outcome.waits.len(), 834);
        assert!(outcome.calls_for_mails <= 60, "{}", outcome.calls_for_mails);
    }
}
