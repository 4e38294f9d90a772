//! Answers that never come: of the store, of the gateway, of a path.
use std::net::SocketAddr;

use jumpvpn_engine::agent::Command;
use jumpvpn_events::{EventKind, Reason, State};
use jumpvpn_ownership::Request;
use jumpvpn_policy::Policy;
use jumpvpn_wire::{Cid, Frame, Kind};

use crate::rogue::Rogue;
use crate::world::{MALLORY, World, ms};

fn source(host: u8) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, host], 5000))
}

fn attached() -> World {
    let mut world = World::new(Policy::laptop());
    world.run_with_traffic(ms(3000));
    assert_eq!((world.agent.state(), world.active()), (State::Attached, "wifi".to_owned()));
    world
}

/// Takes what the gateway asks the store, and lets it wait for ever.
fn requests(world: &mut World) -> Vec<Request> {
    std::iter::from_fn(|| world.gateway.poll_ownership_request()).collect()
}

#[test]
fn a_birth_the_store_never_answers_holds_up_no_other_one() {
    let mut world = attached();
    // One that waits for the store, and behind it one that waits for its client.
    let mut asked = Rogue::shake_hands(&mut world, MALLORY, 0, source(1));
    let fin = asked.frames(&[Frame::Fin]);
    world.hand_over(asked.source, &fin);
    let unanswered = requests(&mut world);
    assert!(matches!(unanswered[..], [Request::Create { .. }]), "{unanswered:?}");
    Rogue::shake_hands(&mut world, MALLORY, 1, source(2));
    assert_eq!(world.gateway.status().pending, 2);
    world.run(ms(5100));
    assert_eq!(world.gateway.status().pending, 0, "both are over");
    assert_eq!(world.gateway.counters().drops.count(Reason::StoreUnknown), 1);
    // The answer comes after all: it makes no session, and the record it left is no obstacle.
    for request in unanswered {
        let late = world.store.submit(&request, world.now);
        world.gateway.handle_ownership(late, world.now);
    }
    assert!(world.gateway.sessions(world.now).all(|row| row.peer != "mallory"));
    Rogue::shake_hands(&mut world, MALLORY, 2, source(3)).confirm(&mut world);
    let born = world.gateway.sessions(world.now).filter(|row| row.peer == "mallory").count();
    assert_eq!(born, 1, "{:?}", world.drops);
    assert_eq!(world.agent.state(), State::Attached);
}

#[test]
fn a_store_that_is_slow_but_answers_has_its_time() {
    let mut world = attached();
    let mut asked = Rogue::shake_hands(&mut world, MALLORY, 0, source(1));
    world.run(ms(4000));
    let fin = asked.frames(&[Frame::Fin]);
    world.hand_over(asked.source, &fin);
    let unanswered = requests(&mut world);
    world.run(ms(4000));
    for request in unanswered {
        let late = world.store.submit(&request, world.now);
        world.gateway.handle_ownership(late, world.now);
    }
    assert_eq!(world.gateway.sessions(world.now).filter(|row| row.peer == "mallory").count(), 1);
}

#[test]
fn questions_the_store_never_answers_make_room_for_others() {
    let mut world = attached();
    let mut lost = Rogue::born(&mut world, MALLORY, source(1));
    // A new process with the same keys holds none of the sessions.
    world.restart_gateway();
    let mut ask = |world: &mut World| {
        let probe = lost.probe(Cid(7));
        world.hand_over(source(1), &probe);
        requests(world).len()
    };
    let mut asked = 0;
    for _ in 0..200 {
        asked += ask(&mut world);
        world.now += ms(20);
    }
    assert_eq!(asked, 64, "so many wait at once");
    world.now += ms(5000);
    assert_eq!(ask(&mut world), 1, "they do not wait for ever");
}

/// A jump whose commit the agent does not hear of, because nothing comes down any more.
fn unheard_jump() -> World {
    let mut world = attached();
    world.run_with_traffic(ms(3000));
    world.intercept = Some(Box::new(|_, _, up, bytes| !up && bytes[0] == Kind::ReattachResult.code()));
    world.agent.handle_command(Command::Jump { to: Some("lte".into()) }, world.now).unwrap();
    world.run(ms(100));
    assert_eq!(world.gateway.sessions(world.now).next().unwrap().version, 2, "the gateway has committed");
    assert_eq!(world.agent.status(world.now).version, 1, "the agent does not know");
    world.intercept = Some(Box::new(|_, _, up, _| !up));
    world
}

#[test]
fn the_keys_of_a_request_that_was_given_up_live_as_long_as_its_ticket() {
    let ticket_age = Policy::laptop().security.reattach_proof_max_age;
    for (waited, adopted) in [(ms(3000), true), (ticket_age + ms(4000), false)] {
        let mut world = unheard_jump();
        let result = world.held[0].clone();
        assert_eq!(result[0], Kind::ReattachResult.code());
        world.run(waited);
        assert_eq!(world.agent.status(world.now).version, 1, "{:#?}", world.agent_events);
        let known = world.agent_events.len();
        world.hand_to_agent(1, &result);
        world.collect();
        let learned: Vec<_> = world.agent_events[known..]
            .iter()
            .filter(|event| matches!(event.kind, EventKind::TransportSwitch { .. }))
            .map(|event| event.reason)
            .collect();
        let reason = if adopted { Reason::OperatorJump } else { Reason::StaleStateVersion };
        assert_eq!(learned, [reason], "after {waited:?}: {:#?}", world.agent_events);
        // Either way the session goes on.
        world.intercept = None;
        world.run_with_traffic(ms(10_000));
        assert_eq!(world.agent.state(), State::Attached, "after {waited:?}: {:#?}", world.agent_events);
    }
}

#[test]
fn a_jump_that_never_gets_a_ticket_is_given_up() {
    let mut world = World::new(Policy::laptop());
    // The gateway sees this link under an address that cannot be its own: no answer over it is believed.
    world.links[1].local = "198.51.100.2".parse().unwrap();
    world.set_links(&[0]);
    world.run_with_traffic(ms(3000));
    world.set_links(&[0, 1]);
    world.agent.handle_command(Command::Jump { to: Some("lte".into()) }, world.now).unwrap();
    world.run_with_traffic(ms(4500));
    assert_eq!(world.agent.state(), State::Recovering, "it waits for a ticket: {:#?}", world.agent_events);
    world.run_with_traffic(ms(1000));
    assert_eq!((world.agent.state(), world.active()), (State::Attached, "wifi".to_owned()));
    assert_eq!(world.agent.status(world.now).version, 1);
}
