//! Frames and headers.

use super::*;

const ROUTER: [u8; 6] = [2, 0, 0, 0, 1, 1];
const LAPTOP: [u8; 6] = [2, 9, 9, 9, 9, 9];

#[test]
fn questions_for_hardware_addresses_are_answered_in_the_routers_name() {
    let asker = Ipv4Addr::new(192, 168, 1, 23);
    let router = Ipv4Addr::new(192, 168, 1, 1);
    let question = arp_request(LAPTOP, asker, router);
    let Frame::Neighbour(reply) = look_into(&question, ROUTER) else { panic!("no reply") };
    assert_eq!(reply[..6], LAPTOP);
    assert_eq!(sender_of(&reply), Some(ROUTER));
    assert_eq!(reply[20..22], [0, 2]);
    assert_eq!(reply[22..28], ROUTER);
    assert_eq!(reply[28..32], router.octets());
    assert_eq!(reply[38..42], asker.octets());
    // A host that looks for another owner of its own address must not find one.
    assert_eq!(look_into(&arp_request(LAPTOP, asker, asker), ROUTER), Frame::Other);
    assert_eq!(look_into(&reply, ROUTER), Frame::Other);
}

#[test]
fn an_ip_packet_in_a_frame_is_found_again() {
    let packet = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, UDP, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    let frame = frame_of(&packet, ROUTER, LAPTOP);
    assert_eq!(look_into(&frame, ROUTER), Frame::Packet(&packet));
    assert!(is_udp(&packet));
    let view = Ipv4View::of(&packet).expect("ipv4");
    assert_eq!((view.header_len, view.source), (20, Ipv4Addr::new(10, 0, 0, 1)));
    assert!(!view.later_fragment);
}

#[test]
fn short_and_strange_frames_are_nothing() {
    for len in 0..42 {
        assert!(!matches!(look_into(&vec![8; len], ROUTER), Frame::Neighbour(_)));
    }
    assert_eq!(Ipv4View::of(&[0x4f; 20]), None);
    assert_eq!(Ipv4View::of(&[0x65; 40]), None);
}

const HOST: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 0x23);
const OTHER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 1);

/// An IPv6 packet in a frame of the laptop's.
fn frame_v6(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, payload.len() as u8, protocol, UNFORWARDED];
    packet.extend_from_slice(&source.octets());
    packet.extend_from_slice(&destination.octets());
    packet.extend_from_slice(payload);
    frame_of(&packet, LAPTOP, ROUTER)
}

/// "Who has `wanted`?", to the group of those who could (RFC 4291 section 2.7.1).
fn solicitation(asker: Ipv6Addr, wanted: Ipv6Addr) -> Vec<u8> {
    let mut question = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    question.extend_from_slice(&wanted.octets());
    frame_v6(asker, Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 1), ICMPV6, &question)
}

#[test]
fn neighbours_of_ipv6_are_answered_in_the_routers_name() {
    let question = solicitation(HOST, OTHER);
    let Frame::Neighbour(reply) = look_into(&question, ROUTER) else { panic!("no reply") };
    assert_eq!((&reply[..6], sender_of(&reply)), (&LAPTOP[..], Some(ROUTER)));
    let packet = &reply[ETHERNET_HEADER_LEN..];
    let view = IpView::of(packet).expect("ipv6");
    assert_eq!((view.source, view.destination, view.protocol), (OTHER.into(), HOST.into(), ICMPV6));
    assert_eq!((packet[7], packet[IPV6_HEADER_LEN]), (UNFORWARDED, ADVERTISEMENT));
    assert_eq!(packet[IPV6_HEADER_LEN + 8..][..16], OTHER.octets());
    assert_eq!(packet[packet.len() - 6..], ROUTER);
    let body = &packet[IPV6_HEADER_LEN..];
    let sum = checksum::pseudo_header(&packet[8..40], ICMPV6, body.len() as u16) + checksum::sum(body);
    assert_eq!(checksum::fold(sum), 0xffff, "what a receiver computes (RFC 4443 section 2.3)");
}

#[test]
fn who_looks_for_another_owner_of_its_address_finds_none() {
    assert_eq!(look_into(&solicitation(Ipv6Addr::UNSPECIFIED, HOST), ROUTER), Frame::Other);
    assert_eq!(look_into(&solicitation(HOST, HOST), ROUTER), Frame::Other);
    let mut forwarded = solicitation(HOST, OTHER);
    forwarded[ETHERNET_HEADER_LEN + 7] = 64;
    assert_eq!(look_into(&forwarded, ROUTER), Frame::Other);
}

#[test]
fn only_what_is_for_beyond_the_link_leaves_it() {
    let beyond = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x10);
    let local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
    let sent = frame_v6(HOST, beyond, UDP, &[0; 8]);
    assert_eq!(look_into(&sent, ROUTER), Frame::Packet(&sent[ETHERNET_HEADER_LEN..]));
    assert!(is_udp(&sent[ETHERNET_HEADER_LEN..]));
    for (source, destination) in [(local, beyond), (HOST, local), (HOST, group)] {
        assert_eq!(look_into(&frame_v6(source, destination, UDP, &[0; 8]), ROUTER), Frame::Other);
    }
}
