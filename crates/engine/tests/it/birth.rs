//! Birth, rekey, end.
use jumpvpn_engine::SocketKey;
use jumpvpn_engine::agent::{Command, Link, Notice};
use jumpvpn_events::{EventKind, PathLabel, Reason, Severity, State};
use jumpvpn_policy::{Policy, PostQuantum};
use jumpvpn_session::PresharedKey;

use crate::world::{World, gateway_config, ms};

#[test]
pub fn a_session_is_born_and_carries_packets_both_ways() {
    let mut world = World::new(Policy::laptop());
    world.run(ms(500));
    assert_eq!(world.agent.state(), State::Attached, "{:?} {:?}", world.drops, world.agent_events);
    assert!(matches!(world.notices[..], [Notice::TunnelUp { mtu: 1400, .. }]), "{:?}", world.notices);
    world.send_up();
    world.send_down();
    world.run(ms(50));
    assert_eq!((world.at_gateway.len(), world.at_agent.len()), (1, 1), "{:?}", world.drops);
    let status = world.agent.status(world.now);
    assert_eq!((status.version, status.epoch, status.key_epoch, status.step), (1, 1, 1, 1));
}

#[test]
pub fn without_post_quantum_the_first_epoch_carries() {
    let mut policy = Policy::laptop();
    policy.security.pq = PostQuantum::Off;
    let mut world = World::new(policy);
    world.run(ms(500));
    assert_eq!(world.agent.state(), State::Attached);
    assert_eq!(world.agent.status(world.now).key_epoch, 0);
}

#[test]
pub fn rekeys_keep_the_session_and_lose_nothing() {
    let mut world = World::new(Policy::laptop());
    world.run(ms(500));
    let session = world.agent.session();
    for _ in 0..80 {
        world.run_with_traffic(ms(500));
        world.run(ms(14_500));
    }
    assert_eq!(world.agent.session(), session);
    let status = world.agent.status(world.now);
    assert!(status.key_epoch >= 4, "1200 s make at least three rekeys more: {}", status.key_epoch);
    if !world.deaf {
        let rekeys = world.agent_events.iter().filter(|event| matches!(event.kind, EventKind::Rekey { .. }));
        let reasons: Vec<_> = rekeys.map(|event| event.reason).collect();
        assert_eq!(reasons[0], Reason::RekeyComplete, "the first one makes the keys hybrid");
        assert!(reasons[1..].iter().all(|reason| *reason == Reason::RekeyTimer), "{reasons:?}");
    }
    assert_eq!((world.at_gateway.len(), world.at_agent.len()), (8000, 8000), "{:?}", world.drops);
}

#[test]
pub fn closing_ends_both_sides() {
    let mut world = World::new(Policy::laptop());
    world.run(ms(500));
    world.agent.handle_command(Command::Close, world.now).unwrap();
    world.run(ms(100));
    assert_eq!(world.agent.state(), State::Terminated);
    assert_eq!(world.gateway.sessions(world.now).count(), 0);
    let last = world.gateway_events.last().unwrap();
    assert_eq!((last.reason, last.version), (Reason::Shutdown, 2));
}

#[test]
pub fn a_gateway_that_forgot_us_says_so_and_a_new_session_is_born() {
    let mut world = World::new(Policy::laptop());
    world.run(ms(500));
    let first = world.agent.session();
    world.run_with_traffic(ms(500));
    world.restart_gateway();
    world.run_with_traffic(ms(3000));
    assert_eq!(world.agent.state(), State::Attached, "{:?}", world.agent_events);
    assert_ne!(world.agent.session(), first);
    let lost = world.agent_events.iter().find(|event| event.reason == Reason::LostAtServer);
    assert!(lost.is_some(), "{:?}", world.agent_events);
}

#[test]
pub fn a_second_agent_with_the_same_key_supersedes_the_first() {
    let mut world = World::new(Policy::laptop());
    world.run(ms(500));
    let other = World::new(Policy::laptop());
    let first = std::mem::replace(&mut world.agent, other.agent);
    world.run(ms(500));
    let mut first = std::mem::replace(&mut world.agent, first);
    // The second one's handshake ended the first one's session; the CLOSE was delivered to whoever holds it.
    world.run(ms(100));
    assert_eq!(first.state(), State::Attached);
    let ended = world.gateway_events.iter().any(|event| event.reason == Reason::Superseded);
    assert!(ended, "{:?}", world.gateway_events);
    let _ = first.poll_event();
}

#[test]
fn another_preshared_key_is_told_from_silence() {
    let failure = |world: &mut World| {
        world.run(ms(7000));
        let failed = world.agent_events.iter().find(|event| event.reason.severity() >= Severity::Warning);
        failed.map(|event| event.reason)
    };
    let mut config = gateway_config(0, Policy::laptop());
    config.peers[0].psk = Some(PresharedKey::from_bytes(&[7; 32]));
    let mut world = World::with_gateway(config);
    assert_eq!(failure(&mut world), Some(Reason::HandshakeRejected), "{:?}", world.agent_events);
    let mut world = World::new(Policy::laptop());
    world.paths[0].up_works = false;
    world.paths[1].up_works = false;
    assert_eq!(failure(&mut world), Some(Reason::HandshakeTimeout), "{:?}", world.agent_events);
}

#[test]
fn more_candidates_than_are_kept_warm_are_told_once() {
    let mut policy = Policy::laptop();
    policy.transport.max_candidate_count = 1;
    let mut world = World::new(policy);
    for (index, name) in ["usb", "dock"].into_iter().enumerate() {
        let spare = Link {
            socket: SocketKey(5 + index as u32),
            iface: PathLabel::new(name),
            ..world.links[0].clone()
        };
        world.links.push(spare);
    }
    world.set_links(&[0, 1]);
    world.run_with_traffic(ms(3000));
    let told = |world: &World| {
        let told = world.agent_events.iter().filter(|event| event.reason == Reason::CandidateLimit);
        told.map(|event| event.kind).collect::<Vec<_>>()
    };
    assert!(told(&world).is_empty(), "one candidate is not too many");
    world.set_links(&[0, 1, 2]);
    world.run_with_traffic(ms(20_000));
    assert_eq!(told(&world), [EventKind::Policy { threshold: 1, observed: 2 }]);
    world.set_links(&[0, 1, 2, 3]);
    world.run_with_traffic(ms(5000));
    assert_eq!(told(&world)[1..], [EventKind::Policy { threshold: 1, observed: 3 }]);
}
