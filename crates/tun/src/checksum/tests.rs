//! Against the example of the RFC and a slow twin.

use proptest::prelude::*;

use super::*;

#[test]
fn the_example_of_rfc_1071() {
    let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
    assert_eq!(fold(sum(&bytes)).to_ne_bytes(), [0xdd, 0xf2]);
    assert_eq!(finish(sum(&bytes)), [0x22, 0x0d]);
}

#[test]
fn a_known_ipv4_header() {
    let header = [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7];
    assert_eq!(finish(sum(&header)), [0xb8, 0x61]);
}

proptest! {
    #[test]
    fn the_fast_sum_equals_the_slow_one(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut slow = 0_u32;
        for pair in bytes.chunks(2) {
            slow += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        }
        while slow > 0xffff {
            slow = (slow & 0xffff) + (slow >> 16);
        }
        prop_assert_eq!(fold(sum(&bytes)).to_ne_bytes(), (slow as u16).to_be_bytes());
    }
}
