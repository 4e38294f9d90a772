//! The judge can condemn: each promise, broken on purpose, is found.

use std::panic::{AssertUnwindSafe, catch_unwind};

use jumpvpn_engine::SocketKey;
use jumpvpn_events::Reason;

use super::super::world::{World, listener};
use super::*;

const STRANGER: ([u8; 4], u16) = ([198, 51, 100, 1], 9);
const DROPPED: Received = Received::Dropped(Reason::BadProof);

fn condemned(judge: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(judge)).is_err()
}

fn answer(destination: SocketAddr, len: usize) -> Transmit {
    Transmit { socket: SocketKey(0), destination, source: None, len }
}

#[test]
fn a_change_by_somebody_without_a_key_is_found() {
    let world = World::new();
    let before = Book::sessions(&world.gateway, world.now);
    assert_eq!(before.len(), 2, "both clients are attached");
    let judge = |after: &Sessions, received: &Received, answers: &[Transmit]| {
        condemned(|| world.book.judge_gateway(&before, after, STRANGER.into(), &[1; 40], received, answers))
    };
    assert!(!judge(&before, &DROPPED, &[]));
    let first = *before.keys().next().expect("two sessions");
    let mut moved = before.clone();
    moved.get_mut(&first).expect("the first").address = STRANGER.into();
    assert!(judge(&moved, &DROPPED, &[]));
    let mut ended = before.clone();
    ended.remove(&first);
    assert!(judge(&ended, &DROPPED, &[]));
    assert!(judge(&before, &Received::Packet(0..20), &[]), "an invented packet");
    assert!(!judge(&before, &DROPPED, &[answer(STRANGER.into(), 40)]));
    assert!(judge(&before, &DROPPED, &[answer(STRANGER.into(), 41)]), "longer than its cause");
    assert!(judge(&before, &DROPPED, &[answer(([198, 51, 100, 2], 9).into(), 1)]), "to somebody else");
}

#[test]
fn a_move_without_a_commit_and_a_return_are_found() {
    let world = World::new();
    let before = Book::sessions(&world.gateway, world.now);
    let genuine = world.log.iter().rev().find(|sent| sent.up).expect("a client has spoken").clone();
    let of_owner = |change: fn(&mut Committed)| {
        let mut after = before.clone();
        after.values_mut().filter(|session| session.client == genuine.client).for_each(change);
        let source = world.outer(genuine.client, genuine.path);
        condemned(|| world.book.judge_gateway(&before, &after, source, &genuine.bytes, &DROPPED, &[]))
    };
    assert!(!of_owner(|_| {}));
    assert!(!of_owner(|session| session.step += 1), "its own sender may");
    assert!(of_owner(|session| session.path += 1), "without a commit");
    assert!(of_owner(|session| session.version -= 1), "backwards");
}

#[test]
fn a_binding_to_nobody_and_a_strange_packet_are_found() {
    let mut world = World::new();
    let mut sessions = Book::sessions(&world.gateway, world.now);
    sessions.values_mut().for_each(|session| session.address = STRANGER.into());
    let outers = world.outers();
    assert!(condemned(|| world.book.judge_addresses(&sessions, &outers)));
    assert!(condemned(|| world.book.delivered(&[0x45; 20])));
    let before = Book::client(&world.agents[0], world.now);
    let after = Own { version: before.version + 1, ..before.clone() };
    assert!(condemned(|| world.book.judge_agent(0, &before, &after, &[1; 40], &DROPPED)));
    assert_eq!(before.gateway, Some(listener()));
}
