//! Tests of when keys are worn: the limits themselves are too far away to be reached.

use super::*;

#[test]
fn keys_wear_out_by_forgeries_and_by_packets() {
    let limits = ForgeryLimits { soft: 10, hard: 20 };
    assert_eq!(wear(9, GENERATION_LIMIT - 1, limits), Wear::Fresh);
    assert_eq!([wear(10, 0, limits), wear(0, GENERATION_LIMIT, limits)], [Wear::Worn; 2]);
    assert_eq!([wear(20, 0, limits), wear(20, GENERATION_LIMIT, limits)], [Wear::Over; 2]);
}
