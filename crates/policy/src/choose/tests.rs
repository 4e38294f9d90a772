//! Tests of the decision: each rule by itself. What all rules do together under bad networks is in `weather.rs`.

use proptest::prelude::*;

use super::*;
use crate::Class;
use crate::rank::tests::any_path;

mod weather;

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

/// A path that works: UDP, warm, 20 ms.
fn good(id: u32) -> PathView {
    let rtt = Some(Duration::from_millis(20));
    PathView { health: Health::Alive, warm: true, rtt, ..PathView::new(id, Class::Udp, Time::ZERO) }
}

fn fast(id: u32) -> PathView {
    PathView { rtt: Some(Duration::from_millis(5)), ..good(id) }
}

fn dead(id: u32) -> PathView {
    PathView { health: Health::Dead, ..good(id) }
}

fn moved(moves: &[(u64, u32, u32)]) -> SwitchHistory {
    let mut history = SwitchHistory::new();
    for (millis, from, to) in moves {
        history.record_switch(at(*millis), *from, *to);
    }
    history
}

/// A question with the usual answers filled in.
struct Ask {
    policy: Policy,
    now: Time,
    history: SwitchHistory,
    pinned: Option<u32>,
}

impl Ask {
    fn new() -> Ask {
        Ask { policy: Policy::spec_default(), now: at(100_000), history: SwitchHistory::new(), pinned: None }
    }

    fn after(history: SwitchHistory) -> Ask {
        Ask { history, ..Ask::new() }
    }

    fn pinned(id: u32) -> Ask {
        Ask { pinned: Some(id), ..Ask::new() }
    }

    fn choose(&self, active: PathView, others: &[PathView], cause: Cause) -> Verdict {
        choose(&self.policy, self.now, Some(&active), others, cause, &self.history, self.pinned)
    }

    /// Improvement after the better path was better for as many samples as needed.
    fn improve(&mut self, active: PathView, others: &[PathView]) -> Verdict {
        for _ in 0..self.policy.switching.improvement_samples {
            self.now += Duration::from_secs(2);
            self.history.record_sample(&self.policy, self.now, &active, others);
        }
        self.choose(active, others, Cause::Improvement)
    }
}

const SILENT: Cause = Cause::DeadPath(Reason::PathSilent);
const LOSS: Cause = Cause::Degraded(Reason::PathLoss);

fn to(id: u32, reason: Reason) -> Verdict {
    Verdict::Switch { to: id, reason }
}

#[test]
fn a_dead_path_is_left_at_once() {
    let ask = Ask::after(moved(&[(99_900, 2, 1)]));
    assert_eq!(
        ask.choose(dead(1), &[good(2)], SILENT),
        to(2, Reason::PathSilent),
        "no cooldown, no way-back rule"
    );
    let held = PathView { held_until: Some(Time::MAX), ..good(2) };
    assert_eq!(ask.choose(dead(1), &[held], SILENT), to(2, Reason::PathSilent), "better than none");
    assert_eq!(ask.choose(dead(1), &[held, good(3)], SILENT), to(3, Reason::PathSilent));
    let cold = PathView { warm: false, ..fast(2) };
    assert_eq!(ask.choose(dead(1), &[cold, good(3)], SILENT), to(3, Reason::PathSilent), "warm before fast");
    let preferred = PathView { preference: 9, warm: false, ..good(2) };
    assert_eq!(ask.choose(dead(1), &[preferred, good(3)], SILENT), to(3, Reason::PathSilent));
}

#[test]
fn whoever_asks_a_dead_path_is_dead() {
    let ask = Ask::new();
    for cause in [Cause::Improvement, LOSS] {
        assert_eq!(ask.choose(dead(1), &[good(2)], cause), to(2, Reason::PathSilent));
    }
    let none = choose(&ask.policy, ask.now, None, &[good(2)], Cause::Improvement, &ask.history, None);
    assert_eq!(none, to(2, Reason::NoUsablePath));
}

#[test]
fn without_a_usable_path_the_session_is_degraded() {
    let ask = Ask::new();
    assert_eq!(ask.choose(dead(1), &[], SILENT), Verdict::Degrade(Reason::NoCandidate));
    assert_eq!(ask.choose(dead(1), &[dead(2)], SILENT), Verdict::Degrade(Reason::NoUsablePath));
    let unproven = PathView::new(2, Class::Udp, Time::ZERO);
    assert_eq!(ask.choose(dead(1), &[unproven], SILENT), Verdict::Degrade(Reason::NoUsablePath));
    assert_eq!(ask.choose(dead(1), &[good(1)], SILENT), Verdict::Degrade(Reason::NoCandidate), "only itself");
}

