//! Both suites against published vectors; the nonce carries lane and number.

use super::*;
use crate::testing::{array, hex};

#[test]
fn chacha20_poly1305_is_that_of_rfc_8439_section_2_8_2() {
    let key = array("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
    let key = AeadKey::new(Suite::ChaCha20Poly1305, &key, array("070000004041424344454647"));
    let aad = hex("50515253c0c1c2c3c4c5c6c7");
    let plaintext = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
    let mut buffer = plaintext.to_vec();
    buffer.extend([0; 16]);
    key.seal(0, 0, &aad, &mut buffer).unwrap();
    assert_eq!(buffer[..16], array::<16>("d31a8d34648e60db7b86afbc53ef7ec2"));
    assert_eq!(buffer[114..], array::<16>("1ae10b594f09e26a7e902ecbd0600691"));
    key.open(0, 0, &aad, &mut buffer).unwrap();
    assert_eq!(&buffer[..114], plaintext);
}

#[test]
fn aes_256_gcm_is_that_of_its_specification_test_case_14() {
    let key = AeadKey::new(Suite::Aes256Gcm, &[0; 32], [0; 12]);
    let mut buffer = [0; 32];
    key.seal(0, 0, &[], &mut buffer).unwrap();
    assert_eq!(buffer, array("cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"));
}

#[test]
fn lane_and_number_are_in_the_nonce_at_their_places() {
    for suite in [Suite::ChaCha20Poly1305, Suite::Aes256Gcm] {
        let (lane, number) = (0x0403_0201, 0x0C0B_0A09_0807_0605);
        let with = AeadKey::new(suite, &[5; 32], [0xF0; 12]);
        let plain = AeadKey::new(suite, &[5; 32], array("f1f2f3f4f5f6f7f8f9fafbfc"));
        let (mut a, mut b) = ([7; 40], [7; 40]);
        with.seal(lane, number, b"head", &mut a).unwrap();
        plain.seal(0, 0, b"head", &mut b).unwrap();
        assert_eq!(a, b);
    }
}

#[test]
fn every_changed_bit_is_refused() {
    for suite in [Suite::ChaCha20Poly1305, Suite::Aes256Gcm] {
        let key = AeadKey::new(suite, &[5; 32], [6; 12]);
        let mut sealed = [7; 24];
        key.seal(1, 2, b"head", &mut sealed).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut copy = sealed;
            copy[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.open(1, 2, b"head", &mut copy), Err(Refused), "{suite:?} bit {bit}");
        }
        for (lane, number, aad) in [(0, 2, b"head"), (1, 3, b"head"), (1, 2, b"Head")] {
            assert_eq!(key.open(lane, number, aad, &mut sealed.clone()), Err(Refused));
        }
        assert_eq!(key.open(1, 2, b"head", &mut sealed), Ok(()));
    }
}

#[test]
fn impossible_lengths_are_refused() {
    let key = AeadKey::new(Suite::ChaCha20Poly1305, &[5; 32], [6; 12]);
    assert_eq!(key.seal(0, 0, &[], &mut [0; 15]), Err(Refused));
    assert_eq!(key.open(0, 0, &[], &mut [0; 15]), Err(Refused));
    assert_eq!(format!("{key:?}"), "AeadKey(..)");
}
