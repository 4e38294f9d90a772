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

#[test]
fn a_storm_that_ends_is_counted_to_its_end() {
    let mut counters = Counters::default();
    let start = Time::from_millis(10);
    assert_eq!(counters.security_due(), None);
    for reason in [Reason::BadProof, Reason::UnknownSession] {
        assert_eq!(counters.note_security(reason, start), Some(1));
        for _ in 0..7 {
            assert_eq!(counters.note_security(reason, start + Duration::from_millis(3)), None);
        }
    }
    let due = start + SECURITY_PERIOD;
    assert_eq!(counters.security_due(), Some(due));
    assert_eq!(counters.pop_security(due - Duration::from_nanos(1)), None);
    let mut reported = [counters.pop_security(due), counters.pop_security(due)];
    reported.sort_by_key(|report| report.map(|(reason, _)| reason.index()));
    assert_eq!(reported, [Some((Reason::UnknownSession, 7)), Some((Reason::BadProof, 7))]);
    assert_eq!((counters.pop_security(due), counters.security_due()), (None, None));
    // The next period begins with that report.
    assert_eq!(counters.note_security(Reason::BadProof, due + Duration::from_millis(999)), None);
    assert_eq!(counters.note_security(Reason::BadProof, due + SECURITY_PERIOD), Some(2));
}
