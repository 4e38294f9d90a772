//! Troubles of a cell and how they are drawn. Each world leaves out about half of all kinds, as in `crate::fault`.
use std::time::Duration;

use jumpvpn_events::Time;

use super::machine::{Moment, Remains};
use super::plan::LINKS;
use crate::dice::Dice;

/// Something that goes wrong, or that a person does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// A link of a client swallows one or both directions; all of its links, if none is named.
    Black {
        client: usize,
        link: Option<usize>,
        up: bool,
        down: bool,
        lasts: Duration,
    },
    /// A link loses, doubles and delays.
    Poor {
        client: usize,
        link: usize,
        loss: u32,
        duplicate: u32,
        late: u32,
        delay: Duration,
        lasts: Duration,
    },
    /// A link goes, and the operating system says so.
    Unplug {
        client: usize,
        link: usize,
        lasts: Duration,
    },
    /// Nobody, or one client, reaches a gateway; or hears it.
    Cut {
        client: Option<usize>,
        gateway: usize,
        up: bool,
        down: bool,
        lasts: Duration,
    },
    ClientStall {
        client: usize,
        lasts: Duration,
    },
    ClientSleep {
        client: usize,
        lasts: Duration,
    },
    ClientRestart {
        client: usize,
        lasts: Duration,
    },
    /// A gateway's process dies, and another one starts.
    Kill {
        gateway: usize,
        down: Duration,
        remains: Remains,
    },
    /// So it does at its next operation for the store.
    CrashAt {
        gateway: usize,
        moment: Moment,
        down: Duration,
        remains: Remains,
    },
    /// A person ends it: it sends its clients away and gives its right back.
    Resign {
        gateway: usize,
        down: Duration,
    },
    /// Its process stands still (SIGSTOP).
    Stall {
        gateway: usize,
        lasts: Duration,
    },
    /// Only its thread for the store does.
    StallClerk {
        gateway: usize,
        lasts: Duration,
    },
    /// Its machine stands still, and the machine's clock too.
    Freeze {
        gateway: usize,
        lasts: Duration,
    },
    /// There is a copy of its machine for a while.
    Copy {
        gateway: usize,
        lasts: Duration,
    },
    /// A gateway does not reach the store, or does not hear it.
    Wire {
        gateway: usize,
        there: bool,
        back: bool,
        lasts: Duration,
    },
    /// Nobody takes its events: its disk is full.
    FullDisk {
        gateway: usize,
        lasts: Duration,
    },
    /// Its wall clock is set.
    WallClock {
        gateway: usize,
        minutes: i64,
    },
    SlowStore {
        by: Duration,
        lasts: Duration,
    },
    LossyStore {
        share: u32,
        lasts: Duration,
    },
    Minority {
        lasts: Duration,
    },
    Majority {
        lasts: Duration,
    },
    FullStore {
        lasts: Duration,
    },
    /// The store is emptied, or put back to what it was. Persons have pointed the gateways to it after `mended`, and emptied it
    /// as the handbook says, or `kept` what is in it.
    Reset {
        back: Option<Duration>,
        kept: bool,
        mended: Duration,
    },
    Drain {
        gateway: usize,
        span: Duration,
        lasts: Duration,
    },
    Handoff {
        client: usize,
        to: usize,
    },
    /// A person ends a session.
    Close {
        client: usize,
    },
    /// Somebody who sees every datagram repeats, alters and readdresses some.
    Attack {
        spacing: Duration,
        lasts: Duration,
    },
    /// Everything that was ever kept comes once more, to any gateway.
    ReplayAll {
        shuffled: bool,
    },
}

