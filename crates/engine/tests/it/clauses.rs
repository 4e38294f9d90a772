//! Clauses of the founding documents that two engines can show: docs/security/clauses.md names these tests.
use std::net::{IpAddr, SocketAddr};

use jumpvpn_engine::agent::Command;
use jumpvpn_engine::{Gateway, HEADROOM, Received, SocketKey, TAILROOM, TRANSMIT_BUFFER_LEN};
use jumpvpn_events::{EventKind, Reason, SessionLabel, State, Time};
use jumpvpn_ownership::{Fence, Handle, Incarnation, Ledger, Moves, RecordState, SessionRecord};
use jumpvpn_policy::Policy;
use jumpvpn_session::{Initiator, InitiatorConfig, PublicKey, SuiteSet};
use jumpvpn_wire::{Cid, InitPayload, Kind, features};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::world::{CLIENT_INNER, GATEWAY, GATEWAY_INNER, World, gateway_config, key, ms, packet};

fn attached() -> World {
    let mut world = World::new(Policy::laptop());
    world.run_with_traffic(ms(5000));
    assert_eq!(world.agent.state(), State::Attached, "{:?}", world.agent_events);
    world
}

fn local() -> IpAddr {
    GATEWAY.parse::<SocketAddr>().unwrap().ip()
}

/// What must not change without a commit.
fn committed(gateway: &Gateway, now: Time) -> Vec<(SessionLabel, u64, u32, SocketAddr)> {
    gateway.sessions(now).map(|row| (row.session, row.version, row.key_epoch, row.address)).collect()
}

/// Takes every link but that of `to` away, and takes the request to move out before it leaves.
fn request_to_move(world: &mut World, to: &str) -> Vec<u8> {
    let left: Vec<_> = world.links.iter().filter(|link| link.iface.as_str() == to).cloned().collect();
    world.agent.handle_links(&left, &[], world.now);
    let mut buffer = [0; TRANSMIT_BUFFER_LEN];
    while let Some(transmit) = world.agent.poll_transmit(&mut buffer, world.now) {
        let datagram = &buffer[..transmit.len];
        if Kind::of(datagram) == Ok(Kind::Reattach) {
            return datagram.to_vec();
        }
    }
    panic!("the path was not warm: {:?}", world.agent.status(world.now).paths);
}

/// HS_INIT of whoever has the key of that seed, for a gateway.
fn hello(seed: u64, gateway: PublicKey) -> Vec<u8> {
    let mut out = [0; jumpvpn_wire::HS_INIT_LEN];
    let payload = InitPayload { features: features::PQ, policy: 0, lanes: 1, lifetime_s: 0, random: [0; 16] };
    let config = InitiatorConfig {
        private: &key(seed),
        gateway: &gateway,
        psk: None,
        suites: SuiteSet::ALL,
        cid: Cid(seed),
        payload,
    };
    Initiator::start(config, &mut ChaCha20Rng::seed_from_u64(seed), &mut out).unwrap();
    out.to_vec()
}

fn deliver(gateway: &mut Gateway, source: SocketAddr, datagram: &[u8], now: Time) -> Received {
    gateway.handle_datagram(SocketKey(0), source, local(), &mut datagram.to_vec(), now)
}

/// Lengths of everything the gateway has to say now.
fn replies(gateway: &mut Gateway, now: Time) -> Vec<usize> {
    let mut buffer = [0; TRANSMIT_BUFFER_LEN];
    std::iter::from_fn(|| gateway.poll_transmit(&mut buffer, now).map(|transmit| transmit.len)).collect()
}

#[test]
fn without_a_valid_fence_nothing_passes_and_nothing_is_decided() {
    let mut world = attached();
    let before = committed(&world.gateway, world.now);
    // What is on its way arrives.
    world.run(ms(20));
    let (events, up, down) = (world.gateway_events.len(), world.at_gateway.len(), world.at_agent.len());
    world.gateway.handle_fence(Fence { epoch: 1, valid_until: world.now });
    world.agent.handle_command(Command::Jump { to: Some("lte".into()) }, world.now).unwrap();
    world.run_with_traffic(ms(2000));
    assert_eq!((world.at_gateway.len(), world.at_agent.len()), (up, down));
    assert_eq!(committed(&world.gateway, world.now), before);
    assert!(!world.gateway_events[events..].iter().any(|event| event.kind.is_commit()));
    let refused =
        |(_, side, reason): &(Time, &str, Reason)| *side == "gateway" && *reason == Reason::FenceExpired;
    assert!(world.drops.iter().any(refused), "{:?}", world.drops);
    world.gateway.handle_fence(Fence { epoch: 1, valid_until: Time::MAX });
    world.run_with_traffic(ms(10_000));
    assert_eq!(world.agent.state(), State::Attached, "{:?}", world.agent_events);
    assert_eq!(world.agent.session(), Some(before[0].0), "the same session goes on");
}

