//! The signed list of gateways comes in the session: whole, once, within bounds, and from whoever serves it. And a cell of the
//! largest size leaves room for all links.
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use jumpvpn_engine::Agent;
use jumpvpn_engine::agent::{Config, GatewayPeer};
use jumpvpn_events::{EventKind, Reason, Time};
use jumpvpn_policy::Policy;
use jumpvpn_session::SuiteSet;
use jumpvpn_wire::{Frame, LIST_MAX_LEN, LIST_PART_MAX_LEN, ListPart};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::journey::Journey;
use crate::rogue::Rogue;
use crate::world::{MALLORY, World, key, link, ms};

/// Bytes of a whole part.
const PART: usize = LIST_PART_MAX_LEN;
/// A datagram with a whole part: headers of datagram, frame and part, the part, and the seal. Nothing else has this length.
const DATAGRAM: usize = 16 + 4 + 16 + PART + 16;

fn list(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

/// An agent that has lists up to `above`, on its way for half a minute and more.
fn wanting(above: u64, seed: u64, offer: impl FnOnce(&mut Journey)) -> Journey {
    let mut journey = Journey::new(Policy::laptop(), seed);
    journey.agent.follow_list(above);
    offer(&mut journey);
    journey.run(Duration::from_secs(40));
    journey
}

/// How many whole parts came from a gateway since.
fn parts(journey: &Journey, since: Time) -> usize {
    journey.seen.iter().filter(|(at, up, _, bytes)| *at > since && !up && bytes.len() == DATAGRAM).count()
}

#[test]
fn a_newer_list_comes_whole_and_once() {
    let lengths = [1, PART - 1, PART, PART + 1, 14 * PART, LIST_MAX_LEN];
    for (seed, len) in lengths.into_iter().enumerate() {
        let offered = list(len);
        let mut journey = wanting(3, 50 + seed as u64, |journey| {
            journey.town.gateways[0].offer_list(4, offered.clone());
        });
        assert_eq!(journey.agent.poll_list(), Some(offered), "{len}");
        assert_eq!(journey.agent.poll_list(), None);
        assert_eq!(parts(&journey, Time::ZERO), len / PART);
        let now = journey.now;
        journey.agent.handle_list(true, 4, now);
        journey.run(Duration::from_secs(7_200));
        assert_eq!((journey.agent.poll_list(), parts(&journey, now)), (None, 0), "it is newer no more");
        let told =
            journey.agent_events.iter().find(|event| matches!(event.kind, EventKind::GatewayList { .. }));
        let told = told.unwrap();
        assert_eq!((told.reason, told.kind), (Reason::ListKept, EventKind::GatewayList { serial: 4 }));
        journey.audit();
    }
}

#[test]
fn nothing_comes_where_there_is_nothing_newer_or_nobody_wants_it() {
    for (above, serial) in [(4, 4), (5, 4)] {
        let mut journey =
            wanting(above, 60, |journey| journey.town.gateways[0].offer_list(serial, list(5_000)));
        assert_eq!((journey.agent.poll_list(), parts(&journey, Time::ZERO)), (None, 0));
    }
    let mut none = wanting(0, 61, |_| {});
    assert_eq!(none.agent.poll_list(), None);
    let mut journey = Journey::new(Policy::laptop(), 62);
    journey.town.gateways[0].offer_list(4, list(5_000));
    journey.run(Duration::from_secs(40));
    assert_eq!((journey.agent.poll_list(), parts(&journey, Time::ZERO)), (None, 0));
    // One that could not be sent is not offered.
    let mut journey =
        wanting(0, 63, |journey| journey.town.gateways[0].offer_list(4, list(LIST_MAX_LEN + 1)));
    assert_eq!(journey.agent.poll_list(), None);
}

#[test]
fn a_list_gets_through_a_path_that_loses_every_third_part() {
    let mut count = 0;
    let mut journey = wanting(0, 64, |journey| {
        journey.town.gateways[0].offer_list(1, list(LIST_MAX_LEN));
        journey.intercept = Some(Box::new(move |flight| {
            count += usize::from(!flight.up && flight.bytes.len() == DATAGRAM);
            !flight.up && flight.bytes.len() == DATAGRAM && count.is_multiple_of(3)
        }));
    });
    journey.run(Duration::from_secs(40));
    assert_eq!(journey.agent.poll_list(), Some(list(LIST_MAX_LEN)));
}

#[test]
fn a_gateway_that_never_answers_is_asked_five_times_and_later_again() {
    let answers = Rc::new(Cell::new(0));
    let counted = Rc::clone(&answers);
    let mut journey = wanting(0, 65, |journey| {
        journey.town.gateways[0].offer_list(1, list(LIST_MAX_LEN));
        journey.intercept = Some(Box::new(move |flight| {
            let part = !flight.up && flight.bytes.len() == DATAGRAM;
            counted.set(counted.get() + u32::from(part));
            part
        }));
    });
    journey.run(Duration::from_secs(1_600));
    assert_eq!((journey.agent.poll_list(), answers.get()), (None, 5));
    journey.intercept = None;
    journey.run(Duration::from_secs(2_200));
    assert_eq!(journey.agent.poll_list(), Some(list(LIST_MAX_LEN)), "within the hour");
}

#[test]
fn a_refused_list_is_told_of_and_not_pulled_again_at_once() {
    let mut journey = wanting(3, 66, |journey| journey.town.gateways[0].offer_list(9, list(3 * PART)));
    assert!(journey.agent.poll_list().is_some());
    let now = journey.now;
    journey.agent.handle_list(false, 3, now);
    journey.run(Duration::from_secs(1_500));
    assert_eq!(parts(&journey, now), 0);
    let refused = journey.agent_events.iter().filter(|event| event.reason == Reason::ListRefused).count();
    assert_eq!(refused, 1);
    journey.run(Duration::from_secs(2_200));
    assert_eq!((parts(&journey, now), journey.agent.poll_list().is_some()), (3, true), "within the hour");
}

#[test]
fn a_gateway_that_takes_over_is_asked_as_well() {
    let mut journey = wanting(3, 67, |journey| {
        journey.town.gateways[0].offer_list(4, list(2_000));
        journey.town.gateways[1].offer_list(5, list(3_000));
    });
    assert_eq!(journey.agent.poll_list(), Some(list(2_000)));
    let now = journey.now;
    journey.agent.handle_list(true, 4, now);
    journey.kill(0);
    journey.town.bury(0);
    journey.run_with_traffic(Duration::from_secs(45));
    assert_eq!(journey.serving(), 1);
    assert_eq!(journey.agent.poll_list(), Some(list(3_000)));
    journey.audit();
}

/// What one client may have of it in a moment is what it may have of all answers; and it never gets more than it is asked for.
#[test]
fn a_greedy_client_gets_its_share_of_parts() {
    let mut world = World::new(Policy::laptop());
    world.gateway.offer_list(4, list(LIST_MAX_LEN));
    let elsewhere = ([198, 51, 100, 66], 6666).into();
    let mut mallory = Rogue::born(&mut world, MALLORY, elsewhere);
    let one = mallory.frames(&[Frame::ListWant { above: 0, offset: 0 }; 70]);
    world.hand_in(elsewhere, &one);
    assert_eq!(world.take_strays(elsewhere).len(), 1, "one answer to a datagram");
    for _ in 0..1_000 {
        let packet = mallory.frames(&[Frame::ListWant { above: 0, offset: 1024 }]);
        world.hand_in(elsewhere, &packet);
    }
    let answers = world.take_strays(elsewhere).len();
    assert!((40..=60).contains(&answers), "{answers}");
    world.run(ms(1_000));
    world.take_strays(elsewhere);
    for (above, offset, expected) in [(0, 31 * 1024, 1024), (0, 32 * 1024, 0), (0, u32::MAX, 0), (4, 0, 0)] {
        let packet = mallory.frames(&[Frame::ListWant { above, offset }]);
        world.hand_in(elsewhere, &packet);
        let answer = world.take_strays(elsewhere).iter().find_map(|datagram| mallory.open(datagram)).unwrap();
        let Some(Ok(Frame::ListPart(part))) = jumpvpn_wire::FrameReader::new(&answer).next() else {
            panic!()
        };
        assert_eq!((part.serial(), part.bytes().len()), (4, expected), "{above} {offset}");
    }
    // What nobody asked a gateway for does nothing to it.
    let packet = mallory.frames(&[Frame::ListPart(ListPart::none(7))]);
    world.hand_in(elsewhere, &packet);
    assert!(world.take_strays(elsewhere).is_empty());
}

fn of_many(count: u8, pinned: u8) -> Config {
    let endpoints = |gateway: u8| (1..=4).map(|host| ([192, 0, host, gateway], 4747).into()).collect();
    let peer = |gateway: u8| GatewayPeer {
        public: key(u64::from(gateway)).public(),
        psk: None,
        endpoints: endpoints(gateway),
        weight: 1,
        draining: false,
        until: (gateway != pinned).then_some(Time::MAX),
    };
    Config {
        private: key(200),
        gateways: (1..=count).map(peer).collect(),
        suites: SuiteSet::ALL,
        policy: Policy::laptop(),
    }
}

/// Also where the only gateway of the file drains and comes last: its turn comes, and it has paths then.
#[test]
fn the_largest_cell_leaves_room_for_all_links_and_for_the_gateway_of_the_file() {
    let mut agent = Agent::new(of_many(64, 64), Box::new(ChaCha20Rng::seed_from_u64(1)), Time::ZERO);
    // The longest name of an interface there is.
    let links: Vec<_> = (0..4).map(|index| link(index, &format!("enx00112233445{index}"))).collect();
    agent.handle_links(&links, &[], Time::ZERO);
    let own = |agent: &Agent, now| {
        let paths = agent.status(now).paths;
        for link in &links {
            assert_eq!(paths.iter().filter(|path| path.iface == link.iface).count(), 4);
        }
        let mut names: Vec<String> = paths.iter().map(|path| path.name.as_str().to_owned()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 16, "each has its own name");
    };
    own(&agent, Time::ZERO);
    let last = key(64).public();
    let mut buffer = [0; jumpvpn_engine::TRANSMIT_BUFFER_LEN];
    let mut now = Time::ZERO;
    while agent.status(now).gateway_key != last {
        assert!(now < Time::ZERO + Duration::from_secs(3_600), "its turn never comes");
        agent.handle_timeout(now);
        while agent.poll_transmit(&mut buffer, now).is_some() {}
        now = agent.poll_timeout().unwrap();
    }
    own(&agent, now);
}

/// A birth and a takeover go to no gateway whose list is over; one of the file is always there.
#[test]
fn gateways_of_a_list_that_is_over_are_not_asked() {
    let first = Time::ZERO + Duration::from_secs(600);
    let mut config = of_many(3, 1);
    config.gateways[1].until = Some(first);
    let mut agent = Agent::new(config, Box::new(ChaCha20Rng::seed_from_u64(1)), Time::ZERO);
    agent.handle_links(&[link(0, "one")], &[], Time::ZERO);
    let mut buffer = [0; jumpvpn_engine::TRANSMIT_BUFFER_LEN];
    let mut asked = [[0; 3]; 2];
    let mut now = Time::ZERO;
    while now < Time::ZERO + Duration::from_secs(1_800) {
        agent.handle_timeout(now);
        while let Some(transmit) = agent.poll_transmit(&mut buffer, now) {
            let SocketAddr::V4(to) = transmit.destination else { panic!() };
            asked[usize::from(now >= first + Duration::from_secs(5))]
                [usize::from(to.ip().octets()[3]) - 1] += 1;
        }
        now = agent.poll_timeout().unwrap();
    }
    assert!(asked[0].iter().all(|count| *count > 0) && asked[1][0] > 0 && asked[1][2] > 0, "{asked:?}");
    assert_eq!(asked[1][1], 0, "{asked:?}");
}

/// The same where the session lives and its gateway dies: the other one came from a list that is over.
#[test]
fn a_session_does_not_go_to_a_gateway_whose_list_is_over() {
    for (until, goes_on) in [(5_000, false), (60_000, true)] {
        let mut journey = Journey::with_second_until(Time::from_millis(1_000_000 + until), 68);
        journey.run_with_traffic(ms(10_000));
        assert_eq!(journey.serving(), 0);
        journey.kill(0);
        journey.town.bury(0);
        journey.run_with_traffic(ms(15_000));
        assert_eq!(journey.serving() == 1, goes_on);
    }
}
