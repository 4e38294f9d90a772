//! Tests of the binary form.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::ledger::rules::record;

const CLOCK: WallClock = WallClock { zero_ms: 1_700_000_000_000 };
const OP: OpId = OpId([0xee; 16]);

fn any_record() -> impl Strategy<Value = SessionRecord> {
    let state = prop_oneof![
        Just(RecordState::Live),
        any::<u16>().prop_map(|reason_number| RecordState::Terminated { reason_number })
    ];
    // Times in milliseconds for a thousand years.
    let time = || prop_oneof![(0..31_000_000_000_000_u64).prop_map(Time::from_millis), Just(Time::MAX)];
    let newest = (200_000..18_000_000_000_000_u64).prop_map(Time::from_millis);
    let moves = (newest, proptest::collection::vec(0..3_000_u64, 0..40)).prop_map(|(mut last, steps)| {
        Moves::of(steps.into_iter().map(|millis| {
            last = last - Duration::from_millis(millis);
            last
        }))
    });
    let numbers = (0..=Handle::MAX.number(), any::<u64>(), any::<u64>(), any::<u32>(), any::<bool>());
    let sealed = proptest::collection::vec(any::<u8>(), 0..=SessionRecord::SEALED_MAX_LEN);
    (
        (state, numbers, time(), time(), sealed, moves),
        any::<[u8; 16]>(),
        any::<[u8; 32]>(),
        any::<[u8; 16]>(),
        any::<Option<[u8; 4]>>(),
        any::<Option<[u8; 16]>>(),
    )
        .prop_map(|((state, numbers, created, expires, sealed, moves), sid, peer, owner, v4, v6)| {
            SessionRecord {
                handle: Handle::new(numbers.0).unwrap(),
                sid,
                peer,
                state,
                owner_epoch: numbers.1,
                owner: Incarnation(owner),
                version: numbers.2,
                inner_v4: v4.map(Ipv4Addr::from),
                inner_v6: v6.map(Ipv6Addr::from),
                created,
                expires,
                moved: numbers.4,
                moves,
                key_epoch: numbers.3,
                sealed,
            }
        })
}

