//! Welch's t-test on the durations of two classes, cropped at several percentiles as dudect does.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "a bench measures real time")]

use std::time::Instant;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

use super::probes::Class;

/// From this t on two classes differ. 4.5 is the usual bound for one test; dudect calls ten "definitely", which on machines
/// with other work, and for the largest of many crops, is the bound that does not cry wolf.
pub const THRESHOLD: f64 = 10.0;
/// Calls inside one measurement: a clock with some 20 ns of its own resolves a comparison of 30 ns only in numbers.
const CALLS: usize = 16;
/// Crops: everything, and what lies below this share of all durations (interrupts are above).
const CROPS: [f64; 6] = [1.0, 0.99, 0.95, 0.9, 0.75, 0.5];

/// Mean and variance, updated one by one (Welford).
#[derive(Clone, Copy, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let away = value - self.mean;
        self.mean += away / self.count;
        self.squares += away * (value - self.mean);
    }

    /// Variance of the mean.
    fn spread(&self) -> f64 {
        self.squares / (self.count - 1.0) / self.count
    }
}

/// The largest |t| over all crops, and the mean duration of one call in nanoseconds.
pub fn largest_t(samples: usize, call: impl Fn(Class) -> bool) -> (f64, f64) {
    let mut random = ChaCha20Rng::seed_from_u64(1);
    let mut measured: Vec<(Class, f64)> = (0..samples)
        .map(|_| {
            let class = Class::ALL[(random.next_u32() & 1) as usize];
            let start = Instant::now();
            for _ in 0..CALLS {
                assert!(!call(class), "the input should have been refused");
            }
            (class, start.elapsed().as_nanos() as f64)
        })
        .collect();
    // The first ones fill the caches.
    measured.drain(..samples / 10);
    let mut sorted: Vec<f64> = measured.iter().map(|(_, nanos)| *nanos).collect();
    sorted.sort_by(f64::total_cmp);
    let mean = sorted[sorted.len() / 2] / CALLS as f64;
    let t = CROPS.map(|share| {
        let limit = sorted[((sorted.len() - 1) as f64 * share) as usize];
        welch(measured.iter().filter(|(_, nanos)| *nanos <= limit))
    });
    (t.into_iter().fold(0.0, f64::max), mean)
}

fn welch<'a>(measured: impl Iterator<Item = &'a (Class, f64)>) -> f64 {
    let mut moments = [Moments::default(); 2];
    for (class, nanos) in measured {
        moments[usize::from(*class == Class::Last)].add(*nanos);
    }
    let [first, last] = moments;
    let spread = (first.spread() + last.spread()).sqrt();
    if spread > 0.0 { (first.mean - last.mean).abs() / spread } else { 0.0 }
}
