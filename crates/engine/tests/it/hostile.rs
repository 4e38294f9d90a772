//! Somebody without a key: who copies, holds back, repeats and forges, on the path or beside it.
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use jumpvpn_engine::Received;
use jumpvpn_engine::agent::Command;
use jumpvpn_events::{Event, EventKind, Reason, State};
use jumpvpn_policy::Policy;
use jumpvpn_wire::{CONTROL_HEADER_LEN, ControlHeader, HsInit, HsRetry, Kind};

use crate::world::{Intercept, World, ms};

const WIFI: usize = 0;
const LTE: usize = 1;
/// Longer than any packet of the tests' traffic, as long as a part of a request for hybrid keys.
const REKEY_PART_LEN: usize = 600;

fn attached() -> World {
    let mut world = World::new(Policy::laptop());
    world.run_with_traffic(ms(3000));
    assert_eq!(world.agent.state(), State::Attached, "{:?}", world.agent_events);
    assert_eq!(world.active(), "wifi");
    world
}

/// Where the attacker sits.
fn attacker() -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 66], 6666))
}

fn jump(world: &mut World, to: &str) {
    world.agent.handle_command(Command::Jump { to: Some(to.into()) }, world.now).unwrap();
    world.collect();
}

/// Asks for a jump to lte, and takes the request to move away.
fn held_request(world: &mut World) -> Vec<u8> {
    world.intercept = holds(Kind::Reattach, LTE);
    jump(world, "lte");
    while world.held.is_empty() {
        world.run_with_traffic(ms(5));
    }
    world.intercept = None;
    world.held.remove(0)
}

/// Takes away every upward message of `kind` on `path`.
fn holds(kind: Kind, path: usize) -> Option<Intercept> {
    Some(Box::new(move |_, on, up, bytes| up && on == path && bytes[0] == kind.code()))
}

fn is_rekey_part(up: bool, bytes: &[u8]) -> bool {
    up && bytes[0] == Kind::Data.code() && bytes.len() > REKEY_PART_LEN
}

/// Packets that arrive both ways within the next `span`, as a share of those sent.
fn assert_carries(world: &mut World, span: Duration) {
    let before = (world.at_gateway.len(), world.at_agent.len());
    world.run_with_traffic(span);
    let (up, down) = (world.at_gateway.len() - before.0, world.at_agent.len() - before.1);
    let sent = (span.as_millis() / 5) as usize;
    assert!(
        up * 10 >= sent * 9 && down * 10 >= sent * 9,
        "{up} up, {down} down of {sent}: {:?} {:?} {:#?}",
        world.agent.state(),
        world.gateway.sessions(world.now).map(|row| (row.version, row.key_epoch)).collect::<Vec<_>>(),
        world.agent_events
    );
}

/// No session moves before it is born.
fn assert_births_come_first(events: &[Event]) {
    let mut born = BTreeSet::new();
    for event in events.iter().filter(|event| event.kind.is_commit()) {
        let birth = matches!(event.kind, EventKind::SessionBirth { .. });
        assert!(birth == born.insert(event.session.map(|label| label.0)), "{events:#?}");
    }
}

#[test]
fn a_lost_result_and_lost_probes_do_not_strand_the_session() {
    for lost in 0..6 {
        let mut world = attached();
        let session = world.agent.session();
        // The gateway commits, and the client does not learn it before it gives up.
        let (mut seen, given_up) = (0, world.now + ms(1700));
        world.intercept = Some(Box::new(move |now, path, up, bytes| {
            let probe = up && path == WIFI && bytes[0] == Kind::PathProbe.code();
            seen += usize::from(probe && now >= given_up);
            let swallowed = !up && path == LTE && bytes[0] != Kind::PathTicket.code();
            if now < given_up { swallowed } else { probe && seen == lost + 1 }
        }));
        jump(&mut world, "lte");
        world.run_with_traffic(ms(1700));
        world.run_with_traffic(ms(3000));
        assert_carries(&mut world, ms(1000));
        assert_eq!((world.agent.state(), world.agent.session()), (State::Attached, session));
        let anew = world.agent_events.iter().any(|event| event.reason == Reason::StaleStateVersion);
        assert!(!anew, "the move that was committed is adopted: {:#?}", world.agent_events);
    }
}