impl Fault {
    /// The name of its kind.
    pub fn name(&self) -> &'static str {
        match self {
            Fault::Black { up: true, down: true, .. } => "black",
            Fault::Black { .. } => "black one way",
            Fault::Poor { .. } => "poor",
            Fault::Unplug { .. } => "unplug",
            Fault::Cut { up: true, down: true, .. } => "cut",
            Fault::Cut { .. } => "cut one way",
            Fault::ClientStall { .. } => "client stall",
            Fault::ClientSleep { .. } => "client sleep",
            Fault::ClientRestart { .. } => "client restart",
            Fault::Kill { remains: Remains::All, .. } => "kill",
            Fault::Kill { remains: Remains::Directory, .. } => "kill and boot",
            Fault::Kill { remains: Remains::Nothing, .. } => "kill and lose all",
            Fault::CrashAt { moment: Moment::Before, .. } => "crash before an operation",
            Fault::CrashAt { moment: Moment::Sent, .. } => "crash with an operation sent",
            Fault::CrashAt { moment: Moment::Between, .. } => "crash before the outcome",
            Fault::CrashAt { moment: Moment::After, .. } => "crash after the outcome",
            Fault::Resign { .. } => "resign",
            Fault::Stall { .. } => "stall",
            Fault::StallClerk { .. } => "stall of the clerk",
            Fault::Freeze { .. } => "stopped clock",
            Fault::Copy { .. } => "copied machine",
            Fault::Wire { there: true, back: true, .. } => "store cut",
            Fault::Wire { there: true, .. } => "store cut there",
            Fault::Wire { .. } => "store cut back",
            Fault::FullDisk { .. } => "full disk",
            Fault::WallClock { .. } => "wall clock",
            Fault::SlowStore { .. } => "slow store",
            Fault::LossyStore { .. } => "lost outcomes",
            Fault::Minority { .. } => "minority lost",
            Fault::Majority { .. } => "majority lost",
            Fault::FullStore { .. } => "full store",
            Fault::Reset { back: None, .. } => "store emptied",
            Fault::Reset { kept: false, .. } => "store put back",
            Fault::Reset { .. } => "store put back and kept",
            Fault::Drain { .. } => "drain",
            Fault::Handoff { .. } => "handoff",
            Fault::Close { .. } => "close",
            Fault::Attack { .. } => "attack",
            Fault::ReplayAll { .. } => "full replay",
        }
    }

    /// Every name, for the coverage of a batch.
    pub const NAMES: [&'static str; 39] = [
        "black",
        "black one way",
        "poor",
        "unplug",
        "cut",
        "cut one way",
        "client stall",
        "client sleep",
        "client restart",
        "kill",
        "kill and boot",
        "kill and lose all",
        "crash before an operation",
        "crash with an operation sent",
        "crash before the outcome",
        "crash after the outcome",
        "resign",
        "stall",
        "stall of the clerk",
        "stopped clock",
        "copied machine",
        "store cut",
        "store cut there",
        "store cut back",
        "full disk",
        "wall clock",
        "slow store",
        "lost outcomes",
        "minority lost",
        "majority lost",
        "full store",
        "store emptied",
        "store put back",
        "store put back and kept",
        "drain",
        "handoff",
        "close",
        "attack",
        "full replay",
    ];
}

const fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

type Draw = fn(&mut Dice, (usize, usize)) -> Fault;

/// Kinds of trouble with their weight among the others.
const KINDS: [(u32, Draw); 28] = [
    (6, black),
    (5, poor),
    (3, unplug),
    (8, cut),
    (2, |dice, (_, clients)| Fault::ClientStall {
        client: dice.below(clients),
        lasts: dice.scale(ms(5), ms(2_000)),
    }),
    (2, |dice, (_, clients)| Fault::ClientSleep {
        client: dice.below(clients),
        lasts: dice.scale(ms(500), ms(30_000)),
    }),
    (1, |dice, (_, clients)| Fault::ClientRestart {
        client: dice.below(clients),
        lasts: dice.scale(ms(50), ms(5_000)),
    }),
    (7, |dice, (gateways, _)| Fault::Kill {
        gateway: dice.below(gateways),
        down: downtime(dice),
        remains: remains(dice),
    }),
    (9, crash),
    (4, |dice, (gateways, _)| Fault::Resign { gateway: dice.below(gateways), down: downtime(dice) }),
    (7, |dice, (gateways, _)| Fault::Stall {
        gateway: dice.below(gateways),
        lasts: dice.scale(ms(20), ms(20_000)),
    }),
    (4, |dice, (gateways, _)| Fault::StallClerk {
        gateway: dice.below(gateways),
        lasts: dice.scale(ms(20), ms(20_000)),
    }),
    (3, |dice, (gateways, _)| Fault::Freeze {
        gateway: dice.below(gateways),
        lasts: dice.scale(ms(100), ms(20_000)),
    }),
    (2, |dice, (gateways, _)| Fault::Copy {
        gateway: dice.below(gateways),
        lasts: dice.scale(ms(500), ms(20_000)),
    }),
    (8, wire),
    (2, |dice, (gateways, _)| Fault::FullDisk {
        gateway: dice.below(gateways),
        lasts: dice.scale(ms(500), ms(20_000)),
    }),
    (1, |dice, (gateways, _)| Fault::WallClock {
        gateway: dice.below(gateways),
        minutes: dice.pick(&[-60, -1, 1, 60]),
    }),
    (4, |dice, _| Fault::SlowStore {
        by: dice.scale(ms(5), ms(1_500)),
        lasts: dice.scale(ms(500), ms(20_000)),
    }),
    (6, |dice, _| Fault::LossyStore {
        share: dice.pick(&[100, 300, 700]),
        lasts: dice.scale(ms(500), ms(15_000)),
    }),
    (3, |dice, _| Fault::Minority { lasts: dice.scale(ms(500), ms(20_000)) }),
    (4, |dice, _| Fault::Majority { lasts: dice.scale(ms(500), ms(20_000)) }),
    (2, |dice, _| Fault::FullStore { lasts: dice.scale(ms(500), ms(15_000)) }),
    (1, reset),
    (5, |dice, (gateways, _)| Fault::Drain {
        gateway: dice.below(gateways),
        span: dice.scale(ms(10), ms(3_000)),
        lasts: dice.scale(ms(1_000), ms(20_000)),
    }),
    (8, |dice, (gateways, clients)| Fault::Handoff { client: dice.below(clients), to: dice.below(gateways) }),
    (1, |dice, (_, clients)| Fault::Close { client: dice.below(clients) }),
    (4, |dice, _| Fault::Attack {
        spacing: dice.scale(ms(2), ms(300)),
        lasts: dice.scale(ms(500), ms(15_000)),
    }),
    (2, |dice, _| Fault::ReplayAll { shuffled: dice.chance(500) }),
];

