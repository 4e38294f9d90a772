//! Control messages: both directions, every changed bit, every cut.

use jumpvpn_wire::{Cid, RouteToken};

use super::*;
use crate::Suite;
use crate::kdf::Expander;

fn key(byte: u8) -> AeadKey {
    AeadKey::derive(Suite::Aes256Gcm, &Expander::from_secret(&[byte; 32]))
}

fn messages() -> [Vec<u8>; 2] {
    let control =
        ControlHeader { kind: Kind::Close, token_config: 1, epoch: 2, token: RouteToken([3; 16]), cseq: 4 };
    let reply = ReplyHeader { kind: Kind::CloseAck, epoch: 2, cid: Cid(3), sseq: 4 };
    let build = |head: &[u8], payload: &[u8]| [head, payload, &[0xEE; TAG_LEN]].concat();
    [build(&control.encode(), &[7; 16]), build(&reply.encode(), &[7; 8])]
}

#[test]
fn both_directions_round_trip() {
    for (mut datagram, payload_len) in messages().into_iter().zip([16, 8]) {
        let plain = datagram.clone();
        seal_control(&key(1), &mut datagram).unwrap();
        let range = open_control(&key(1), &mut datagram).unwrap();
        assert_eq!(&datagram[range.clone()], vec![7; payload_len]);
        assert_eq!(datagram[..range.start], plain[..range.start], "the header stays in clear");
    }
}

#[test]
fn a_message_may_be_empty_but_not_shorter() {
    let header = ReplyHeader { kind: Kind::CloseAck, epoch: 2, cid: Cid(3), sseq: 4 }.encode();
    let mut datagram = [&header[..], &[0; TAG_LEN]].concat();
    seal_control(&key(1), &mut datagram).unwrap();
    assert_eq!(open_control(&key(1), &mut datagram), Ok(header.len()..header.len()));
    datagram.pop();
    assert_eq!(open_control(&key(1), &mut datagram), Err(Malformed::TooShort.into()));
}

#[test]
fn every_changed_bit_and_every_cut_is_refused() {
    for mut datagram in messages() {
        seal_control(&key(1), &mut datagram).unwrap();
        for bit in 0..datagram.len() * 8 {
            let mut copy = datagram.clone();
            copy[bit / 8] ^= 1 << (bit % 8);
            assert!(open_control(&key(1), &mut copy).is_err(), "bit {bit}");
        }
        for len in 0..datagram.len() {
            assert!(open_control(&key(1), &mut datagram[..len].to_vec()).is_err(), "{len} bytes");
        }
        assert_eq!(open_control(&key(2), &mut datagram), Err(ControlError::Seal), "another key");
    }
}

#[test]
fn other_messages_have_no_control_header() {
    let error = Err(ControlError::Malformed(Malformed::Type));
    assert_eq!(open_control(&key(1), &mut [0x10; 64]), error);
    assert_eq!(seal_control(&key(1), &mut [0x11; 196]).err(), error.err());
    let short = Err(ControlError::Malformed(Malformed::TooShort));
    assert_eq!(open_control(&key(1), &mut []), short);
    assert_eq!(open_control(&key(1), &mut messages()[1][..35]), short, "no room for a tag");
}

#[test]
fn the_sequence_number_is_the_nonce() {
    let [mut first, _] = messages();
    let mut second = first.clone();
    second[20] = 5;
    seal_control(&key(1), &mut first).unwrap();
    seal_control(&key(1), &mut second).unwrap();
    assert_ne!(first[28..44], second[28..44]);
}
