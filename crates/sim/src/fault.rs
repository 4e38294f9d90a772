//! Troubles and how they are drawn.
//!
//! Each world leaves out about half of all kinds of trouble: worlds with everything at once never get far enough
//! for the rare meetings (swarm testing, Groce et al. 2012).
use std::time::Duration;

use jumpvpn_events::{Reason, Time};

use crate::dice::Dice;
use crate::network::Quality;

/// Something that goes wrong, or that a person does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// A link loses its carrier; the operating system says so after `notice`. It comes back, with another address
    /// if `moved`.
    LinkDown { client: usize, link: usize, notice: Duration, lasts: Duration, reason: Reason, moved: bool },
    /// A link swallows one or both directions, silently.
    Black { client: usize, link: usize, up: bool, down: bool, lasts: Duration },
    /// All links of a client at once, silently.
    Blackout { client: usize, lasts: Duration },
    /// A link gets bad in one or both directions.
    Poor { client: usize, link: usize, up: bool, down: bool, quality: Quality, lasts: Duration },
    /// The translator forgets the mapping.
    Rebind { client: usize, link: usize },
    /// A link dies and lives again and again; silently, or with notices of the operating system.
    Flap { client: usize, link: usize, silent: bool, dead: Duration, alive: Duration, times: u32 },
    /// The gateway's process ends, after a word to all sessions if `polite`, and a new one starts.
    /// It keeps its store or not, and its wall clock is `minutes` ahead or behind from then on.
    GatewayRestart { polite: bool, lasts: Duration, keep: bool, minutes: i64 },
    /// A client's process ends (it says goodbye if `polite`), and a new one starts.
    ClientRestart { client: usize, polite: bool, lasts: Duration },
    /// A client's machine sleeps and may wake up elsewhere.
    Suspend { client: usize, lasts: Duration, moved: bool },
    /// A client's process gets no processor; datagrams wait for it.
    StallClient { client: usize, lasts: Duration },
    /// So does the gateway's.
    StallGateway { lasts: Duration },
    /// The gateway may not act for a while.
    FenceLoss { lasts: Duration },
    /// The store answers late, some answers get lost, some never come, some say that somebody else was first.
    StoreTrouble { delay: Duration, unknown: u32, silent: u32, conflict: u32, lasts: Duration },
    /// A person steers the agent.
    Order { client: usize, order: Order },
    /// A person ends a client's session at the gateway.
    GatewayClose { client: usize },
    /// Somebody who sees every datagram replays, alters and invents some.
    Attack { spacing: Duration, lasts: Duration },
    /// Somebody on the path holds back, swallows, doubles, overtakes and readdresses so many of a thousand datagrams.
    Intercept { share: u32, hold: Duration, lasts: Duration },
    /// Everything that was ever kept comes once more.
    ReplayAll { shuffled: bool, foreign: bool },
    /// A client's clock, or the gateway's, jumps ahead.
    ClockJump { who: Option<usize>, by: Duration },
}

impl Fault {
    /// The name of its kind.
    pub fn name(&self) -> &'static str {
        match self {
            Fault::LinkDown { .. } => "link down",
            Fault::Black { .. } => "black",
            Fault::Blackout { .. } => "blackout",
            Fault::Poor { .. } => "poor",
            Fault::Rebind { .. } => "rebind",
            Fault::Flap { .. } => "flap",
            Fault::GatewayRestart { keep: false, .. } => "gateway restart",
            Fault::GatewayRestart { keep: true, .. } => "gateway restart with its store",
            Fault::ClientRestart { .. } => "client restart",
            Fault::Suspend { .. } => "suspend",
            Fault::StallClient { .. } => "client stall",
            Fault::StallGateway { .. } => "gateway stall",
            Fault::FenceLoss { .. } => "fence loss",
            Fault::StoreTrouble { .. } => "store trouble",
            Fault::Order { .. } => "order",
            Fault::GatewayClose { .. } => "close at the gateway",
            Fault::Attack { .. } => "attack",
            Fault::Intercept { .. } => "interception",
            Fault::ReplayAll { .. } => "full replay",
            Fault::ClockJump { .. } => "clock jump",
        }
    }
}