/// The layout is on disk: this vector must never change for format 2.
#[test]
fn the_layout_is_fixed() {
    let terminated = SessionRecord {
        state: RecordState::Terminated { reason_number: 0x0203 },
        owner: Incarnation([0xdd; 16]),
        inner_v6: None,
        moved: true,
        moves: Moves::of((0..7).map(|steps| Time::from_millis(0x0b00 - 250 * steps))),
        key_epoch: 0x0405_0607,
        sealed: vec![0xaa; 3],
        ..record(0x0102)
    };
    let bytes = terminated.encode(OP, WallClock { zero_ms: 0x0a00 }).unwrap();
    assert_eq!(bytes.len(), SessionRecord::BARE_LEN + 3 + 6);
    assert_eq!(bytes[..16], [2, 11, 3, 2, 3, 0, 7, 0, 2, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes[16..32], [2; 16]);
    assert_eq!(bytes[32..64], [1; 32]);
    assert_eq!(bytes[64..80], [0xdd; 16]);
    assert_eq!(bytes[80..96], [0xee; 16]);
    assert_eq!(bytes[96..112], [1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes[112..120], [0, 10, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes[120..128], (0x0a00_u64 + 3_600_000).to_le_bytes());
    assert_eq!(bytes[128..136], [0, 21, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes[136..140], [7, 6, 5, 4]);
    assert_eq!(bytes[140..144], [10, 77, 1, 2]);
    assert_eq!(bytes[144..160], [0; 16]);
    assert_eq!(bytes[160..], [0xaa, 0xaa, 0xaa, 1, 2, 3, 4, 5, 6]);
}

/// A cell of a million sessions has to fit into the store's memory.
#[test]
fn a_record_stays_small() {
    let moves = Moves::of([Time::from_millis(5); 32]);
    let longest = SessionRecord { sealed: vec![1; SessionRecord::SEALED_MAX_LEN], moves, ..record(1) };
    let len = longest.encode(OP, CLOCK).unwrap().len();
    assert!(len <= 600, "{len} bytes");
    let longer = SessionRecord { sealed: vec![1; SessionRecord::SEALED_MAX_LEN + 1], ..record(1) };
    assert_eq!(longer.encode(OP, CLOCK), Err(BadRecord::Field("sealed")));
}

#[test]
fn other_lengths_and_formats_are_refused() {
    let good = record(1).encode(OP, CLOCK).unwrap();
    let refused = |bytes: &[u8]| SessionRecord::decode(bytes, CLOCK).err();
    assert_eq!(refused(&[]), Some(BadRecord::Length));
    assert_eq!(refused(&good[..159]), Some(BadRecord::Length));
    assert_eq!(refused(&[good.as_slice(), &[0]].concat()), Some(BadRecord::Length));
    let mut other = good;
    other[0] = 1;
    assert_eq!(refused(&other), Some(BadRecord::Format));
}

#[test]
fn impossible_fields_are_refused_by_name() {
    let changed = |at: usize, value: u8| {
        let bare = SessionRecord { inner_v4: None, inner_v6: None, ..record(1) };
        let mut bytes = bare.encode(OP, CLOCK).unwrap();
        bytes[at] = value;
        SessionRecord::decode(&bytes, CLOCK).err()
    };
    assert_eq!(changed(1, 16), Some(BadRecord::Field("reserved")));
    assert_eq!(changed(7, 1), Some(BadRecord::Field("reserved")));
    assert_eq!(changed(128, 1), Some(BadRecord::Field("moves")));
    assert_eq!(changed(2, 1), Some(BadRecord::Field("reason")));
    assert_eq!(changed(5, 2), Some(BadRecord::Field("sealed")));
    assert_eq!(changed(14, 1), Some(BadRecord::Field("handle")));
    assert_eq!(changed(140, 1), Some(BadRecord::Field("inner_v4")));
    assert_eq!(changed(159, 1), Some(BadRecord::Field("inner_v6")));
}

#[test]
fn moves_that_cannot_be_are_refused() {
    let with = |count: u8, ages: &[u8]| {
        let moves = Moves::of([Time::from_millis(5)]);
        let mut bytes = SessionRecord { moves, ..record(1) }.encode(OP, CLOCK).unwrap();
        bytes[6] = count;
        bytes.extend(ages);
        SessionRecord::decode(&bytes, CLOCK).map(|(_, record)| record.moves.count())
    };
    assert_eq!(with(1, &[]), Ok(1));
    assert_eq!(with(4, &[0, 7, 239]), Ok(4));
    assert_eq!(with(0, &[]), Err(BadRecord::Field("moves")), "a time and no move");
    assert_eq!(with(3, &[8, 7]), Err(BadRecord::Field("moves")), "a newer one behind an older one");
    assert_eq!(with(2, &[240]), Err(BadRecord::Field("moves")), "a minute old");
    assert_eq!(with(33, &[0; 32]), Err(BadRecord::Field("moves")), "more than any policy allows");
    assert_eq!(with(4, &[0, 0]), Err(BadRecord::Length));
    assert_eq!(with(2, &[0, 0]), Err(BadRecord::Length));
}

#[test]
fn handles_have_48_bits() {
    assert_eq!(Handle::new(1 << 48), None);
    assert_eq!(Handle::new((1 << 48) - 1), Some(Handle::MAX));
}

/// Two gateways whose clocks began at different times mean the same instant.
#[test]
fn times_are_told_in_wall_clock_time() {
    let here = WallClock { zero_ms: 10_000 };
    let there = WallClock { zero_ms: 4_000 };
    let told = SessionRecord { created: Time::from_millis(500), expires: Time::MAX, ..record(1) };
    let (_, heard) = SessionRecord::decode(&told.encode(OP, here).unwrap(), there).unwrap();
    assert_eq!((heard.created, heard.expires), (Time::from_millis(6_500), Time::MAX));
    let (_, back) = SessionRecord::decode(&heard.encode(OP, there).unwrap(), here).unwrap();
    assert_eq!((back.created, back.expires), (Time::from_millis(500), Time::MAX));
    let before = SessionRecord { created: Time::ZERO, ..record(1) };
    let (_, heard) = SessionRecord::decode(&before.encode(OP, there).unwrap(), here).unwrap();
    assert_eq!(heard.created, Time::ZERO, "before this clock began");
}

proptest! {
    #[test]
    fn records_survive_the_way_through_bytes(record in any_record(), op in any::<[u8; 16]>()) {
        let bytes = record.encode(OpId(op), CLOCK).unwrap();
        prop_assert_eq!(SessionRecord::decode(&bytes, CLOCK), Ok((OpId(op), record)));
    }

    /// Whatever the bytes: no panic, and what is accepted is written the same way again.
    #[test]
    fn any_bytes_are_read_or_refused(
        mut bytes in proptest::collection::vec(any::<u8>(), SessionRecord::BARE_LEN - 2..SessionRecord::BARE_LEN + 6),
        flags in 0..16_u8,
        tidy in any::<bool>(),
    ) {
        if tidy {
            let moves = bytes[6] % 4;
            let ages = usize::from(moves.saturating_sub(1));
            let sealed = bytes.len().saturating_sub(SessionRecord::BARE_LEN + ages) as u8;
            bytes[..8].copy_from_slice(&[2, flags, 0, 0, sealed, 0, moves, 0]);
            let tail = bytes.len() - ages;
            bytes[tail..].iter_mut().for_each(|age| *age %= 240);
            bytes[tail..].sort_unstable();
            let without = if moves == 0 { 128 } else { 134 };
            bytes[without..136].fill(0);
            bytes[14..16].copy_from_slice(&[0, 0]);
            // Beyond the clock, times are no longer told apart.
            bytes[118..120].copy_from_slice(&[0, 0]);
            bytes[126..128].copy_from_slice(&[0, 0]);
        }
        let clock = WallClock::default();
        if let Ok((op, record)) = SessionRecord::decode(&bytes, clock)
            && [record.created, record.expires, record.moves.last().unwrap_or_default()].iter().all(|time| *time != Time::MAX)
        {
            prop_assert_eq!(record.encode(op, clock), Ok(bytes));
        }
    }
}
