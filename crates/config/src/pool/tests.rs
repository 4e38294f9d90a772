//! Addresses for many peers.
#![allow(clippy::unwrap_used, reason = "a failing step is a failing test")]

use super::*;

#[test]
fn a_hundred_thousand_peers_get_the_lowest_free_addresses() {
    let networks = ["10.64.0.1/10", "fd77::1/64"].map(|text| text.parse().unwrap());
    let mut pool = Pool::new(&networks);
    pool.take("10.64.0.3".parse().unwrap(), "one who chose").unwrap();
    // A search from the beginning for each of them would take hours.
    let mut last = Vec::new();
    for number in 0..100_000 {
        last = pool.allot("one of many").unwrap();
        let expected = if number == 0 { 2 } else { number + 3 };
        assert_eq!(last[0], IpAddr::from(Ipv4Addr::from_bits(0x0a40_0000 + expected)));
    }
    assert_eq!(last[1], "fd77::1:86a1".parse::<IpAddr>().unwrap());
}
