//! What a seed means: gateways, clients, rules, and what goes wrong when.
use std::net::IpAddr;
use std::time::Duration;

use jumpvpn_engine::SocketKey;
use jumpvpn_events::{PathLabel, Time};
use jumpvpn_ownership::{Profile, Upkeep};
use jumpvpn_policy::Policy;

use super::fault::{self, Fault};
use super::store::STRAY;
use crate::clock::Clock;
use crate::dice::Dice;
use crate::network::{Link, Pipe};
use crate::scenario::{self, BEGIN, ClientPlan};
use crate::traffic::Flow;

/// Links of each client.
pub(crate) const LINKS: usize = 2;

/// What holds for the whole cell.
pub(crate) struct Rules {
    pub gateways: usize,
    pub clients: usize,
    pub policy: Policy,
    pub profile: Profile,
    pub upkeep: Upkeep,
    pub orphan_ttl: Duration,
}

/// A world before its first instant.
pub(crate) struct Plan {
    pub rules: Rules,
    pub clocks: Vec<Clock>,
    pub clients: Vec<ClientPlan>,
    /// Troubles in the order of time, all before `calm_at` and all over by then.
    pub faults: Vec<(Time, Fault)>,
    pub calm_at: Time,
}

impl Plan {
    /// The world of that seed.
    pub fn new(seed: u64, seconds: u64) -> Plan {
        let mut dice = Dice::new(seed, 11);
        let gateways = dice.weighted(&[(4, 2), (5, 3), (1, 4)]);
        let clients = dice.weighted(&[(3, 1), (4, 2), (2, 3), (1, 4)]);
        let rules = rules(&mut dice, gateways, clients);
        let clocks = (0..gateways).map(|_| clock(&mut dice)).collect();
        let plans = (0..clients).map(|index| client(&mut dice, index, &rules)).collect();
        let quarters = dice.weighted(&[(4, 1), (4, 2), (1, 4)]);
        let calm_at = BEGIN + Duration::from_secs(seconds) * quarters / 4;
        let faults = fault::draw(&mut dice, (gateways, clients), BEGIN, calm_at);
        Plan { rules, clocks, clients: plans, faults, calm_at }
    }
}

fn rules(dice: &mut Dice, gateways: usize, clients: usize) -> Rules {
    let ms = Duration::from_millis;
    let mut policy = scenario::policy(dice);
    if dice.chance(150) {
        // Some sessions end by their age.
        policy.session.max_lifetime = dice.span(ms(10_000), ms(60_000));
    }
    // Records of ended sessions are kept for longer than any stray request takes, and not much longer: so that it counts.
    let retention = STRAY * 2;
    let hasty = Upkeep { retention, unheld: ms(8_000), pass: ms(3_000), page: ms(100) };
    Rules {
        gateways,
        clients,
        policy,
        profile: dice.pick(&[Profile::DEFAULT, Profile::FAST, Profile::FAST]),
        upkeep: dice.pick(&[Upkeep::DEFAULT, hasty]),
        orphan_ttl: dice.pick(&[ms(20_000), ms(60_000), ms(600_000)]),
    }
}

/// Rates within the one percent that the profiles allow for; machines were started at any time before.
fn clock(dice: &mut Dice) -> Clock {
    let uptime = dice.pick(&[0, 3_600, 40 * 86_400]);
    Clock::new(BEGIN + Duration::from_secs(uptime), dice.pick(&[0, 200, -200, 10_000, -10_000]))
}

fn client(dice: &mut Dice, index: usize, rules: &Rules) -> ClientPlan {
    let ms = Duration::from_millis;
    let flow = |dice: &mut Dice| {
        let spacing = dice.pick(&[Some(ms(20)), Some(ms(40)), Some(ms(80)), Some(ms(400)), None]);
        Flow::new(spacing, dice.pick(&[ms(0), ms(200), ms(2_000)]))
    };
    ClientPlan {
        clock: clock(dice),
        policy: rules.policy.clone(),
        links: (0..LINKS).map(|number| link(dice, index, number)).collect(),
        up: flow(dice),
        down: flow(dice),
        rogue: 0,
        hostile: false,
    }
}

fn link(dice: &mut Dice, client: usize, number: usize) -> Link {
    let pipe = |dice: &mut Dice| Pipe { base: scenario::fair_quality(dice), ..Pipe::default() };
    let (up, down) = (pipe(dice), pipe(dice));
    Link {
        iface: PathLabel::new(["wifi", "lte"][number % LINKS]),
        socket: SocketKey((client * 8 + number) as u32),
        local: IpAddr::from([172, 32, (client * 8 + number) as u8, 2]),
        preference: 0,
        metered: false,
        present: true,
        carrier: true,
        up,
        down,
        // Translators are the business of the other worlds.
        nat: None,
    }
}
