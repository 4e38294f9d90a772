//! Frames: round trips, forward compatibility, reserved bits, no panic.

use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Owned {
    Plain(Frame<'static>),
    RekeyReq(u8, u8, Vec<u8>),
    RekeyResp(Vec<u8>),
    Tokens(u8, Vec<[u8; 16]>),
    MoveAdvice((u16, u32, u32), Vec<[u8; AdvisedGateway::LEN]>),
    ListPart(u64, Vec<u8>, u32),
}

impl Owned {
    fn frame(&self) -> Frame<'_> {
        match self {
            Self::Plain(frame) => *frame,
            Self::RekeyReq(part, parts, body) => Frame::RekeyReq { part: *part, parts: *parts, body },
            Self::RekeyResp(body) => Frame::RekeyResp(body),
            Self::Tokens(config, tokens) => Frame::Tokens(TokenList::new(*config, tokens)),
            Self::MoveAdvice((reason, window, deadline), list) => {
                Frame::MoveAdvice(MoveAdvice::new(*reason, *window, *deadline, list))
            }
            Self::ListPart(serial, list, offset) => {
                Frame::ListPart(ListPart::of(*serial, list, *offset).unwrap_or(ListPart::none(*serial)))
            }
        }
    }
}

fn report() -> impl Strategy<Value = ReceiveReport> {
    any::<(u32, u64, u64, u32)>().prop_map(|(path_id, highest, received, silent_us)| ReceiveReport {
        path_id,
        highest,
        received,
        silent_us,
    })
}

fn config() -> impl Strategy<Value = ConfigFrame> {
    let v4 = proptest::option::of((any::<[u8; 4]>(), 0u8..=32));
    let v6 = proptest::option::of((any::<[u8; 16]>(), 0u8..=128));
    (v4, v6, any::<u16>()).prop_map(|(v4, v6, mtu)| ConfigFrame {
        inner_v4: v4.map(|(ip, prefix)| (ip.into(), prefix)),
        inner_v6: v6.map(|(ip, prefix)| (ip.into(), prefix)),
        mtu,
    })
}

fn gateway() -> impl Strategy<Value = [u8; AdvisedGateway::LEN]> {
    any::<([u8; 32], std::net::SocketAddr)>().prop_map(|(public, endpoint)| {
        AdvisedGateway { public, endpoint: crate::ObservedAddress::new(endpoint) }.encode()
    })
}

fn frame() -> impl Strategy<Value = Owned> {
    let body = || proptest::collection::vec(any::<u8>(), 0..80);
    prop_oneof![
        Just(Owned::Plain(Frame::Fin)),
        Just(Owned::Plain(Frame::RekeyWanted)),
        (any::<(u32, u64)>(), report()).prop_map(|((seq, sent_us), report)| {
            Owned::Plain(Frame::Heartbeat(Heartbeat { seq, sent_us, report }))
        }),
        (any::<(u32, u64, u32, u32)>(), report()).prop_map(
            |((seq, echo_us, delay_us, generation_seen), report)| {
                let ack = HeartbeatAck { seq, echo_us, delay_us, generation_seen, report };
                Owned::Plain(Frame::HeartbeatAck(ack))
            }
        ),
        (0u8..2, body()).prop_map(|(part, body)| Owned::RekeyReq(part, 2, body)),
        body().prop_map(Owned::RekeyResp),
        any::<(u8, bool)>().prop_map(|(tokens, config)| Owned::Plain(Frame::Want { tokens, config })),
        (0u8..8, proptest::collection::vec(any::<[u8; 16]>(), 0..4)).prop_map(|(c, t)| Owned::Tokens(c, t)),
        config().prop_map(|config| Owned::Plain(Frame::Config(config))),
        any::<(u32, u16)>().prop_map(|(seq, len)| Owned::Plain(Frame::PmtuProbe { seq, len })),
        any::<(u32, u16)>().prop_map(|(seq, len)| Owned::Plain(Frame::PmtuAck { seq, len })),
        any::<(u16, u64)>().prop_map(|(reason, version)| Owned::Plain(Frame::Close { reason, version })),
        (any::<(u16, u32, u32)>(), proptest::collection::vec(gateway(), 0..=MAX_ADVISED))
            .prop_map(|(head, list)| Owned::MoveAdvice(head, list)),
        any::<(u64, u32)>().prop_map(|(above, offset)| Owned::Plain(Frame::ListWant { above, offset })),
        (any::<u64>(), proptest::collection::vec(any::<u8>(), 0..3_000), 0u32..3_200)
            .prop_map(|(serial, list, offset)| Owned::ListPart(serial, list, offset)),
    ]
}

#[test]
fn an_ip_packet_is_told_by_its_first_nibble() {
    assert!(is_ip_packet(&[0x45]) && is_ip_packet(&[0x60]));
    assert!(!is_ip_packet(&[]) && !is_ip_packet(&[0x01]) && !is_ip_packet(&[0x50]) && !is_ip_packet(&[0x70]));
}

