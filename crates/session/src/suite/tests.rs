//! The choice of a suite depends on both sides and on nothing else.

use super::*;

#[test]
fn the_choice_is_common_to_both_sides() {
    use Suite::{Aes256Gcm, ChaCha20Poly1305};
    let chacha = SuiteSet::of(&[ChaCha20Poly1305]);
    let gcm = SuiteSet::of(&[Aes256Gcm]);
    assert_eq!(SuiteSet::choose(SuiteSet::ALL, SuiteSet::ALL), Some(Aes256Gcm));
    assert_eq!(SuiteSet::choose(chacha, SuiteSet::ALL), Some(ChaCha20Poly1305));
    assert_eq!(SuiteSet::choose(SuiteSet::ALL, chacha), Some(ChaCha20Poly1305));
    assert_eq!(SuiteSet::choose(chacha, gcm), None);
    assert_eq!(
        SuiteSet::choose(SuiteSet::from_bits(0xFFF8), SuiteSet::from_bits(0xFFF9)),
        None,
        "unknown ones"
    );
}

#[test]
fn numbers_are_those_of_the_protocol() {
    assert_eq!(SuiteSet::ALL.bits(), 0b110);
    for suite in [Suite::ChaCha20Poly1305, Suite::Aes256Gcm] {
        assert_eq!(Suite::from_number(suite.number()), Some(suite));
        let limits = suite.forgery_limits();
        assert!(limits.soft < limits.hard);
    }
    assert_eq!(Suite::from_number(0), None);
}
