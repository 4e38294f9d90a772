//! Frames and headers.

use super::*;

const ROUTER: [u8; 6] = [2, 0, 0, 0, 1, 1];
const LAPTOP: [u8; 6] = [2, 9, 9, 9, 9, 9];

#[test]
fn questions_for_hardware_addresses_are_answered_in_the_routers_name() {
    let asker = Ipv4Addr::new(192, 168, 1, 23);
    let router = Ipv4Addr::new(192, 168, 1, 1);
    let question = arp_request(LAPTOP, asker, router);
    let Frame::ArpReply(reply) = look_into(&question, ROUTER) else { panic!("no reply") };
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
    let frame = frame_ipv4(&packet, ROUTER, LAPTOP);
    assert_eq!(look_into(&frame, ROUTER), Frame::Ipv4(&packet));
    assert!(is_udp(&packet));
    let view = Ipv4View::of(&packet).expect("ipv4");
    assert_eq!((view.header_len, view.source), (20, Ipv4Addr::new(10, 0, 0, 1)));
    assert!(!view.later_fragment);
}

#[test]
fn short_and_strange_frames_are_nothing() {
    for len in 0..42 {
        assert!(!matches!(look_into(&vec![8; len], ROUTER), Frame::ArpReply(_)));
    }
    assert_eq!(Ipv4View::of(&[0x4f; 20]), None);
    assert_eq!(Ipv4View::of(&[0x65; 40]), None);
}
