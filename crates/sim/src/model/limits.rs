//! Buckets and replay windows as the protocol words them: slow, exact, and without the engine's tricks.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jumpvpn_events::Time;

/// So many at once, one more each `period`.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    period: u128,
    depth: u128,
    /// What is missing from a full bucket, in nanoseconds of refilling, when it was last touched.
    missing: u128,
    touched: Time,
}

impl Bucket {
    pub fn every(period: Duration, burst: u32) -> Bucket {
        let period = period.as_nanos();
        Bucket { period, depth: period * u128::from(burst), missing: 0, touched: Time::ZERO }
    }

    pub fn per_second(rate: u32, burst: u32) -> Bucket {
        Bucket::every(Duration::from_secs(1) / rate, burst)
    }

    pub fn is_empty(&self, now: Time) -> bool {
        self.missing_at(now) + self.period > self.depth
    }

    pub fn take(&mut self, now: Time) -> bool {
        if self.is_empty(now) {
            return false;
        }
        (self.missing, self.touched) = (self.missing_at(now) + self.period, now);
        true
    }

    /// Whether at least one eighth of it is gone.
    pub fn eighth_used(&self, now: Time) -> bool {
        self.missing_at(now) * 8 >= self.depth
    }

    fn missing_at(&self, now: Time) -> u128 {
        self.missing.saturating_sub(now.since(self.touched).as_nanos())
    }
}

/// A bucket for each key, in whole milliseconds as the gateway's sketch keeps them.
#[derive(Clone, Debug)]
pub(crate) struct Buckets<K> {
    rate: u32,
    burst: u32,
    held: BTreeMap<K, Bucket>,
}

impl<K: Ord> Buckets<K> {
    pub fn new(rate: u32, burst: u32) -> Buckets<K> {
        Buckets { rate, burst, held: BTreeMap::new() }
    }

    pub fn take(&mut self, key: K, now: Time) -> bool {
        let bucket = self.held.entry(key).or_insert_with(|| Bucket::per_second(self.rate, self.burst));
        bucket.take(Time::ZERO + Duration::from_millis(now.as_millis()))
    }
}

/// Numbers seen, of which the last `reach` are told apart.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    reach: u64,
    highest: Option<u64>,
    seen: BTreeSet<u64>,
}

impl Window {
    pub fn new(reach: u64) -> Window {
        Window { reach, highest: None, seen: BTreeSet::new() }
    }

    pub fn admits(&self, number: u64) -> bool {
        let old = self.highest.is_some_and(|highest| number + self.reach <= highest);
        !old && !self.seen.contains(&number)
    }

    /// The number after the highest one.
    pub fn next(&self) -> u64 {
        self.highest.map_or(1, |highest| highest + 1)
    }

    pub fn mark(&mut self, number: u64) {
        self.seen.insert(number);
        let highest = self.highest.map_or(number, |highest| highest.max(number));
        self.highest = Some(highest);
        if let Some(oldest) = (highest + 1).checked_sub(self.reach) {
            while self.seen.first().is_some_and(|number| *number < oldest) {
                self.seen.pop_first();
            }
        }
    }
}
