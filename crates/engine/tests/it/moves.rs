//! What a request of a key holder leads to: answers, times and limits, to the nanosecond where there is one.
use std::net::SocketAddr;
use std::time::Duration;

use jumpvpn_engine::{HEADROOM, Received, TAILROOM};
use jumpvpn_events::{EventKind, Reason};
use jumpvpn_policy::{Class, ClassSet, Policy};
use jumpvpn_wire::{
    Cid, CloseAckPayload, ClosePayload, Frame, Kind, PathId, ResultPayload, ResultStatus, TicketPayload,
};

use crate::rogue::Rogue;
use crate::world::{GATEWAY_INNER, MALLORY, MALLORY_INNER, World, gateway_config, ms, packet, peer};

/// The shortest time there is here.
const TICK: Duration = Duration::from_nanos(1);

fn home() -> SocketAddr {
    elsewhere(1)
}

fn elsewhere(host: u8) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, host], 6666))
}

fn scene() -> (World, Rogue) {
    scene_under(Policy::laptop())
}

fn scene_under(policy: Policy) -> (World, Rogue) {
    let mut world = World::new(policy);
    world.run(ms(500));
    let client = Rogue::born(&mut world, MALLORY, home());
    (world, client)
}

/// A packet that may pass.
fn inner() -> Vec<u8> {
    let buffer = packet(MALLORY_INNER, GATEWAY_INNER, 1);
    buffer[HEADROOM..buffer.len() - TAILROOM].to_vec()
}

/// A packet of frames that changes nothing.
fn pad(client: &mut Rogue) -> Vec<u8> {
    client.frames(&[Frame::Want { tokens: 1, config: false }])
}

/// The only answer to the client, which is a result.
fn result(world: &mut World, client: &Rogue) -> ResultPayload {
    let answers = client.answers(world);
    assert_eq!(answers.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [Kind::ReattachResult]);
    ResultPayload::decode(&answers[0].1).unwrap()
}

fn kinds(world: &mut World, client: &Rogue) -> Vec<Kind> {
    client.answers(world).into_iter().map(|(kind, _)| kind).collect()
}

/// Where the gateway sends this client's packets.
fn bound(world: &World) -> Vec<SocketAddr> {
    let rows = world.gateway.sessions(world.now).map(|row| row.address);
    rows.filter(|address| (0..9).any(|host| elsewhere(host) == *address)).collect()
}

#[test]
fn a_packet_behind_a_request_to_move_passes_after_the_move() {
    let (mut world, mut client) = scene();
    let (mut datagram, request) = client.request_to_move(&mut world, Reason::LinkDown.number());
    client.bind(&request);
    let before = world.gateway.counters().clone();
    datagram.extend(client.packet(&inner()));
    let Received::Packet(range) = world.hand_over_in_place(home(), &mut datagram) else {
        panic!("the packet did not pass")
    };
    assert_eq!(datagram[range], inner());
    let after = world.gateway.counters();
    assert_eq!(after.packets_in - before.packets_in, 1);
    world.collect();
    assert_eq!(result(&mut world, &client).status, ResultStatus::Committed);
}

#[test]
fn a_packet_behind_another_message_does_not_pass() {
    let (mut world, mut client) = scene();
    let mut datagram = client.probe(Cid(5));
    datagram.extend(client.packet(&inner()));
    assert!(matches!(world.hand_in(home(), &datagram), Received::Dropped(_)));
    assert_eq!(kinds(&mut world, &client), []);
}

#[test]
fn the_result_of_a_move_is_repeated_three_times_where_the_session_is_bound() {
    let (mut world, mut client) = scene();
    let (request, proof) = client.request_to_move(&mut world, Reason::LinkDown.number());
    assert_eq!(world.hand_in(home(), &request), Received::Consumed);
    let first = result(&mut world, &client);
    assert_eq!((first.status, first.version, first.cseq), (ResultStatus::Committed, 2, client.cseq));
    for _ in 0..3 {
        assert_eq!(world.hand_in(elsewhere(2), &request), Received::Dropped(Reason::ReplayDetected));
        assert!(world.take_strays(elsewhere(2)).is_empty());
        assert_eq!(world.hand_in(home(), &request), Received::Consumed);
        assert_eq!(result(&mut world, &client), first);
    }
    assert_eq!(world.hand_in(home(), &request), Received::Dropped(Reason::ReplayDetected));
    assert_eq!(kinds(&mut world, &client), []);
    // None of them moved it again: it goes on under the keys of the first.
    client.bind(&proof);
    let packet = client.packet(&inner());
    assert!(matches!(world.hand_in(home(), &packet), Received::Packet(_)));
}

