//! Readings of the two clocks, and what they mean.

use super::*;

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

#[test]
fn a_stall_is_not_a_suspend() {
    let mut detector = SuspendDetector::default();
    assert_eq!(detector.observe(ms(10_000), ms(10_000)), None);
    assert_eq!(detector.observe(ms(70_000), ms(70_000)), None);
}

#[test]
fn a_suspend_is_reported_once_with_its_length() {
    let mut detector = SuspendDetector::default();
    assert_eq!(detector.observe(ms(10_000), ms(8_000)), None);
    assert_eq!(detector.observe(ms(3_610_100), ms(8_100)), Some(ms(3_600_000)));
    assert_eq!(detector.observe(ms(3_610_200), ms(8_200)), None);
}

#[test]
fn reading_noise_is_ignored_in_both_directions() {
    let mut detector = SuspendDetector::default();
    assert_eq!(detector.observe(ms(1_000), ms(1_000)), None);
    assert_eq!(detector.observe(ms(1_200), ms(1_000)), None);
    assert_eq!(detector.observe(ms(1_300), ms(1_300)), None);
}

#[test]
fn the_real_clocks_agree_while_awake() {
    let mut detector = SuspendDetector::default();
    for _ in 0..100 {
        assert_eq!(detector.observe(crate::clock::boottime(), crate::clock::monotonic()), None);
    }
}
