//! Somebody on the path copies every datagram of the client, sends the copy from his own address ahead of the original,
//! and hands the gateway's answers on.
use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;

use jumpvpn_events::{EventKind, Reason, State, Time};
use jumpvpn_policy::Policy;
use jumpvpn_wire::{Cid, Kind, PathId};

use crate::rogue::Rogue;
use crate::world::{MALLORY, World, ms};

const WIFI: usize = 0;
const LTE: usize = 1;

fn forwarder() -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 66], 6666))
}

/// Lets him do it for `span`, his copies `lead` milliseconds ahead.
fn forward(world: &mut World, lead: u64, span: u64) {
    world.intercept = Some(Box::new(|_, path, up, _| up && path == WIFI));
    let mut originals: VecDeque<(Time, Vec<u8>)> = VecDeque::new();
    for tick in 0..span {
        if tick % 5 == 0 {
            world.send_up();
            world.send_down();
        }
        world.run(ms(1));
        for datagram in std::mem::take(&mut world.held) {
            world.hand_in(forwarder(), &datagram);
            originals.push_back((world.now + ms(lead), datagram));
        }
        while originals.front().is_some_and(|(due, _)| *due <= world.now) {
            let (_, datagram) = originals.pop_front().unwrap();
            world.hand_in(world.outer(WIFI), &datagram);
        }
        for answer in world.take_strays(forwarder()) {
            assert_ne!(answer[0], Kind::Data.code(), "lead {lead} ms: {:#?}", world.gateway_events);
            world.hand_to_agent(WIFI, &answer);
        }
    }
    world.intercept = None;
}

#[test]
fn copies_that_are_a_little_faster_do_not_become_the_path() {
    for lead in [0, 1, 4, 10] {
        let mut world = World::new(Policy::laptop());
        world.run_with_traffic(ms(1000));
        let session = world.agent.session();
        forward(&mut world, lead, 5000);
        // A client that is told two addresses again and again may refuse the path and take its other one.
        let bound = world.gateway.sessions(world.now).next().map(|row| row.address);
        let own = [world.outer(WIFI), world.outer(LTE)].map(Some);
        assert!(own.contains(&bound), "lead {lead} ms: {:#?}", world.gateway_events);
        world.run_with_traffic(ms(1000));
        assert_eq!((world.agent.session(), world.agent.state()), (session, State::Attached));
        let told = |event: &&jumpvpn_events::Event| {
            event.reason == Reason::PathDuplication && matches!(event.kind, EventKind::Security { .. })
        };
        assert!(world.gateway_events.iter().any(|event| told(&event)), "lead {lead} ms");
    }
}

#[test]
fn a_copied_request_is_reported() {
    let mut world = World::new(Policy::laptop());
    world.run_with_traffic(ms(1000));
    world.intercept = Some(Box::new(|_, _, up, bytes| up && bytes[0] == Kind::Reattach.code()));
    world.set_links(&[1]);
    world.run_with_traffic(ms(200));
    let request = world.held.first().cloned().unwrap();
    for _ in 0..50 {
        world.hand_in(forwarder(), &request);
        world.run(ms(10));
    }
    let told = world.gateway_events.iter().filter(|event| event.reason == Reason::AddressMismatch).count();
    assert_eq!(told, 1, "each reason once a second: {:#?}", world.gateway_events);
}

/// The NAT gives the only link, with `delay` milliseconds each way, a new address. An observer re-sends each probe with
/// the old one as its source, 1 ms after it has arrived, for 20 s. Milliseconds until packets arrive at the client again,
/// how many of the 4000 arrive, and how many probes he copied.
fn rebound_under_forgery(delay: u64) -> (Option<u64>, usize, usize) {
    let mut world = World::new(Policy::laptop());
    world.paths[WIFI].delay = ms(delay);
    world.set_links(&[WIFI]);
    world.run_with_traffic(ms(3000));
    let old = world.outer(WIFI);
    let seen = Rc::new(RefCell::new(VecDeque::<(Time, Vec<u8>)>::new()));
    let tap = Rc::clone(&seen);
    world.intercept = Some(Box::new(move |now, path, up, bytes| {
        if up && path == WIFI && bytes[0] == Kind::PathProbe.code() {
            tap.borrow_mut().push_back((now + ms(delay + 1), bytes.to_vec()));
        }
        false
    }));
    world.paths[WIFI].outer_port += 1;
    world.run(ms(0));
    let (before, mut copied, mut again) = (world.at_agent.len(), 0, None);
    for tick in 0..20_000 {
        if tick % 5 == 0 {
            world.send_up();
            world.send_down();
        }
        world.run(ms(1));
        while seen.borrow().front().is_some_and(|(due, _)| *due <= world.now) {
            let (_, probe) = seen.borrow_mut().pop_front().unwrap();
            world.hand_in(old, &probe);
            copied += 1;
        }
        if world.at_agent.len() > before {
            again.get_or_insert(tick);
        }
    }
    (again, world.at_agent.len() - before, copied)
}

fn carries_again_under_forgery(delay: u64, within: u64) {
    let (again, arrived, copied) = rebound_under_forgery(delay);
    println!("delay {delay} ms: carries again after {again:?} ms, {arrived} arrive, {copied} probes copied");
    assert!(copied > 0);
    assert!(again.is_some_and(|after| after < within), "{again:?} ms, {arrived} of 4000");
    // Packet by packet from there on.
    assert!(arrived >= 3400, "{arrived} of 4000");
}

#[test]
fn forged_signs_of_the_old_address_do_not_hold_a_rebinding_up() {
    carries_again_under_forgery(80, 2000);
}

#[test]
fn forged_signs_of_the_old_address_do_not_hold_a_slow_path_up() {
    carries_again_under_forgery(150, 3000);
}

#[test]
fn a_copy_from_a_third_address_makes_no_rebinding_wait_longer() {
    let mut world = World::new(Policy::laptop());
    world.run_with_traffic(ms(1000));
    let [home, moved] = [900, 901].map(|port| SocketAddr::from(([203, 0, 113, 9], port)));
    let mut client = Rogue::born(&mut world, MALLORY, home);
    client.source = moved;
    let cid = Cid(77);
    // It names a round trip of 2 s and more, so the old address is given the longest time there is: a second.
    let probe = client.probe_for(PathId(0), true, cid);
    world.hand_in(moved, &probe);
    let proof = client.proof_by(&mut world, cid, true, Reason::NatRebinding.number());
    world.run(ms(50));
    world.hand_in(forwarder(), &probe);
    world.run(ms(960));
    let request = client.reattach(&proof);
    world.hand_in(moved, &request);
    assert!(world.gateway.sessions(world.now).any(|row| row.address == moved), "{:#?}", world.gateway_events);
}
