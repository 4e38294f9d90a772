//! Headers round trip, refuse every reserved bit, and never panic.

use super::*;
use proptest::prelude::*;

fn kinds(of: fn(Kind) -> bool) -> impl Strategy<Value = Kind> {
    proptest::sample::select(Kind::ALL.into_iter().filter(|&kind| of(kind)).collect::<Vec<_>>())
}

#[test]
fn the_data_header_has_the_offsets_of_the_protocol() {
    let mut out = [0; 16];
    DataHeader { generation: 0xAB, lane: 3, cid: Cid(0x0807_0605_0403_0201), pn: 0x0D0C_0B0A }
        .write(&mut out);
    assert_eq!(out, [0x10, 0xAB, 3, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0x0A, 0x0B, 0x0C, 0x0D]);
}

#[test]
fn each_reserved_bit_is_refused() {
    let mut data = [0; 16];
    DataHeader { generation: 0, lane: 0, cid: Cid(1), pn: 0 }.write(&mut data);
    for bit in 4..16 {
        let mut bytes = data;
        bytes[2 + bit / 8] |= 1 << (bit % 8);
        assert_eq!(DataHeader::parse(&bytes), Err(Malformed::Reserved), "bit {bit}");
    }
    let control =
        ControlHeader { kind: Kind::Close, token_config: 7, epoch: 1, token: RouteToken([9; 16]), cseq: 4 };
    for bit in 0..5 {
        let mut bytes = control.encode();
        bytes[1] |= 1 << bit;
        assert_eq!(ControlHeader::parse(&bytes), Err(Malformed::Reserved), "bit {bit}");
    }
    for bit in 0..8 {
        let mut bytes = ReplyHeader { kind: Kind::CloseAck, epoch: 0, cid: Cid(0), sseq: 0 }.encode();
        bytes[1] |= 1 << bit;
        assert_eq!(ReplyHeader::parse(&bytes), Err(Malformed::Reserved), "bit {bit}");
    }
}

#[test]
fn another_kind_is_not_this_header() {
    assert_eq!(DataHeader::parse(&[0x11; 16]), Err(Malformed::Type));
    assert_eq!(DataHeader::parse(&[0x20; 16]), Err(Malformed::Version));
    assert_eq!(DataHeader::parse(&[0x10; 15]), Err(Malformed::TooShort));
    assert_eq!(ControlHeader::parse(&[0x15; 28]), Err(Malformed::Type));
    assert_eq!(ReplyHeader::parse(&[0x14; 20]), Err(Malformed::Type));
}

proptest! {
    #[test]
    fn data_round_trip(generation: u8, lane in 0..MAX_LANES, cid: u64, pn: u32) {
        let header = DataHeader { generation, lane, cid: Cid(cid), pn };
        let mut out = [0; 16];
        header.write(&mut out);
        prop_assert_eq!(DataHeader::parse(&out), Ok(header));
    }

    #[test]
    fn control_round_trip(kind in kinds(Kind::is_control), token_config in 0u8..8, epoch: u16, token: [u8; 16], cseq: u64) {
        let header = ControlHeader { kind, token_config, epoch, token: RouteToken(token), cseq };
        prop_assert_eq!(ControlHeader::parse(&header.encode()), Ok(header));
    }

    #[test]
    fn reply_round_trip(kind in kinds(Kind::is_reply), epoch: u16, cid: u64, sseq: u64) {
        let header = ReplyHeader { kind, epoch, cid: Cid(cid), sseq };
        prop_assert_eq!(ReplyHeader::parse(&header.encode()), Ok(header));
    }

    #[test]
    fn parsers_never_panic_and_accept_one_encoding(mut bytes in proptest::collection::vec(any::<u8>(), 0..64), kind in kinds(|_| true)) {
        if let Some(first) = bytes.first_mut() { *first = kind.code(); }
        if let Ok(header) = DataHeader::parse(&bytes) {
            let mut out = [0; 16];
            header.write(&mut out);
            prop_assert_eq!(&out[..], &bytes[..16]);
        }
        if let Ok(header) = ControlHeader::parse(&bytes) {
            prop_assert_eq!(&header.encode()[..], &bytes[..28]);
        }
        if let Ok(header) = ReplyHeader::parse(&bytes) {
            prop_assert_eq!(&header.encode()[..], &bytes[..20]);
        }
    }
}
