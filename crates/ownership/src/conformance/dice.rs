//! Numbers that look random and are the same everywhere for the same seed.

/// A small generator (Marsaglia's xorshift, 2003).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// A generator of that seed.
    pub const fn new(seed: u64) -> Dice {
        // Zero would stay zero.
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `sides`, which is not 0.
    pub const fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}
