//! The end of a session that others could go on with: it is said when the store has it, and not before.
use std::net::SocketAddr;

use jumpvpn_engine::gateway::Command;
use jumpvpn_engine::{HEADROOM, Received, TAILROOM};
use jumpvpn_events::{EventKind, Reason};
use jumpvpn_ownership::{Answer, Ask, Expected, Owner, RecordState, Request};
use jumpvpn_wire::{Frame, FrameReader};

use crate::rogue::Rogue;
use crate::town::{Manner, Town};
use crate::world::{GATEWAY_INNER, MALLORY, MALLORY_INNER, ms, packet};

fn home() -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 66], 6666))
}

/// What becomes of a packet of the client's at the first gateway.
fn up(town: &mut Town, client: &mut Rogue) -> Received {
    let buffer = packet(MALLORY_INNER, GATEWAY_INNER, 1);
    let sealed = client.packet(&buffer[HEADROOM..buffer.len() - TAILROOM]);
    town.hand_in(0, home(), &sealed)
}

/// Who ends it: the operator, or the client.
fn end(town: &mut Town, client: &mut Rogue, by_client: bool) {
    if by_client {
        let close = Frame::Close { reason: Reason::PeerClosed.number(), version: 2 };
        let last = client.frames(&[close, Frame::Fin]);
        assert_eq!(town.hand_in(0, home(), &last), Received::Consumed);
        return;
    }
    let (session, reason) = (town.rows(0)[0].session, Reason::OwnerClosed);
    assert!(town.gateways[0].handle_command(Command::Close { session, reason }, town.now));
    town.settle();
}

/// What the first gateway wrote down of it: ends, and sessions that it let go of.
fn written(town: &Town) -> (usize, usize) {
    let count = |wanted: fn(&EventKind) -> bool| {
        town.events.iter().filter(|(at, event)| *at == 0 && wanted(&event.kind)).count()
    };
    let ends = count(|kind| matches!(kind, EventKind::Termination { committed: true, .. }));
    (ends, count(|kind| matches!(kind, EventKind::Release { given: false })))
}

/// Words of the end among what the client was sent.
fn words(town: &mut Town, client: &mut Rogue) -> usize {
    let opened = town.take_sent(0, home()).into_iter().filter_map(|datagram| client.open(&datagram));
    let is_close =
        |plain: &Vec<u8>| FrameReader::new(plain).any(|frame| matches!(frame, Ok(Frame::Close { .. })));
    opened.filter(is_close).count()
}

fn state(town: &Town) -> RecordState {
    town.store.records.values().next().unwrap().1.state
}

/// The only thing the store was asked for: its end, as expected.
fn asked_for_end(town: &Town) -> Option<(jumpvpn_ownership::RequestId, Expected)> {
    match town.asked()[..] {
        [Request::Terminate { id, expected, .. }] => Some((*id, *expected)),
        _ => None,
    }
}

#[test]
fn an_end_is_told_when_the_store_has_it_and_not_before() {
    for by_client in [false, true] {
        let mut town = Town::new();
        let mut client = town.birth(MALLORY, home());
        assert!(matches!(up(&mut town, &mut client), Received::Packet(_)));
        town.manner = Manner::Slow;
        town.take_sent(0, home());
        end(&mut town, &mut client, by_client);
        assert!(asked_for_end(&town).is_some());
        assert_eq!((written(&town), words(&mut town, &mut client)), ((0, 0), 0));
        assert_eq!(up(&mut town, &mut client), Received::Dropped(Reason::SessionExpired));
        let mut down = packet(GATEWAY_INNER, MALLORY_INNER, 2);
        assert_eq!(town.gateways[0].handle_packet(&mut down, town.now).err(), Some(Reason::SessionExpired));
        // Its timers run and end nothing, and who asks for it again asks for nothing more.
        let session = town.rows(0)[0].session;
        town.run(ms(120_000));
        let again = Command::Close { session, reason: Reason::ChurnLimit };
        town.gateways[0].handle_command(again, town.now);
        town.settle();
        assert!(asked_for_end(&town).is_some() && words(&mut town, &mut client) == 0);
        town.answer_all(false);
        assert!(town.rows(0).is_empty() && town.asked().is_empty());
        assert_eq!((written(&town), words(&mut town, &mut client)), ((1, 0), if by_client { 0 } else { 3 }));
        let reason = if by_client { Reason::PeerClosed } else { Reason::OwnerClosed };
        assert_eq!(state(&town), RecordState::Terminated { reason_number: reason.number() });
    }
}

#[test]
fn an_end_that_the_store_never_heard_of_is_none() {
    let mut town = Town::new();
    let mut client = town.birth(MALLORY, home());
    town.manner = Manner::Slow;
    end(&mut town, &mut client, false);
    // The store is out of reach until the right to act is over.
    town.gateways[0].handle_ask(Ask::Fenced, town.now);
    town.settle();
    assert!(town.rows(0).is_empty());
    assert_eq!((written(&town), words(&mut town, &mut client)), ((0, 1), 0));
    town.restart(0);
    town.manner = Manner::Prompt;
    town.move_to(1, &mut client);
    assert_eq!((town.rows(1).len(), state(&town)), (1, RecordState::Live));
    let texts = [0, 1].map(|at| town.event_file(at));
    let told = jumpvpn_events::verify::verify_lines(texts.iter().map(|text| ("gw", text.as_bytes())));
    assert!(told.is_ok(), "{told:#?}");
}

#[test]
fn an_answer_that_takes_the_session_away_ends_it_without_a_word() {
    type Say = fn(jumpvpn_ownership::RequestId, &Town) -> Answer;
    let says: [(Say, (usize, usize)); 4] = [
        // Somebody else has it.
        (
            |id, town| {
                let current = town.store.records.values().next().cloned().map(Box::new);
                Answer::Conflict { id, current, owner: Some(Owner::Alive) }
            },
            (0, 1),
        ),
        (|id, _| Answer::Refused { id, reason: Reason::NotOwner }, (0, 1)),
        // It is over already.
        (|id, _| Answer::Conflict { id, current: None, owner: None }, (1, 0)),
        // Nobody knows.
        (|id, _| Answer::Refused { id, reason: Reason::FenceExpired }, (0, 0)),
    ];
    for (number, (say, expected)) in says.into_iter().enumerate() {
        let mut town = Town::new();
        let mut client = town.birth(MALLORY, home());
        town.manner = Manner::Slow;
        end(&mut town, &mut client, false);
        let (id, _) = asked_for_end(&town).unwrap();
        let said = say(id, &town);
        town.gateways[0].handle_ownership(said, town.now);
        town.settle();
        assert_eq!(written(&town), expected, "answer {number}");
        assert_eq!(town.rows(0).len(), usize::from(expected == (0, 0)), "answer {number}");
    }
}
