//! Jumps: planned, forced, rebinding, total loss.
use std::time::Duration;

use jumpvpn_engine::agent::Command;
use jumpvpn_events::{Reason, State, Time};
use jumpvpn_policy::Policy;

use crate::world::{World, ms};

fn attached() -> World {
    let mut world = World::new(Policy::laptop());
    world.run_with_traffic(ms(5000));
    assert_eq!(world.agent.state(), State::Attached, "{:?}", world.agent_events);
    assert_eq!(world.active(), "wifi");
    world
}

fn assert_gaps(world: &World, since: Time, up: Duration, down: Duration) {
    let gaps = (world.gap(true, since), world.gap(false, since));
    let drops: Vec<_> = world.drops.iter().filter(|(at, ..)| *at >= since).collect();
    assert!(gaps.0 <= up && gaps.1 <= down, "gaps {gaps:?}: {:#?} {drops:?}", &world.agent_events);
}

#[test]
pub fn a_planned_jump_loses_nothing() {
    let mut world = attached();
    let (since, sent) = (world.now, world.at_agent.len());
    world.agent.handle_command(Command::Jump { to: Some("lte".into()) }, world.now).unwrap();
    world.run_with_traffic(ms(1000));
    assert_eq!(world.active(), "lte");
    assert_gaps(&world, since, ms(5), ms(5));
    assert_eq!(world.at_agent.len() - sent, 200, "{:?}", world.drops);
    assert_eq!(world.agent.status(world.now).version, 2);
}

#[test]
pub fn a_jump_works_long_after_the_gateway_started() {
    let mut world = attached();
    for _ in 0..20 {
        world.run(ms(30_000));
        world.run_with_traffic(ms(3000));
    }
    world.agent.handle_command(Command::Jump { to: Some("lte".into()) }, world.now).unwrap();
    world.run_with_traffic(ms(1000));
    assert_eq!(world.active(), "lte", "{:?}", world.drops);
    assert_eq!(world.agent.status(world.now).version, 2);
}

#[test]
pub fn a_link_that_goes_down_is_left_at_once() {
    let mut world = attached();
    let since = world.now;
    world.paths[0].up_works = false;
    world.paths[0].down_works = false;
    world.set_links(&[1]);
    world.run_with_traffic(ms(1000));
    assert_eq!(world.active(), "lte");
    assert_gaps(&world, since, ms(10), ms(30));
    let jump = world.agent.status(world.now).last_jump.unwrap();
    assert_eq!(jump.reason, Reason::LinkDown);
}

#[test]
pub fn a_black_hole_is_left_within_a_few_round_trips() {
    for (up, down) in [(false, false), (false, true), (true, false)] {
        let mut world = attached();
        world.run_with_traffic(ms(20_000));
        let since = world.now;
        world.paths[0].up_works = up;
        world.paths[0].down_works = down;
        world.run_with_traffic(ms(2000));
        assert_eq!(world.active(), "lte", "up {up} down {down}: {:#?}", world.agent_events);
        assert_gaps(&world, since, ms(110), ms(110));
    }
}

#[test]
pub fn a_rebinding_moves_the_downlink_after_the_old_address_was_asked() {
    let mut world = attached();
    let (since, sent) = (world.now, world.at_gateway.len());
    world.paths[0].outer_port += 1;
    world.run_with_traffic(ms(1000));
    assert_eq!(world.active(), "wifi", "{:#?}", world.agent_events);
    assert_gaps(&world, since, ms(5), ms(80));
    assert_eq!(world.at_gateway.len() - sent, 200);
    let jump = world.agent.status(world.now).last_jump.unwrap();
    assert_eq!(jump.reason, Reason::NatRebinding);
    world.run_with_traffic(ms(20_000));
    assert_eq!(world.agent.status(world.now).step, 3, "one rebinding, one jump: {:#?}", world.agent_events);
}

#[test]
pub fn a_session_survives_an_outage_of_every_path() {
    for outage in [3_000, 30_000] {
        let mut world = attached();
        let session = world.agent.session();
        for path in &mut world.paths {
            path.up_works = false;
            path.down_works = false;
        }
        world.run_with_traffic(ms(outage));
        assert_ne!(world.agent.state(), State::Attached);
        for path in &mut world.paths {
            path.up_works = true;
            path.down_works = true;
        }
        world.run_with_traffic(ms(6000));
        assert_eq!(world.agent.state(), State::Attached, "{:#?}", world.agent_events);
        assert_eq!(world.agent.session(), session);
        let delivered = world.at_agent.iter().filter(|(at, _)| *at > world.now - ms(500)).count();
        assert!(delivered > 80, "{delivered}");
    }
}

#[test]
pub fn a_denied_jump_does_not_end_a_session_whose_path_comes_back() {
    let mut policy = Policy::spec_default();
    policy.switching.max_switches_per_min = 1;
    let mut world = World::new(policy);
    world.run_with_traffic(ms(3000));
    world.agent.handle_command(Command::Jump { to: Some("lte".into()) }, world.now).unwrap();
    world.run_with_traffic(ms(3000));
    let session = world.agent.session();
    world.paths[1].up_works = false;
    world.paths[1].down_works = false;
    world.run_with_traffic(ms(400));
    assert_eq!(world.agent.state(), State::Degraded, "{:#?}", world.agent_events);
    world.paths[1].up_works = true;
    world.paths[1].down_works = true;
    world.run_with_traffic(ms(100_000));
    assert_eq!((world.agent.state(), world.agent.session()), (State::Attached, session));
    let denied = world.agent_events.iter().filter(|event| event.reason == Reason::SwitchRateLimited).count();
    assert!(denied <= 4, "{denied} events for one denial");
}

#[test]
pub fn a_pause_of_the_traffic_is_no_alarm() {
    let mut world = attached();
    for _ in 0..20 {
        world.run(ms(700));
        world.run_with_traffic(ms(300));
    }
    assert_eq!(world.agent.status(world.now).version, 1, "{:#?}", world.agent_events);
    assert_eq!(world.agent.status(world.now).step, 1);
}

#[test]
pub fn standby_paths_are_warm_as_soon_as_the_traffic_starts() {
    let mut world = attached();
    for idle in 1..20 {
        world.run(ms(20_000 + idle * 1000));
        world.run_with_traffic(ms(50));
        let status = world.agent.status(world.now);
        let standby = status.paths.iter().find(|path| path.iface.as_str() == "lte").unwrap();
        assert!(standby.warm, "after {idle} s more than the pace of probes while idle");
    }
}

#[test]
pub fn a_path_that_comes_back_is_not_returned_to_at_once() {
    let mut world = attached();
    world.set_links(&[1]);
    world.run_with_traffic(ms(300));
    world.links[0].socket = jumpvpn_engine::SocketKey(0);
    world.set_links(&[0, 1]);
    world.run_with_traffic(ms(3000));
    assert_eq!(world.active(), "lte");
    assert_eq!(world.agent.status(world.now).jumps, 1);
}
