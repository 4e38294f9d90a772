//! Packets made here are packets to everybody else.

use jumpvpn_tun::checksum;

use super::*;

/// One of each family.
fn datagrams(len: usize) -> [Datagram; 2] {
    let payload: Vec<u8> = (0..len).map(|byte| byte as u8).collect();
    [("203.0.113.5:4000", "192.0.2.10:4747"), ("[2001:db8:a::23]:4000", "[2001:db8:2::10]:4747")].map(
        |(source, destination)| Datagram {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            payload: payload.clone(),
        },
    )
}

#[test]
fn what_is_written_is_read_back() {
    for datagram in [0, 1, 31, 1400].into_iter().flat_map(datagrams) {
        assert_eq!(Datagram::of(&datagram.packet()), Some(datagram));
    }
}

#[test]
fn the_header_of_ipv4_has_its_checksum() {
    let packet = datagrams(31)[0].packet();
    // The sum over a header with its checksum is all ones (RFC 1071 section 1).
    assert_eq!(checksum::fold(checksum::sum(&packet[..20])), 0xffff);
}

#[test]
fn what_is_cut_is_no_datagram() {
    for packet in datagrams(40).map(|datagram| datagram.packet()) {
        assert!((0..packet.len()).all(|len| Datagram::of(&packet[..len]).is_none()));
    }
}