#[test]
fn a_lost_probe_does_not_strand_a_jump_back_onto_the_same_path() {
    let mut world = attached();
    let session = world.agent.session();
    world.set_links(&[WIFI]);
    // The probe that shows the change passes, the one after the refused request is lost.
    let mut seen = 0;
    world.intercept = Some(Box::new(move |_, _, up, bytes| {
        let probe = up && bytes[0] == Kind::PathProbe.code();
        seen += usize::from(probe);
        probe && seen == 2
    }));
    // The address changes, and again when the request for the first change is about to leave.
    for span in [45, 1000] {
        world.paths[WIFI].outer_port += 1;
        world.run_with_traffic(ms(span));
    }
    assert_eq!(world.held.len(), 1);
    assert_carries(&mut world, ms(1000));
    assert_eq!((world.agent.state(), world.agent.session()), (State::Attached, session));
}

#[test]
fn an_address_that_changes_during_the_birth_does_not_strand_the_client() {
    for changed in [15, 25, 35, 42, 55, 65] {
        let mut world = World::new(Policy::laptop());
        world.run(ms(changed));
        world.paths[WIFI].outer_port += 1;
        world.run_with_traffic(ms(40_000));
        assert_eq!(world.agent.state(), State::Attached, "{changed} ms: {:#?}", world.agent_events);
        assert_carries(&mut world, ms(1000));
        for events in [&world.agent_events, &world.gateway_events] {
            assert_births_come_first(events);
        }
    }
}

#[test]
fn a_request_that_was_held_back_cannot_take_the_next_key_epoch_away() {
    let key_epoch = |world: &World| world.agent.status(world.now).key_epoch;
    // When the next keys are due is the same in every world.
    let mut other = attached();
    let mut due = 0;
    while key_epoch(&other) == 1 {
        other.run(ms(10));
        due += 10;
    }
    let mut world = attached();
    let session = world.agent.session();
    world.run(ms(due - 10_000 - 1700));
    world.run_with_traffic(ms(10_000));
    world.intercept = holds(Kind::Reattach, LTE);
    jump(&mut world, "lte");
    while key_epoch(&world) == 1 {
        world.run(ms(5));
    }
    // The first packet under the new keys has not reached the gateway yet.
    let request = world.held[0].clone();
    world.hand_in(world.outer(LTE), &request);
    world.intercept = None;
    world.run_with_traffic(ms(2000));
    assert_carries(&mut world, ms(1000));
    let at_gateway = world.gateway.sessions(world.now).next().map(|row| (row.session, row.key_epoch));
    assert_eq!(at_gateway.map(|(label, _)| label), session);
    assert_eq!(at_gateway.map(|(_, epoch)| epoch), Some(key_epoch(&world)), "both hold the same keys");
}

#[test]
fn a_key_request_that_was_held_back_does_not_displace_a_newer_one() {
    let mut world = attached();
    let session = world.agent.session();
    let mut first = None;
    world.intercept = Some(Box::new(move |now, _, up, bytes| {
        is_rekey_part(up, bytes) && now.since(*first.get_or_insert(now)) < ms(18_000)
    }));
    while world.agent.status(world.now).key_epoch == 1 {
        world.run(ms(5));
    }
    assert!(world.held.len() >= 2);
    for part in world.held.clone().iter().take(2) {
        world.hand_in(world.outer(WIFI), part);
    }
    world.run_with_traffic(ms(2000));
    assert_carries(&mut world, ms(1000));
    assert_eq!((world.agent.session(), world.agent.status(world.now).key_epoch), (session, 2));
}

#[test]
fn a_key_request_under_the_keys_before_is_not_weighed() {
    let mut world = attached();
    // The client hears no answer, and its repeated requests are taken away, until the gateway would weigh another one.
    let mut answered = None;
    world.intercept = Some(Box::new(move |now, _, up, bytes| {
        let is_long = bytes[0] == Kind::Data.code() && bytes.len() > REKEY_PART_LEN;
        let since = if up { answered } else { is_long.then(|| *answered.get_or_insert(now)) };
        is_long && since.is_some_and(|since| now.since(since) < ms(11_000))
    }));
    while world.agent.status(world.now).key_epoch == 1 {
        world.run(ms(5));
    }
    world.run(ms(200));
    assert_eq!(world.gateway.sessions(world.now).next().map(|row| row.key_epoch), Some(2));
    let parts: Vec<_> =
        world.held.iter().rev().filter(|bytes| bytes.len() < 2 * REKEY_PART_LEN).take(2).cloned().collect();
    assert_eq!(parts.len(), 2);
    let refused = |world: &World| world.gateway.counters().drops.iter().map(|(_, count)| count).sum::<u64>();
    let before = refused(&world);
    for part in &parts {
        assert_eq!(world.hand_in(world.outer(WIFI), part), Received::Consumed, "they are fresh and genuine");
    }
    assert_eq!(refused(&world), before, "nobody asked whether they may be answered");
    assert_carries(&mut world, ms(1000));
}

