//! Translation, filtering and rebinding, with checksums computed the long way.

use super::*;

const LAPTOP: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 23);
const PUBLIC: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const STRANGER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 99);

fn nat(seed: u64) -> Nat {
    Nat::new(PUBLIC, Ipv4Net::new_assert(LAPTOP, 24).trunc(), seed)
}

fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum()
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn packet(protocol: u8, source: (Ipv4Addr, u16), destination: (Ipv4Addr, u16)) -> Vec<u8> {
    let mut body = Vec::new();
    match protocol {
        packet::ICMP => {
            let kind = if source.0 == GATEWAY { 0 } else { 8 };
            body.extend_from_slice(&[kind, 0, 0, 0]);
            let id = if kind == 8 { source.1 } else { destination.1 };
            body.extend_from_slice(&id.to_be_bytes());
            body.extend_from_slice(&[0, 1]);
        }
        _ => {
            body.extend_from_slice(&source.1.to_be_bytes());
            body.extend_from_slice(&destination.1.to_be_bytes());
            body.resize(if protocol == packet::TCP { 20 } else { 8 }, 0);
            if protocol == packet::UDP {
                body[4..6].copy_from_slice(&13u16.to_be_bytes());
            }
        }
    }
    body.extend_from_slice(b"hello");
    let mut whole = vec![0x45, 0, 0, 20 + body.len() as u8, 0, 0, 0, 0, 64, protocol, 0, 0];
    whole.extend_from_slice(&source.0.octets());
    whole.extend_from_slice(&destination.0.octets());
    let header_sum = fold(sum(&whole));
    whole[10..12].copy_from_slice(&header_sum.to_be_bytes());
    let at = match protocol {
        packet::TCP => 16,
        packet::UDP => 6,
        _ => 2,
    };
    let checksum = transport_sum(&whole[..20], &body);
    body[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
    whole.extend_from_slice(&body);
    whole
}

fn transport_sum(header: &[u8], body: &[u8]) -> u16 {
    let pseudo = if header[9] == packet::ICMP {
        0
    } else {
        sum(&header[12..20]) + u32::from(header[9]) + body.len() as u32
    };
    fold(pseudo + sum(body))
}

fn assert_checksums(packet: &[u8]) {
    assert_eq!(fold(sum(&packet[..20])), 0, "header checksum");
    assert_eq!(transport_sum(&packet[..20], &packet[20..]), 0, "transport checksum");
}

fn source_of(packet: &[u8]) -> (Ipv4Addr, u16) {
    let view = Ipv4View::of(packet).expect("ipv4");
    let at = if view.protocol == packet::ICMP { 24 } else { 20 };
    (view.source, packet::word(packet, at).expect("port"))
}

#[test]
fn out_and_back_in_every_protocol_with_right_checksums() {
    for protocol in [packet::UDP, packet::TCP, packet::ICMP] {
        let mut nat = nat(1);
        let original = packet(protocol, (LAPTOP, 5000), (GATEWAY, 4747));
        let mut out = original.clone();
        assert!(nat.translate_out(&mut out));
        assert_checksums(&out);
        let (address, port) = source_of(&out);
        assert_eq!(address, PUBLIC);
        let mut back = packet(protocol, (GATEWAY, 4747), (PUBLIC, port));
        assert!(nat.translate_in(&mut back), "protocol {protocol}");
        assert_checksums(&back);
        let view = Ipv4View::of(&back).expect("ipv4");
        let inside_port = packet::word(&back, if protocol == packet::ICMP { 24 } else { 22 });
        assert_eq!((view.destination, inside_port), (LAPTOP, Some(5000)));
    }
}

#[test]
fn a_mapping_is_kept_for_every_destination_and_only_those_spoken_to_may_answer() {
    let mut nat = nat(2);
    let mut first = packet(packet::UDP, (LAPTOP, 5000), (GATEWAY, 4747));
    assert!(nat.translate_out(&mut first));
    let port = source_of(&first).1;
    let mut unasked = packet(packet::UDP, (STRANGER, 4747), (PUBLIC, port));
    assert!(!nat.translate_in(&mut unasked));
    let mut second = packet(packet::UDP, (LAPTOP, 5000), (STRANGER, 4747));
    assert!(nat.translate_out(&mut second));
    assert_eq!(source_of(&second).1, port);
    assert!(nat.translate_in(&mut packet(packet::UDP, (STRANGER, 9), (PUBLIC, port))));
    assert!(!nat.translate_in(&mut packet(packet::UDP, (GATEWAY, 4747), (PUBLIC, port ^ 1))));
    assert_eq!(nat.mapping_count(), 1);
}

#[test]
fn rebinding_gives_a_new_port_and_closes_the_old_one() {
    let mut nat = nat(3);
    let original = packet(packet::UDP, (LAPTOP, 5000), (GATEWAY, 4747));
    let mut before = original.clone();
    assert!(nat.translate_out(&mut before));
    let old_port = source_of(&before).1;
    nat.rebind();
    assert!(!nat.translate_in(&mut packet(packet::UDP, (GATEWAY, 4747), (PUBLIC, old_port))));
    let mut after = original.clone();
    assert!(nat.translate_out(&mut after));
    let new_port = source_of(&after).1;
    assert_ne!(old_port, new_port);
    assert!(!nat.translate_in(&mut packet(packet::UDP, (GATEWAY, 4747), (PUBLIC, old_port))));
    assert!(nat.translate_in(&mut packet(packet::UDP, (GATEWAY, 4747), (PUBLIC, new_port))));
}

#[test]
fn a_host_of_another_network_is_not_let_out() {
    let elsewhere = Ipv4Addr::new(192, 168, 8, 42);
    let mut nat = nat(6);
    assert!(!nat.translate_out(&mut packet(packet::UDP, (elsewhere, 5000), (GATEWAY, 4747))));
    assert_eq!(nat.mapping_count(), 0);
}

#[test]
fn udp_without_checksum_stays_without() {
    let mut out = packet(packet::UDP, (LAPTOP, 5000), (GATEWAY, 4747));
    out[26..28].copy_from_slice(&[0, 0]);
    assert!(nat(4).translate_out(&mut out));
    assert_eq!(&out[26..28], &[0, 0]);
}

#[test]
fn whatever_bytes_come_it_does_not_panic_and_grows_no_table() {
    let mut nat = nat(5);
    let whole = packet(packet::TCP, (LAPTOP, 1), (GATEWAY, 2));
    for len in 0..whole.len() {
        let mut short = whole[..len].to_vec();
        let passed = nat.translate_out(&mut short);
        assert!(!passed || len >= 22, "length {len}");
        assert!(!nat.translate_in(&mut whole[..len].to_vec()));
    }
    assert!(nat.mapping_count() <= 1);
    let mut fragment = whole.clone();
    fragment[7] = 1;
    assert!(!nat.translate_out(&mut fragment));
}