#[test]
fn a_binding_drains_for_two_round_trips_and_a_second_at_most() {
    for (rtt_ms, drain_ms) in [(40, 80_u16), (300, 600), (500, 1000), (700, 1000)] {
        for (late, received) in
            [(Duration::ZERO, Received::Dropped(Reason::BindingNotActive)), (TICK, Received::Consumed)]
        {
            let (mut world, mut client) = scene();
            // The round trip of the path in use is told by a probe of it; that of the new one does not count yet.
            client.rtt_us = rtt_ms * 1000;
            let probe = client.probe_for(PathId(0), false, Cid(4));
            world.hand_in(home(), &probe);
            client.rtt_us = 1_900_000;
            let (request, _) = client.request_to_move(&mut world, Reason::LinkDown.number());
            let old = pad(&mut client);
            assert_eq!(world.hand_in(home(), &request), Received::Consumed);
            assert_eq!(result(&mut world, &client).drain_ms, drain_ms);
            world.now = world.now + ms(drain_ms.into()) - late;
            assert_eq!(world.hand_over(home(), &old), received, "round trip {rtt_ms} ms, {late:?} before");
        }
    }
}

#[test]
fn the_old_address_is_waited_for_two_round_trips() {
    // Never shorter than 20 ms and never longer than a second.
    for (rtt_ms, hold_ms) in [(2, 20), (10, 20), (40, 80), (300, 600), (700, 1000)] {
        for (early, status) in [(TICK, ResultStatus::Rejected), (Duration::ZERO, ResultStatus::Committed)] {
            let (mut world, mut client) = scene();
            client.source = elsewhere(2);
            // A probe of another path says nothing about the one in use.
            client.rtt_us = 900_000;
            let other = client.probe(Cid(4));
            world.hand_in(client.source, &other);
            client.rtt_us = rtt_ms * 1000;
            let proof = client.proof(&mut world, PathId(0), true, Reason::NatRebinding.number());
            let request = client.reattach(&proof);
            world.now = world.now + ms(hold_ms) - early;
            world.hand_in(client.source, &request);
            let result = result(&mut world, &client);
            assert_eq!(result.status, status, "round trip {rtt_ms} ms, {early:?} before");
            let expected = if early.is_zero() { Reason::NatRebinding } else { Reason::RebindWait };
            assert_eq!(Reason::from_number(result.reason), Some(expected));
        }
    }
}

#[test]
fn a_close_ends_the_session_and_is_answered() {
    // Who owns the session is the gateway's to say, and not the client's.
    for (said, told) in [(Reason::Shutdown, Reason::Shutdown), (Reason::Superseded, Reason::PeerClosed)] {
        let (mut world, mut client) = scene();
        // It binds nothing, so it may come from anywhere.
        client.source = elsewhere(2);
        let close = client.seal(Kind::Close, &ClosePayload { reason: said.number(), version: 1 }.encode());
        assert_eq!(world.hand_in(client.source, &close), Received::Consumed);
        let answers = client.answers(&mut world);
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].0, Kind::CloseAck);
        assert_eq!(CloseAckPayload::decode(&answers[0].1).unwrap().cseq, client.cseq);
        assert!(bound(&world).is_empty());
        let ends =
            world.gateway_events.iter().filter(|event| matches!(event.kind, EventKind::Termination { .. }));
        assert_eq!(ends.map(|event| event.reason).collect::<Vec<_>>(), [told]);
    }
}

