//! What is told, and when.

use super::*;

fn told(uses: &KeyUses, lane: u32, number: u64) -> Option<(u64, u64)> {
    uses.told(lane, number).map(|told| (told.from, told.to))
}

#[test]
fn rising_numbers_are_told_in_blocks_and_in_advance() {
    let uses = KeyUses::of(&[1; 32], &[2; 12]);
    assert_eq!(told(&uses, 0, 0), Some((0, 1023)));
    assert!((1..1024).all(|number| told(&uses, 0, number).is_none()));
    assert_eq!(told(&uses, 0, 1024), Some((1024, 2047)));
    // Numbers that were left out are nobody's.
    assert_eq!(told(&uses, 0, 5000), Some((5000, 6023)));
    assert_eq!(told(&uses, 1, 7), Some((7, 1030)), "each lane by itself");
}

#[test]
fn a_number_that_comes_twice_is_told_twice() {
    let uses = KeyUses::of(&[1; 32], &[2; 12]);
    assert_eq!(told(&uses, 0, 5), Some((5, 1028)));
    assert_eq!(told(&uses, 0, 5), Some((5, 5)));
    assert_eq!(told(&uses, 0, 4), Some((4, 4)), "nor may they fall");
    assert_eq!(told(&uses, 0, 6), None, "the next one is as before");
}

#[test]
fn keys_are_told_apart_by_key_and_iv() {
    let name = |key: u8, iv: u8| KeyUses::of(&[key; 32], &[iv; 12]).key;
    assert_eq!(name(1, 2), name(1, 2));
    assert_ne!(name(1, 2), name(1, 3));
    assert_ne!(name(1, 2), name(3, 2));
}
