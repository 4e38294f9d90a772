//! Tokens lead back to their session, differ each time, and cannot be guessed.

use proptest::prelude::*;
use rand_core::{Infallible, TryCryptoRng, TryRng};

use super::*;
use crate::testing::{array, rng};

/// A random source that is broken in the way that has happened before.
pub(crate) struct Zeros;

impl TryRng for Zeros {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        dst.fill(0);
        Ok(())
    }
}

impl TryCryptoRng for Zeros {}

#[test]
fn the_block_is_aes_128_of_fips_197_appendix_c_1() {
    let key = TokenKey::new(0, &array("000102030405060708090a0b0c0d0e0f")).unwrap();
    let mut block: [u8; 16] = array("00112233445566778899aabbccddeeff");
    key.seal.encrypt(&mut block).unwrap();
    assert_eq!(block, array::<16>("69c4e0d86a7b0430d8cdb78070b4c55a"));
    assert_eq!(key.open(&RouteToken(block)), None, "its last four bytes are not zero");
}

#[test]
fn two_tokens_of_one_session_do_not_look_alike() {
    let mut rng = rng(1);
    let key = TokenKey::generate(3, &mut rng).unwrap();
    assert_eq!(key.config(), 3);
    let (first, second) = (key.seal(Handle::MAX, 7, &mut rng), key.seal(Handle::MAX, 7, &mut rng));
    assert_ne!(first, second);
    assert_eq!(key.open(&first), Some((Handle::MAX, 7)));
    assert_eq!(key.open(&second), Some((Handle::MAX, 7)));
    let other = TokenKey::generate(3, &mut rng).unwrap();
    assert_eq!(other.open(&first), None);
}

#[test]
fn a_changed_token_is_rejected() {
    let mut rng = rng(2);
    let key = TokenKey::generate(0, &mut rng).unwrap();
    let token = key.seal(Handle::from_parts(5, 6), 0, &mut rng);
    for bit in 0..128 {
        let mut forged = token;
        forged.0[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(key.open(&forged), None, "bit {bit}");
    }
    let mut guesses = (0..20_000).map(|_| {
        let mut guess = [0; 16];
        rng.fill_bytes(&mut guess);
        RouteToken(guess)
    });
    assert!(guesses.all(|guess| key.open(&guess).is_none()), "2^-32 per guess");
}

#[test]
fn a_zero_key_is_refused() {
    assert_eq!(TokenKey::new(0, &[0; 16]).err(), Some(WeakRandomness));
    assert_eq!(TokenKey::generate(0, &mut Zeros).err(), Some(WeakRandomness));
}

#[test]
fn a_reset_token_is_known_by_every_bit() {
    let given = reset_token(&[1; 32], Handle::from_parts(1, 2));
    assert!(is_reset_token(&given, &given));
    for bit in 0..128 {
        let mut shown = given;
        shown.0[bit / 8] ^= 1 << (bit % 8);
        assert!(!is_reset_token(&given, &shown), "bit {bit}");
    }
}

#[test]
fn a_reset_token_belongs_to_one_handle_and_one_key() {
    let (a, b) = (Handle::from_parts(1, 1), Handle::from_parts(1, 2));
    assert_eq!(reset_token(&[1; 32], a), reset_token(&[1; 32], a));
    assert_ne!(reset_token(&[1; 32], a), reset_token(&[1; 32], b));
    assert_ne!(reset_token(&[1; 32], a), reset_token(&[2; 32], a));
}

proptest! {
    #[test]
    fn round_trip(value in 0u64..1 << 48, node: u16, seed: u64) {
        let mut rng = rng(seed);
        let key = TokenKey::generate(0, &mut rng).unwrap();
        let handle = Handle::new(value).unwrap();
        prop_assert_eq!(key.open(&key.seal(handle, node, &mut rng)), Some((handle, node)));
    }
}

#[test]
fn what_an_orphaned_session_shows_is_neither_its_token_nor_of_use_for_another_request() {
    let token = ResetToken([3; 16]);
    let shown = orphaned_proof(&token, 7);
    assert_eq!(shown, orphaned_proof(&token, 7));
    assert_ne!(shown, token);
    assert_ne!(shown, orphaned_proof(&token, 8));
    assert_ne!(shown, orphaned_proof(&ResetToken([4; 16]), 7));
    assert_ne!(orphaned_proof(&shown, 7), shown);
}
