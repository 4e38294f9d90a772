//! Nothing is allocated for what is refused, nor for a packet that passes. What is counted is Rust's allocator; what the
//! cryptographic library allocates for itself is not seen here.
use std::net::SocketAddr;

use allocation_counter::measure;
use jumpvpn_engine::agent::Command;
use jumpvpn_engine::{Gateway, Received, SocketKey, TRANSMIT_BUFFER_LEN};
use jumpvpn_events::{Reason, Time};
use jumpvpn_ownership::Fence;
use jumpvpn_policy::{Policy, PostQuantum};
use jumpvpn_wire::{CONTROL_HEADER_LEN, Cid, Frame, Kind, ReattachPayload, TAG_LEN, TransportClass};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::rogue::{Rogue, hello};
use crate::town::{KEYS, Town};
use crate::world::{
    CLIENT_INNER, GATEWAY, GATEWAY_INNER, MALLORY, MALLORY_INNER, World, gateway_config, ms, packet,
};

/// Where the client with a key and no rules sits.
fn home() -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 66], 6666))
}

fn elsewhere() -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 77], 7777))
}

fn world(policy: Policy) -> (World, Rogue) {
    let mut world = World::new(policy);
    world.run_with_traffic(ms(3000));
    let mallory = Rogue::born(&mut world, MALLORY, home());
    (world, mallory)
}

/// Hands a datagram in and takes out what it causes; the reason of its refusal and what was allocated meanwhile.
fn refuse(gateway: &mut Gateway, source: SocketAddr, datagram: &[u8], now: Time) -> (Received, u64) {
    let local = GATEWAY.parse::<SocketAddr>().unwrap().ip();
    let mut datagram = datagram.to_vec();
    let mut buffer = [0; TRANSMIT_BUFFER_LEN];
    let mut received = Received::Consumed;
    let allocated = measure(|| {
        received = gateway.handle_datagram(SocketKey(0), source, local, &mut datagram, now);
        while gateway.poll_transmit(&mut buffer, now).is_some() {}
        while gateway.poll_event().is_some() {}
    });
    (received, allocated.count_total)
}

#[track_caller]
fn assert_refused_for_free(world: &mut World, source: SocketAddr, datagram: &[u8], reason: Reason) {
    let (received, allocated) = refuse(&mut world.gateway, source, datagram, world.now);
    assert_eq!(received, Received::Dropped(reason));
    assert_eq!(allocated, 0, "allocations for {reason}");
}

fn flipped(datagram: &[u8], at: usize) -> Vec<u8> {
    let mut datagram = datagram.to_vec();
    let at = at.min(datagram.len() - 1);
    datagram[at] ^= 1;
    datagram
}

/// An IP packet without room around it.
fn inner(source: &str, destination: &str) -> Vec<u8> {
    let buffer = packet(source, destination, 1);
    buffer[jumpvpn_engine::HEADROOM..buffer.len() - jumpvpn_engine::TAILROOM].to_vec()
}

#[test]
fn refused_data_allocates_nothing() {
    let (mut world, mut mallory) = world(Policy::laptop());
    let good = mallory.packet(&inner(MALLORY_INNER, GATEWAY_INNER));
    assert_refused_for_free(&mut world, home(), &good[..20], Reason::Malformed);
    assert_refused_for_free(&mut world, home(), &flipped(&good, 3), Reason::ReservedBits);
    assert_refused_for_free(&mut world, home(), &flipped(&good, 6), Reason::UnknownCid);
    let mut far = good.clone();
    far[1] = far[1].wrapping_add(100);
    assert_refused_for_free(&mut world, home(), &far, Reason::StaleGeneration);
    assert_refused_for_free(&mut world, home(), &flipped(&good, usize::MAX), Reason::BadSeal);
    for _ in 0..64 {
        assert_refused_for_free(&mut world, elsewhere(), &flipped(&good, usize::MAX), Reason::BadSeal);
    }
    assert_refused_for_free(&mut world, elsewhere(), &good, Reason::ForeignSourceBudget);
    assert!(matches!(world.hand_in(home(), &good), Received::Packet(_)));
    assert_refused_for_free(&mut world, home(), &good, Reason::ReplayDetected);
    for (plain, reason) in [
        (inner(CLIENT_INNER, GATEWAY_INNER), Reason::InnerSource),
        (inner(MALLORY_INNER, "127.0.0.1"), Reason::InnerDestination),
        (inner(MALLORY_INNER, GATEWAY_INNER)[..19].to_vec(), Reason::NotIp),
    ] {
        let sealed = mallory.packet(&plain);
        assert_refused_for_free(&mut world, home(), &sealed, reason);
    }
    let late = mallory.packet(&inner(MALLORY_INNER, GATEWAY_INNER));
    world.gateway.handle_fence(Fence { epoch: 1, valid_until: Time::ZERO });
    assert_refused_for_free(&mut world, home(), &late, Reason::FenceExpired);
}