#[test]
fn a_replayed_handshake_cannot_lock_a_peer_out() {
    let mut world = World::new(Policy::laptop());
    let is_init = |bytes: &[u8]| bytes[0] == Kind::HsInit.code();
    world.intercept = Some(Box::new(move |_, _, up, bytes| up && is_init(bytes)));
    world.run(ms(9000));
    let captured = std::mem::take(&mut world.held);
    assert!(captured.len() >= 10, "{}", captured.len());
    let mut reasons = BTreeMap::new();
    for init in &captured {
        *reasons.entry(format!("{:?}", world.hand_in(attacker(), init))).or_insert(0) += 1;
        // Asked for a cookie, the attacker shows one for his own address.
        let retry = world.take_strays(attacker()).pop().and_then(|answer| HsRetry::decode(&answer).ok());
        if let Some(retry) = retry {
            let mut again = init.clone();
            again[HsInit::COOKIE].copy_from_slice(&retry.cookie.0);
            world.hand_in(attacker(), &again);
        }
    }
    assert!(world.gateway.status().pending >= 2, "{reasons:?}");
    world.intercept = None;
    world.drops.clear();
    world.run(ms(1500));
    assert_eq!(world.agent.state(), State::Attached, "{:?} {:?}", world.drops, reasons);
}

#[test]
fn copies_of_a_lost_request_take_nothing_from_the_client() {
    let mut world = attached();
    world.intercept = holds(Kind::Reattach, LTE);
    jump(&mut world, "lte");
    world.run_with_traffic(ms(4000));
    world.intercept = None;
    let copy = world.held[0].clone();
    let mut jumped = None;
    for tick in 0..400 {
        // 40 copies per second, below what one route token may ask for.
        if tick % 5 == 0 {
            world.hand_in(attacker(), &copy);
        }
        if tick == 200 {
            jump(&mut world, "lte");
        }
        world.run_with_traffic(ms(5));
        if tick >= 200 && world.active() == "lte" {
            jumped.get_or_insert(tick - 200);
        }
    }
    assert!(jumped.is_some_and(|ticks| ticks <= 20), "{jumped:?} {:#?}", world.agent_events);
    assert!(world.take_strays(attacker()).len() <= 4, "one answer per second");
}

/// Sends 100 forged requests under the route token of `captured`, as somebody does who has seen it.
fn flood_with_token_of(world: &mut World, captured: &[u8]) {
    let mut header = ControlHeader::parse(captured).unwrap();
    for number in 0..100 {
        header.cseq += 1000 + number;
        let mut forged = vec![0x5a; Kind::PathProbe.min_len()];
        forged[..CONTROL_HEADER_LEN].copy_from_slice(&header.encode());
        world.hand_in(attacker(), &forged);
    }
}

#[test]
fn a_flood_with_a_captured_token_does_not_hold_up_a_jump() {
    for flooded_before in [0, 10, 4000] {
        let mut world = attached();
        let captured = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&captured);
        world.intercept = Some(Box::new(move |_, path, up, bytes| {
            if up && path == LTE && bytes[0] == Kind::PathProbe.code() && seen.borrow().is_empty() {
                *seen.borrow_mut() = bytes.to_vec();
            }
            false
        }));
        world.run_with_traffic(ms(3000));
        let probe = captured.borrow().clone();
        let flood = |world: &mut World| {
            flood_with_token_of(world, &probe);
            world.run_with_traffic(ms(5));
        };
        (0..flooded_before / 5).for_each(|_| flood(&mut world));
        flood_with_token_of(&mut world, &probe);
        jump(&mut world, "lte");
        let asked = world.now;
        while world.active() != "lte" && world.now.since(asked) < ms(10_000) {
            flood(&mut world);
        }
        let limited = world.gateway.counters().drops.count(Reason::RateLimited);
        assert!(limited > 20, "the flood uses the bucket up: {limited}");
        let took = world.now.since(asked);
        assert!(
            took <= ms(100),
            "after {flooded_before} ms of flood a jump took {took:?}: {:#?}",
            world.agent_events
        );
    }
}

