//! Records of the ownership store.

use jumpvpn_ownership::{RecordState, SessionRecord};

/// Bytes that a store gives back.
pub fn store_record(data: &[u8]) {
    let Ok(record) = SessionRecord::decode(data) else { return };
    assert_eq!(record.encode(), data, "equal records have equal bytes");
    assert_eq!(data.len(), SessionRecord::LEN);
    assert!(record.handle.number() < 1 << 48);
    let mut changed = data.to_vec();
    let at = usize::from(data[data.len() - 1]) % changed.len();
    changed[at] ^= 1;
    assert_ne!(SessionRecord::decode(&changed).as_ref(), Ok(&record), "two encodings of one record");
    if record.state == RecordState::Live {
        let ended = SessionRecord { state: RecordState::Terminated { reason_number: 7 }, ..record.clone() };
        assert_ne!(ended.encode(), record.encode());
        assert_eq!(SessionRecord::decode(&ended.encode()), Ok(ended));
    }
}
