//! Tests of the bound on how long it takes.

use super::*;

#[test]
fn who_waits_for_a_store_that_hangs_is_told_so_in_time() {
    let (hold, held) = channel::<()>();
    let late = within(Duration::from_millis(10), move || Ok(held.recv().is_ok())).unwrap_err();
    assert_eq!(late.code, Code::Failed);
    let expected = "the gateway could not be declared dead within 0.01 s: the store does not answer";
    assert_eq!((late.message.as_str(), late.hint.as_deref()), (expected, Some(LATER)));
    drop(hold);
    assert_eq!(within(Duration::from_secs(60), || Ok(7)).unwrap(), 7);
    assert!(LIMIT.as_secs() < unit_limit(), "the service manager would end it first");
}

/// Seconds that the unit gives it.
fn unit_limit() -> u64 {
    let unit = include_str!("../../../../packaging/systemd/jumpvpn-gateway.service");
    let value = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec="));
    value.unwrap().parse().unwrap()
}