#[test]
fn a_copied_probe_is_answered_once_from_elsewhere_within_a_second() {
    let second = Duration::from_secs(1);
    for (later, from, answered) in
        [(Duration::ZERO, 1, false), (Duration::ZERO, 2, true), (second - TICK, 2, true), (second, 2, false)]
    {
        let (mut world, mut client) = scene();
        let probe = client.probe(Cid(5));
        assert_eq!(world.hand_in(home(), &probe), Received::Consumed);
        assert_eq!(kinds(&mut world, &client), [Kind::PathTicket]);
        world.now += later;
        client.source = elsewhere(from);
        let expected = if answered { Received::Consumed } else { Received::Dropped(Reason::ReplayDetected) };
        assert_eq!(world.hand_in(client.source, &probe), expected, "{later:?} later from {from}");
        assert_eq!(kinds(&mut world, &client).len(), usize::from(answered));
        if answered {
            // Another one is one too many.
            assert_eq!(world.hand_in(elsewhere(3), &probe), Received::Dropped(Reason::ReplayDetected));
        }
    }
}

#[test]
fn a_number_is_too_old_when_the_window_has_left_it_behind() {
    for (window, number, admitted) in [(128, 10, false), (128, 11, true), (64, 10, false), (64, 11, true)] {
        let mut policy = Policy::laptop();
        policy.security.replay_window_size = window;
        let (mut world, mut client) = scene_under(policy);
        client.cseq = number - 1;
        let old = client.probe(Cid(5));
        client.cseq = 10 + u64::from(window) - 1;
        let newest = client.probe(Cid(6));
        assert_eq!(world.hand_in(home(), &newest), Received::Consumed);
        let expected = if admitted { Received::Consumed } else { Received::Dropped(Reason::ReplayDetected) };
        assert_eq!(world.hand_in(home(), &old), expected, "number {number}, window {window}");
    }
}

#[test]
fn what_may_be_said_under_the_keys_before_ends_after_three_seconds() {
    let seconds = Duration::from_secs(3);
    for (early, in_time) in [(TICK, true), (Duration::ZERO, false)] {
        let (mut world, mut client) = scene();
        let (probe, packet) = (client.probe(Cid(5)), client.packet(&inner()));
        let (request, _) = client.request_to_move(&mut world, Reason::LinkDown.number());
        client.rekey(&mut world);
        // The first message under the new keys confirms them, and nothing before it.
        assert_eq!(key_epoch(&world), 0);
        let confirming = client.probe(Cid(6));
        assert_eq!(world.hand_in(home(), &confirming), Received::Consumed);
        assert_eq!((key_epoch(&world), kinds(&mut world, &client)), (1, vec![Kind::PathTicket]));
        world.now = world.now + seconds - early;
        let (ticket, passed) = match in_time {
            true => (Received::Consumed, true),
            false => (Received::Dropped(Reason::StaleEpoch), false),
        };
        assert_eq!(world.hand_over(home(), &request), Received::Dropped(Reason::StaleEpoch), "no move");
        assert_eq!(world.hand_over(home(), &probe), ticket, "{early:?} before the end");
        let received = world.hand_over(home(), &packet);
        match passed {
            true => assert!(matches!(received, Received::Packet(_)), "{received:?}"),
            false => assert_eq!(received, Received::Dropped(Reason::BindingNotActive)),
        }
    }
}

#[test]
fn keys_of_no_epoch_at_hand_open_nothing() {
    let (mut world, mut client) = scene();
    client.rekey(&mut world);
    for epoch in [2, 3, u16::MAX] {
        let message = client.seal_in_epoch(Kind::Close, &[0; ClosePayload::LEN], epoch);
        assert_eq!(world.hand_in(home(), &message), Received::Dropped(Reason::StaleEpoch), "{epoch}");
    }
    assert_eq!(key_epoch(&world), 0);
}

/// The client's key epoch at the gateway.
fn key_epoch(world: &World) -> u32 {
    let mut rows =
        world.gateway.sessions(world.now).filter(|row| (0..9).any(|host| elsewhere(host) == row.address));
    rows.next().unwrap().key_epoch
}

#[test]
fn nobody_moves_to_udp_where_the_policy_does_not_allow_it() {
    let mut policy = Policy::laptop();
    policy.transport.allowed = ClassSet::EMPTY.with(Class::Tcp);
    let (mut world, mut client) = scene_under(policy);
    let (request, _) = client.request_to_move(&mut world, Reason::LinkDown.number());
    let refused = Received::Dropped(Reason::InvalidTransportCandidate);
    assert_eq!(world.hand_in(home(), &request), refused);
    assert_eq!(result(&mut world, &client).status, ResultStatus::Rejected);
}