#[test]
fn a_suspect_path_is_the_last_resort() {
    let suspect = PathView { health: Health::Suspect, ..fast(2) };
    let lossy = PathView { loss_permille: 500, ..good(3) };
    assert_eq!(Ask::new().choose(dead(1), &[suspect, lossy], SILENT), to(3, Reason::PathSilent));
    assert_eq!(Ask::new().choose(dead(1), &[suspect], SILENT), to(2, Reason::PathSilent));
}

#[test]
fn the_limit_is_never_waived() {
    let moves: Vec<(u64, u32, u32)> = (0..8).map(|i| (60_000 + i * 5_000, 1, 2)).collect();
    let ask = Ask::after(moved(&moves));
    let denied = Verdict::Deny { reason: Reason::SwitchRateLimited, retry_after: Duration::from_secs(20) };
    assert_eq!(ask.choose(dead(1), &[good(2)], SILENT), denied);
    assert_eq!(ask.choose(good(1), &[good(2)], Cause::Operator { to: 2 }), denied);
    assert_eq!(ask.choose(good(1), &[good(2)], Cause::Rebind), denied);
    let lossy = PathView { loss_permille: 500, ..good(1) };
    assert_eq!(ask.choose(lossy, &[good(2)], LOSS), denied);
}

#[test]
fn enough_denials_end_the_session_but_not_for_a_person() {
    let moves: Vec<(u64, u32, u32)> = (0..8).map(|i| (690_000 + i, 1, 2)).collect();
    let mut ask = Ask::after(moved(&moves));
    ask.now = at(700_000);
    for i in 0..40 {
        ask.history.record_denial(at(500_000 + i * 5_000));
    }
    assert!(churn_exceeded(&ask.policy, ask.now, &ask.history));
    assert_eq!(ask.choose(dead(1), &[good(2)], SILENT), Verdict::Terminate(Reason::ChurnLimit));
    let denied = ask.choose(dead(1), &[good(2)], Cause::Operator { to: 2 });
    assert!(matches!(denied, Verdict::Deny { reason: Reason::SwitchRateLimited, .. }));
    assert_eq!(ask.choose(good(1), &[good(2)], Cause::Improvement), Verdict::Stay(Reason::NotBetter));
    ask.now = at(500_000 + 10 * 60_000);
    assert!(!churn_exceeded(&ask.policy, ask.now, &ask.history), "the oldest denial is out of the window");
}

#[test]
fn improvement_needs_a_clear_gain_for_long_enough() {
    assert_eq!(Ask::new().choose(good(1), &[fast(2)], Cause::Improvement), Verdict::Stay(Reason::NotBetter));
    assert_eq!(Ask::new().improve(good(1), &[fast(2)]), to(2, Reason::BetterPath));
    let little = PathView { rtt: Some(Duration::from_micros(15_001)), ..good(2) };
    assert_eq!(Ask::new().improve(good(1), &[little]), Verdict::Stay(Reason::NotBetter), "less than 5 ms");
    let slow = |id, ms| PathView { rtt: Some(Duration::from_millis(ms)), ..good(id) };
    assert_eq!(
        Ask::new().improve(slow(1, 109), &[slow(2, 100)]),
        Verdict::Stay(Reason::NotBetter),
        "less than 10 %"
    );
    assert_eq!(Ask::new().improve(slow(1, 110), &[slow(2, 100)]), to(2, Reason::BetterPath));
    assert_eq!(Ask::new().improve(good(1), &[]), Verdict::Stay(Reason::NoCandidate));
}

#[test]
fn preference_counts_as_improvement_and_as_its_opposite() {
    let preferred = |path: PathView| PathView { preference: 1, ..path };
    assert_eq!(Ask::new().improve(fast(1), &[preferred(good(2))]), to(2, Reason::BetterPath));
    assert_eq!(Ask::new().improve(preferred(good(1)), &[fast(2)]), Verdict::Stay(Reason::NotBetter));
    let lossy = PathView { loss_permille: 300, ..preferred(good(1)) };
    assert_eq!(Ask::new().improve(lossy, &[good(2)]), to(2, Reason::BetterPath));
}