#[test]
fn an_unknown_frame_is_skipped_by_its_length() {
    let bytes = [0x3F, 0xFF, 2, 0, 0xAA, 0xBB, 0x01, 0, 0, 0];
    assert_eq!(FrameReader::new(&bytes).collect::<Vec<_>>(), [Ok(Frame::Fin)]);
    let cut = [0x3F, 0, 2, 0, 0xAA];
    assert_eq!(FrameReader::new(&cut).collect::<Vec<_>>(), [Err(Malformed::TooShort)]);
}

#[test]
fn a_frame_id_that_could_be_ip_is_refused() {
    assert_eq!(FrameReader::new(&[0x40, 0, 0, 0]).collect::<Vec<_>>(), [Err(Malformed::Type)]);
}

#[test]
fn padding_is_zero_and_ends_the_run() {
    assert_eq!(FrameReader::new(&[1, 0, 0, 0, 0, 0]).collect::<Vec<_>>(), [Ok(Frame::Fin), Ok(Frame::Pad)]);
    assert_eq!(FrameReader::new(&[0, 0, 1]).collect::<Vec<_>>(), [Err(Malformed::Reserved)]);
}

#[test]
fn known_frames_are_strict() {
    let cases: &[(&[u8], Malformed)] = &[
        (&[0x01, 1, 0, 0], Malformed::Reserved),
        (&[0x01, 0, 1, 0, 0], Malformed::Length),
        (&[0x02, 0, 0, 0], Malformed::TooShort),
        (&[0x04, 0, 4, 0, 0, 3, 0, 0], Malformed::Field("part")),
        (&[0x04, 0, 4, 0, 0, 0, 0, 0], Malformed::Field("part")),
        (&[0x04, 0, 4, 0, 1, 1, 0, 0], Malformed::Field("part")),
        (&[0x04, 0, 4, 0, 0, 1, 1, 0], Malformed::Reserved),
        (&[0x06, 0, 4, 0, 0, 2, 0, 0], Malformed::Field("config")),
        (&[0x06, 0, 4, 0, 0, 0, 0, 1], Malformed::Reserved),
        (&[0x07, 0, 4, 0, 8, 0, 0, 0], Malformed::Field("token_config")),
        (&[0x07, 0, 5, 0, 0, 0, 0, 0, 9], Malformed::Length),
        (&[0x09, 0, 8, 0, 1, 0, 0, 0, 5, 0, 1, 0], Malformed::Reserved),
        (&[0x0B, 0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], Malformed::Reserved),
        (&[0x0C, 0, 12, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0], Malformed::Reserved),
        (&[0x0C, 0, 13, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9], Malformed::Length),
    ];
    for (bytes, error) in cases {
        assert_eq!(FrameReader::new(bytes).collect::<Vec<_>>(), [Err(*error)], "{bytes:x?}");
    }
}

#[test]
fn an_absent_config_address_is_zero() {
    let mut buffer = [0; 32];
    let config = ConfigFrame { inner_v4: Some((Ipv4Addr::new(10, 0, 0, 2), 24)), inner_v6: None, mtu: 1280 };
    assert!(FrameWriter::new(&mut buffer).push(&Frame::Config(config)));
    for (at, value, error) in [
        (4, 0, Malformed::Reserved),
        (4, 7, Malformed::Reserved),
        (5, 33, Malformed::Field("prefix")),
        (6, 1, Malformed::Reserved),
        (7, 1, Malformed::Reserved),
        (20, 1, Malformed::Reserved),
        (31, 1, Malformed::Reserved),
    ] {
        let mut bytes = buffer;
        bytes[at] = value;
        assert_eq!(FrameReader::new(&bytes).collect::<Vec<_>>(), [Err(error)], "byte {at}");
    }
}

#[test]
fn advice_names_four_gateways_at_most_and_each_by_an_address() {
    let one = AdvisedGateway {
        public: [7; 32],
        endpoint: crate::ObservedAddress::new(([192, 0, 2, 1], 443).into()),
    };
    let entries = [one.encode(); MAX_ADVISED + 1];
    let advice = MoveAdvice::new(1, 2, 3, &entries);
    assert_eq!(advice.gateways().collect::<Vec<_>>(), [one; MAX_ADVISED]);
    let mut buffer = [0; 300];
    let mut writer = FrameWriter::new(&mut buffer);
    assert!(writer.push(&Frame::MoveAdvice(advice)));
    let len = writer.len();
    assert_eq!(len, Frame::HEADER_LEN + 12 + 4 * 52);
    let mut five = buffer[..len].to_vec();
    five.extend_from_slice(&buffer[16..68]);
    five[2..4].copy_from_slice(&(12u16 + 5 * 52).to_le_bytes());
    assert_eq!(FrameReader::new(&five).collect::<Vec<_>>(), [Err(Malformed::Length)]);
    buffer[16 + 32] = 5;
    assert_eq!(FrameReader::new(&buffer[..len]).collect::<Vec<_>>(), [Err(Malformed::Field("family"))]);
}

