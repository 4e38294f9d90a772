//! Nobody takes the events: the engines do the same, packet by packet.
use std::cell::Cell;

use jumpvpn_engine::agent::{Command, Link};
use jumpvpn_engine::{SocketKey, gateway};
use jumpvpn_events::{Event, EventKind, PathLabel, Reason, State};
use jumpvpn_policy::Policy;

use crate::world::{World, ms};
use crate::{birth, jump};

thread_local! {
    static MEANT: Cell<bool> = const { Cell::new(false) };
}

/// Whether worlds are to be made whose events nobody takes.
pub fn is_meant() -> bool {
    MEANT.get()
}

/// Runs a test in a world whose events nobody takes.
fn unheard(test: fn()) {
    MEANT.set(true);
    test();
    MEANT.set(false);
}

#[test]
fn the_tests_of_jumps_pass_unheard() {
    for test in [
        jump::a_planned_jump_loses_nothing,
        jump::a_link_that_goes_down_is_left_at_once,
        jump::a_black_hole_is_left_within_a_few_round_trips,
        jump::a_rebinding_moves_the_downlink_after_the_old_address_was_asked,
        jump::a_session_survives_an_outage_of_every_path,
        jump::a_denied_jump_does_not_end_a_session_whose_path_comes_back,
        jump::a_pause_of_the_traffic_is_no_alarm,
        jump::standby_paths_are_warm_as_soon_as_the_traffic_starts,
        jump::a_path_that_comes_back_is_not_returned_to_at_once,
    ] {
        unheard(test);
    }
}

#[test]
fn the_tests_of_births_pass_unheard() {
    for test in [
        birth::a_session_is_born_and_carries_packets_both_ways,
        birth::rekeys_keep_the_session_and_lose_nothing,
        birth::without_post_quantum_the_first_epoch_carries,
    ] {
        unheard(test);
    }
}

/// Fills the agent's queue of events with links that come and go.
fn flood_with_events(world: &mut World) {
    let link = Link { socket: SocketKey(9), iface: PathLabel::new("spare"), ..world.links[0].clone() };
    for _ in 0..5000 {
        world.agent.handle_links(std::slice::from_ref(&link), &[], world.now);
        world.agent.handle_links(&[], &[], world.now);
    }
    world.set_links(&[0, 1]);
}

/// A life with everything in it: birth, new keys, a planned jump, a link that goes down, a black hole, a rebinding, an
/// outage of all paths, the end.
fn life(deaf: bool) -> World {
    MEANT.set(deaf);
    let mut world = World::new(Policy::laptop());
    flood_with_events(&mut world);
    world.run_with_traffic(ms(3000));
    world.agent.handle_command(Command::Jump { to: Some("lte".into()) }, world.now).unwrap();
    world.run_with_traffic(ms(6000));
    world.set_links(&[0]);
    world.run_with_traffic(ms(2000));
    world.set_links(&[0, 1]);
    world.run_with_traffic(ms(20_000));
    let set_works = |world: &mut World, path: usize, works: bool| {
        world.paths[path].up_works = works;
        world.paths[path].down_works = works;
    };
    set_works(&mut world, 0, false);
    world.run_with_traffic(ms(5000));
    set_works(&mut world, 0, true);
    world.paths[1].outer_port += 1;
    world.run_with_traffic(ms(5000));
    (0..2).for_each(|path| set_works(&mut world, path, false));
    world.run_with_traffic(ms(10_000));
    (0..2).for_each(|path| set_works(&mut world, path, true));
    world.run_with_traffic(ms(300_000));
    assert_eq!(world.agent.state(), State::Attached);
    let reason = Reason::OwnerClosed;
    world.gateway.handle_command(gateway::Command::CloseAll { reason }, world.now);
    world.run(ms(100));
    world
}

#[test]
fn the_same_happens_at_the_same_time_whether_or_not_anybody_listens() {
    let (heard, unheard) = (life(false), life(true));
    assert_eq!((heard.agent_events.len() > 1024, unheard.agent_events.len()), (true, 0));
    let lost = unheard.agent.counters().drops.count(Reason::TelemetryOverflow);
    assert!(lost > 5000, "the queue was full all the time: {lost}");
    let transitions = |world: &World| {
        [
            format!("{:?}", world.agent.counters().transitions),
            format!("{:?}", world.gateway.counters().transitions),
        ]
    };
    assert_eq!(transitions(&heard), transitions(&unheard));
    let is_step = |event: &&Event| matches!(event.kind, EventKind::StateChange { .. });
    let steps = heard.agent_events.iter().filter(is_step).count();
    assert!(steps >= 12, "a life in {steps} steps is too calm to show anything");
    assert_eq!(heard.at_agent.len(), unheard.at_agent.len());
    assert!(heard.at_agent == unheard.at_agent, "every packet down, to the nanosecond");
    assert!(heard.at_gateway == unheard.at_gateway, "every packet up, to the nanosecond");
    assert_eq!(heard.notices, unheard.notices);
    assert_eq!(heard.drops, unheard.drops);
}
