//! Tests of the binary form.

use proptest::prelude::*;

use super::*;
use crate::conformance::record;

fn any_record() -> impl Strategy<Value = SessionRecord> {
    let state = prop_oneof![
        Just(RecordState::Live),
        any::<u16>().prop_map(|reason_number| RecordState::Terminated { reason_number })
    ];
    let numbers =
        (0..=Handle::MAX.number(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u16>());
    (
        state,
        numbers,
        any::<[u8; 16]>(),
        any::<[u8; 32]>(),
        any::<Option<[u8; 4]>>(),
        any::<Option<[u8; 16]>>(),
    )
        .prop_map(|(state, numbers, sid, peer, v4, v6)| SessionRecord {
            handle: Handle::new(numbers.0).unwrap(),
            sid,
            peer,
            state,
            owner_epoch: numbers.1,
            owner_node: numbers.5,
            version: numbers.2,
            inner_v4: v4.map(Ipv4Addr::from),
            inner_v6: v6.map(Ipv6Addr::from),
            created: Time::from_nanos(numbers.3),
            expires: Time::from_nanos(numbers.4),
        })
}

/// The layout is on disk: this vector must never change for format 1.
#[test]
fn the_layout_is_fixed() {
    let terminated = SessionRecord {
        state: RecordState::Terminated { reason_number: 0x0203 },
        owner_node: 0x0405,
        inner_v6: None,
        ..record(0x0102)
    };
    let bytes = terminated.encode();
    assert_eq!(bytes[..14], [1, 3, 5, 4, 3, 2, 0, 0, 2, 1, 0, 0, 0, 0]);
    assert_eq!(bytes[16..32], [2; 16]);
    assert_eq!(bytes[32..64], [1; 32]);
    assert_eq!(bytes[64..80], [1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes[96..100], [10, 77, 1, 2]);
    assert_eq!(bytes[100..], [0; 16]);
}

#[test]
fn other_lengths_and_formats_are_refused() {
    let good = record(1).encode();
    assert_eq!(SessionRecord::decode(&[]), Err(BadRecord::Length));
    assert_eq!(SessionRecord::decode(&good[..115]), Err(BadRecord::Length));
    assert_eq!(SessionRecord::decode(&[good.as_slice(), &[0]].concat()), Err(BadRecord::Length));
    let mut other = good;
    other[0] = 2;
    assert_eq!(SessionRecord::decode(&other), Err(BadRecord::Format));
}

#[test]
fn impossible_fields_are_refused_by_name() {
    let changed = |at: usize, value: u8| {
        let bare = SessionRecord { inner_v4: None, inner_v6: None, ..record(1) };
        let mut bytes = bare.encode();
        bytes[at] = value;
        SessionRecord::decode(&bytes)
    };
    assert_eq!(changed(1, 8), Err(BadRecord::Field("reserved")));
    assert_eq!(changed(6, 1), Err(BadRecord::Field("reserved")));
    assert_eq!(changed(4, 1), Err(BadRecord::Field("reason")));
    assert_eq!(changed(14, 1), Err(BadRecord::Field("handle")));
    assert_eq!(changed(96, 1), Err(BadRecord::Field("inner_v4")));
    assert_eq!(changed(115, 1), Err(BadRecord::Field("inner_v6")));
}

#[test]
fn handles_have_48_bits() {
    assert_eq!(Handle::new(1 << 48), None);
    assert_eq!(Handle::new((1 << 48) - 1), Some(Handle::MAX));
}

proptest! {
    #[test]
    fn records_survive_the_way_through_bytes(record in any_record()) {
        prop_assert_eq!(SessionRecord::decode(&record.encode()), Ok(record));
    }

    /// Whatever the bytes: no panic, and what is accepted is written the same way again.
    #[test]
    fn any_bytes_are_read_or_refused(
        mut bytes in proptest::collection::vec(any::<u8>(), SessionRecord::LEN - 2..SessionRecord::LEN + 2),
        flags in 0..8_u8,
        tidy in any::<bool>(),
    ) {
        if tidy {
            bytes[..8].copy_from_slice(&[1, flags, 0, 0, 0, 0, 0, 0]);
            bytes[14..16].copy_from_slice(&[0, 0]);
        }
        if let Ok(record) = SessionRecord::decode(&bytes) {
            prop_assert_eq!(record.encode().to_vec(), bytes);
        }
    }
}
