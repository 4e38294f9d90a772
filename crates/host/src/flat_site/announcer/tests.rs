//! The two announcements, byte for byte as the documents that define them have them.

use super::*;

const HARDWARE: HardwareAddress = [2, 0, 0, 0, 0, 7];

#[test]
fn an_arp_announcement_names_its_sender_twice() {
    let frame = arp_announcement(HARDWARE, Ipv4Addr::new(192, 0, 2, 130));
    assert_eq!(frame[..8], [0, 1, 8, 0, 6, 4, 0, 1], "Ethernet and IPv4, a request");
    assert_eq!(frame[8..18], [2, 0, 0, 0, 0, 7, 192, 0, 2, 130]);
    assert_eq!(frame[18..], [0, 0, 0, 0, 0, 0, 192, 0, 2, 130]);
}

#[test]
fn an_advertisement_overrides_and_is_no_routers() {
    let message = neighbour_advertisement(HARDWARE, "2001:db8::82".parse().unwrap());
    assert_eq!(message[..8], [136, 0, 0, 0, 0x20, 0, 0, 0]);
    assert_eq!(message[8..24], [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x82]);
    assert_eq!(message[24..], [2, 1, 2, 0, 0, 0, 0, 7]);
}
