//! Packets of invented senders.
use super::*;

/// What a receiver computes: all that the checksum covers, the checksum included (RFC 1071).
fn sum_of(packet: &Packet) -> u16 {
    let udp = &packet.bytes()[packet.udp_at..];
    let addresses = &packet.bytes()[packet.source.start..packet.udp_at];
    checksum::fold(checksum::pseudo_header(addresses, UDP, udp.len() as u16) + checksum::sum(udp))
}

#[test]
fn the_checksum_is_right_whoever_sends() {
    let senders = [
        ("192.0.2.10:4747", "11.2.3.4:1025", "99.255.255.254:65535"),
        ("[2001:db8::10]:4747", "[2600::1]:1025", "[3fff:c:ff::9]:40000"),
    ];
    for (gateway, one, other) in senders {
        for len in [0, 1, 27, 196] {
            let mut packet = Packet::to(gateway.parse().unwrap(), &vec![0xa5; len]);
            for sender in [one, other] {
                packet.set_sender(sender.parse().unwrap());
                assert_eq!(sum_of(&packet), 0xffff, "{len} bytes from {sender}");
            }
        }
    }
}

#[test]
fn addresses_and_ports_are_where_they_belong() {
    let mut packet = Packet::to("[2001:db8::10]:4747".parse().unwrap(), b"jump");
    packet.set_sender("[2600::1]:1025".parse().unwrap());
    let bytes = packet.bytes();
    assert_eq!((bytes[0] >> 4, bytes[6], bytes.len()), (6, UDP, IPV6_LEN + UDP_LEN + 4));
    assert_eq!(u16::from_be_bytes([bytes[4], bytes[5]]), 12);
    assert_eq!(bytes[8..10], [0x26, 0]);
    assert_eq!(bytes[24..26], [0x20, 1]);
    assert_eq!(bytes[40..44], [4, 1, 0x12, 0x8b]);
    assert_eq!(&bytes[48..], b"jump");
}
