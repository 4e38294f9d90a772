//! Token buckets without a table: a count-min sketch of a fixed size (Cormode and Muthukrishnan, 2005) whose
//! cells are buckets. Nothing is stored per source, so there is no table to fill and nothing to evict.
use std::hash::{BuildHasher, Hash};
use std::time::Duration;

use jumpvpn_events::Time;

use crate::keyed::KeyedState;
use rand_core::CryptoRng;

/// Cells per row: with 2 rows of 65,536 an unlucky key shares both of its cells with attackers only when they
/// hold about every 65,536th key in each row.
const CELL_COUNT: usize = 65_536;
/// Rows: the best of both cells counts, so one collision alone limits nobody.
const ROW_COUNT: usize = 2;

#[derive(Clone, Copy, Default)]
struct Cell {
    /// When the bucket will be full again, milliseconds; 32 bits last 49 days and wrap harmlessly.
    full_at_millis: u32,
}

/// The sketch: `burst` at once, `rate` per second afterwards, per key.
pub struct Sketch {
    cells: Vec<Cell>,
    keys: [KeyedState; ROW_COUNT],
    cost_millis: u32,
    depth_millis: u32,
}

impl Sketch {
    /// A sketch of buckets that refill `rate` tokens per second (1..=1000) and hold `burst`.
    pub fn new(rate: u32, burst: u32, rng: &mut dyn CryptoRng) -> Sketch {
        let cost_millis = 1000 / rate.clamp(1, 1000);
        let keys = [KeyedState::new(rng), KeyedState::new(rng)];
        let cells = vec![Cell::default(); CELL_COUNT * ROW_COUNT];
        Sketch { cells, keys, cost_millis, depth_millis: cost_millis * burst.max(1) }
    }

    /// Takes one token of `key`'s bucket; `false` when neither of its cells has one left.
    pub fn take(&mut self, key: impl Hash, now: Time) -> bool {
        let now_millis = now.as_millis() as u32;
        let mut admitted = false;
        for row in 0..ROW_COUNT {
            let index = row * CELL_COUNT + self.keys[row].hash_one(&key) as usize % CELL_COUNT;
            let cell = &mut self.cells[index];
            // A bucket is the time at which it will be full: below now it is full already.
            let debt = cell.full_at_millis.wrapping_sub(now_millis);
            let debt = if debt > self.depth_millis { 0 } else { debt };
            if debt + self.cost_millis <= self.depth_millis {
                cell.full_at_millis = now_millis.wrapping_add(debt + self.cost_millis);
                admitted = true;
            }
        }
        admitted
    }
}

/// One token bucket.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    full_at: Time,
    cost_nanos: u64,
    depth_nanos: u64,
}

impl Bucket {
    /// A full bucket: `rate` tokens per second, `burst` at once.
    pub fn new(rate: u32, burst: u32) -> Bucket {
        let cost_nanos = 1_000_000_000 / u64::from(rate.max(1));
        Bucket { full_at: Time::ZERO, cost_nanos, depth_nanos: cost_nanos * u64::from(burst.max(1)) }
    }

    /// A full bucket that gives one token per `period`, `burst` at once.
    pub fn every(period: Duration, burst: u32) -> Bucket {
        let cost_nanos = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX / 64).max(1);
        Bucket { full_at: Time::ZERO, cost_nanos, depth_nanos: cost_nanos * u64::from(burst.clamp(1, 64)) }
    }

    /// Whether no token is left.
    pub fn is_empty(&self, now: Time) -> bool {
        self.debt(now) + self.cost_nanos > self.depth_nanos
    }

    /// Takes one token if there is one.
    pub fn take(&mut self, now: Time) -> bool {
        let admitted = !self.is_empty(now);
        if admitted {
            self.full_at = Time::from_nanos(now.as_nanos() + self.debt(now) + self.cost_nanos);
        }
        admitted
    }

    /// Share of the bucket in use, in eighths.
    pub fn used_eighths(&self, now: Time) -> u64 {
        self.debt(now) * 8 / self.depth_nanos
    }

    fn debt(&self, now: Time) -> u64 {
        self.full_at.as_nanos().saturating_sub(now.as_nanos())
    }
}

#[cfg(test)]
mod tests;
