//! What a seed means: who is there, over which links they talk, and what goes wrong when.
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use jumpvpn_engine::SocketKey;
use jumpvpn_events::{PathLabel, Time};
use jumpvpn_policy::{PRESETS, Policy, PostQuantum};

use crate::clock::Clock;
use crate::dice::Dice;
use crate::fault::{self, Fault};
use crate::network::{Link, Nat, Pipe, Quality};
use crate::traffic::Flow;

/// Worlds begin some minutes after the origin of time, as machines do.
pub(crate) const BEGIN: Time = Time::from_millis(1_000_000);

/// A client and its surroundings.
pub(crate) struct ClientPlan {
    pub clock: Clock,
    pub policy: Policy,
    pub links: Vec<Link>,
    pub up: Flow,
    pub down: Flow,
    /// Share of user packets with a source address that is not its own, of a thousand.
    pub rogue: u32,
    /// Somebody uses its keys to do harm.
    pub hostile: bool,
}

/// A world before its first instant.
pub(crate) struct Scenario {
    pub clients: Vec<ClientPlan>,
    pub policy: Policy,
    pub endpoints: Vec<SocketAddr>,
    /// Troubles in the order of time, all before `calm_at` and all over by then.
    pub faults: Vec<(Time, Fault)>,
    pub calm_at: Time,
}

impl Scenario {
    /// The world of that seed.
    pub fn new(seed: u64, seconds: u64) -> Scenario {
        let mut dice = Dice::new(seed, 1);
        let client_count = dice.weighted(&[(6, 1), (3, 2), (1, 3)]);
        let policy = policy(&mut dice);
        let endpoints = endpoints(&mut dice);
        // A few worlds are long and nearly silent: keys grow old, mappings are forgotten, timers meet.
        let long = dice.chance(20);
        // Most faults show within half a minute; short worlds find them cheaper, and long ones the rest.
        let quarters = if long { 32 } else { dice.weighted(&[(12, 1), (4, 2), (1, 4)]) };
        let span = Duration::from_secs(seconds) * quarters / 4;
        let clients =
            (0..client_count).map(|index| client(&mut dice, index, &policy, long)).collect::<Vec<_>>();
        let calm_at = BEGIN + span;
        let shape: Vec<usize> = clients.iter().map(|plan: &ClientPlan| plan.links.len()).collect();
        let faults = fault::draw(&mut dice, &shape, BEGIN, calm_at);
        Scenario { clients, policy, endpoints, faults, calm_at }
    }
}

pub(crate) fn policy(dice: &mut Dice) -> Policy {
    let name = dice.pick(&PRESETS);
    let mut policy = Policy::by_name(name).unwrap_or_default();
    policy.security.pq = dice.pick(&[PostQuantum::Off, PostQuantum::On, PostQuantum::Required]);
    policy
}

fn endpoints(dice: &mut Dice) -> Vec<SocketAddr> {
    let first = SocketAddr::from(([192, 0, 2, 10], 4747));
    let second = dice.weighted(&[
        (6, None),
        (1, Some(SocketAddr::from(([192, 0, 2, 10], 443)))),
        (1, Some(SocketAddr::from(([192, 0, 2, 11], 4747)))),
    ]);
    [Some(first), second].into_iter().flatten().collect()
}

fn client(dice: &mut Dice, index: usize, gateway: &Policy, long: bool) -> ClientPlan {
    let mut plan_policy = if dice.chance(800) { gateway.clone() } else { policy(dice) };
    if gateway.security.pq == PostQuantum::Required || plan_policy.security.pq == PostQuantum::Required {
        // Sides that disagree about this refuse each other, which is not what worlds are for.
        plan_policy.security.pq = gateway.security.pq.max(PostQuantum::On);
    }
    let link_count = dice.weighted(&[(1, 1), (6, 2), (3, 3)]);
    let links = (0..link_count).map(|number| link(dice, index, number)).collect();
    ClientPlan {
        clock: clock(dice),
        policy: plan_policy,
        links,
        up: flow(dice, long),
        down: flow(dice, long),
        hostile: index > 0 && dice.chance(300),
        rogue: if dice.chance(200) { 20 } else { 0 },
    }
}

/// Quartz is good to 100 ppm; two percent is what a bad virtual machine does. Machines were started at any time before.
fn clock(dice: &mut Dice) -> Clock {
    let uptime = dice.pick(&[0, 3_600, 40 * 86_400, 10 * 365 * 86_400]);
    Clock::new(BEGIN + Duration::from_secs(uptime), dice.pick(&[0, 0, 100, -100, 20_000, -20_000]))
}

fn flow(dice: &mut Dice, long: bool) -> Flow {
    let ms = Duration::from_millis;
    let spacing = if long {
        dice.pick(&[Some(ms(700)), Some(ms(2_500)), Some(ms(15_000)), None])
    } else {
        dice.pick(&[
            Some(ms(10)),
            Some(ms(25)),
            Some(ms(25)),
            Some(ms(60)),
            Some(ms(300)),
            Some(ms(2_000)),
            None,
        ])
    };
    Flow::new(spacing, dice.pick(&[ms(0), ms(200), ms(1_500), ms(8_000)]))
}

const NAMES: [&str; 3] = ["wifi", "lte", "lan"];

fn link(dice: &mut Dice, client: usize, number: usize) -> Link {
    let pipe = |dice: &mut Dice| Pipe { base: fair_quality(dice), ..Pipe::default() };
    let (up, down) = (pipe(dice), pipe(dice));
    let nat = match dice.below(4) {
        0 => None,
        // Many clients behind one address with few ports: an address that one leaves is soon another's.
        1 => Some(Ipv4Addr::new(198, 51, 100, 1)),
        _ => Some(Ipv4Addr::new(203, 0, 113, (client * 8 + number + 1) as u8)),
    };
    let ttl = dice.span(Duration::from_secs(30), Duration::from_secs(180));
    Link {
        iface: PathLabel::new(NAMES[number % NAMES.len()]),
        socket: SocketKey((client * 8 + number) as u32),
        local: local_address(client, number, 2, nat.is_some()),
        preference: if dice.chance(150) { 1 } else { 0 },
        metered: dice.chance(200),
        present: true,
        carrier: true,
        up,
        down,
        nat: nat.map(|outer| Nat { outer, ttl, mapping: None }),
    }
}

/// An address of a link: private behind a translator, else of its own.
pub(crate) fn local_address(client: usize, link: usize, host: u8, private: bool) -> IpAddr {
    let third = (client * 8 + link) as u8;
    if private { IpAddr::from([10, 1, third, host]) } else { IpAddr::from([172, 32, third, host]) }
}

/// A link as it is on a good day.
pub(crate) fn fair_quality(dice: &mut Dice) -> Quality {
    let ms = Duration::from_millis;
    let delay = dice.pick(&[ms(2), ms(8), ms(20), ms(60), ms(140)]);
    Quality {
        delay,
        jitter: dice.pick(&[ms(0), ms(1), ms(4), delay / 4]),
        loss: dice.pick(&[0, 0, 2, 10]),
        duplicate: dice.pick(&[0, 0, 5]),
        late: dice.pick(&[0, 0, 2]),
    }
}