#[test]
fn obstacles_to_improvement_have_names() {
    let mut ask = Ask::new();
    ask.policy.switching.switch_cooldown = Duration::from_secs(100);
    ask.history = moved(&[(99_000, 3, 1)]);
    assert_eq!(ask.improve(good(1), &[fast(2)]), Verdict::Stay(Reason::SwitchCooldown));
    let mut ask = Ask::new();
    ask.policy.switching.no_way_back = Duration::from_secs(100);
    ask.history = moved(&[(99_000, 2, 1)]);
    assert_eq!(ask.improve(good(1), &[fast(2)]), Verdict::Stay(Reason::NoWayBack));
    let left = PathView { left_at: Some(at(99_000)), ..fast(3) };
    assert_eq!(ask.improve(good(1), &[left]), Verdict::Stay(Reason::NoWayBack), "also if not the last one");
    assert_eq!(ask.improve(good(1), &[left, fast(4)]), to(4, Reason::BetterPath), "a third path is free");
    let held = PathView { held_until: Some(Time::MAX), ..fast(2) };
    assert_eq!(Ask::new().improve(good(1), &[held]), Verdict::Stay(Reason::Flapping));
    let mut ask = Ask::after(moved(&[(70_000, 1, 2), (75_000, 2, 1), (80_000, 1, 2), (85_000, 2, 1)]));
    assert_eq!(
        ask.improve(good(1), &[fast(2)]),
        Verdict::Stay(Reason::SwitchBudget),
        "half is for dead paths"
    );
}

/// A hold keeps sessions from going to a path, not from staying on it.
#[test]
fn a_hold_on_the_active_path_drives_nobody_away() {
    let held = PathView { held_until: Some(Time::MAX), ..good(1) };
    assert_eq!(Ask::new().improve(held, &[good(2)]), Verdict::Stay(Reason::NotBetter));
}

#[test]
fn a_bad_path_is_left_without_waiting_for_samples() {
    let lossy = PathView { loss_permille: 300, ..good(1) };
    assert_eq!(Ask::new().choose(lossy, &[good(2)], LOSS), to(2, Reason::PathLoss));
    let suspect = PathView { health: Health::Suspect, ..good(1) };
    assert_eq!(Ask::new().choose(suspect, &[good(2)], LOSS), to(2, Reason::PathLoss));
    assert_eq!(Ask::new().choose(lossy, &[lossy], LOSS), Verdict::Stay(Reason::NoCandidate));
    let other = PathView { id: 2, ..lossy };
    assert_eq!(Ask::new().choose(lossy, &[other], LOSS), Verdict::Stay(Reason::NotBetter), "from bad to bad");
    let slow = PathView { rtt: Some(Duration::from_millis(400)), ..good(1) };
    assert_eq!(
        Ask::new().choose(slow, &[good(2)], Cause::Degraded(Reason::PathDelay)),
        to(2, Reason::PathDelay)
    );
    assert_eq!(Ask::new().choose(good(1), &[good(2)], LOSS), Verdict::Stay(Reason::NotBetter));
    let ask = Ask::after(moved(&[(99_000, 3, 1)]));
    let denied = Verdict::Deny { reason: Reason::SwitchCooldown, retry_after: Duration::from_millis(500) };
    assert_eq!(ask.choose(lossy, &[good(2)], LOSS), denied);
}

#[test]
fn a_person_may_go_anywhere_alive() {
    let held = PathView { held_until: Some(Time::MAX), left_at: Some(at(99_999)), ..good(2) };
    let slow = PathView { rtt: Some(Duration::from_secs(2)), ..good(3) };
    let unproven = PathView::new(4, Class::Tcp, Time::ZERO);
    for id in [2, 3, 4] {
        let verdict = Ask::new().choose(good(1), &[held, slow, unproven], Cause::Operator { to: id });
        assert_eq!(verdict, to(id, Reason::OperatorJump));
    }
}

#[test]
fn a_person_is_told_why_not() {
    let refusal =
        |ask: &Ask, others: &[PathView], id| match ask.choose(good(1), others, Cause::Operator { to: id }) {
            Verdict::Deny { reason, retry_after } => (reason, retry_after.as_millis()),
            other => panic!("{other:?}"),
        };
    let mut ask = Ask::new();
    assert_eq!(refusal(&ask, &[], 1), (Reason::AlreadyActive, 0));
    assert_eq!(refusal(&ask, &[good(3)], 2), (Reason::UnknownPath, 0));
    assert_eq!(refusal(&ask, &[dead(2)], 2), (Reason::PathUnusable, 0));
    assert_eq!(refusal(&Ask::pinned(1), &[good(2)], 2), (Reason::Pinned, 0));
    ask.policy.transport.allowed = crate::ClassSet::EMPTY.with(Class::Udp);
    let tcp = PathView { class: Class::Tcp, ..good(2) };
    assert_eq!(refusal(&ask, &[tcp], 2), (Reason::TransportNotAllowed, 0));
    ask.history = moved(&[(99_000, 3, 1)]);
    assert_eq!(refusal(&ask, &[good(2)], 2), (Reason::SwitchCooldown, 500));
    assert_eq!(ask.choose(dead(1), &[good(2)], Cause::Operator { to: 2 }), to(2, Reason::OperatorJump));
}

