//! Clients that hold a key and ask for more than their share.
use std::net::SocketAddr;

use jumpvpn_engine::Received;
use jumpvpn_engine::agent::Command;
use jumpvpn_engine::gateway::Command as GatewayCommand;
use jumpvpn_events::{EventKind, Reason, State};
use jumpvpn_ownership::Ledger;
use jumpvpn_policy::{Policy, PostQuantum};
use jumpvpn_wire::Frame;

use crate::rogue::Rogue;
use crate::world::{
    CLIENT_INNER, GATEWAY_INNER, MALLORY, MALLORY_INNER, World, gateway_config, ms, packet, peer,
};

fn elsewhere() -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 66], 6666))
}

#[test]
fn a_new_session_never_receives_packets_of_the_one_before() {
    let mut world = World::new(Policy::laptop());
    world.run_with_traffic(ms(1000));
    world.agent.handle_command(Command::Close, world.now).unwrap();
    world.run(ms(15));
    assert_eq!(world.gateway.sessions(world.now).count(), 0);
    let mut mallory = Rogue::born(&mut world, MALLORY, elsewhere());
    mallory.jump(&mut world, Reason::LinkDown.number());
    let received: Vec<_> =
        world.take_strays(elsewhere()).iter().filter_map(|packet| mallory.open(packet)).collect();
    let victim: std::net::Ipv4Addr = CLIENT_INNER.parse().unwrap();
    let leaked = received.iter().filter(|packet| packet.windows(4).any(|part| part == victim.octets()));
    assert_eq!(leaked.count(), 0, "of {} packets", received.len());
}

#[test]
fn one_packet_full_of_questions_is_answered_once_per_kind() {
    let want = Frame::Want { tokens: 8, config: true };
    let questions = [want, Frame::Fin, Frame::PmtuProbe { seq: 1, len: 1400 }];
    for question in questions {
        let mut world = World::new(Policy::laptop());
        let mut mallory = Rogue::born(&mut world, MALLORY, elsewhere());
        let packet = mallory.frames(&vec![question; 1300]);
        assert_eq!(world.hand_in(elsewhere(), &packet), Received::Consumed);
        let answers = world.take_strays(elsewhere()).len();
        assert!((1..=3).contains(&answers), "{answers} answers to {question:?}");
    }
}

#[test]
fn a_burst_of_questions_leaves_room_for_the_answers_to_others() {
    let mut world = World::new(Policy::laptop());
    let mut mallory = Rogue::born(&mut world, MALLORY, elsewhere());
    // As many as a caller hands in before it takes the answers out.
    for _ in 0..64 {
        let kinds = [Frame::Want { tokens: 8, config: true }, Frame::PmtuProbe { seq: 1, len: 1400 }];
        let packet = mallory.frames(&kinds);
        world.hand_over(elsewhere(), &packet);
    }
    world.collect();
    assert_eq!(world.gateway.counters().drops.count(Reason::OutboxFull), 0);
    assert!(world.take_strays(elsewhere()).len() < 128);
}

#[test]
fn key_exchanges_of_one_session_are_few() {
    let mut world = World::new(Policy::laptop());
    let mut mallory = Rogue::born(&mut world, MALLORY, elsewhere());
    for _ in 0..100 {
        let packet = mallory.classical_rekey();
        world.hand_in(elsewhere(), &packet);
    }
    assert_eq!(world.take_strays(elsewhere()).len(), 3);
}

#[test]
fn keys_without_post_quantum_do_not_pass_where_it_is_required() {
    let mut policy = Policy::laptop();
    policy.security.pq = PostQuantum::Required;
    let mut world = World::new(policy);
    let mut mallory = Rogue::born(&mut world, MALLORY, elsewhere());
    let packet_up = mallory.classical_rekey();
    world.hand_in(elsewhere(), &packet_up);
    assert!(world.take_strays(elsewhere()).is_empty());
    let mut down = packet(GATEWAY_INNER, MALLORY_INNER, 1);
    assert_eq!(world.gateway.handle_packet(&mut down, world.now).err(), Some(Reason::PqRequired));
}

#[test]
fn a_birth_without_a_place_leaves_no_record_behind() {
    let mut config = gateway_config(0, Policy::laptop());
    config.capacity = 1;
    let mut world = World::with_gateway(config);
    let sources = [2, 3].map(|host| SocketAddr::from(([203, 0, 113, host], 5000)));
    let mut clients =
        [2, MALLORY].map(|seed| Rogue::shake_hands(&mut world, seed, 0, sources[seed as usize - 2]));
    // Both confirm before the store has answered either.
    for client in &mut clients {
        let fin = client.frames(&[Frame::Fin]);
        world.hand_over(client.source, &fin);
    }
    world.collect();
    assert_eq!((world.gateway.sessions(world.now).count(), world.store.record_count()), (1, 1));
    world.gateway.handle_command(GatewayCommand::CloseAll { reason: Reason::OwnerClosed }, world.now);
    world.collect();
    let mut late = Rogue::shake_hands(&mut world, MALLORY, 1, sources[1]);
    let fin = late.frames(&[Frame::Fin]);
    world.hand_in(late.source, &fin);
    let holder = world.gateway.sessions(world.now).next().map(|row| row.peer);
    assert_eq!(holder.as_deref(), Some("mallory"), "{:?}", world.drops);
}

