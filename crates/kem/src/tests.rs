//! The seeds are used as FIPS 203 says, and the provider's own decapsulation agrees.
use aws_lc_rs::digest::{SHA3_256, SHA3_512, digest};
use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, ML_KEM_768};

use super::*;

fn seed<const N: usize>(first: u8) -> [u8; N] {
    std::array::from_fn(|at| first.wrapping_add(at as u8))
}

/// FIPS 203, algorithm 16: dk = dk_PKE (1152 bytes) ‖ ek ‖ H(ek) ‖ z.
#[test]
fn the_key_is_made_of_its_seed() {
    let seed = seed::<KEY_SEED_LEN>(7);
    let pair = generate(&seed).unwrap();
    let (inner, rest) = pair.private.split_at(1152);
    let (public, rest) = rest.split_at(PUBLIC_LEN);
    let (hash, z) = rest.split_at(32);
    assert_eq!(public, pair.public);
    assert_eq!(hash, digest(&SHA3_256, &pair.public).as_ref());
    assert_eq!(z, &seed[32..]);
    assert!(inner.iter().any(|byte| *byte != 0));
}

/// FIPS 203, algorithm 13: ek ends with ρ, the first half of G(d ‖ k).
#[test]
fn the_public_key_is_made_of_the_first_half() {
    let seed = seed::<KEY_SEED_LEN>(9);
    let pair = generate(&seed).unwrap();
    let mut input = seed[..32].to_vec();
    input.push(3);
    assert_eq!(&pair.public[PUBLIC_LEN - 32..], &digest(&SHA3_512, &input).as_ref()[..32]);
}

/// FIPS 203, algorithm 17: K is the first half of G(m ‖ H(ek)).
#[test]
fn the_secret_is_made_of_its_seed() {
    let pair = generate(&seed(1)).unwrap();
    let seed = seed::<ENCAPSULATION_SEED_LEN>(200);
    let made = encapsulate(&pair.public, &seed).unwrap();
    let input = [&seed, digest(&SHA3_256, &pair.public).as_ref()].concat();
    assert_eq!(made.secret.as_slice(), &digest(&SHA3_512, &input).as_ref()[..SECRET_LEN]);
}

#[test]
fn the_provider_opens_what_was_made() {
    let pair = generate(&seed(1)).unwrap();
    let made = encapsulate(&pair.public, &seed(2)).unwrap();
    let key = DecapsulationKey::new(&ML_KEM_768, pair.private.as_slice()).unwrap();
    let opened = key.decapsulate(Ciphertext::from(made.ciphertext.as_slice())).unwrap();
    assert_eq!(opened.as_ref(), made.secret.as_slice());
}

#[test]
fn the_same_seed_makes_the_same_bytes_and_another_one_others() {
    let (first, again, other) = (generate(&seed(1)), generate(&seed(1)), generate(&seed(2)));
    let [first, again, other] = [first, again, other].map(|pair| pair.unwrap().public);
    assert_eq!(first, again);
    assert_ne!(first, other);
    let made = |first_byte| encapsulate(&first, &seed(first_byte)).unwrap().ciphertext;
    assert_eq!(made(1), made(1));
    assert_ne!(made(1), made(2));
}

/// FIPS 203, section 7.2: a coefficient of 3329 or more is no key.
#[test]
fn bytes_that_are_no_key_are_refused() {
    assert!(encapsulate(&[0xff; PUBLIC_LEN], &seed(1)).is_none());
}
