//! Super-packets that make no sense; the good ones are tested together with joining.

use super::*;
use crate::headers::FLAG_ACK;

/// An IPv4 TCP super-packet of `payload_len` bytes, checksums left out as the kernel does.
fn super_packet(payload_len: usize) -> (VnetHeader, Vec<u8>) {
    let mut packet = vec![0_u8; 40 + payload_len];
    packet[0] = 0x45;
    packet[9] = TCP;
    packet[32] = 0x50;
    packet[33] = FLAG_ACK | FLAG_CWR | FLAG_FIN | FLAG_PSH;
    let vnet = VnetHeader {
        partial_checksum: true,
        gso: Gso::Tcp,
        header_len: 40,
        segment_len: 1_000,
        checksum_start: 20,
        checksum_offset: 16,
    };
    (vnet, packet)
}

#[test]
fn flags_go_to_the_segment_they_belong_to() {
    let (vnet, packet) = super_packet(2_500);
    let mut split = Split::new(&vnet, &packet).unwrap();
    let mut out = [0; 1_500];
    let mut seen = Vec::new();
    while !split.is_done() {
        let len = split.next_into(&packet, &mut out).unwrap();
        seen.push((len, be32(&out, 24), be16(&out, 4), out[33]));
    }
    assert_eq!(
        seen,
        [
            (1_040, 0, 0, FLAG_ACK | FLAG_CWR),
            (1_040, 1_000, 1, FLAG_ACK),
            (540, 2_000, 2, FLAG_ACK | FLAG_FIN | FLAG_PSH)
        ]
    );
}

#[test]
fn a_segment_that_does_not_fit_is_skipped() {
    let (vnet, packet) = super_packet(1_500);
    let mut split = Split::new(&vnet, &packet).unwrap();
    let mut out = [0; 600];
    assert_eq!(split.next_into(&packet, &mut out), None);
    assert_eq!(split.next_into(&packet, &mut out), Some(540));
    assert!(split.is_done());
}

#[test]
fn nonsense_is_refused() {
    let (good, packet) = super_packet(2_500);
    assert!(Split::new(&good, &packet).is_some());
    for bad in [
        VnetHeader { segment_len: 0, ..good },
        VnetHeader { segment_len: u16::MAX, ..good },
        VnetHeader { checksum_start: 0, ..good },
        VnetHeader { checksum_start: 2_530, ..good },
        VnetHeader { checksum_start: u16::MAX, ..good },
        VnetHeader { gso: Gso::None, ..good },
    ] {
        assert!(Split::new(&bad, &packet).is_none(), "{bad:?}");
    }
    assert!(Split::new(&good, &packet[..40]).is_none(), "no payload");
    assert!(Split::new(&good, &[]).is_none());
}

#[test]
fn a_checksum_field_outside_the_packet_is_refused() {
    let (vnet, mut packet) = super_packet(0);
    assert!(complete_checksum(&vnet, &mut packet));
    assert!(!complete_checksum(&VnetHeader { checksum_offset: 19, ..vnet }, &mut packet));
    assert!(!complete_checksum(&VnetHeader { checksum_start: 41, ..vnet }, &mut packet));
}
