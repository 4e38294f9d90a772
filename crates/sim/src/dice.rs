//! Everything random in a world comes from here, and from one seed.
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// A stream of random choices. Each part of the world has its own, so that one more packet on the network does not
/// change what happens to the links.
pub(crate) struct Dice(ChaCha20Rng);

impl Dice {
    /// The stream of that name for a seed.
    pub fn new(seed: u64, stream: u64) -> Dice {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Dice(rng)
    }

    /// A generator of its own, for an engine.
    pub fn fork(&mut self) -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(self.0.next_u64())
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `end`; 0 where `end` is 0. The bias of the remainder is below 2^-32 for the small ranges here.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.0.next_u64() % end as u64) as usize }
    }

    /// True in so many cases of a thousand.
    pub fn chance(&mut self, permille: u32) -> bool {
        self.0.next_u64() % 1000 < u64::from(permille)
    }

    /// A span from `low` to `high`, evenly.
    pub fn span(&mut self, low: Duration, high: Duration) -> Duration {
        let width = nanos(high).saturating_sub(nanos(low));
        if width == 0 { low } else { low + Duration::from_nanos(self.0.next_u64() % (width + 1)) }
    }

    /// A span from `low` (above zero) to `high`, each order of magnitude as likely as the next: short and long
    /// troubles find different faults.
    pub fn scale(&mut self, low: Duration, high: Duration) -> Duration {
        let (low, high) = (nanos(low).max(1) as f64, nanos(high).max(1) as f64);
        let share = (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        Duration::from_nanos((low * (high / low).powf(share)) as u64)
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// One of several, each as likely as its weight says. At least one weight is above zero.
    pub fn weighted<T: Copy>(&mut self, all: &[(u32, T)]) -> T {
        let total: u64 = all.iter().map(|(weight, _)| u64::from(*weight)).sum();
        let mut rest = self.0.next_u64() % total.max(1);
        for (weight, value) in all {
            match rest.checked_sub(u64::from(*weight)) {
                Some(left) => rest = left,
                None => return *value,
            }
        }
        all[0].1
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
