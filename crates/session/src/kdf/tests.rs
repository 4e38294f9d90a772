//! HKDF, SHA-256 and HMAC against their RFCs; labels and contexts cannot run into each other.

use super::*;
use crate::testing::{array, hex};

#[test]
fn hkdf_is_that_of_rfc_5869_appendix_a() {
    let info = hex("f0f1f2f3f4f5f6f7f8f9");
    let okm =
        array::<42>("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    let prk = array("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
    let extracted = Expander::extract(&hex("000102030405060708090a0b0c"), &[0x0b; 22]);
    for expander in [extracted, Expander::from_secret(&prk)] {
        let mut out = [0; 42];
        expander.0.expand(&[&info], Len(42)).unwrap().fill(&mut out).unwrap();
        assert_eq!(out, okm);
    }
}

#[test]
fn expand_frames_label_and_context() {
    let key = Expander::from_secret(&[1; 32]);
    let mut expected = [0; 32];
    key.0.expand(&[b"jump/1 key\0ctx"], Len(32)).unwrap().fill(&mut expected).unwrap();
    assert_eq!(*key.expand::<32>("key", &[b"ctx"]), expected);
    assert_eq!(*key.expand::<32>("key", &[b"c", b"tx"]), expected, "context parts are concatenated");
    assert_ne!(*key.expand::<32>("keyc", &[b"tx"]), expected, "the label ends where it ends");
}

#[test]
fn sha256_and_hmac_are_those_of_the_standards() {
    // FIPS 180-4 example; RFC 4231 test case 2, whose short key HMAC pads with zeros.
    let abc = array("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(sha256(&[b"a", b"", b"bc"]), abc);
    let mut key = [0; 32];
    key[..4].copy_from_slice(b"Jefe");
    let mac = MacKey::new(&key);
    let tag = array("5bdcc146bf60754e6a042426089575c7");
    assert_eq!(mac.tag(&[b"what do ya want ", b"for nothing?"]), tag);
    assert!(mac.verify(&[b"what do ya want for nothing?"], &tag));
    for bit in 0..128 {
        let mut wrong = tag;
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert!(!mac.verify(&[b"what do ya want for nothing?"], &wrong), "bit {bit}");
    }
}
