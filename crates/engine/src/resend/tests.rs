//! Tests of the resend ring.
use super::*;

fn collect(ring: &ResendRing, mut cursor: ResendCursor) -> Vec<u8> {
    let mut out = [0u8; PACKET_LEN];
    let mut seen = Vec::new();
    while let Some(len) = ring.advance(&mut cursor, &mut out) {
        assert!(len > 0);
        seen.push(out[0]);
    }
    seen
}

#[test]
fn gives_back_one_owner_in_order_within_the_time() {
    let mut ring = ResendRing::new();
    let base = Time::from_millis(10_000);
    for index in 0..10u8 {
        ring.keep(u64::from(index % 2), &[index, 1, 2], base + Duration::from_millis(u64::from(index) * 10));
    }
    let now = base + Duration::from_millis(90);
    assert_eq!(collect(&ring, ring.cursor(0, base + Duration::from_millis(40), now)), [4, 6, 8]);
    assert_eq!(collect(&ring, ring.cursor(1, base, now + Duration::from_secs(2))), [] as [u8; 0], "too old");
}

#[test]
fn wraps_over_the_oldest_and_skips_giants() {
    let mut ring = ResendRing::new();
    let now = Time::from_millis(1000);
    for index in 0..PACKET_COUNT + 3 {
        ring.keep(7, &[(index % 251) as u8], now);
    }
    ring.keep(7, &[0; PACKET_LEN + 1], now);
    let seen = collect(&ring, ring.cursor(7, now, now));
    assert_eq!(seen.len(), PACKET_COUNT);
    assert_eq!(seen[0], 3);
}