#[test]
fn a_ticket_says_what_it_is_for() {
    let (mut world, mut client) = scene();
    let probe = client.probe(Cid(5));
    world.hand_in(home(), &probe);
    let answers = client.answers(&mut world);
    let ticket = TicketPayload::decode(&answers[0].1).unwrap();
    assert_eq!((ticket.nonce, ticket.path_id, ticket.mismatch), ([1; 8], PathId(1), false));
    assert_eq!(usize::from(ticket.received_len), probe.len());
    let (request, _) = client.request_to_move(&mut world, Reason::LinkDown.number());
    client.source = elsewhere(2);
    world.hand_in(client.source, &request);
    let answers = client.answers(&mut world);
    let ticket = TicketPayload::decode(&answers[0].1).unwrap();
    assert_eq!((ticket.nonce, ticket.path_id, ticket.mismatch), ([0; 8], PathId(1), true));
    assert_eq!(usize::from(ticket.received_len), request.len());
}

#[test]
fn packets_and_bytes_are_counted_both_ways() {
    let (mut world, mut client) = scene();
    let before = world.gateway.counters().clone();
    for _ in 0..3 {
        let packet = client.packet(&inner());
        assert!(matches!(world.hand_in(home(), &packet), Received::Packet(_)));
    }
    for _ in 0..2 {
        world.gateway.handle_packet(&mut packet(GATEWAY_INNER, MALLORY_INNER, 1), world.now).unwrap();
    }
    let after = world.gateway.counters();
    let len = inner().len() as u64;
    assert_eq!((after.packets_in - before.packets_in, after.bytes_in - before.bytes_in), (3, 3 * len));
    assert_eq!((after.packets_out - before.packets_out, after.bytes_out - before.bytes_out), (2, 2 * len));
}

#[test]
fn a_buffer_without_a_packet_is_refused() {
    let (world, _) = scene();
    let mut gateway = world.gateway;
    for len in [0, TAILROOM, HEADROOM, HEADROOM + TAILROOM - 1, HEADROOM + TAILROOM] {
        assert_eq!(gateway.handle_packet(&mut vec![0; len], world.now), Err(Reason::NotIp), "{len} bytes");
    }
}

#[test]
fn a_stale_generation_is_refused_before_the_session_is_looked_at() {
    let (mut world, mut client) = scene();
    let mut packet = client.packet(&inner());
    packet[1] = 7;
    world.gateway.handle_fence(jumpvpn_ownership::Fence { epoch: 1, valid_until: world.now });
    assert_eq!(world.hand_over(home(), &packet), Received::Dropped(Reason::StaleGeneration));
}

#[test]
fn a_late_packet_of_the_binding_before_does_not_show_that_the_address_answers() {
    for (late, committed) in [(true, true), (false, false)] {
        let (mut world, mut client) = scene();
        let (request, proof) = client.request_to_move(&mut world, Reason::LinkDown.number());
        let of_before = client.packet(&inner());
        world.hand_in(home(), &request);
        client.bind(&proof);
        client.source = elsewhere(2);
        let proof = client.proof(&mut world, PathId(1), true, Reason::NatRebinding.number());
        world.now += ms(5);
        let packet = if late { of_before } else { client.packet(&inner()) };
        assert!(matches!(world.hand_in(home(), &packet), Received::Packet(_)));
        // Beyond the longest hold, the cooldown, and the age to which packets are sent again.
        world.now += ms(2000);
        let request = client.reattach(&proof);
        let received = world.hand_in(client.source, &request);
        let alive = Received::Dropped(Reason::OldPathAlive);
        assert_eq!(received, if committed { Received::Consumed } else { alive }, "late: {late}");
    }
}

/// Sends a packet of that number to the client, over a path that swallows it.
fn send(world: &mut World, to: &str, number: u64) {
    world.gateway.handle_packet(&mut packet(GATEWAY_INNER, to, number), world.now).unwrap();
}

/// Numbers of the packets that were sent to the client.
fn received(world: &mut World, client: &mut Rogue) -> Vec<u64> {
    let sent = world.take_strays(client.source);
    let opened = sent.iter().filter_map(|datagram| client.open(datagram));
    opened
        .filter(|plain| plain[0] == 0x45)
        .inspect(|plain| assert_eq!(plain.len(), inner().len()))
        .map(|plain| u64::from_le_bytes(plain[20..28].try_into().unwrap()))
        .collect()
}

