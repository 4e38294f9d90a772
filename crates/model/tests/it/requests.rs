//! Requests in any order: what holds, and which promise each mutant breaks.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use jumpvpn_model::requests::{Mutant, Requests, State};
use stateright::{Checker, DiscoveryClassification as Classification, Model, Path};

const RECOVERS: &str = "two round trips bring both sides together";
const ONE_ACTIVE: &str = "at most one binding is ACTIVE";
const OWN_VERSION: &str = "a commit is for the version the session stands at";
const VERSION_RISES: &str = "the version rises by one at each commit";
const ORDER: &str = "no older request displaces a newer one";
const OLD_TICKET: &str = "no commit on an old ticket";
const CONSENT: &str = "no commit without the client's request for this address";
const END: &str = "nothing moves after the end";
const BEHIND: &str = "the client is never ahead of the gateway";

/// What an exploration found.
struct Found {
    broken: Vec<&'static str>,
    states: usize,
    /// States from which two round trips do not help.
    stuck: usize,
}

fn explore(model: Requests) -> Found {
    let stuck = Arc::new(Mutex::new(HashSet::<State>::new()));
    let seen = Arc::clone(&stuck);
    let visitor = move |path: Path<State, _>| {
        let last = path.last_state();
        if !model.can_recover(last) {
            seen.lock().unwrap().insert(last.clone());
        }
    };
    let checker = model.checker().threads(2).visitor(visitor).spawn_bfs().join();
    let is_broken =
        |name: &&str| matches!(checker.discovery_classification(name), Classification::Counterexample);
    let broken: Vec<&'static str> = checker.discoveries().into_keys().filter(is_broken).collect();
    let found = Found { broken, states: checker.unique_state_count(), stuck: stuck.lock().unwrap().len() };
    println!("{} states, {} stuck, broken: {:?}, {model:?}", found.states, found.stuck, found.broken);
    found
}

/// The numbers of states are those of the search that the design rests on (`docs/security/models/version_rule.py`, which
/// does not know this code).
#[test]
fn strict_version_with_sealed_refusals_never_deadlocks() {
    for (count, states) in [(2, 13), (3, 40), (4, 121), (5, 364), (6, 1093)] {
        let found = explore(Requests::version_rule(count, None));
        assert_eq!((found.broken, found.stuck), (vec![], 0));
        assert_eq!(found.states, states);
    }
}

#[test]
fn silent_refusals_get_a_client_stuck() {
    let found = explore(Requests::version_rule(5, Some(Mutant::SilentReject)));
    assert_eq!(found.broken, [RECOVERS]);
    assert_eq!((found.stuck, found.states), (129, 192));
}

/// With tickets that name the version, as the engine has them, a refusal that nobody hears costs time and not the
/// session.
#[test]
fn tickets_alone_would_get_it_out_again() {
    let silent =
        Requests { learns_from_tickets: true, ..Requests::version_rule(5, Some(Mutant::SilentReject)) };
    let found = explore(silent);
    assert_eq!((found.broken, found.stuck), (vec![], 0));
}

#[test]
fn two_paths_and_an_attacker_break_nothing() {
    let found = explore(Requests::everything(3, None));
    assert_eq!((found.broken, found.stuck), (vec![], 0));
    assert!(found.states > 1000, "{} states are no exploration", found.states);
}

#[test]
fn every_promise_can_be_broken() {
    let expected: &[(Mutant, &[&str])] = &[
        (Mutant::VersionNotCompared, &[OWN_VERSION]),
        (Mutant::SourceNotCompared, &[CONSENT]),
        (Mutant::TicketNotChecked, &[OLD_TICKET]),
        // The version alone keeps the order; the sequence keeps a refused request from being judged twice.
        (Mutant::SequenceForgotten, &[]),
        (Mutant::NothingOrdered, &[ORDER, OWN_VERSION]),
        (Mutant::OldBindingKept, &[ONE_ACTIVE]),
        (Mutant::VersionFromRequest, &[VERSION_RISES]),
        (Mutant::AnswerAhead, &[BEHIND, RECOVERS]),
        (Mutant::EndForgotten, &[END]),
    ];
    for (mutant, broken) in expected {
        let found = explore(Requests::everything(2, Some(*mutant)));
        let broken: HashSet<&str> = broken.iter().copied().collect();
        assert_eq!(found.broken.into_iter().collect::<HashSet<_>>(), broken, "{mutant:?}");
    }
}
