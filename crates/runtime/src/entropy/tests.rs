//! Tests of the randomness.

use rand_core::Rng;

use super::*;

#[test]
fn fills_long_buffers_and_never_repeats() {
    let (mut first, mut second) = (vec![0; 100_000], vec![0; 100_000]);
    SystemRandom.fill_bytes(&mut first);
    SystemRandom.fill_bytes(&mut second);
    assert_ne!(first, second);
    assert!(first[99_000..].iter().any(|byte| *byte != 0));
    assert_ne!(SystemRandom.next_u64(), SystemRandom.next_u64());
}
