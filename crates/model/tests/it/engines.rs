//! The real engines in any order of events: what holds, and which promise each mutant breaks.

use std::time::Instant;

use jumpvpn_model::engines::{CLOSED, Engines, JUMPED, JUMPING, LINK_LOST, Mutant, Step};
use jumpvpn_model::{Found, explore};

/// As many as the machines have that run this for every change.
const THREADS: usize = 2;

fn look(model: Engines) -> Found {
    let begin = Instant::now();
    let found = explore(model, THREADS);
    println!("{} states in {:?}, {model:?}: {:?}", found.states, begin.elapsed(), found.broken);
    found
}

fn holds(begin: &'static [Step], depth: usize, mischief: usize, deeds: usize) -> Found {
    let found = look(Engines { begin, depth, mischief, deeds, ends_every: Some(64), mutant: None });
    assert_eq!(found.broken, [], "from {begin:?}");
    found
}

#[test]
fn two_evil_steps_among_three_break_no_promise() {
    assert!(holds(&[], 3, 2, 1).states > 1000);
}

#[test]
fn no_order_of_events_around_a_jump_breaks_a_promise() {
    assert!(holds(JUMPING, 4, 1, 0).examples.contains("a jump is committed"));
    holds(JUMPED, 3, 2, 0);
}

#[test]
fn no_order_of_events_after_a_lost_link_breaks_a_promise() {
    assert!(holds(LINK_LOST, 4, 1, 0).examples.contains("a jump is committed"));
}

#[test]
fn no_order_of_events_after_the_end_breaks_a_promise() {
    holds(CLOSED, 3, 2, 0);
}

#[test]
fn every_promise_can_be_broken() {
    type Case = (Mutant, &'static [Step], Option<u64>, &'static [&'static str]);
    let cases: [Case; 7] = [
        (
            Mutant::Rollback,
            JUMPED,
            None,
            &["the version never falls", "no commit without a request, and one for each"],
        ),
        (Mutant::Rollback, CLOSED, None, &["TERMINATED absorbs"]),
        (Mutant::Twin, JUMPED, None, &["at most one binding is ACTIVE"]),
        (Mutant::Amnesia, JUMPED, None, &["the gateway is bound to an address the client has seen"]),
        (Mutant::SilentRestart, &[], None, &["the session id never changes"]),
        (Mutant::DeafAgent, LINK_LOST, Some(1), &["on good paths both sides find together"]),
        (Mutant::DeafAgent, &[], Some(1), &["on dead paths both sides end"]),
    ];
    for (mutant, begin, ends_every, expected) in cases {
        let depth = if ends_every.is_some() { 1 } else { 2 };
        let found = look(Engines { begin, depth, mischief: 2, deeds: 0, ends_every, mutant: Some(mutant) });
        for name in expected {
            assert!(found.broken_names().contains(name), "{mutant:?} does not break: {name}");
        }
    }
}
