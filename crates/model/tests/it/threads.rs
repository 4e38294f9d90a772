//! What threads share, in every order.

use jumpvpn_model::threads::{Marking, losses_are_counted, waiting_ends};
use shuttle::scheduler::DfsScheduler;
use shuttle::{Config, Runner};

/// Orders tried where there are too many for all of them.
const SOME: usize = 20_000;

/// Tries every order there is; how many that are.
fn every_order(body: impl Fn() + Send + Sync + 'static) -> usize {
    Runner::new(DfsScheduler::new(None, false), Config::default()).run(body)
}

#[test]
fn no_order_of_one_entrance_miscounts_a_loss() {
    let count = every_order(|| losses_are_counted(1, 3, 1, Marking::After));
    println!("{count} orders, all there are");
    assert!(count > 100, "{count} orders are too few to say anything");
}

#[test]
fn two_entrances_and_a_full_queue_lose_nothing_untold() {
    shuttle::check_random(|| losses_are_counted(2, 3, 1, Marking::After), SOME);
    shuttle::check_pct(|| losses_are_counted(2, 4, 2, Marking::After), SOME, 3);
}

#[test]
#[should_panic(expected = "losses that were told")]
fn a_loss_marked_before_the_attempt_is_miscounted() {
    shuttle::check_random(|| losses_are_counted(1, 3, 1, Marking::Before), SOME);
}

#[test]
fn who_waits_for_settings_is_woken() {
    let count = every_order(|| waiting_ends(2));
    println!("{count} orders, all there are");
    assert!(count > 100, "{count} orders are too few to say anything");
}