#[test]
fn a_full_writer_says_so_and_keeps_what_it_has() {
    let mut buffer = [0xFF; 10];
    let mut writer = FrameWriter::new(&mut buffer);
    assert!(writer.is_empty());
    assert!(writer.push(&Frame::Fin));
    assert!(!writer.push(&Frame::PmtuAck { seq: 1, len: 2 }));
    assert!(!writer.pad_to(3) && !writer.pad_to(11));
    assert!(writer.pad_to(10));
    assert_eq!(writer.len(), 10);
    assert!(!writer.push(&Frame::Pad));
    let mut large = vec![0; 70_000];
    assert!(!FrameWriter::new(&mut large).push(&Frame::RekeyResp(&[0; 65_536])), "length has 16 bits");
    assert_eq!(buffer, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

proptest! {
    #[test]
    fn round_trip(frames in proptest::collection::vec(frame(), 0..8), pad in 0usize..20) {
        let mut buffer = vec![0xEE; 16 << 10];
        let mut writer = FrameWriter::new(&mut buffer);
        for frame in &frames {
            let before = writer.len();
            prop_assert!(writer.push(&frame.frame()));
            prop_assert_eq!(writer.len(), before + frame.frame().encoded_len());
        }
        let len = writer.len() + pad;
        prop_assert!(writer.pad_to(len));
        let read: Vec<_> = FrameReader::new(&buffer[..len]).map(|frame| frame.unwrap()).collect();
        let mut expected: Vec<_> = frames.iter().map(Owned::frame).collect();
        if pad > 0 { expected.push(Frame::Pad); }
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(FrameReader::new(&bytes).count() <= bytes.len());
    }

    #[test]
    fn nearly_valid_bytes_have_one_meaning(id in 0u8..0x10, len in 0u16..50, body in proptest::collection::vec(0u8..3, 0..50)) {
        let mut bytes = vec![id, 0];
        bytes.extend(len.to_le_bytes());
        bytes.extend(body);
        let mut out = vec![0; bytes.len()];
        let mut writer = FrameWriter::new(&mut out);
        let mut whole = true;
        for frame in FrameReader::new(&bytes) {
            match frame {
                Ok(frame) => prop_assert!(writer.push(&frame)),
                Err(_) => whole = false,
            }
        }
        let len = writer.len();
        if whole {
            prop_assert_eq!(&out[..len], &bytes[..len]);
        }
    }
}

#[test]
fn a_list_is_put_together_from_its_parts_and_no_part_reaches_beyond_it() {
    for len in [1, 2, LIST_PART_MAX_LEN - 1, LIST_PART_MAX_LEN, LIST_PART_MAX_LEN + 1, LIST_MAX_LEN] {
        let list: Vec<u8> = (0..len).map(|at| at as u8).collect();
        let mut gathered = Vec::new();
        while let Some(part) = ListPart::of(7, &list, gathered.len() as u32) {
            assert_eq!((part.serial(), part.list_len(), part.offset()), (7, len, gathered.len()));
            gathered.extend_from_slice(part.bytes());
        }
        assert_eq!(gathered, list);
    }
    assert_eq!(ListPart::of(7, &vec![0; LIST_MAX_LEN + 1], 0), None);
    assert_eq!(ListPart::of(7, &[1], u32::MAX), None);
    let read = |len: u32, offset: u32, bytes: usize| {
        let mut body = [&7u64.to_le_bytes()[..], &len.to_le_bytes(), &offset.to_le_bytes()].concat();
        body.resize(16 + bytes, 1);
        ListPart::read(&mut Reader::new(&body)).is_ok()
    };
    let (most, part) = (LIST_MAX_LEN as u32, LIST_PART_MAX_LEN);
    let good = [
        (0, 0, 0),
        (1, 0, 1),
        (most, 0, part),
        (most, most - 1, 1),
        (3_000, 1_000, part),
        (3_000, 2_048, 952),
    ];
    assert!(good.iter().all(|(len, offset, bytes)| read(*len, *offset, *bytes)));
    let bad = [
        (most + 1, 0, 1),
        (most, most, 1),
        (most, u32::MAX, 1),
        (most, 0, part + 1),
        (1, 0, 0),
        (0, 1, 0),
        (0, 0, 1),
        (1, 1, 0),
        (1_000, 1, 1_000),
        (3_000, 0, 1),
        (3_000, 0, part - 1),
        (3_000, 2_048, 951),
    ];
    assert!(!bad.iter().any(|(len, offset, bytes)| read(*len, *offset, *bytes)));
}
