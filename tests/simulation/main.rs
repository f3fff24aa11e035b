//! The doorman's own reviews and sweeps, before a Hub, a network and people of which everything is drawn from a seed: the
//! sizes, what goes wrong, when processes are stopped, who does what meanwhile. Time is simulated. Whatever happens, nobody
//! is let in whom the policy in force does not accept, and in the end nobody is forgotten.
//!
//! With `SCHEDULES=100000` in the environment it plays so many; with `SCHEDULE=17` that one alone, and it tells everything that
//! happens in it (with `-- --nocapture`).

// A panic is how a test says that something is wrong, and what was met is to be read.
#![allow(clippy::expect_used, clippy::print_stdout)]

#[path = "../hub/mod.rs"]
mod hub;
mod network;
mod play;
mod policies;
mod schedule;
mod world;

use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::{env, fs};

use tokio::runtime::Builder;

use peak_alloc::PeakAlloc;
use world::World;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The most bytes that may ever be allocated: by as many schedules at once as there are processors, each with a Hub of its own.
const MOST_MEMORY: usize = 96 * 1024 * 1024;

/// How many are played if nothing else is said.
const SCHEDULES: u64 = 2000;

/// How many are played over HTTP, in the time of the world.
const OVER_HTTP: u64 = 16;

/// Plays a schedule on a runtime of its own.
fn play(seed: u64, over_http: bool, is_told: bool) -> World {
    let runtime = Builder::new_current_thread().enable_all().start_paused(!over_http).build();
    runtime.expect("a runtime").block_on(play::play(seed, over_http, is_told))
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// The memory of this process, in MB; 0 where the system does not tell.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim_end_matches("kB").trim().parse::<u64>().unwrap_or_default() / 1024
}

/// Plays all schedules up to a seed, as many at once as there are processors, and shows what they met. What goes wrong is told
/// with the seeds.
fn play_all(count: u64, over_http: bool) -> BTreeMap<String, u64> {
    let (next, met, broken) = (AtomicU64::new(0), Mutex::new(BTreeMap::new()), Mutex::new(Vec::new()));
    let (after_a_tenth, highest) = (AtomicU64::new(0), AtomicUsize::new(0));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= count || broken.lock().expect("no panic").len() >= 5 {
                return;
            }
            if seed == count / 10 {
                after_a_tenth.store(resident(), Ordering::Relaxed);
            }
            let played = catch_unwind(|| play(seed, over_http, false));
            let peak = MEMORY.peak_usage();
            MEMORY.reset_peak_usage();
            highest.fetch_max(peak, Ordering::Relaxed);
            if peak > MOST_MEMORY {
                let what = format!(
                    "{} MB were allocated at once, by this schedule or one that ran beside it",
                    peak >> 20
                );
                broken.lock().expect("no panic").push((seed, what));
            }
            match played {
                Ok(world) => {
                    let mut met = met.lock().expect("no panic");
                    for (what, times) in world.met.iter().chain(&world.model.met) {
                        *met.entry(what.clone()).or_default() += times;
                    }
                    if let Some(first) = world.broken.first() {
                        let more = world.broken.len() - 1;
                        broken.lock().expect("no panic").push((seed, format!("{first} (and {more} more)")));
                    }
                }
                Err(_) => broken.lock().expect("no panic").push((seed, "a panic".to_owned())),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(work);
        }
    });
    let broken = broken.into_inner().expect("no panic");
    let variable = if over_http { "OVER_HTTP=1 SCHEDULE" } else { "SCHEDULE" };
    let told: Vec<String> = broken
        .iter()
        .map(|(seed, what)| {
            format!("{what}\n    alone: {variable}={seed} cargo test --test simulation -- --nocapture")
        })
        .collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
    let (before, after) = (after_a_tenth.into_inner(), resident());
    println!("at most {} MB at once", highest.into_inner() >> 20);
    println!("{before} MB after a tenth of {count} schedules, {after} MB after all of them");
    // As much again is for the largest of them, two at once. With only a few schedules, memory tells nothing.
    assert!(
        count < 1000 || after <= 2 * before + 64,
        "memory grows with every schedule: {before} MB, {after} MB"
    );
    met.into_inner().expect("no panic")
}

#[test]
fn whatever_happens_nobody_is_let_in_by_mistake_and_nobody_is_forgotten() {
    if let Some(seed) = number("SCHEDULE") {
        let world = play(seed, env::var_os("OVER_HTTP").is_some(), true);
        println!("{}", world.story.unwrap_or_default().join("\n"));
        assert!(world.broken.is_empty(), "schedule {seed}:\n{}", world.broken.join("\n"));
        return;
    }
    let count = number("SCHEDULES").unwrap_or(SCHEDULES);
    let met = play_all(count, false);
    println!("{count} schedules met");
    for (what, times) in met {
        println!("{times:>10} {what}");
    }
}

#[test]
fn the_same_holds_over_http() {
    let met = play_all(OVER_HTTP, true);
    assert!(met.keys().any(|what| what.starts_with("done, ")), "{met:?}");
}

#[test]
fn a_schedule_is_played_the_same_every_time() {
    for seed in 0..30 {
        let [one, other] = [(); 2].map(|()| play(seed, false, true).story.unwrap_or_default());
        let different = one.iter().zip(&other).find(|(one, other)| one != other);
        assert!(different.is_none() && one.len() == other.len(), "schedule {seed}: {different:#?}");
    }
}
