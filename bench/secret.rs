//! Whether the time of comparing a webhook's secret reveals anything about the secret. Uses the statistics of dudect (Reparaz,
//! Balasch and Verbauwhede, 2016) over comparisons of several kinds in random order. The same is done with `==`, to see that the
//! statistics would find a leak. Prints one line of JSON to standard error; `bench/run.py` runs it.
#![allow(clippy::print_stderr, clippy::expect_used)]
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]

use std::hint::black_box;
use std::time::Instant;

use hub_doorman::secrets::{AcceptedSecrets, Secret};
use serde_json::{Value, json};

/// Measurements of each kind.
const ROUNDS: usize = 200_000;

/// Comparisons in a measurement. A single one is shorter than a tick of the clock.
const REPETITIONS: u32 = 8;

const SECRET: &str = "a webhook secret of sixty-four characters, which is a usual one.";

/// The share of the fastest measurements that is used. Slower ones were probably interrupted.
const FASTEST: f64 = 0.9;

fn main() {
    let texts = [SECRET, &SECRET[..32]];
    let secrets = texts.map(|text| AcceptedSecrets::new([&Secret::new(text)]).expect("random bytes"));
    let ours = measure(|secret, shown| secrets[secret].include(shown));
    let naive = measure(|secret, shown| black_box(texts[secret].as_bytes()) == shown);
    eprintln!("{}", json!({"ours": ours, "naive": naive}));
}

/// The kinds of comparison: a description, which of the two secrets is known, and what is shown.
fn kinds() -> [(&'static str, usize, Vec<u8>); 7] {
    let right = SECRET.as_bytes();
    let changed = |place: usize| {
        let mut shown = right.to_vec();
        shown[place] ^= 1;
        shown
    };
    [
        ("no byte right", 0, right.iter().map(|byte| byte ^ 1).collect()),
        // Equal to the first kind, so the difference shows the noise.
        ("no byte right, again", 0, right.iter().map(|byte| byte ^ 1).collect()),
        ("only the first byte wrong", 0, changed(0)),
        ("only the last byte wrong", 0, changed(right.len() - 1)),
        ("right", 0, right.to_vec()),
        ("no byte right, of a secret half as long", 1, right.iter().map(|byte| byte ^ 1).collect()),
        // Whether the length is wrong may be seen: the sender knows the length of what it shows.
        ("one byte less shown", 0, right[..right.len() - 1].to_vec()),
    ]
}

/// Welch's t of each kind against the first, and the difference of their means in nanoseconds.
fn measure(compare: impl Fn(usize, &[u8]) -> bool) -> Vec<Value> {
    let kinds = kinds();
    let mut random = fastrand::Rng::new();
    let mut times = vec![Vec::with_capacity(ROUNDS); kinds.len()];
    let mut order: Vec<usize> = (0..kinds.len()).collect();
    for _ in 0..ROUNDS {
        random.shuffle(&mut order);
        for kind in &order {
            // All kinds are copied to the same place in memory.
            let mut shown = [0; 64];
            let (_, secret, text) = &kinds[*kind];
            shown[..text.len()].copy_from_slice(text);
            let shown = &black_box(shown)[..text.len()];
            let begun = Instant::now();
            for _ in 0..REPETITIONS {
                black_box(compare(*secret, black_box(shown)));
            }
            times[*kind].push(begun.elapsed().as_nanos() as f64 / f64::from(REPETITIONS));
        }
    }
    // All kinds have the same bound, so that the cut does not favour one of them.
    let mut all: Vec<f64> = times.concat();
    all.sort_by(f64::total_cmp);
    let max_time = all[(all.len() as f64 * FASTEST) as usize];
    let kept: Vec<(f64, f64, f64)> = times.iter().map(|times| moments(times, max_time)).collect();
    let (mean, variance, count) = kept[0];
    let others = kinds.iter().zip(&kept).skip(1);
    let against_the_first = others.map(|((name, ..), (m, v, n))| {
        json!({"kind": name, "t": (m - mean) / (v / n + variance / count).sqrt(), "ns": m - mean, "mean_ns": mean})
    });
    against_the_first.collect()
}

/// Mean, variance and count of the times up to this bound.
fn moments(times: &[f64], max_time: f64) -> (f64, f64, f64) {
    let times = || times.iter().copied().filter(|time| *time <= max_time);
    let count = times().count() as f64;
    let mean = times().sum::<f64>() / count;
    let variance = times().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, variance, count)
}