/// What a person may want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Elsewhere.
    Jump,
    /// Onto that link.
    JumpTo(usize),
    /// There, for good.
    Pin(usize),
    /// Anywhere again.
    Unpin,
}

/// Kinds of trouble with their weight among the others.
const KINDS: [(u32, Kind); 19] = [
    (10, Kind::LinkDown),
    (10, Kind::Black),
    (3, Kind::Blackout),
    (8, Kind::Poor),
    (6, Kind::Rebind),
    (3, Kind::Flap),
    (2, Kind::GatewayRestart),
    (2, Kind::ClientRestart),
    (4, Kind::Suspend),
    (3, Kind::StallClient),
    (2, Kind::StallGateway),
    (2, Kind::FenceLoss),
    (2, Kind::StoreTrouble),
    (8, Kind::Order),
    (1, Kind::GatewayClose),
    (6, Kind::Attack),
    (3, Kind::Intercept),
    (2, Kind::ReplayAll),
    (1, Kind::ClockJump),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    LinkDown,
    Black,
    Blackout,
    Poor,
    Rebind,
    Flap,
    GatewayRestart,
    ClientRestart,
    Suspend,
    StallClient,
    StallGateway,
    FenceLoss,
    StoreTrouble,
    Order,
    GatewayClose,
    Attack,
    Intercept,
    ReplayAll,
    ClockJump,
}

/// Minutes of ten years.
const TEN_YEARS: i64 = 10 * 365 * 24 * 60;

const fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

/// The troubles of a world whose clients have so many links each.
pub(crate) fn draw(dice: &mut Dice, links: &[usize], begin: Time, end: Time) -> Vec<(Time, Fault)> {
    let mut kinds: Vec<(u32, Kind)> = KINDS.into_iter().filter(|_| dice.chance(500)).collect();
    if kinds.is_empty() {
        kinds.push((1, Kind::Black));
    }
    let pace = dice.pick(&[ms(700), ms(3_000), ms(3_000), ms(10_000), ms(30_000)]);
    let mut faults = Vec::new();
    let mut at = begin + dice.span(ms(0), ms(3_000));
    while at < end {
        let kind = dice.weighted(&kinds);
        faults.push((at, shortened(one(dice, kind, links), end.since(at))));
        at += dice.span(ms(20), pace * 2);
    }
    faults
}

