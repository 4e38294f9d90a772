//! The length table of the protocol, the size rule, and every possible byte 0.

use super::*;
use proptest::prelude::*;

#[test]
fn lengths_are_those_of_the_protocol() {
    let expected = [
        (Kind::Data, 32),
        (Kind::HsInit, 196),
        (Kind::HsRetry, 52),
        (Kind::HsResp, 164),
        (Kind::PathProbe, 124),
        (Kind::PathTicket, 124),
        (Kind::Reattach, 156),
        (Kind::ReattachResult, 100),
        (Kind::RebindHint, 68),
        (Kind::TakeoverInit, 164),
        (Kind::TakeoverResp, 50),
        (Kind::Close, 60),
        (Kind::CloseAck, 44),
        (Kind::NoSession, 36),
    ];
    assert_eq!(expected.map(|(kind, _)| kind), Kind::ALL);
    for (kind, len) in expected {
        assert_eq!(kind.min_len(), len, "{kind:?}");
        assert!(kind.accepts_len(len) && !kind.accepts_len(len - 1), "{kind:?}");
    }
}

#[test]
fn no_reply_is_longer_than_its_request() {
    for &(request, reply) in REPLIES {
        let shortest = if request == Kind::Data { REBIND_HINT_TRIGGER_LEN } else { request.min_len() };
        let longest = (0..=MAX_DATAGRAM_LEN).rev().find(|&len| reply.accepts_len(len));
        assert!(longest.is_some_and(|len| len <= shortest), "{request:?} -> {reply:?}: {longest:?}");
    }
    // Every message of the server but DATA is named as an answer to something.
    for kind in Kind::ALL {
        let from_server = kind.is_reply()
            || matches!(kind, Kind::HsRetry | Kind::HsResp | Kind::TakeoverResp | Kind::NoSession);
        assert_eq!(REPLIES.iter().any(|&(_, reply)| reply == kind), from_server, "{kind:?}");
    }
}

#[test]
fn every_first_byte_is_known_or_refused() {
    for code in 0..=u8::MAX {
        match Kind::from_code(code) {
            Ok(kind) => assert_eq!(kind.code(), code),
            Err(error) => {
                assert_eq!(error, if code >> 4 == 1 { Malformed::Type } else { Malformed::Version });
                assert!(!Kind::ALL.iter().any(|kind| kind.code() == code));
            }
        }
    }
    assert_eq!(Kind::of(&[]), Err(Malformed::TooShort));
    assert_eq!(Kind::of(&[0x10; 31]), Err(Malformed::Length));
    assert_eq!(Kind::of(&[0x1E; 164]), Err(Malformed::Type));
}

#[test]
fn a_reattach_is_alone_or_carries_one_whole_datagram() {
    let reattach = Kind::Reattach;
    assert!(reattach.accepts_len(156));
    assert!(!reattach.accepts_len(157));
    assert!(!reattach.accepts_len(156 + 31));
    assert!(reattach.accepts_len(156 + 32));
    assert!(reattach.accepts_len(156 + MAX_DATAGRAM_LEN));
    assert!(!reattach.accepts_len(157 + MAX_DATAGRAM_LEN));
}

#[test]
fn a_takeover_response_has_two_lengths() {
    let lens: Vec<_> = (0..=400).filter(|&len| Kind::TakeoverResp.accepts_len(len)).collect();
    assert_eq!(lens, [50, 156]);
}

#[test]
fn transport_classes_round_trip() {
    for class in [TransportClass::Udp, TransportClass::Tcp, TransportClass::Tls] {
        assert_eq!(TransportClass::from_code(class.code()), Ok(class));
    }
    assert_eq!(TransportClass::from_code(0), Err(Malformed::Field("transport")));
}

proptest! {
    #[test]
    fn kind_of_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(kind) = Kind::of(&bytes) {
            prop_assert_eq!(kind.code(), bytes[0]);
            prop_assert!(kind.accepts_len(bytes.len()));
        }
    }
}