#[test]
fn a_session_of_another_node_is_refused_without_an_answer() {
    let mut world = attached();
    let config =
        jumpvpn_engine::gateway::Config { node: [0, 0, 0, 2], ..gateway_config(1, Policy::laptop()) };
    let mut other = Gateway::new(config, Box::new(ChaCha20Rng::seed_from_u64(10)), world.now).unwrap();
    other.handle_fence(Fence { epoch: 9, valid_until: Time::MAX });
    let request = request_to_move(&mut world, "lte");
    let received = deliver(&mut other, world.outer(1), &request, world.now);
    assert_eq!(received, Received::Dropped(Reason::NotOwner));
    assert!(replies(&mut other, world.now).is_empty());
    assert!(other.poll_ownership_request().is_none(), "it does not even ask the store");
    assert_eq!(other.sessions(world.now).count(), 0);
}

#[test]
fn a_birth_the_store_refuses_makes_no_session() {
    let mut world = World::new(Policy::laptop());
    world.store = Ledger::new(0, 1);
    world.run(ms(3000));
    assert_eq!(world.gateway.sessions(world.now).count(), 0);
    assert!(!world.gateway_events.iter().any(|event| event.kind.is_commit()), "{:?}", world.gateway_events);
    assert!(world.gateway.counters().drops.count(Reason::StoreUnknown) > 0);
    world.store = Ledger::new(64, 1);
    world.run(ms(40_000));
    assert_eq!(world.agent.state(), State::Attached, "{:?}", world.agent_events);
}

#[test]
fn a_birth_that_somebody_else_owns_makes_no_session() {
    let mut world = World::new(Policy::laptop());
    let record = SessionRecord {
        handle: Handle::new(7).unwrap(),
        sid: [7; 16],
        peer: key(2).public().0,
        state: RecordState::Live,
        owner_epoch: 3,
        owner: Incarnation([2; 16]),
        version: 5,
        inner_v4: Some(CLIENT_INNER.parse().unwrap()),
        inner_v6: None,
        created: world.now,
        expires: Time::MAX,
        moved: false,
        moves: Moves::default(),
        key_epoch: 0,
        sealed: Vec::new(),
    };
    assert!(world.store.plant(&record));
    world.run(ms(3000));
    assert_eq!(world.gateway.sessions(world.now).count(), 0);
    assert!(!world.gateway_events.iter().any(|event| event.kind.is_commit()), "{:?}", world.gateway_events);
    assert!(world.gateway.counters().drops.count(Reason::OwnerAlive) > 0);
}

#[test]
fn a_full_table_refuses_the_newcomer_and_keeps_the_living() {
    let mut world = World::new(Policy::laptop());
    let mut config = gateway_config(0, Policy::laptop());
    config.capacity = 1;
    config.peers.push(jumpvpn_engine::gateway::Peer {
        name: "bob".into(),
        public: key(3).public(),
        psk: None,
        inner: vec!["10.77.0.3".parse().unwrap()],
    });
    world.gateway = Gateway::new(config, Box::new(ChaCha20Rng::seed_from_u64(8)), world.now).unwrap();
    world.gateway.handle_fence(Fence { epoch: 1, valid_until: Time::MAX });
    world.run(ms(1000));
    let before = committed(&world.gateway, world.now);
    assert_eq!(before.len(), 1);
    let source = "198.51.100.9:999".parse().unwrap();
    let received = deliver(&mut world.gateway, source, &hello(3, key(1).public()), world.now);
    assert_eq!(received, Received::Dropped(Reason::TableFull));
    assert!(replies(&mut world.gateway, world.now).is_empty());
    assert_eq!(committed(&world.gateway, world.now), before);
    let sent = world.at_gateway.len();
    world.run_with_traffic(ms(500));
    assert_eq!(world.at_gateway.len() - sent, 99, "all but the last, which is on its way: {:?}", world.drops);
}

