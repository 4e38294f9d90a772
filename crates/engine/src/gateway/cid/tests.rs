//! A CID leads back to its slot, and two of them show no relation.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

proptest! {
    #[test]
    fn a_cid_leads_to_its_slot(seed: u64, slot in 0..SLOT_COUNT_MAX as u32) {
        let mut rng = rng(seed);
        let key = CidKey::new(&mut rng);
        let (one, other) = (key.mint(slot, &mut rng), key.mint(slot, &mut rng));
        prop_assert_eq!((key.slot(one), key.slot(other)), (slot, slot));
        prop_assert_ne!(one, other);
    }
}

/// A distinguisher that a counter or a bare slot number in the CID would give away: every one of the 64 bits of the
/// CIDs of one slot, and of the difference between neighbours of two slots, is set about half the time.
#[test]
fn bits_of_cids_are_balanced_within_and_between_slots() {
    const COUNT: u32 = 4096;
    let mut rng = rng(7);
    let key = CidKey::new(&mut rng);
    let mut within = [0u32; 64];
    let mut between = [0u32; 64];
    for _ in 0..COUNT {
        let (one, other) = (key.mint(5, &mut rng).0, key.mint(6, &mut rng).0);
        for bit in 0..64 {
            within[bit] += (one >> bit & 1) as u32;
            between[bit] += ((one ^ other) >> bit & 1) as u32;
        }
    }
    // Six standard deviations of a fair coin: sqrt(4096) / 2 = 32.
    let fair = COUNT / 2 - 6 * 32..COUNT / 2 + 6 * 32;
    assert!(within.iter().chain(&between).all(|count| fair.contains(count)), "{within:?} {between:?}");
}

#[test]
fn without_the_key_a_cid_leads_anywhere() {
    let mut rng = rng(9);
    let (key, other) = (CidKey::new(&mut rng), CidKey::new(&mut rng));
    let led: BTreeSet<u32> = (0..1000).map(|_| other.slot(key.mint(1, &mut rng))).collect();
    assert!(led.len() > 990, "{} different slots of 1000", led.len());
}
