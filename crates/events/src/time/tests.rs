//! Tests of the time arithmetic.

use super::*;

#[test]
fn arithmetic_saturates() {
    let second = Duration::from_secs(1);
    assert_eq!(Time::MAX + second, Time::MAX);
    assert_eq!(Time::ZERO - second, Time::ZERO);
    assert_eq!(Time::ZERO + Duration::MAX, Time::MAX);
    assert_eq!(Time::from_millis(u64::MAX), Time::MAX);
    assert_eq!(Time::ZERO.since(Time::MAX), Duration::ZERO);
}

#[test]
fn units_agree() {
    let time = Time::from_millis(1_500);
    assert_eq!(time.as_nanos(), 1_500_000_000);
    assert_eq!(time.as_millis(), 1_500);
    assert_eq!(time.since(Time::from_millis(500)), Duration::from_secs(1));
    assert_eq!(format!("{time:?}"), "1.500000000s");
    assert_eq!(format!("{:?}", Time::MAX), "never");
}
