//! Records of the ownership store.

use jumpvpn_events::Time;
use jumpvpn_ownership::{RecordState, SessionRecord, WallClock};

/// Bytes that a store gives back.
pub fn store_record(data: &[u8]) {
    let clock = WallClock::default();
    let Ok((op, record)) = SessionRecord::decode(data, clock) else { return };
    assert!(record.handle.number() < 1 << 48);
    let ages = usize::from(record.moves.count().saturating_sub(1));
    assert_eq!(data.len(), SessionRecord::BARE_LEN + record.sealed.len() + ages);
    if [record.created, record.expires, record.moves.last().unwrap_or_default()].contains(&Time::MAX) {
        // Beyond the clock, times are no longer told apart.
        return;
    }
    assert_eq!(record.encode(op, clock).as_deref(), Ok(data), "equal records have equal bytes");
    let mut changed = data.to_vec();
    let at = usize::from(data[data.len() - 1]) % changed.len();
    changed[at] ^= 1;
    assert_ne!(
        SessionRecord::decode(&changed, clock).ok(),
        Some((op, record.clone())),
        "two encodings of one record"
    );
    if record.state == RecordState::Live {
        let ended = SessionRecord { state: RecordState::Terminated { reason_number: 7 }, ..record.clone() };
        let bytes = ended.encode(op, clock).expect("as long as before");
        assert_ne!(bytes, data);
        assert_eq!(SessionRecord::decode(&bytes, clock), Ok((op, ended)));
    }
}
