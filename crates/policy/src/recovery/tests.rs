//! Tests of the bounds of trying again.

use super::*;

#[test]
fn pauses_are_short_for_three_seconds_and_double_then_up_to_the_longest() {
    let policy = Policy::spec_default();
    let early: Duration = (0..EARLY_TRIES).map(|attempt| backoff(&policy, attempt)).sum();
    assert_eq!(early, Duration::from_secs(3));
    let pauses: Vec<u128> = (19..25).map(|attempt| backoff(&policy, attempt).as_millis()).collect();
    assert_eq!(pauses, [150, 300, 600, 1_200, 1_600, 1_600]);
    assert_eq!(backoff(&policy, u32::MAX), LONGEST_PAUSE);
}

#[test]
fn a_short_window_shortens_the_pauses() {
    let mut policy = Policy::spec_default();
    policy.switching.recovery_window = Duration::from_millis(500);
    assert_eq!(backoff(&policy, 22), Duration::from_millis(500));
}

/// Tries within a recovery window are few, whatever happens.
#[test]
fn the_number_of_tries_is_bounded() {
    for name in crate::PRESETS {
        let policy = Policy::by_name(name).unwrap();
        let (mut now, mut tries) = (Time::ZERO, 0);
        while !exhausted(&policy, Time::ZERO, now) {
            now += backoff(&policy, tries);
            tries += 1;
        }
        assert!(tries <= 34, "{name}: {tries}");
    }
}

#[test]
fn the_window_ends_exactly() {
    let policy = Policy::spec_default();
    let end = Time::ZERO + policy.switching.recovery_window;
    assert!(!exhausted(&policy, Time::ZERO, end - Duration::from_nanos(1)));
    assert!(exhausted(&policy, Time::ZERO, end));
    assert!(!exhausted(&policy, end, Time::ZERO), "a clock that runs backwards ends nothing");
}