#[test]
fn a_client_that_was_started_again_finds_its_place_in_a_full_table() {
    let mut config = gateway_config(0, Policy::laptop());
    config.capacity = 1;
    let mut world = World::with_gateway(config);
    Rogue::born(&mut world, MALLORY, elsewhere());
    let first = world.gateway.sessions(world.now).next().map(|row| row.session);
    let mut again = Rogue::shake_hands(&mut world, MALLORY, 1, elsewhere());
    let fin = again.frames(&[Frame::Fin]);
    world.hand_in(elsewhere(), &fin);
    let now: Vec<_> = world.gateway.sessions(world.now).map(|row| (row.peer, row.session)).collect();
    assert!(now.len() == 1 && now[0].0 == "mallory" && Some(now[0].1) != first, "{now:?}");
    // Somebody else's is none.
    let (_, hello) = crate::rogue::hello(2, 0);
    let other = SocketAddr::from(([203, 0, 113, 9], 5000));
    assert_eq!(world.hand_in(other, &hello), Received::Dropped(Reason::TableFull));
}

#[test]
fn a_peer_that_is_born_again_and_again_is_slowed_down() {
    let mut world = World::new(Policy::laptop());
    for number in 0..7 {
        let mut mallory = Rogue::shake_hands(&mut world, MALLORY, number, elsewhere());
        let fin = mallory.frames(&[Frame::Fin]);
        world.hand_in(elsewhere(), &fin);
        world.run(ms(10));
    }
    let is_birth = |kind: &EventKind| matches!(kind, EventKind::SessionBirth { .. });
    let births = world.gateway_events.iter().filter(|event| is_birth(&event.kind)).count();
    assert!(births <= 1 + 5, "{births} births within 70 ms, one of them the other client's");
    assert_eq!(world.agent.state(), State::Attached);
}

#[test]
fn a_client_that_keeps_asking_for_moves_it_was_denied_is_told_to_go() {
    let mut policy = Policy::laptop();
    policy.switching.max_switches_per_min = 1;
    policy.switching.churn_denials = 10;
    let mut world = World::new(policy);
    let mut mallory = Rogue::born(&mut world, MALLORY, elsewhere());
    mallory.jump(&mut world, Reason::LinkDown.number());
    let mut asked = 0;
    // More often than the limit, but less often than what counts as one denial.
    while world.gateway.sessions(world.now).any(|row| row.peer == "mallory") {
        world.run(ms(5000));
        let (request, _) = mallory.request_to_move(&mut world, Reason::LinkDown.number());
        let refused = world.hand_in(elsewhere(), &request);
        assert_eq!(refused, Received::Dropped(Reason::SwitchRateLimited));
        asked += 1;
        assert!(asked <= 10, "{asked} denied requests");
    }
    assert_eq!(asked, 10);
    let end = world.gateway_events.last().unwrap();
    assert_eq!((end.reason, end.version), (Reason::ChurnLimit, 3));
    assert!(matches!(end.kind, EventKind::Termination { committed: true, .. }), "{end:?}");
    let told = world.take_strays(elsewhere());
    assert!(told.iter().filter_map(|packet| mallory.open(packet)).count() >= 1, "{} packets", told.len());
    assert_eq!(world.agent.state(), State::Attached, "the other client's session goes on");
}

#[test]
fn every_client_is_told_when_all_sessions_end_at_once() {
    let count = 200;
    let inner: Vec<String> = (0..count).map(|number| format!("10.77.1.{number}")).collect();
    let mut config = gateway_config(0, Policy::laptop());
    config.capacity = count;
    config.peers = (0..count).map(|number| peer("", 1000 + number as u64, &[&inner[number]])).collect();
    let mut world = World::with_gateway(config);
    world.store = Ledger::new(count, 1);
    let sources: Vec<_> =
        (0..count).map(|host| SocketAddr::from(([203, 0, 114, host as u8], 5000))).collect();
    for (number, source) in sources.iter().enumerate() {
        Rogue::born(&mut world, 1000 + number as u64, *source);
        world.now += ms(10);
    }
    world.gateway.handle_command(GatewayCommand::CloseAll { reason: Reason::Shutdown }, world.now);
    world.collect();
    let untold = sources.into_iter().filter(|source| world.take_strays(*source).is_empty()).count();
    assert_eq!(untold, 0, "of {count}");
}
