//! Tests of the aggregation of security events.
use super::*;

#[test]
fn a_storm_becomes_one_report_per_second() {
    let mut counters = Counters::default();
    let start = Time::from_millis(10);
    assert_eq!(counters.note_security(Reason::BadProof, start), Some(1));
    for _ in 0..1000 {
        assert_eq!(counters.note_security(Reason::BadProof, start + Duration::from_millis(500)), None);
    }
    assert_eq!(counters.note_security(Reason::ReplayDetected, start), Some(1), "each reason by itself");
    assert_eq!(counters.note_security(Reason::BadProof, start + Duration::from_secs(1)), Some(1001));
}
