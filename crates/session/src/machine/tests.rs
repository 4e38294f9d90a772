//! The table is total, deterministic, and ends where it must.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const TRIGGERS: [Trigger; 9] = [
    BirthComplete,
    Suspect,
    Recovered,
    JumpStarted,
    JumpCommitted,
    JumpRefused,
    RecoveryFailed,
    Trigger::Degraded,
    Terminate,
];

const STATES: [State; 6] = [Birth, Attached, Volatile, Recovering, State::Degraded, Terminated];

#[test]
fn no_state_and_trigger_lead_to_two_places() {
    let keys: BTreeSet<_> = TRANSITIONS.iter().map(|&(from, on, _)| (from.as_str(), on)).collect();
    assert_eq!(keys.len(), TRANSITIONS.len());
    assert!(TRANSITIONS.iter().all(|(from, _, to)| from != to), "no transition stands still");
}

#[test]
fn terminated_absorbs_and_is_reachable_from_everywhere() {
    assert!(!TRANSITIONS.iter().any(|&(from, ..)| from == Terminated));
    for state in STATES {
        assert_eq!(TRANSITIONS.contains(&(state, Terminate, Terminated)), state != Terminated);
    }
    let mut machine = Machine::new();
    machine.apply(Terminate).unwrap();
    for trigger in TRIGGERS {
        let forbidden = machine.apply(trigger).unwrap_err();
        assert_eq!(forbidden, Forbidden { state: Terminated, trigger });
        assert_eq!(forbidden.reason(), Reason::StateForbidden);
    }
    assert_eq!((machine.state(), machine.step()), (Terminated, 1));
}

#[test]
fn birth_happens_once_and_first() {
    let born: Vec<_> = TRANSITIONS.iter().filter(|&&(_, on, _)| on == BirthComplete).collect();
    assert_eq!(born, [&(Birth, BirthComplete, Attached)]);
    assert!(!TRANSITIONS.iter().any(|&(.., to)| to == Birth));
}

#[test]
fn a_jump_from_every_living_state_and_back() {
    for way in [vec![], vec![Suspect], vec![Trigger::Degraded], vec![Suspect, Trigger::Degraded]] {
        let mut machine = Machine::new();
        machine.apply(BirthComplete).unwrap();
        way.iter().for_each(|&trigger| assert!(machine.apply(trigger).is_ok()));
        assert_eq!(machine.apply(JumpStarted).unwrap().to, Recovering);
        assert_eq!(machine.apply(JumpCommitted).unwrap().to, Attached);
    }
}

#[test]
fn only_recovering_commits_refuses_or_fails() {
    let outcomes =
        |&&(_, on, _): &&(State, Trigger, State)| matches!(on, JumpCommitted | JumpRefused | RecoveryFailed);
    let from: Vec<_> = TRANSITIONS.iter().filter(outcomes).map(|&(from, ..)| from).collect();
    assert_eq!(from, [Recovering; 3]);
}

#[test]
fn every_living_state_has_a_way_to_attached() {
    for start in [Birth, Volatile, Recovering, State::Degraded] {
        let mut reached = vec![start];
        let mut index = 0;
        while index < reached.len() {
            let from = reached[index];
            let ways = TRANSITIONS.iter().filter(|&&(state, ..)| state == from).map(|&(.., to)| to);
            for to in ways {
                if !reached.contains(&to) {
                    reached.push(to);
                }
            }
            index += 1;
        }
        assert!(reached.contains(&Attached), "{start:?}");
    }
}

proptest! {
    #[test]
    fn steps_are_gapless_and_chained(choices in proptest::collection::vec(0usize..TRIGGERS.len(), 0..100)) {
        let mut machine = Machine::new();
        let (mut state, mut step) = (Birth, 0);
        for choice in choices {
            match machine.apply(TRIGGERS[choice]) {
                Ok(transition) => {
                    prop_assert_eq!((transition.from, transition.step), (state, step + 1));
                    (state, step) = (transition.to, transition.step);
                }
                Err(forbidden) => prop_assert_eq!(forbidden.state, state),
            }
            prop_assert_eq!((machine.state(), machine.step()), (state, step));
        }
    }
}
