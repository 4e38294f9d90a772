//! Tests of the timing wheel.
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

fn drain(wheel: &mut Wheel, now: Time) -> Vec<u32> {
    let mut due: Vec<u32> = std::iter::from_fn(|| wheel.pop_due(now)).collect();
    due.sort_unstable();
    due
}

#[test]
fn fires_at_or_after_the_time_and_moves() {
    let start = Time::from_millis(1_000_003);
    let mut wheel = Wheel::new(4, start);
    wheel.set(0, start + Duration::from_millis(20));
    wheel.set(1, start + Duration::from_millis(20));
    wheel.set(2, start);
    wheel.set(1, start + Duration::from_millis(40));
    assert_eq!(drain(&mut wheel, start + Duration::from_millis(5)), [2]);
    assert_eq!(drain(&mut wheel, start + Duration::from_millis(19)), [] as [u32; 0]);
    assert_eq!(drain(&mut wheel, start + Duration::from_millis(24)), [0]);
    wheel.cancel(1);
    assert_eq!(wheel.next_due(), None);
    assert_eq!(drain(&mut wheel, start + Duration::from_secs(100)), [] as [u32; 0]);
}

proptest! {
    /// Against a map: nothing fires early, everything fires within two ticks, whatever lies beyond the horizon
    /// comes round at the horizon.
    #[test]
    fn agrees_with_a_map(ops in proptest::collection::vec((0u32..16, 0u64..40_000, 0u64..3_000), 1..200)) {
        let mut now = Time::from_millis(500);
        let mut wheel = Wheel::new(16, now);
        let mut model: BTreeMap<u32, (Time, Time)> = BTreeMap::new();
        for (key, delay, step) in ops {
            let at = now + Duration::from_millis(delay);
            wheel.set(key, at);
            model.insert(key, (at, now));
            now += Duration::from_millis(step);
            for fired in drain(&mut wheel, now) {
                let (due, set) = model[&fired];
                if due <= now {
                    model.remove(&fired);
                } else {
                    let horizon = Duration::from_nanos((SLOT_COUNT - 1) * TICK_NANOS);
                    prop_assert!(due.since(set) > horizon, "fired early: {due:?} at {now:?}, set {set:?}");
                    wheel.set(fired, due);
                    model.insert(fired, (due, now));
                }
            }
            for (key, (due, _)) in &model {
                prop_assert!(*due + Duration::from_nanos(2 * TICK_NANOS) > now, "{key} is late");
            }
            prop_assert_eq!(wheel.next_due().is_some(), !model.is_empty());
        }
    }
}