#[test]
fn refused_data_without_post_quantum_keys_allocates_nothing() {
    let mut policy = Policy::laptop();
    policy.security.pq = PostQuantum::Required;
    let (mut world, mut mallory) = world(policy);
    let early = mallory.packet(&inner(MALLORY_INNER, GATEWAY_INNER));
    assert_refused_for_free(&mut world, home(), &early, Reason::PqRequired);
}

#[test]
fn refused_confirmations_allocate_nothing() {
    let (mut world, _) = world(Policy::laptop());
    let mut newborn = Rogue::shake_hands(&mut world, MALLORY, 1, elsewhere());
    let fin = newborn.frames(&[Frame::Fin]);
    assert_refused_for_free(&mut world, home(), &fin, Reason::AddressMismatch);
    assert_refused_for_free(&mut world, elsewhere(), &flipped(&fin, usize::MAX), Reason::BadSeal);
    let other = newborn.frames(&[Frame::Want { tokens: 1, config: false }]);
    assert_refused_for_free(&mut world, elsewhere(), &other, Reason::NotAttached);
}

#[test]
fn refused_control_messages_allocate_nothing() {
    let (mut world, mut mallory) = world(Policy::laptop());
    let probe = mallory.probe(Cid(1));
    assert_refused_for_free(&mut world, home(), &probe[..40], Reason::Malformed);
    assert_refused_for_free(&mut world, home(), &flipped(&probe, 8), Reason::UnknownSession);
    assert_refused_for_free(&mut world, home(), &flipped(&probe, usize::MAX), Reason::BadProof);
    assert_eq!(world.hand_in(home(), &probe), Received::Consumed);
    world.take_strays(home());
    assert_refused_for_free(&mut world, home(), &probe, Reason::ReplayDetected);
    let payload = vec![0; probe.len() - CONTROL_HEADER_LEN - TAG_LEN];
    let stale = mallory.seal_in_epoch(Kind::PathProbe, &payload, 9);
    assert_refused_for_free(&mut world, home(), &stale, Reason::StaleEpoch);
    for _ in 0..50 {
        refuse(&mut world.gateway, home(), &flipped(&probe, usize::MAX), world.now);
    }
    assert_refused_for_free(&mut world, home(), &probe, Reason::RateLimited);
    world.run(ms(2000));
    let late = mallory.probe(Cid(2));
    world.gateway.handle_fence(Fence { epoch: 1, valid_until: Time::ZERO });
    assert_refused_for_free(&mut world, home(), &late, Reason::FenceExpired);
}

#[test]
fn refused_requests_to_move_allocate_nothing() {
    let (mut world, mut mallory) = world(Policy::laptop());
    let mut refused = |world: &mut World, change: &dyn Fn(&mut ReattachPayload), from, reason| {
        world.run(ms(2000));
        let (_, mut request) = mallory.request_to_move(world, Reason::OperatorJump.number());
        change(&mut request);
        let datagram = mallory.seal(Kind::Reattach, &request.encode());
        assert_refused_for_free(world, from, &datagram, reason);
    };
    refused(&mut world, &|_| {}, elsewhere(), Reason::AddressMismatch);
    refused(&mut world, &|request| request.path_id.0 += 1, home(), Reason::StaleTicket);
    refused(&mut world, &|request| request.owner_epoch += 1, home(), Reason::StaleTicket);
    refused(&mut world, &|request| request.version += 1, home(), Reason::StaleTicket);
    let class = |request: &mut ReattachPayload| request.transport = TransportClass::Tcp;
    refused(&mut world, &class, home(), Reason::InvalidTransportCandidate);
    let (_, old) = mallory.request_to_move(&mut world, Reason::OperatorJump.number());
    mallory.jump(&mut world, Reason::LinkDown.number());
    let stale = mallory.seal(Kind::Reattach, &old.encode());
    assert_refused_for_free(&mut world, home(), &stale, Reason::StaleStateVersion);
    let (again, _) = mallory.request_to_move(&mut world, Reason::OperatorJump.number());
    assert_refused_for_free(&mut world, home(), &again, Reason::SwitchCooldown);
}

