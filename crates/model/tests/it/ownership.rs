//! Two nodes and everything that can be late: what holds, and which promise each mutant breaks.

use jumpvpn_model::ownership::{Among, Cell, OVERLAP, Step, Story};
use jumpvpn_model::{Found, explore, explore_until_broken};
use jumpvpn_ownership::Mutant;

const SERVES: [&str; 2] = ["one gateway serves", "who serves is the owner"];

fn told(cell: Cell, found: Found) -> Found {
    println!("{} states, broken: {:?}, examples: {:?}, {cell:?}", found.states, found.broken, found.examples);
    found
}

fn holds(cell: Cell, least: usize) {
    let found = told(cell, explore(cell, 2));
    assert_eq!(found.broken, [], "{cell:?}");
    assert!(found.examples.contains(cell.story.example()), "{:?} never came to its point", cell.story);
    assert!(found.states >= least, "{} states are no exploration: {cell:?}", found.states);
}

#[test]
fn a_takeover_with_two_late_messages_breaks_nothing() {
    holds(Cell::of(Story::Takeover, 7, 2, 0), 10_000);
}

/// The bounds in which a death that is one tick shorter breaks the promise, below.
#[test]
fn clocks_that_disagree_break_nothing() {
    holds(Cell::of(Story::Takeover, 6, 1, 3), 10_000);
}

#[test]
fn a_handoff_with_two_late_messages_breaks_nothing() {
    holds(Cell::of(Story::Handoff, 5, 2, 0), 3_000);
    holds(Cell::of(Story::HandoffToTheDead, 9, 1, 1), 500);
}

#[test]
fn clearing_up_breaks_nothing() {
    holds(Cell::of(Story::Upkeep, 8, 2, 0), 3_000);
    holds(Cell::of(Story::Kept, 11, 1, 1), 1_000);
    holds(Cell::of(Story::Orphan, 14, 2, 1), 500);
}

/// Nobody could have missed the dead one by the end: it is the witness that lets the other go on.
#[test]
fn a_tombstone_by_who_saw_the_process_end_breaks_nothing() {
    holds(Cell::of(Story::Witness, 4, 2, 1), 1_000);
}

/// A closed pipe is no death.
#[test]
fn a_tombstone_of_the_living_is_caught() {
    is_caught(None, Cell { mistaken: true, ..Cell::of(Story::Witness, 4, 1, 0) }, &SERVES);
}

/// A machine that is paused with its clock believes in its right for ever. Two serve at once then, and clients refuse the older
/// epoch: no epoch has two owners, in any history.
#[test]
fn a_clock_that_stands_still_breaks_time_and_nothing_else() {
    let cell = Cell { standing_clock: true, ..Cell::of(Story::Takeover, 7, 1, 0) };
    let found = told(cell, explore(cell, 2));
    assert_eq!(found.broken, []);
    assert!(found.examples.contains(OVERLAP));
}

fn is_caught(mutant: Option<Mutant>, cell: Cell, promises: &[&str]) {
    let cell = Cell { mutant, ..cell };
    let found = told(cell, explore_until_broken(cell, 2));
    let caught = found.broken_names().into_iter().any(|name| promises.contains(&name));
    assert!(caught, "{mutant:?} breaks {:?} and not {promises:?} in {cell:?}", found.broken);
}

/// Two confirmations in a row are late. The clocks disagree by at most one, once, so that a death of 4 is safe.
#[test]
fn a_fence_counted_from_the_receipt_is_caught() {
    let begin = &[Step::Tick, Step::Pass, Step::Late, Step::Tick, Step::Arrive(0), Step::Pass, Step::Late];
    let cell = Cell { begin, among: Among::Beats, death: 4, ..Cell::of(Story::Takeover, 7, 3, 1) };
    assert_eq!(told(cell, explore(cell, 2)).broken, [], "the bounds are not safe");
    is_caught(Some(Mutant::FenceFromReceipt), cell, &SERVES);
}

#[test]
fn a_death_that_comes_one_tick_early_is_caught() {
    is_caught(None, Cell { death: 4, ..Cell::of(Story::Takeover, 6, 1, 3) }, &SERVES);
    // The one that the laboratory's control run plants in real gateways.
    is_caught(Some(Mutant::DeathBeforeTheFence), Cell::of(Story::Takeover, 6, 1, 0), &SERVES);
}

#[test]
fn a_timer_that_begins_with_the_question_is_caught() {
    let cell = Cell { among: Among::Looks, ..Cell::of(Story::Takeover, 7, 2, 0) };
    is_caught(Some(Mutant::TimerFromQuestion), cell, &SERVES);
}

#[test]
fn compares_that_are_left_out_are_caught() {
    let takeover = Cell::of(Story::Takeover, 8, 1, 0);
    is_caught(Some(Mutant::TakeFromTheLiving), takeover, &SERVES);
    is_caught(Some(Mutant::BlindHeartbeat), takeover, &["the dead have no heartbeat"]);
    is_caught(Some(Mutant::EpochKept), takeover, &["one epoch, one owner"]);
    let to_the_dead = Cell::of(Story::HandoffToTheDead, 9, 1, 0);
    is_caught(Some(Mutant::GivenToTheDead), to_the_dead, &["a session is given to the living"]);
    let handoff = Cell::of(Story::Handoff, 6, 2, 0);
    is_caught(Some(Mutant::OwnDeathIgnored), handoff, &["the dead change nothing"]);
}

#[test]
fn concluding_from_an_unknown_outcome_is_caught() {
    is_caught(Some(Mutant::UnknownMeansFailed), Cell::of(Story::Handoff, 4, 1, 0), &SERVES);
}

#[test]
fn clearing_up_too_much_is_caught() {
    let kept = Cell::of(Story::Kept, 8, 0, 0);
    is_caught(Some(Mutant::ReconcileHeld), kept, &SERVES);
    is_caught(Some(Mutant::SweepTheLiving), kept, &SERVES);
    let orphan = Cell::of(Story::Orphan, 14, 0, 0);
    is_caught(Some(Mutant::TombstoneForgotten), orphan, &["every owner lives or has a tombstone"]);
    let upkeep = Cell::of(Story::Upkeep, 8, 1, 0);
    is_caught(Some(Mutant::NoRetention), upkeep, &["what has ended stays so"]);
}
