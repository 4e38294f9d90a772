//! Packets made here are packets to everybody else.

use super::*;

#[test]
fn what_is_written_is_read_back() {
    for len in [0, 1, 31, 1400] {
        let datagram = Datagram {
            source: address([203, 0, 113, 5], 4000),
            destination: address([192, 0, 2, 10], 4747),
            payload: (0..len).map(|byte| byte as u8).collect(),
        };
        let packet = datagram.packet();
        assert_eq!(Datagram::of(&packet), Some(datagram));
        // The sum over a header with its checksum is all ones (RFC 1071 section 1).
        assert_eq!(checksum(&packet[..IPV4_HEADER_LEN]), 0);
    }
}

#[test]
fn what_is_cut_is_no_datagram() {
    let packet = Datagram {
        source: address([203, 0, 113, 5], 4000),
        destination: address([192, 0, 2, 10], 4747),
        payload: vec![7; 40],
    }
    .packet();
    assert!((0..packet.len()).all(|len| Datagram::of(&packet[..len]).is_none()));
}
