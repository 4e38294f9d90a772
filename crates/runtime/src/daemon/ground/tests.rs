//! Tests of what the daemon takes from the other end.

use super::inner_mtu;

#[test]
fn the_other_end_can_lower_the_mtu_no_further_than_the_kernel_goes() {
    for (named, ours, inner) in [
        (1400, 1420, 1400),
        (1420, 1420, 1420),
        (9000, 1420, 1420),
        (1280, 1420, 1280),
        (40, 1420, 1280),
        (0, 1280, 1280),
    ] {
        assert_eq!(inner_mtu(named, ours), inner, "{named} of {ours}");
    }
}