/// The troubles of a world of so many gateways and clients.
pub(crate) fn draw(dice: &mut Dice, world: (usize, usize), begin: Time, end: Time) -> Vec<(Time, Fault)> {
    let mut kinds: Vec<(u32, Draw)> = KINDS.into_iter().filter(|_| dice.chance(400)).collect();
    if kinds.is_empty() {
        kinds.push(KINDS[0]);
    }
    let pace = dice.pick(&[ms(500), ms(1_500), ms(3_000), ms(8_000)]);
    let mut faults = Vec::new();
    // A session is there before anything goes wrong, mostly.
    let mut at = begin + dice.span(ms(200), ms(3_000));
    while at < end {
        let draw = dice.weighted(&kinds);
        faults.push((at, draw(dice, world)));
        at += dice.span(ms(20), pace * 2);
    }
    faults
}

fn both_or_one(dice: &mut Dice) -> (bool, bool) {
    dice.pick(&[(true, true), (true, true), (true, false), (false, true)])
}

fn downtime(dice: &mut Dice) -> Duration {
    dice.scale(ms(20), ms(15_000))
}

fn remains(dice: &mut Dice) -> Remains {
    dice.weighted(&[(4, Remains::All), (2, Remains::Directory), (1, Remains::Nothing)])
}

fn black(dice: &mut Dice, (_, clients): (usize, usize)) -> Fault {
    let (up, down) = both_or_one(dice);
    let link = dice.chance(600).then(|| dice.below(LINKS));
    Fault::Black { client: dice.below(clients), link, up, down, lasts: dice.scale(ms(50), ms(20_000)) }
}

fn poor(dice: &mut Dice, (_, clients): (usize, usize)) -> Fault {
    Fault::Poor {
        client: dice.below(clients),
        link: dice.below(LINKS),
        loss: dice.pick(&[0, 20, 200, 500]),
        duplicate: dice.pick(&[0, 50, 500]),
        late: dice.pick(&[0, 30, 300]),
        delay: dice.scale(ms(2), ms(600)),
        lasts: dice.scale(ms(500), ms(20_000)),
    }
}

fn unplug(dice: &mut Dice, (_, clients): (usize, usize)) -> Fault {
    Fault::Unplug {
        client: dice.below(clients),
        link: dice.below(LINKS),
        lasts: dice.scale(ms(50), ms(10_000)),
    }
}

fn cut(dice: &mut Dice, (gateways, clients): (usize, usize)) -> Fault {
    let (up, down) = both_or_one(dice);
    let client = dice.chance(600).then(|| dice.below(clients));
    Fault::Cut { client, gateway: dice.below(gateways), up, down, lasts: dice.scale(ms(300), ms(20_000)) }
}

fn crash(dice: &mut Dice, (gateways, _): (usize, usize)) -> Fault {
    let moment = dice.pick(&[Moment::Before, Moment::Sent, Moment::Between, Moment::After]);
    Fault::CrashAt { gateway: dice.below(gateways), moment, down: downtime(dice), remains: remains(dice) }
}

fn wire(dice: &mut Dice, (gateways, _): (usize, usize)) -> Fault {
    let (there, back) = both_or_one(dice);
    Fault::Wire { gateway: dice.below(gateways), there, back, lasts: dice.scale(ms(300), ms(20_000)) }
}

fn reset(dice: &mut Dice, _: (usize, usize)) -> Fault {
    let back = dice.chance(600).then(|| dice.scale(ms(500), ms(30_000)));
    Fault::Reset { back, kept: dice.chance(400), mended: dice.scale(ms(200), ms(5_000)) }
}
