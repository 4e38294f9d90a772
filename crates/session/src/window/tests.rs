//! The window against a slow model: a set of seen numbers and the highest of them.

use std::collections::BTreeSet;

use super::*;
use proptest::prelude::*;

#[derive(Default)]
struct Model {
    seen: BTreeSet<u64>,
}

impl Model {
    fn accepts(&self, number: u64, usable: u64) -> bool {
        let highest = self.seen.last().copied();
        number != u64::MAX
            && !self.seen.contains(&number)
            && highest.is_none_or(|highest| number > highest || highest - number < usable)
    }
}

fn agrees<const WORDS: usize>(numbers: &[u64]) -> Result<(), TestCaseError> {
    let mut window = ReplayWindow::<WORDS>::new();
    let mut model = Model::default();
    for &number in numbers {
        let expected = model.accepts(number, ReplayWindow::<WORDS>::USABLE);
        let before = window.clone();
        prop_assert_eq!(window.check(number), expected, "check {}", number);
        prop_assert_eq!(&window, &before, "check changes nothing");
        prop_assert_eq!(window.commit(number), expected, "commit {}", number);
        if expected {
            model.seen.insert(number);
        } else {
            prop_assert_eq!(&window, &before, "a refusal changes nothing");
        }
        prop_assert!(!window.commit(number), "twice is once too often");
        prop_assert_eq!(window.highest(), model.seen.last().copied());
    }
    Ok(())
}

/// Walks that cross words, jump ahead and fall back.
fn numbers() -> impl Strategy<Value = Vec<u64>> {
    let step = prop_oneof![6 => -200i64..200, 2 => -9000i64..9000, 1 => any::<i32>().prop_map(i64::from)];
    (0u64..300, proptest::collection::vec(step, 1..300)).prop_map(|(start, steps)| {
        let mut at = start;
        steps
            .iter()
            .map(|&step| {
                at = at.saturating_add_signed(step);
                at
            })
            .collect()
    })
}

#[test]
fn sizes_are_those_of_the_protocol() {
    assert_eq!(DataWindow::USABLE, 8128);
    assert_eq!(ControlWindow::USABLE, 128);
}

#[test]
fn the_edge_is_exact() {
    let mut window = ControlWindow::new();
    assert_eq!(window.highest(), None);
    assert!(window.commit(1000));
    assert!(window.check(1000 - 127) && !window.check(1000 - 128));
    assert!(window.commit(1000 - 127));
    assert!(window.commit(1001) && !window.check(1000 - 127));
}

#[test]
fn extremes_do_not_wrap() {
    let mut window = DataWindow::new();
    assert!(window.commit(0) && !window.check(0));
    assert!(!window.check(u64::MAX) && !window.commit(u64::MAX));
    assert!(window.commit(u64::MAX - 1) && !window.check(0) && !window.commit(u64::MAX - 1));
    assert!(window.commit(u64::MAX - 2));
}

proptest! {
    #[test]
    fn control_window_equals_the_model(numbers in numbers()) { agrees::<3>(&numbers)?; }

    #[test]
    fn smallest_window_equals_the_model(numbers in numbers()) { agrees::<2>(&numbers)?; }

    #[test]
    fn data_window_equals_the_model(numbers in numbers()) { agrees::<128>(&numbers)?; }

    #[test]
    fn in_any_order_within_reach_each_number_passes_once(mut order in Just((0..8128u64).collect::<Vec<_>>()).prop_shuffle()) {
        let mut window = DataWindow::new();
        prop_assert!(order.iter().all(|&number| window.commit(number)));
        order.reverse();
        prop_assert!(order.iter().all(|&number| !window.commit(number)));
    }
}
