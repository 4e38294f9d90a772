//! Bursts, and how often they make us look.

use super::*;

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

#[test]
fn a_burst_is_one_look_after_the_delay() {
    let mut debounce = Debounce::new(ms(20));
    assert!(!debounce.poll_due(ms(0)));
    for time in 100..110 {
        debounce.trigger(ms(time));
    }
    assert_eq!(debounce.deadline(), Some(ms(120)));
    assert!(!debounce.poll_due(ms(119)));
    assert!(debounce.poll_due(ms(120)));
    assert!(!debounce.poll_due(ms(500)));
}

#[test]
fn endless_change_cannot_postpone_the_look() {
    let mut debounce = Debounce::default();
    let looks = (0..1_000)
        .filter(|&time| {
            debounce.trigger(ms(time));
            debounce.poll_due(ms(time))
        })
        .count();
    // One look each 20 ms, and the trigger of the next burst is the message after it.
    assert_eq!(looks, 47);
}

#[test]
fn a_cancelled_burst_does_not_fire() {
    let mut debounce = Debounce::default();
    debounce.trigger(ms(0));
    debounce.cancel();
    assert!(!debounce.poll_due(ms(1_000)));
    assert_eq!(debounce.deadline(), None);
}