/// The store is asked about a session that a genuine token names and nobody holds; that is a bounded queue.
#[test]
fn a_genuine_token_of_no_session_allocates_nothing() {
    let (mut world, mut mallory) = world(Policy::laptop());
    world.restart_gateway();
    for _ in 0..200 {
        let probe = mallory.probe(Cid(1));
        let (received, allocated) = refuse(&mut world.gateway, home(), &probe, world.now);
        assert!(matches!(received, Received::Dropped(Reason::UnknownSession | Reason::RateLimited)));
        assert_eq!(allocated, 0);
        world.now += ms(10);
    }
}

#[test]
fn a_session_of_another_node_is_refused_without_an_allocation() {
    let (world, mut mallory) = world(Policy::laptop());
    let mut config = gateway_config(0, Policy::laptop());
    config.node = [0, 0, 0, 2];
    let mut other = Gateway::new(config, Box::new(ChaCha20Rng::seed_from_u64(10)), world.now).unwrap();
    other.handle_fence(Fence { epoch: 9, valid_until: Time::MAX });
    let probe = mallory.probe(Cid(1));
    assert_eq!(refuse(&mut other, home(), &probe, world.now), (Received::Dropped(Reason::NotOwner), 0));
}

#[test]
fn refused_handshakes_allocate_nothing_before_the_key_operations() {
    let (mut world, _) = world(Policy::laptop());
    let host = |number: u64| SocketAddr::from(([198, 51, 101, number as u8], 5000));
    let (_, init) = hello(MALLORY, 50);
    assert_refused_for_free(&mut world, host(0), &init[..100], Reason::Malformed);
    assert_refused_for_free(&mut world, host(0), &flipped(&init, 40), Reason::BadMac1);
    assert_eq!(world.hand_over(host(0), &init), Received::Consumed);
    assert_refused_for_free(&mut world, host(0), &init, Reason::HandshakeReplay);
    // Strangers that know our public key: each costs a key operation, whose memory is given back at once.
    let mut asked = 0;
    for number in 0..300 {
        let (_, init) = hello(1000 + number, number);
        let mut received = Received::Consumed;
        let mut bytes = init.to_vec();
        let left = measure(|| received = world.hand_over_in_place(host(number % 200), &mut bytes));
        assert_eq!((left.count_current, left.bytes_current), (0, 0), "{received:?}");
        if received == Received::Dropped(Reason::CookieRequired) {
            assert_eq!(left.count_total, 0, "no key operation, no allocation");
            asked += 1;
        } else {
            assert_eq!(received, Received::Dropped(Reason::UnknownPeer));
        }
    }
    assert!(asked > 200, "{asked}");
}

#[test]
fn packets_that_pass_allocate_nothing() {
    let mut world = World::new(Policy::laptop());
    world.run_with_traffic(ms(5000));
    let local = GATEWAY.parse::<SocketAddr>().unwrap();
    for number in 0..2000 {
        let mut up = packet(CLIENT_INNER, GATEWAY_INNER, number);
        let mut down = packet(GATEWAY_INNER, CLIENT_INNER, number);
        let (now, source, mut passed) = (world.now, world.outer(0), 0);
        let mut len = 0;
        let mut steps = [0; 4];
        steps[0] = measure(|| len = world.agent.handle_packet(&mut up, now).unwrap().len).count_total;
        steps[1] = measure(|| {
            let opened = world.gateway.handle_datagram(SocketKey(0), source, local.ip(), &mut up[..len], now);
            passed += usize::from(matches!(opened, Received::Packet(_)));
        })
        .count_total;
        steps[2] = measure(|| len = world.gateway.handle_packet(&mut down, now).unwrap().len).count_total;
        steps[3] = measure(|| {
            let opened = world.agent.handle_datagram(SocketKey(0), local, &mut down[..len], now);
            passed += usize::from(matches!(opened, Received::Packet(_)));
        })
        .count_total;
        assert_eq!((passed, steps), (2, [0; 4]), "packet {number}");
        world.run(ms(1));
    }
}

#[test]
fn what_the_agent_refuses_allocates_nothing() {
    let mut world = World::new(Policy::laptop());
    world.run_with_traffic(ms(5000));
    let mut down = packet(GATEWAY_INNER, CLIENT_INNER, 1);
    let sealed = world.gateway.handle_packet(&mut down, world.now).unwrap();
    let good = down[..sealed.len].to_vec();
    let gateway = GATEWAY.parse().unwrap();
    let mut refused = |source: SocketAddr, datagram: &[u8], reason: Reason| {
        let mut datagram = datagram.to_vec();
        let mut received = Received::Consumed;
        let allocated = measure(|| {
            received = world.agent.handle_datagram(SocketKey(0), source, &mut datagram, world.now);
        });
        assert_eq!((received, allocated.count_total), (Received::Dropped(reason), 0));
    };
    refused(elsewhere(), &good, Reason::AddressMismatch);
    refused(gateway, &good[..10], Reason::Malformed);
    refused(gateway, &flipped(&good, 6), Reason::UnknownCid);
    refused(gateway, &flipped(&good, usize::MAX), Reason::BadSeal);
    let mut reply = vec![0; Kind::PathTicket.min_len()];
    reply[0] = Kind::PathTicket.code();
    let mut datagram = reply.clone();
    let mut received = Received::Consumed;
    let allocated = measure(|| {
        received = world.agent.handle_datagram(SocketKey(0), gateway, &mut datagram, world.now);
    });
    assert!(matches!(received, Received::Dropped(_)), "{received:?}");
    assert_eq!(allocated.count_total, 0, "for {received:?}");
}