#[test]
fn a_copy_that_arrives_first_does_not_disturb_a_jump() {
    let mut world = attached();
    let request = held_request(&mut world);
    let (since, sent) = (world.now, world.at_agent.len());
    assert_eq!(world.hand_in(attacker(), &request), Received::Dropped(Reason::AddressMismatch));
    for ticket in world.take_strays(attacker()) {
        world.hand_to_agent(LTE, &ticket);
    }
    world.run_with_traffic(ms(10));
    assert_eq!(world.hand_in(world.outer(LTE), &request), Received::Consumed);
    world.run_with_traffic(ms(1000));
    assert_eq!((world.active().as_str(), world.agent.status(world.now).version), ("lte", 2));
    assert!(world.gap(true, since) <= ms(10) && world.gap(false, since) <= ms(10));
    assert_eq!(world.at_agent.len() - sent, 202, "{:?}", world.drops);
}

#[test]
fn forgeries_stop_costing_when_their_budget_is_used_up() {
    let mut world = attached();
    world.intercept = holds(Kind::Data, WIFI);
    world.send_up();
    world.intercept = None;
    let packet = world.held.pop().unwrap();
    let mut reasons = BTreeMap::new();
    for number in 0..5000_u32 {
        let mut forged = packet.clone();
        forged[12..16].copy_from_slice(&(1_000_000 + number).to_le_bytes());
        *reasons.entry(format!("{:?}", world.hand_in(attacker(), &forged))).or_insert(0) += 1;
        world.now += Duration::from_micros(200);
    }
    let opened = reasons["Dropped(BAD_SEAL)"];
    assert!((64..=130).contains(&opened), "{reasons:?}");
    assert_carries(&mut world, ms(1000));
}

#[test]
fn keys_that_expired_can_still_be_renewed() {
    let mut world = attached();
    let session = world.agent.session();
    world.intercept = Some(Box::new(|_, _, up, bytes| is_rekey_part(up, bytes)));
    world.run(ms(895_000));
    world.run_with_traffic(ms(5_000));
    assert_eq!(
        world.agent.handle_packet(&mut crate::world::packet("10.77.0.2", "10.77.0.1", 0), world.now).err(),
        Some(Reason::KeyExpired)
    );
    world.intercept = None;
    world.run(ms(10_000));
    assert_carries(&mut world, ms(1000));
    assert_eq!((world.agent.session(), world.agent.status(world.now).key_epoch), (session, 2));
}

#[test]
fn a_resume_in_the_middle_of_a_rebinding_leaves_no_timer_behind() {
    for after in (20..80).step_by(5) {
        let mut world = World::new(Policy::laptop());
        world.run_with_traffic(ms(1000));
        world.paths[WIFI].outer_port += 1;
        world.run_with_traffic(ms(after));
        world.agent.handle_resume(world.now);
        world.run_with_traffic(ms(2000));
        assert_carries(&mut world, ms(500));
    }
}

#[test]
fn a_forged_source_cannot_make_the_gateway_send_to_itself() {
    let forged =
        ["127.0.0.1:9", "169.254.1.1:9", "224.0.0.1:9", "255.255.255.255:9", "192.0.2.10:9", "[fe80::1]:9"];
    for source in forged.map(|text| text.parse::<SocketAddr>().unwrap()) {
        let mut world = attached();
        let request = held_request(&mut world);
        world.intercept = Some(Box::new(|_, _, up, _| up));
        world.send_up();
        world.send_up();
        world.run(ms(3000));
        let (_, init) = crate::rogue::hello(crate::world::MALLORY, 0);
        let mut received = Vec::new();
        for datagram in
            [&request[..], &init[..]].into_iter().chain(world.held.clone().iter().map(Vec::as_slice))
        {
            received.push(world.hand_in(source, datagram));
        }
        assert!(world.take_strays(source).is_empty(), "{source}: {received:?}");
    }
}
