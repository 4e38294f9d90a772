//! Seeded mutation of corpus entries: the stable runner's replacement for libFuzzer's.

/// Inputs do not grow beyond this many bytes; the longest message without a trailing DATA is 196.
const MAX_LEN: usize = 2048;

/// Values at which length and range checks break.
const INTERESTING: [u8; 9] = [0x00, 0x01, 0x0F, 0x10, 0x3F, 0x40, 0x7F, 0x80, 0xFF];

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, good enough to choose mutations.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From a seed; equal seeds give equal runs.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// A number below `limit`; 0 when the limit is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        if limit == 0 { 0 } else { (self.next() % limit as u64) as usize }
    }
}

/// A changed copy of one corpus entry, sometimes crossed with another.
pub fn mutate(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = corpus.get(random.below(corpus.len())).cloned().unwrap_or_default();
    for _ in 0..=random.below(6) {
        step(&mut bytes, corpus, random);
    }
    bytes.truncate(MAX_LEN);
    bytes
}

fn step(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    let at = random.below(bytes.len());
    match random.below(8) {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
        1 if !bytes.is_empty() => bytes[at] = random.next() as u8,
        2 if !bytes.is_empty() => bytes[at] = INTERESTING[random.below(INTERESTING.len())],
        3 => bytes.truncate(at),
        4 => {
            let count = 1 + random.below(16);
            let fill = random.next() as u8;
            bytes.splice(at..at, core::iter::repeat_n(fill, count));
        }
        5 => {
            let end = (at + 1 + random.below(16)).min(bytes.len());
            bytes.drain(at..end);
        }
        6 => {
            let end = (at + 1 + random.below(64)).min(bytes.len());
            bytes.extend_from_within(at..end);
        }
        _ => {
            let Some(other) = corpus.get(random.below(corpus.len())) else { return };
            let from = random.below(other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
    }
}