fn one(dice: &mut Dice, kind: Kind, links: &[usize]) -> Fault {
    let client = dice.below(links.len());
    let link = dice.below(links[client]);
    let (up, down) = dice.pick(&[(true, true), (true, true), (true, false), (false, true)]);
    match kind {
        Kind::LinkDown => Fault::LinkDown {
            client,
            link,
            notice: dice.pick(&[ms(0), ms(5), ms(60), ms(400)]),
            lasts: dice.scale(ms(30), ms(40_000)),
            reason: dice.pick(&[Reason::LinkDown, Reason::AddressGone, Reason::RouteGone]),
            moved: dice.chance(400),
        },
        Kind::Black => Fault::Black { client, link, up, down, lasts: dice.scale(ms(50), ms(60_000)) },
        Kind::Blackout => Fault::Blackout { client, lasts: dice.scale(ms(100), ms(60_000)) },
        Kind::Poor => {
            let (quality, lasts) = (poor_quality(dice), dice.scale(ms(200), ms(40_000)));
            Fault::Poor { client, link, up, down, quality, lasts }
        }
        Kind::Rebind => Fault::Rebind { client, link },
        Kind::Flap => Fault::Flap {
            client,
            link,
            silent: dice.chance(600),
            dead: dice.scale(ms(50), ms(5_000)),
            alive: dice.scale(ms(50), ms(5_000)),
            times: 2 + dice.below(12) as u32,
        },
        Kind::GatewayRestart => Fault::GatewayRestart {
            polite: dice.chance(400),
            lasts: dice.scale(ms(50), ms(20_000)),
            keep: dice.chance(300),
            minutes: dice.pick(&[0, 0, -1, -60, 60, TEN_YEARS, -TEN_YEARS]),
        },
        Kind::ClientRestart => {
            Fault::ClientRestart { client, polite: dice.chance(300), lasts: dice.scale(ms(50), ms(10_000)) }
        }
        Kind::Suspend => {
            Fault::Suspend { client, lasts: dice.scale(ms(500), ms(90_000)), moved: dice.chance(400) }
        }
        Kind::StallClient => Fault::StallClient { client, lasts: dice.scale(ms(5), ms(2_000)) },
        Kind::StallGateway => Fault::StallGateway { lasts: dice.scale(ms(5), ms(2_000)) },
        Kind::FenceLoss => Fault::FenceLoss { lasts: dice.scale(ms(100), ms(30_000)) },
        Kind::StoreTrouble => Fault::StoreTrouble {
            delay: dice.scale(ms(1), ms(3_000)),
            unknown: dice.pick(&[0, 0, 200, 600]),
            silent: dice.pick(&[0, 0, 300]),
            conflict: dice.pick(&[0, 0, 200]),
            lasts: dice.scale(ms(500), ms(30_000)),
        },
        Kind::Order => Fault::Order { client, order: order(dice, link) },
        Kind::GatewayClose => Fault::GatewayClose { client },
        Kind::Attack => {
            Fault::Attack { spacing: dice.scale(ms(2), ms(500)), lasts: dice.scale(ms(500), ms(20_000)) }
        }
        Kind::Intercept => Fault::Intercept {
            share: dice.pick(&[50, 200, 600]),
            hold: dice.scale(ms(10), ms(5_000)),
            lasts: dice.scale(ms(500), ms(20_000)),
        },
        Kind::ReplayAll => Fault::ReplayAll { shuffled: dice.chance(500), foreign: dice.chance(500) },
        Kind::ClockJump => {
            let years = Duration::from_secs(TEN_YEARS.unsigned_abs() * 60);
            let by = dice.pick(&[ms(500), ms(20_000), ms(3_600_000), years]);
            Fault::ClockJump { who: dice.chance(700).then_some(client), by }
        }
    }
}

fn order(dice: &mut Dice, link: usize) -> Order {
    dice.weighted(&[(4, Order::Jump), (4, Order::JumpTo(link)), (1, Order::Pin(link)), (2, Order::Unpin)])
}

fn poor_quality(dice: &mut Dice) -> Quality {
    Quality {
        delay: dice.scale(ms(2), ms(1_200)),
        jitter: dice.pick(&[ms(0), ms(5), ms(40), ms(300)]),
        loss: dice.pick(&[0, 20, 100, 300, 700]),
        duplicate: dice.pick(&[0, 0, 50, 500]),
        late: dice.pick(&[0, 0, 30, 200]),
    }
}

/// The trouble, over within `limit`.
fn shortened(mut fault: Fault, limit: Duration) -> Fault {
    match &mut fault {
        Fault::LinkDown { lasts, .. }
        | Fault::Black { lasts, .. }
        | Fault::Blackout { lasts, .. }
        | Fault::Poor { lasts, .. }
        | Fault::GatewayRestart { lasts, .. }
        | Fault::ClientRestart { lasts, .. }
        | Fault::Suspend { lasts, .. }
        | Fault::StallClient { lasts, .. }
        | Fault::StallGateway { lasts }
        | Fault::FenceLoss { lasts }
        | Fault::StoreTrouble { lasts, .. }
        | Fault::Intercept { lasts, .. }
        | Fault::Attack { lasts, .. } => *lasts = (*lasts).min(limit),
        Fault::Flap { dead, alive, times, .. } => {
            let room = limit.as_nanos() / (*dead + *alive).as_nanos().max(1);
            *times = (*times).min(u32::try_from(room).unwrap_or(u32::MAX));
        }
        Fault::Rebind { .. }
        | Fault::Order { .. }
        | Fault::GatewayClose { .. }
        | Fault::ReplayAll { .. }
        | Fault::ClockJump { .. } => {}
    }
    fault
}
