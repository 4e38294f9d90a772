//! What a drill says of itself.

use super::*;

fn measured(drill: Drill) -> Measured {
    let ms = Duration::from_millis;
    Measured {
        drill,
        gaps: vec![ms(50), ms(40), ms(700)],
        comebacks: Vec::new(),
        lost_count: 0,
        fenced_count: 0,
        tcp_alive: true,
    }
}

#[test]
fn the_median_stands_before_the_extremes() {
    let drain = measured(Drill::Drain);
    assert_eq!(
        drain.to_string(),
        "drain: gap median 50 ms (40 to 700) of 3 runs, 0 sessions lost, TCP alive, 0 fenced"
    );
    let restart = Measured { comebacks: vec![Duration::from_millis(90)], ..measured(Drill::Restart) };
    assert!(restart.to_string().contains(", after it listens median 90 ms (90 to 90), "), "{restart}");
}

#[test]
fn a_lost_session_a_broken_connection_and_a_right_lost_to_a_frozen_disk_are_unsound() {
    assert!(measured(Drill::Drain).is_sound());
    assert!(!Measured { lost_count: 1, ..measured(Drill::Drain) }.is_sound());
    assert!(!Measured { tcp_alive: false, ..measured(Drill::Drain) }.is_sound());
    assert!(!Measured { fenced_count: 1, ..measured(Drill::Frozen) }.is_sound());
    // A gateway whose machine was gone has lost its right, as it should.
    assert!(Measured { fenced_count: 1, ..measured(Drill::HostDies) }.is_sound());
}