#[test]
fn a_flood_of_handshakes_costs_few_key_operations() {
    let mut world = attached();
    let before = committed(&world.gateway, world.now);
    let handshakes = world.gateway.counters().handshakes;
    for seed in 1000..1300 {
        let source = SocketAddr::from(([198, 51, (seed / 256) as u8, seed as u8], 5000));
        let received = deliver(&mut world.gateway, source, &hello(seed, key(99).public()), world.now);
        assert_eq!(received, Received::Dropped(Reason::BadMac1), "made for another gateway");
    }
    assert_eq!(world.gateway.counters().handshakes, handshakes, "no key operation before mac1");
    assert!(replies(&mut world.gateway, world.now).is_empty());
    for seed in 1000..1300 {
        let source = SocketAddr::from(([198, 51, (seed / 256) as u8, seed as u8], 5000));
        let received = deliver(&mut world.gateway, source, &hello(seed, key(1).public()), world.now);
        let refused = [Received::Dropped(Reason::UnknownPeer), Received::Dropped(Reason::CookieRequired)];
        assert!(refused.contains(&received), "{received:?}");
        assert!(replies(&mut world.gateway, world.now).iter().all(|len| *len == 52), "nothing but HS_RETRY");
    }
    let cost = world.gateway.counters().handshakes - handshakes;
    assert!((1..=33).contains(&cost), "an eighth of the 256 at once, then cookies: {cost}");
    assert_eq!(world.gateway.status().pending, 0);
    assert_eq!(committed(&world.gateway, world.now), before);
    let sent = world.at_agent.len();
    world.run_with_traffic(ms(500));
    assert_eq!(world.at_agent.len() - sent, 100, "{:?}", world.drops);
}

#[test]
fn strangers_get_no_answer_and_change_nothing() {
    let mut world = attached();
    let before = committed(&world.gateway, world.now);
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    let source = "198.51.100.9:999".parse().unwrap();
    for kind in [Kind::Data, Kind::HsInit, Kind::PathProbe, Kind::Reattach, Kind::Close] {
        for _ in 0..200 {
            let mut datagram = vec![0; kind.min_len()];
            rng.fill_bytes(&mut datagram);
            datagram[0] = kind as u8;
            // Reserved bits are zero, so that it is looked at as far as possible.
            datagram[1] = 0;
            if kind == Kind::Data {
                (datagram[2], datagram[3]) = (0, 0);
            }
            let received = deliver(&mut world.gateway, source, &datagram, world.now);
            let first_checks = [Reason::UnknownCid, Reason::BadMac1, Reason::UnknownSession];
            let Received::Dropped(reason) = received else { panic!("{kind:?}: {received:?}") };
            assert!(first_checks.contains(&reason), "{kind:?}: {reason}");
        }
    }
    assert!(replies(&mut world.gateway, world.now).is_empty());
    assert!(world.gateway.poll_ownership_request().is_none());
    assert_eq!(committed(&world.gateway, world.now), before);
}

#[test]
fn a_flood_of_refusals_is_reported_once_a_second_and_to_its_last() {
    let mut world = attached();
    world.run(ms(1500));
    let from = world.gateway_events.len();
    let mut rng = ChaCha20Rng::seed_from_u64(12);
    let mut probe = vec![0; Kind::PathProbe.min_len()];
    for _ in 0..2500 {
        rng.fill_bytes(&mut probe);
        (probe[0], probe[1]) = (Kind::PathProbe as u8, 0);
        deliver(&mut world.gateway, "198.51.100.9:999".parse().unwrap(), &probe, world.now);
        world.run(ms(1));
    }
    world.run(ms(2000));
    let reports: Vec<u32> = world.gateway_events[from..]
        .iter()
        .filter(|event| event.reason == Reason::UnknownSession)
        .map(|event| match event.kind {
            EventKind::Security { count } => count,
            _ => panic!("{event:?}"),
        })
        .collect();
    assert_eq!(reports.iter().sum::<u32>(), 2500, "{reports:?}");
    assert_eq!(reports.len(), 4, "the first, and one for each second: {reports:?}");
}

#[test]
fn whoever_forges_for_a_client_is_reported_there() {
    let mut world = attached();
    let from = world.agent_events.len();
    let mut forged = [7; 164];
    (forged[0], forged[1]) = (Kind::PathTicket as u8, 0);
    for _ in 0..100 {
        world.hand_to_agent(0, &forged[..Kind::PathTicket.min_len()]);
    }
    world.run(ms(2000));
    let told: u32 = world.agent_events[from..]
        .iter()
        .filter_map(|event| match event.kind {
            EventKind::Security { count } => Some(count),
            _ => None,
        })
        .sum();
    assert_eq!(told, 100, "{:?}", &world.agent_events[from..]);
}