/// Bytes that a gateway holds after its one session jumped so many times, changed its keys as often as the time asked
/// for, was sent forged datagrams, and fell idle. With that the session's key epoch.
fn held_after(jumps: u32) -> (i64, u32) {
    let mut world = World::new(Policy::laptop());
    world.run_with_traffic(ms(3000));
    for _ in 0..jumps {
        world.agent.handle_command(Command::Jump { to: None }, world.now).unwrap();
        world.run_with_traffic(ms(500));
        world.run(ms(19_500));
        let mut forged = vec![0x5a; 156];
        forged[1..4].fill(0);
        for kind in [Kind::Data, Kind::PathProbe, Kind::Reattach, Kind::Close, Kind::HsInit] {
            forged[0] = kind as u8;
            world.hand_over(world.outer(0), &forged);
        }
    }
    world.run(ms(5000));
    let rows: Vec<_> = world.gateway.sessions(world.now).collect();
    assert_eq!((rows.len(), rows[0].switches), (1, jumps));
    let gateway = world.gateway;
    (-measure(|| drop(gateway)).bytes_current, rows[0].key_epoch)
}

#[test]
fn a_session_does_not_grow_with_jumps_key_changes_and_forgeries() {
    let (young, first_epoch) = held_after(2);
    let (old, last_epoch) = held_after(40);
    assert!(young > 0 && last_epoch >= first_epoch + 2, "key epochs {first_epoch} and {last_epoch}");
    assert_eq!(old, young);
}

/// What is refused before the store is asked, and what it is asked for a stranger who has a token and a cookie: a bounded
/// queue.
#[test]
fn refused_takeovers_allocate_nothing_before_the_store_answers() {
    let mut town = Town::new();
    let mut mallory = town.birth(MALLORY, home());
    let mut initiator = mallory.ask_takeover(KEYS[1]);
    let bare = *initiator.message();
    let good = town.with_cookie(1, home(), &mut initiator);
    let now = town.now;
    let mut refused = |datagram: &[u8], source, reason| {
        let (received, allocated) = refuse(&mut town.gateways[1], source, datagram, now);
        assert_eq!((received, allocated), (Received::Dropped(reason), 0), "for {reason}");
    };
    refused(&good[..100], home(), Reason::Malformed);
    refused(&flipped(&good, 9), home(), Reason::UnknownSession);
    refused(&bare, home(), Reason::CookieRequired);
    refused(&good, elsewhere(), Reason::BadCookie);
    for number in 0..5 {
        // Each another one: one that waits already takes no second place.
        let forged = flipped(&good, good.len() - 1 - number);
        let (received, allocated) = refuse(&mut town.gateways[1], home(), &forged, now);
        let expected = if number < 4 { Received::Consumed } else { Received::Dropped(Reason::StoreBusy) };
        assert_eq!((received, allocated), (expected, 0), "message {number}");
    }
    assert!(town.gateways[1].poll_ownership_request().is_some());
    assert!(town.gateways[1].poll_ownership_request().is_none(), "four wait for one answer");
}

/// A takeover that waits for its confirmation holds its record, its request, the answer to it, and its replay window.
#[test]
fn a_waiting_takeover_holds_less_than_two_kibibytes_beside_its_place() {
    let mut town = Town::new();
    let mut mallory = town.birth(MALLORY, home());
    // Once before, so that what only grows has grown.
    town.ask(1, &mut mallory);
    town.run(ms(6000));
    let mut initiator = mallory.ask_takeover(KEYS[1]);
    let init = town.with_cookie(1, home(), &mut initiator);
    town.sent = Vec::with_capacity(16);
    let held = measure(|| _ = town.hand_in(1, home(), &init));
    let answered: usize = town.sent.iter().map(|(_, _, bytes)| bytes.capacity()).sum();
    let held = held.bytes_current - answered as i64;
    assert_eq!(town.gateways[1].status().takeovers, 1);
    assert!((1024..2048).contains(&held), "{held} bytes");
}