#[test]
fn a_pin_holds_while_its_path_works() {
    let lossy = PathView { loss_permille: 900, ..good(1) };
    assert_eq!(Ask::pinned(1).choose(lossy, &[good(2)], LOSS), Verdict::Stay(Reason::Pinned));
    assert_eq!(Ask::pinned(1).improve(good(1), &[fast(2)]), Verdict::Stay(Reason::Pinned));
    assert_eq!(Ask::pinned(1).choose(dead(1), &[good(2)], SILENT), to(2, Reason::PathSilent));
    assert_eq!(Ask::pinned(3).choose(dead(1), &[fast(2), good(3)], SILENT), to(3, Reason::PathSilent));
}

#[test]
fn a_session_returns_to_its_pin_when_it_can_be_trusted() {
    let ask = Ask::pinned(2);
    assert_eq!(ask.choose(good(1), &[good(2)], Cause::Improvement), to(2, Reason::Pinned));
    let held = PathView { held_until: Some(Time::MAX), ..good(2) };
    assert_eq!(ask.choose(good(1), &[held], Cause::Improvement), Verdict::Stay(Reason::Flapping));
    let left = PathView { left_at: Some(at(99_000)), ..good(2) };
    assert_eq!(ask.choose(good(1), &[left], Cause::Improvement), Verdict::Stay(Reason::NoWayBack));
    assert_eq!(ask.choose(good(1), &[dead(2)], Cause::Improvement), Verdict::Stay(Reason::NotBetter));
}

#[test]
fn a_rebinding_stays_on_its_path() {
    let ask = Ask::after(moved(&[(99_900, 2, 1)]));
    assert_eq!(ask.choose(good(1), &[fast(2)], Cause::Rebind), to(1, Reason::NatRebinding));
    let none = choose(&ask.policy, ask.now, None, &[], Cause::Rebind, &ask.history, None);
    assert_eq!(none, Verdict::Stay(Reason::NoUsablePath));
}

fn any_cause() -> impl Strategy<Value = Cause> {
    prop_oneof![
        (0..6_u32).prop_map(|to| Cause::Operator { to }),
        Just(SILENT),
        Just(LOSS),
        Just(Cause::Improvement),
        Just(Cause::Rebind)
    ]
}

proptest! {
    /// Any question has an answer, the same one whatever the order of the paths, and no answer is unsafe.
    #[test]
    fn the_decision_is_total_and_deterministic(
        paths in proptest::collection::vec(any_path(), 0..8),
        has_active in any::<bool>(),
        cause in any_cause(),
        pinned in proptest::option::of(0..6_u32),
        steps in proptest::collection::vec((0..9_000_u64, 0..6_u32, any::<bool>()), 0..70),
        limit in 0..33_u16,
        now in 0..700_000_u64,
    ) {
        let mut policy = Policy::spec_default();
        policy.switching.max_switches_per_min = limit;
        let (mut history, mut clock) = (SwitchHistory::new(), 0);
        for (pause, path, denied) in steps {
            clock += pause;
            if denied { history.record_denial(at(clock)) } else { history.record_switch(at(clock), path, 0) }
        }
        let mut paths = paths;
        paths.sort_by_key(|path| path.id);
        paths.dedup_by_key(|path| path.id);
        let active = paths.first().copied().filter(|_| has_active);
        let ask = |others: &[PathView]| choose(&policy, at(now), active.as_ref(), others, cause, &history, pinned);
        let verdict = ask(&paths);
        let mut backwards = paths.clone();
        backwards.reverse();
        prop_assert_eq!(verdict, ask(&backwards));
        if let Verdict::Switch { to, .. } = verdict {
            prop_assert!(history.switches_last_minute(at(now)) < limit);
            let rebind = cause == Cause::Rebind;
            prop_assert_eq!(active.is_some_and(|active| active.id == to), rebind);
            let target = paths.iter().find(|path| path.id == to);
            prop_assert!(rebind || target.is_some_and(|path| path.health != Health::Dead));
        }
    }
}
