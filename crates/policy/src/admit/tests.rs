//! Tests of the gateway's limits.

use super::*;

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

#[test]
fn cooldown_holds_for_planned_moves_only() {
    let policy = Policy::spec_default();
    let mut history = SwitchHistory::new();
    history.record_switch(at(1_000), 1, 2);
    let wait = Duration::from_millis(1_000);
    assert_eq!(admit(&policy, at(1_500), AdmitCause::Move, &history), Err((Reason::SwitchCooldown, wait)));
    assert_eq!(admit(&policy, at(1_500), AdmitCause::MoveDeadPath, &history), Ok(()));
    assert_eq!(admit(&policy, at(1_500), AdmitCause::Rebind, &history), Ok(()));
    assert_eq!(admit(&policy, at(2_500), AdmitCause::Move, &history), Ok(()));
}

#[test]
fn the_limit_holds_for_everything() {
    let policy = Policy::spec_default();
    let mut history = SwitchHistory::new();
    for second in 0..8 {
        history.record_switch(at(second * 1_000), 1, 2);
    }
    for cause in [AdmitCause::Move, AdmitCause::MoveDeadPath, AdmitCause::Rebind] {
        let wait = Duration::from_millis(50_000);
        assert_eq!(admit(&policy, at(10_000), cause, &history), Err((Reason::SwitchRateLimited, wait)));
        assert_eq!(admit(&policy, at(60_000), cause, &history), Ok(()), "the oldest move is a minute old");
    }
}

#[test]
fn a_limit_of_zero_forbids_every_move() {
    let mut policy = Policy::spec_default();
    policy.switching.max_switches_per_min = 0;
    let refused = Err((Reason::SwitchRateLimited, Duration::from_secs(60)));
    assert_eq!(admit(&policy, at(0), AdmitCause::MoveDeadPath, &SwitchHistory::new()), refused);
}

/// Whatever a modified client claims and however often it asks, and however the answers are timed.
#[test]
fn a_greedy_client_gets_no_more_than_the_limit() {
    let policy = Policy::spec_default();
    for interval in [1, 7, 50, 333, 1_499, 1_500, 7_499, 7_500, 7_501] {
        let mut history = SwitchHistory::new();
        let mut granted: Vec<Time> = Vec::new();
        for round in 0..200_000 / interval {
            let now = at(round * interval);
            let cause =
                [AdmitCause::Move, AdmitCause::MoveDeadPath, AdmitCause::Rebind][(round % 3) as usize];
            if admit(&policy, now, cause, &history).is_ok() {
                history.record_switch(now, 1, 2);
                granted.push(now);
            }
        }
        for window in granted.windows(9) {
            assert!(window[8].since(window[0]) >= Duration::from_secs(60), "every {interval} ms");
        }
    }
}
