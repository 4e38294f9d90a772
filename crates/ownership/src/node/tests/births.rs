//! Births of one client at several gateways: the later handshake wins, whatever the store does to the earlier one.

use std::time::Duration;

use jumpvpn_events::{Reason, Time};

use super::cell::{Cell, session};
use super::*;

/// The client of `session(1)`, born again, for the `number`th time.
fn again(number: u16) -> SessionRecord {
    let handle = session(0x0100 * number + 1).handle;
    SessionRecord { handle, sid: [number as u8; 16], ..session(1) }
}

fn is_live(cell: &mut Cell, index: usize, record: &SessionRecord) -> bool {
    cell.read(index, record.handle).1.state == RecordState::Live
}

/// A client that comes to life again elsewhere: its former session ends, whoever owns it.
#[test]
fn a_birth_elsewhere_ends_the_former_session() {
    let mut cell = Cell::new(2);
    cell.create(0, &session(1));
    cell.run(secs(2));
    assert!(is_committed(&cell.create(1, &again(2))), "the owner lives and is asked");
    assert!(cell.members[0].serving.is_empty());
    assert!(!is_live(&mut cell, 1, &session(1)));
    cell.crash(1);
    cell.run(secs(10));
    assert!(is_committed(&cell.create(0, &again(3))), "the owner is dead");
    let stranger = SessionRecord { handle: session(0x0401).handle, peer: [0xaa; 32], ..session(1) };
    let refused = cell.create(0, &stranger);
    assert!(matches!(refused, Answer::Conflict { owner: Some(Owner::Me), .. }), "{refused:?}");
}

/// The earlier birth waits for a store that does not answer, and the client is born elsewhere meanwhile.
#[test]
fn an_older_birth_does_not_end_a_younger_session() {
    for owner_dies in [false, true] {
        let mut cell = Cell::new(3);
        cell.members[0].cut = true;
        let began = cell.now;
        let older = cell.ask_to_create(0, &again(2), began);
        cell.run(Duration::from_millis(100));
        assert!(is_committed(&cell.create(1, &again(3))));
        if owner_dies {
            // Its client has not noticed yet, and will look for it elsewhere.
            cell.stop(1);
            cell.run(Duration::from_millis(100));
        }
        cell.members[0].cut = false;
        let answer = cell.answer(0, older);
        assert!(matches!(answer, Answer::Refused { reason: Reason::StoreConflict, .. }), "{answer:?}");
        assert!(is_live(&mut cell, 2, &again(3)));
        assert_eq!(cell.members[1].serving.contains(&again(3).handle), !owner_dies);
        assert!(cell.members[1].asks.iter().all(|ask| !matches!(ask, Ask::Supersede { .. })));
    }
}

/// What counts is when the handshake was answered, not when the store is asked: somebody may hold a confirmation back, and the engine asks
/// once more after it has cleared up.
#[test]
fn a_birth_that_began_long_ago_ends_nothing_that_came_after() {
    let mut cell = Cell::new(2);
    cell.run(secs(5));
    let began = cell.now;
    cell.create(0, &session(1));
    cell.run(secs(20));
    let late = cell.ask_to_create(1, &again(2), began);
    let answer = cell.answer(1, late);
    assert!(matches!(answer, Answer::Refused { reason: Reason::StoreConflict, .. }), "{answer:?}");
    let forgotten = cell.ask_to_create(1, &again(3), Time::ZERO);
    let answer = cell.answer(1, forgotten);
    assert!(matches!(answer, Answer::Refused { .. }), "nothing is known of that time: {answer:?}");
    assert!(is_live(&mut cell, 1, &session(1)));
    assert!(is_committed(&cell.create(1, &again(4))));
}

/// A session that was born elsewhere and has been given to this gateway since is judged as if it still was elsewhere; of those born here the
/// engine knows the order.
#[test]
fn a_younger_session_stays_wherever_it_has_moved_to() {
    let mut cell = Cell::new(2);
    let began = cell.now;
    cell.create(1, &again(2));
    assert!(is_committed(&cell.take(0, again(2).handle)));
    let older = cell.ask_to_create(0, &again(3), began);
    let answer = cell.answer(0, older);
    assert!(matches!(answer, Answer::Refused { reason: Reason::StoreConflict, .. }), "{answer:?}");
    cell.run(secs(2));
    let newer = cell.create(0, &again(4));
    assert!(matches!(newer, Answer::Conflict { owner: Some(Owner::Me), .. }), "{newer:?}");
}

/// Two machines with one key: one of them is born, and the other one when it tries again.
#[test]
fn of_two_births_at_once_one_succeeds() {
    let mut cell = Cell::new(2);
    let began = cell.now;
    let both = [0, 1].map(|index| cell.ask_to_create(index, &again(2 + index as u16), began));
    let answers = [0, 1].map(|index| cell.answer(index, both[index]));
    assert_eq!(answers.iter().filter(|answer| is_committed(answer)).count(), 1, "{answers:?}");
    let loser = usize::from(is_committed(&answers[0]));
    cell.run(secs(2));
    assert!(is_committed(&cell.create(loser, &again(9))));
}
