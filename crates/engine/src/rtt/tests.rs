//! Tests of the estimators.
use super::*;

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

#[test]
fn steady_round_trips_give_a_tight_timeout() {
    let mut rtt = RttEstimator::default();
    assert_eq!(rtt.smoothed_or_initial(), ms(333));
    for _ in 0..50 {
        rtt.update(ms(20));
    }
    assert_eq!(rtt.smoothed(), Some(ms(20)));
    assert_eq!(rtt.timeout(), ms(35));
}

#[test]
fn variation_widens_the_timeout_and_the_cap_holds() {
    let mut rtt = RttEstimator::default();
    for round in 0..50 {
        rtt.update(ms(if round % 2 == 0 { 20 } else { 100 }));
    }
    assert!(rtt.timeout() > ms(140), "{:?}", rtt.timeout());
    rtt.update(Duration::from_secs(60));
    assert_eq!(rtt.timeout(), ms(1600));
}

#[test]
fn spacing_needs_a_steady_stream() {
    let mut spacing = ArrivalSpacing::default();
    let mut now = Time::from_millis(1000);
    for _ in 0..8 {
        spacing.note(now);
        now += ms(5);
    }
    assert_eq!(spacing.deadline(ms(10), ms(500)), None, "seven gaps are not yet a stream");
    let mut last = now;
    for _ in 0..40 {
        last = now;
        spacing.note(now);
        now += ms(5);
    }
    assert_eq!(spacing.deadline(ms(10), ms(500)), Some(last + ms(10)), "clamped to the minimum");
    spacing.note(last + ms(400));
    assert_eq!(spacing.deadline(ms(10), ms(500)), None, "a pause starts a new burst");
}

#[test]
fn loss_is_counted_per_window_only() {
    let mut loss = LossWindow::default();
    loss.update(Time::from_millis(0), 0, 0, ms(2000));
    loss.update(Time::from_millis(1000), 100, 50, ms(2000));
    assert_eq!(loss.permille(), 0, "the window is not over");
    loss.update(Time::from_millis(2000), 200, 150, ms(2000));
    assert_eq!(loss.permille(), 250);
    loss.update(Time::from_millis(4000), 205, 150, ms(2000));
    assert_eq!(loss.permille(), 0, "five packets prove nothing");
    loss.update_from(Time::from_millis(5000), 1 << 32, 151, ms(2000));
    loss.update_from(Time::from_millis(7000), 1 << 32 | 99, 250, ms(2000));
    assert_eq!(loss.permille(), 0, "a new generation counts from zero again");
}