#[test]
fn a_request_to_move_works_once() {
    let mut world = attached();
    let request = request_to_move(&mut world, "lte");
    let lte = world.outer(1);
    assert_eq!(deliver(&mut world.gateway, lte, &request, world.now), Received::Consumed);
    let moved = committed(&world.gateway, world.now);
    assert_eq!((moved[0].1, moved[0].3), (2, lte));
    world.run_with_traffic(ms(5000));
    world.set_links(&[0, 1]);
    world.run_with_traffic(ms(3000));
    world.agent.handle_command(Command::Jump { to: Some("wifi".into()) }, world.now).unwrap();
    world.run_with_traffic(ms(2000));
    assert_eq!(world.active(), "wifi", "{:?}", world.agent_events);
    let back = committed(&world.gateway, world.now);
    let stranger = "198.51.100.9:999".parse().unwrap();
    for source in [lte, world.outer(0), stranger] {
        let again = deliver(&mut world.gateway, source, &request, world.now);
        assert_eq!(again, Received::Dropped(Reason::ReplayDetected), "from {source}");
    }
    assert!(replies(&mut world.gateway, world.now).is_empty());
    assert_eq!(committed(&world.gateway, world.now), back);
    let told = std::iter::from_fn(|| world.gateway.poll_event()).any(|event| {
        event.reason == Reason::ReplayDetected && matches!(event.kind, EventKind::Security { .. })
    });
    assert!(told);
}

#[test]
fn after_a_move_only_the_new_binding_is_served() {
    let mut world = attached();
    // Sealed for the old binding, and held back by somebody on the way.
    let mut held_back = packet(CLIENT_INNER, GATEWAY_INNER, 1);
    world.agent.handle_packet(&mut held_back, world.now).unwrap();
    world.agent.handle_command(Command::Jump { to: Some("lte".into()) }, world.now).unwrap();
    world.run_with_traffic(ms(3000));
    assert_eq!(world.active(), "lte");
    for path in [0, 1] {
        let source = world.outer(path);
        let received = deliver(&mut world.gateway, source, &held_back, world.now);
        assert_eq!(received, Received::Dropped(Reason::UnknownCid));
    }
    let mut down = packet(GATEWAY_INNER, CLIENT_INNER, 2);
    let transmit = world.gateway.handle_packet(&mut down, world.now).unwrap();
    assert_eq!(transmit.destination, world.outer(1));
    assert_eq!(transmit.len, HEADROOM + 28 + TAILROOM);
}

#[test]
fn events_that_nobody_takes_stop_nothing() {
    let mut world = attached();
    let session = world.agent.session();
    let both = world.links.clone();
    let one = &both[..1];
    for _ in 0..5000 {
        world.agent.handle_links(one, &[], world.now);
        world.agent.handle_links(&both, &[], world.now);
    }
    assert!(world.agent.counters().drops.count(Reason::TelemetryOverflow) > 0, "the oldest gave way");
    let sent = world.at_gateway.len();
    world.run_with_traffic(ms(500));
    assert_eq!(world.at_gateway.len() - sent, 100, "{:?}", world.drops);
    assert_eq!((world.agent.state(), world.agent.session()), (State::Attached, session));
}

#[test]
fn a_silent_session_ends_at_its_time_and_leaves_no_entry() {
    let mut world = World::new(Policy::spec_default());
    world.run_with_traffic(ms(3000));
    let ttl = Policy::spec_default().session.transport_lost_ttl;
    for path in &mut world.paths {
        path.up_works = false;
    }
    world.run(ttl - ms(500));
    assert_eq!(world.gateway.sessions(world.now).count(), 1);
    world.run(ms(1000));
    assert_eq!(world.gateway.sessions(world.now).count(), 0);
    assert_eq!((world.gateway.status().pending, world.gateway.poll_timeout()), (0, None), "no timer is left");
    let end = world.gateway_events.last().unwrap();
    assert_eq!((end.reason, end.version), (Reason::TransportLostTtl, 2));
    assert!(matches!(end.kind, EventKind::Termination { committed: true, .. }), "{end:?}");
    assert_eq!(world.store.evict(Time::MAX), 1, "the tombstone");
    assert_eq!(world.store.record_count(), 0);
}
