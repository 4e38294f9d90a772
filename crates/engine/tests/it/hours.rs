//! What takes hours or years, in virtual time: replays without end, and clocks that are wrong.
use std::net::SocketAddr;

use jumpvpn_engine::Received;
use jumpvpn_events::{Reason, State};
use jumpvpn_policy::Policy;
use jumpvpn_wire::Kind;

use crate::world::{World, gateway_config, ms};

const WIFI: usize = 0;

/// Minutes of ten years.
const TEN_YEARS: u32 = 10 * 365 * 24 * 60;

fn attacker() -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 66], 6666))
}

/// A session whose handshake was seen.
fn attached_with_hello() -> (World, Vec<u8>) {
    let mut world = World::new(Policy::laptop());
    world.intercept =
        Some(Box::new(|_, path, up, bytes| up && path == WIFI && bytes[0] == Kind::HsInit.code()));
    while world.held.is_empty() {
        world.run(ms(5));
    }
    world.intercept = None;
    let hello = world.held.remove(0);
    world.hand_in(world.outer(WIFI), &hello);
    world.run_with_traffic(ms(1000));
    assert_eq!(world.agent.state(), State::Attached, "{:?}", world.drops);
    (world, hello)
}

#[test]
fn an_hour_of_replayed_handshakes_makes_no_session() {
    let (mut world, hello) = attached_with_hello();
    let row = |world: &World| {
        let rows: Vec<_> = world.gateway.sessions(world.now).collect();
        assert_eq!(rows.len(), 1);
        (rows[0].session, rows[0].version, rows[0].address)
    };
    let before = row(&world);
    let (mut answers, mut pending, mut births) = (0, 0, 0);
    for _ in 0..3600 {
        for source in [attacker(), world.outer(WIFI)] {
            for _ in 0..5 {
                births += usize::from(world.hand_in(source, &hello) == Received::Consumed);
            }
        }
        answers += world.take_strays(attacker()).len();
        pending = pending.max(world.gateway.status().pending);
        // The hour must be the attack's: nobody else speaks but to keep the session.
        world.run(ms(1000));
    }
    assert_eq!(row(&world), before);
    assert_eq!(world.agent.state(), State::Attached);
    // The key that made it is remembered, and was answered once, before.
    assert_eq!((answers, pending, births), (0, 0, 0), "{:?}", world.drops);
    let told = world.gateway_events.iter().filter(|event| event.reason == Reason::HandshakeReplay).count();
    assert!((3500..=3601).contains(&told), "once a second: {told}");
}

/// The class of CVE-2021-46873: a clock that was set forward must not make a client's key useless when it is set back.
/// Agents have no wall clock at all; a gateway reads it once, for the numbers of its sessions.
#[test]
fn a_gateway_clock_that_jumps_ten_years_and_back_locks_nobody_out() {
    let minute = gateway_config(0, Policy::laptop()).started_minute;
    let mut world = World::new(Policy::laptop());
    world.run_with_traffic(ms(1000));
    let mut last = world.agent.session();
    assert_eq!(world.agent.state(), State::Attached);
    for started_minute in [minute + TEN_YEARS, minute, 0, u32::MAX, minute] {
        world.restart_gateway_at(started_minute);
        world.run_with_traffic(ms(30_000));
        assert_eq!(world.agent.state(), State::Attached, "{started_minute}: {:#?}", world.agent_events);
        assert!(world.agent.session() != last, "the gateway has forgotten the session");
        last = world.agent.session();
    }
}
