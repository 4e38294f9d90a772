//! Tests of the clock.

use super::*;

#[test]
fn time_goes_on() {
    let first = now();
    let second = now();
    assert!(second >= first);
}

#[test]
fn unix_time_of_a_past_and_of_a_future_moment() {
    let here = now();
    let span = Duration::from_secs(10);
    let apart = unix_nanos(here + span) - unix_nanos(here - span);
    let error = apart.abs_diff(2 * span.as_nanos());
    assert!(error < Duration::from_secs(5).as_nanos(), "{error} ns off");
}

#[test]
fn a_sleep_is_seen_once() {
    let mut watch = SleepWatch { difference: Duration::from_secs(10) };
    assert_eq!(watch.observe(Duration::from_secs(10)), None);
    assert_eq!(watch.observe(Duration::from_secs(70)), Some(Duration::from_secs(60)));
    assert_eq!(watch.observe(Duration::from_secs(70)), None);
}

#[test]
fn being_descheduled_between_two_reads_is_no_sleep() {
    let mut watch = SleepWatch { difference: Duration::from_secs(10) };
    for _ in 0..1000 {
        assert_eq!(watch.observe(Duration::from_millis(10_150)), None);
        assert_eq!(watch.observe(Duration::from_secs(10)), None);
    }
    assert_eq!(watch.observe(Duration::from_secs(12)), Some(Duration::from_secs(2)));
}

#[test]
fn the_alarm_can_be_acknowledged_without_a_wake_up() {
    let alarm = WakeAlarm::new().unwrap();
    alarm.acknowledge().unwrap();
    alarm.acknowledge().unwrap();
}

#[test]
fn minutes_count_from_2026() {
    // The wall clock of a build machine is at least set to this century.
    let minutes = minutes_since_2026();
    assert!(minutes < 100 * 366 * 24 * 60, "{minutes}");
}

#[test]
fn a_wall_clock_that_is_far_off_gives_a_minute_all_the_same() {
    let start = 1_767_225_600;
    assert_eq!([minutes_at(start), minutes_at(start + 59), minutes_at(start + 60)], [0, 0, 1]);
    assert_eq!([minutes_at(0), minutes_at(-1), minutes_at(i64::MIN)], [0; 3], "before 2026");
    assert_eq!(minutes_at(start + 10 * 365 * 86_400), 10 * 365 * 1440);
    assert_eq!(minutes_at(i64::MAX), 0);
}
