//! What a kernel hands over, made here: super-packets, batches of packets, and records of a store.

use std::net::Ipv4Addr;

use jumpvpn_events::Time;
use jumpvpn_ownership::{Handle, Incarnation, Moves, OpId, RecordState, SessionRecord, WallClock};

/// Checksum of RFC 1071 over 16-bit words.
fn checksum(words: &[&[u8]]) -> [u8; 2] {
    let mut sum = 0u32;
    for part in words {
        for pair in part.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        }
    }
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

/// A segment of one TCP connection with 100 bytes of payload.
fn segment(number: u8) -> Vec<u8> {
    let addresses = [10, 77, 0, 1, 10, 77, 0, 2];
    let mut ip = vec![0x45, 0, 0, 140, 0, number, 0, 0, 64, 6, 0, 0];
    ip.extend(addresses);
    let sum = checksum(&[&ip]);
    ip[10..12].copy_from_slice(&sum);
    let sequence = u32::from(number) * 100;
    let mut tcp = [[0, 80, 0, 81], sequence.to_be_bytes(), [0; 4], [0x50, 0x10, 1, 0], [0; 4]].concat();
    tcp.extend([number; 100]);
    let sum = checksum(&[&addresses, &[0, 6, 0, 120], &tcp]);
    tcp[16..18].copy_from_slice(&sum);
    [ip, tcp].concat()
}

/// For `tun_packet`.
pub(super) fn packets() -> Vec<(&'static str, Vec<u8>)> {
    let batch = |numbers: &[u8]| {
        let framed = numbers.iter().flat_map(|number| {
            let packet = segment(*number);
            [&(packet.len() as u16).to_le_bytes()[..], &packet].concat()
        });
        [1].into_iter().chain(framed).collect::<Vec<u8>>()
    };
    // flags: checksum missing; TCPv4; header 40, segments of 30 bytes, checksum at 20 + 16
    let driver = [1, 1, 40, 0, 30, 0, 20, 0, 16, 0];
    let plain = [1, 0, 0, 0, 0, 0, 20, 0, 16, 0];
    vec![
        ("joined", batch(&[1, 2, 3])),
        ("in_disorder", batch(&[1, 3, 2, 2])),
        ("super_packet", [&[0][..], &driver, &segment(1)].concat()),
        ("plain", [&[0][..], &plain, &segment(1)].concat()),
    ]
}

/// For `store_record`.
pub(super) fn records() -> Vec<(&'static str, Vec<u8>)> {
    let live = SessionRecord {
        handle: Handle::MAX,
        sid: [1; 16],
        peer: [2; 32],
        state: RecordState::Live,
        owner_epoch: 1,
        owner: Incarnation([2; 16]),
        version: 3,
        inner_v4: Some(Ipv4Addr::new(10, 77, 0, 2)),
        inner_v6: None,
        created: Time::from_millis(1),
        expires: Time::MAX,
        moved: true,
        moves: Moves::of([9_000, 3_000, 2].map(Time::from_millis)),
        key_epoch: 4,
        sealed: vec![3; 40],
    };
    let state = RecordState::Terminated { reason_number: 5 };
    let inner_v6 = Some([0xfd77, 0, 0, 0, 0, 0, 0, 2].into());
    let ended = SessionRecord { state, inner_v4: None, inner_v6, ..live.clone() };
    let bytes =
        |record: SessionRecord| record.encode(OpId([9; 16]), WallClock::default()).expect("a short seal");
    vec![("live", bytes(live)), ("ended", bytes(ended))]
}