#[test]
fn what_a_dead_path_swallowed_in_its_last_round_trip_is_sent_again() {
    for (reason, again) in [(Reason::LinkDown, vec![3, 4]), (Reason::OperatorJump, vec![])] {
        let mut config = gateway_config(0, Policy::laptop());
        config.peers.push(peer("carol", 4, &["10.77.0.4"]));
        let mut world = World::with_gateway(config);
        let mut clients = [MALLORY, 4].map(|seed| {
            let mut client = Rogue::born(&mut world, seed, elsewhere(seed as u8));
            client.rtt_us = 40_000;
            let probe = client.probe_for(PathId(0), false, Cid(4));
            world.hand_in(client.source, &probe);
            client
        });
        let inner = [MALLORY_INNER, "10.77.0.4"];
        // Each is heard 50 ms later, with a round trip of 40: what was sent to it in the first 10 has arrived.
        world.now += ms(1000);
        inner.iter().for_each(|to| send(&mut world, to, 1));
        world.now += ms(9);
        inner.iter().for_each(|to| send(&mut world, to, 2));
        world.now += ms(2);
        inner.iter().for_each(|to| send(&mut world, to, 3));
        world.now += ms(39);
        for client in &mut clients {
            let alive = pad(client);
            world.hand_in(client.source, &alive);
        }
        world.now += ms(100);
        inner.iter().for_each(|to| send(&mut world, to, 4));
        let requests = clients.each_mut().map(|client| {
            let (request, proof) = client.request_to_move(&mut world, reason.number());
            world.take_strays(client.source);
            client.bind(&proof);
            (client.source, request)
        });
        // Both move before the first of the packets is sent.
        for (source, request) in &requests {
            assert_eq!(world.hand_over(*source, request), Received::Consumed);
        }
        world.collect();
        for client in &mut clients {
            assert_eq!(received(&mut world, client), again, "{reason:?}");
        }
    }
}

#[test]
fn a_client_whose_stream_stops_is_told_twice_as_late_each_time() {
    let (mut world, mut client) = scene();
    // Again after each stream.
    for _ in 0..2 {
        for _ in 0..40 {
            world.run(ms(5));
            let packet = client.packet(&inner());
            assert!(matches!(world.hand_in(home(), &packet), Received::Packet(_)));
        }
        world.take_strays(home());
        let mut told = Vec::new();
        for after in 1..=4000 {
            world.run(ms(1));
            told.extend(world.take_strays(home()).iter().map(|_| after));
        }
        // Packets that came 5 ms apart are missed after the shortest time there is, 15 ms.
        let due = [15, 30, 60, 120, 240];
        let punctual = told.iter().zip(due).all(|(told, due)| (due..=due + 4).contains(told));
        assert!(told.len() == due.len() && punctual, "{told:?}");
    }
}

#[test]
fn the_old_address_is_asked_for_a_rebinding_and_for_nothing_else() {
    for (rebind, from, asked) in [(true, 2, true), (false, 2, false), (true, 1, false), (false, 1, false)] {
        let (mut world, mut client) = scene();
        world.take_strays(home());
        let probe = client.probe_for(PathId(0), rebind, Cid(5));
        assert_eq!(world.hand_in(elsewhere(from), &probe), Received::Consumed);
        let questions = world.take_strays(home()).iter().filter(|sent| sent[0] == Kind::Data.code()).count();
        assert_eq!(questions > 0, asked, "rebinding: {rebind}, from {from}");
    }
}

#[test]
fn requests_that_are_wrong_are_no_churn() {
    let (mut world, mut client) = scene();
    for _ in 0..60 {
        // Beyond the time in which denials count as one.
        world.now += ms(6000);
        let mut wrong = client.proof(&mut world, PathId(1), false, Reason::LinkDown.number());
        wrong.owner_epoch += 1;
        let request = client.reattach(&wrong);
        assert_eq!(world.hand_over(home(), &request), Received::Dropped(Reason::StaleTicket));
    }
    assert_eq!(bound(&world), [home()]);
}
