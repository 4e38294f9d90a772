//! Records of the ownership store.

use jumpvpn_ownership::{RecordState, SessionRecord};

/// Bytes that a store gives back.
pub fn store_record(data: &[u8]) {
    let Ok(record) = SessionRecord::decode(data) else { return };
    assert_eq!(record.encode(), data, "equal records have equal bytes");
    assert_eq!(data.len(), SessionRecord::LEN);
    assert!(record.handle.number() < 1 << 48);
    assert_eq!(record.addresses().count(), record.addresses().map(|address| address.is_ipv4()).count());
    if record.state == RecordState::Live {
        let ended = SessionRecord { state: RecordState::Terminated { reason_number: 7 }, ..record.clone() };
        assert_ne!(ended.encode(), record.encode());
        assert_eq!(SessionRecord::decode(&ended.encode()), Ok(ended));
    }
}
