//! Whether the time that it takes to compare a webhook's secret tells anything of it: the statistics of dudect (Reparaz,
//! Balasch and Verbauwhede, 2016) over comparisons of several kinds in random order, for ours, and for `==` to see that they
//! would show it. Prints one line of JSON to standard error; run by `bench/run.py`.
#![allow(clippy::print_stderr, clippy::expect_used)]
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]

use std::hint::black_box;
use std::time::Instant;

use hub_doorman::secret::{Secret, WebhookSecrets};
use serde_json::{Value, json};

/// Measurements of each kind.
const ROUNDS: usize = 200_000;

/// A comparison is shorter than the clock's ticks, so that a measurement is of several.
const REPEATED: u32 = 8;

const SECRET: &str = "a webhook secret of sixty-four characters, which is a usual one.";

/// The share of the fastest that is looked at, for what takes long was interrupted.
const KEPT: f64 = 0.9;

fn main() {
    let texts = [SECRET, &SECRET[..32]];
    let secrets = texts.map(|text| WebhookSecrets::new([&Secret::new(text)]).expect("random bytes"));
    let ours = measure(|secret, shown| secrets[secret].include(shown));
    let naive = measure(|secret, shown| black_box(texts[secret].as_bytes()) == shown);
    eprintln!("{}", json!({"ours": ours, "naive": naive}));
}

/// Which secret there is, and what is shown; by what is said of it.
fn kinds() -> [(&'static str, usize, Vec<u8>); 7] {
    let right = SECRET.as_bytes();
    let changed = |place: usize| {
        let mut shown = right.to_vec();
        shown[place] ^= 1;
        shown
    };
    [
        ("no byte right", 0, right.iter().map(|byte| byte ^ 1).collect()),
        // The same again: between two that are alike there is nothing to be seen but noise.
        ("no byte right, again", 0, right.iter().map(|byte| byte ^ 1).collect()),
        ("only the first byte wrong", 0, changed(0)),
        ("only the last byte wrong", 0, changed(right.len() - 1)),
        ("right", 0, right.to_vec()),
        ("no byte right, of a secret half as long", 1, right.iter().map(|byte| byte ^ 1).collect()),
        // Who shows it knows its length anyway.
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
            // All from the same place in memory.
            let mut shown = [0; 64];
            let (_, secret, text) = &kinds[*kind];
            shown[..text.len()].copy_from_slice(text);
            let shown = &black_box(shown)[..text.len()];
            let begun = Instant::now();
            for _ in 0..REPEATED {
                black_box(compare(*secret, black_box(shown)));
            }
            times[*kind].push(begun.elapsed().as_nanos() as f64 / f64::from(REPEATED));
        }
    }
    // The same bound for all, or what is cut off would differ.
    let mut all: Vec<f64> = times.concat();
    all.sort_by(f64::total_cmp);
    let longest = all[(all.len() as f64 * KEPT) as usize];
    let kept: Vec<(f64, f64, f64)> = times.iter().map(|times| moments(times, longest)).collect();
    let (mean, variance, count) = kept[0];
    let others = kinds.iter().zip(&kept).skip(1);
    let against_the_first = others.map(|((name, ..), (m, v, n))| {
        json!({"kind": name, "t": (m - mean) / (v / n + variance / count).sqrt(), "ns": m - mean, "mean_ns": mean})
    });
    against_the_first.collect()
}

/// Mean, variance and count of those that took no longer than this.
fn moments(times: &[f64], longest: f64) -> (f64, f64, f64) {
    let times = || times.iter().copied().filter(|time| *time <= longest);
    let count = times().count() as f64;
    let mean = times().sum::<f64>() / count;
    let variance = times().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, variance, count)
}
