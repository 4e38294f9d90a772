//! The world of one seed: gateways with their nodes, the store, clients and the network between them, on one clock that nobody
//! inside can see.
//!
//! One step is one instant: what is planned for it happens first, then the timers that are due. After each input the engine or
//! node that had it is taken out of and judged; after each instant, what may pass where.
mod clients;
mod datagrams;
mod gateways;
mod peace;
mod trouble;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use jumpvpn_engine::SocketKey;
use jumpvpn_events::{Reason, SessionLabel, Time};
use jumpvpn_ownership::{Hint, Incarnation, MemoryStore, Mutant};

use super::fault::Fault;
use super::machine::{Machine, endpoint};
use super::plan::{Plan, Rules};
use super::report::CellReport;
use super::store::CellStore;
use super::truth::{Seal, Truth};
use crate::attacker::Attacker;
use crate::client::Client;
use crate::dice::Dice;
use crate::flight::Flight;
use crate::invariants::{Invariant, Verdict, ensure};
use crate::scenario::BEGIN;
use crate::trace::Trace;
use crate::traffic::Direction;

/// Steps within one instant: far more than all inputs that can meet there.
const STEPS_PER_INSTANT: u32 = 10_000;

/// What is going to happen.
pub(crate) enum Happening {
    Arrive(Flight),
    Trouble(Fault),
    Traffic {
        client: usize,
        direction: Direction,
    },
    ClientUp {
        client: usize,
    },
    ClientWakes {
        client: usize,
    },
    LinkBack {
        client: usize,
        link: usize,
    },
    SocketError {
        client: usize,
        socket: SocketKey,
    },
    /// An operation takes effect.
    Apply(u64),
    /// Its outcome arrives.
    Outcome(u64),
    /// The store tells a node that there may be something in a mailbox.
    Hint {
        machine: usize,
        process: u64,
        hint: Hint,
    },
    /// The engine's words reach the node.
    Words {
        machine: usize,
        process: u64,
    },
    /// The node's news reach the engine.
    News {
        machine: usize,
        process: u64,
    },
    ClerkGoesOn {
        machine: usize,
        process: u64,
    },
    Start {
        machine: usize,
    },
    GoOn {
        machine: usize,
    },
    Resigned {
        machine: usize,
        process: u64,
        down: Duration,
    },
    Undrain {
        machine: usize,
    },
    CopyEnds {
        machine: usize,
    },
    StoreMended {
        empty: bool,
    },
    Strike {
        spacing: Duration,
        until: Time,
    },
    Calm,
    /// What was promised for the time after all trouble is due; at last also for whoever had moved as often as is allowed.
    Deadline {
        last: bool,
    },
}

/// A way between a client and a gateway that swallows, until that time.
pub(crate) struct Gap {
    client: Option<usize>,
    gateway: usize,
    up: bool,
    down: bool,
    until: Time,
}

/// How a world is lived through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// Somebody takes the events out of the gateways.
    pub sink: bool,
    /// Something is wrong on purpose, and this invariant should notice.
    pub plant: Option<Invariant>,
}

/// A world.
pub(crate) struct World {
    pub now: Time,
    queue: BTreeMap<(Time, u64), Happening>,
    next_order: u64,
    rules: Rules,
    machines: Vec<Machine>,
    next_process: u64,
    store: CellStore,
    /// The store as it was, for the day it is put back.
    history: Vec<(Time, MemoryStore)>,
    clients: Vec<Client>,
    gaps: Vec<Gap>,
    attacker: Attacker,
    network: Dice,
    chance: Dice,
    /// For the store, so that a lost datagram does not change what it does.
    luck: Dice,
    /// For each genuine datagram: whether somebody has accepted it, and what is known of its seal.
    accepted: Vec<(bool, Option<Seal>)>,
    /// The request that each socket of a client has moved its session with last.
    bindings: BTreeMap<(usize, u32), u64>,
    calm_at: Time,
    calm: bool,
    /// Sessions that are owed an answer by the deadline.
    owed: BTreeSet<(usize, SessionLabel)>,
    /// Sessions whose client may be unable to prove itself with what the store has: because that was put back and the client knows
    /// more, or because a copy of a gateway has taken it over while the gateway itself told the client that it had not.
    estranged: BTreeSet<SessionLabel>,
    /// Processes that were copied, and whose heart did not beat in the copy: nothing tells them what the copy does in their name.
    unnoticed: BTreeSet<Incarnation>,
    well_since: Option<Time>,
    manner: Manner,
    pub truth: Truth,
    pub steps: u64,
    instant_steps: u32,
    pub trace: Trace,
    pub report: CellReport,
}

impl World {
    /// The world of that seed, before its first instant.
    pub fn new(seed: u64, seconds: u64, trace_lines: usize, manner: Manner) -> World {
        let plan = Plan::new(seed, seconds);
        let machine = |(gateway, clock)| Machine::new(gateway, clock, format!("gw{gateway}"));
        let mut world = World {
            now: BEGIN,
            queue: BTreeMap::new(),
            next_order: 0,
            machines: plan.clocks.into_iter().enumerate().map(machine).collect(),
            next_process: 0,
            store: CellStore::new(),
            history: Vec::new(),
            clients: plan.clients.into_iter().enumerate().map(|(at, plan)| Client::new(at, plan)).collect(),
            gaps: Vec::new(),
            attacker: Attacker::new(Dice::new(seed, 14)),
            network: Dice::new(seed, 12),
            chance: Dice::new(seed, 13),
            luck: Dice::new(seed, 15),
            accepted: Vec::new(),
            bindings: BTreeMap::new(),
            calm_at: plan.calm_at,
            calm: false,
            owed: BTreeSet::new(),
            estranged: BTreeSet::new(),
            unnoticed: BTreeSet::new(),
            well_since: None,
            manner,
            truth: Truth::new(),
            steps: 0,
            instant_steps: 0,
            trace: Trace::new(trace_lines),
            report: CellReport::default(),
            rules: plan.rules,
        };
        world.truth.forged = manner.plant;
        if world.is_planted(Invariant::FrozenIsSilent) {
            // What is wrong shows only where outcomes get lost.
            world.store.moods.lossy = (300, world.calm_at);
        }
        world.plan_all(plan.faults);
        world
    }

    fn plan_all(&mut self, faults: Vec<(Time, Fault)>) {
        for (at, fault) in faults {
            self.plan(at, Happening::Trouble(fault));
        }
        self.plan(self.calm_at, Happening::Calm);
        for machine in 0..self.machines.len() {
            let at = BEGIN + self.chance.span(Duration::ZERO, Duration::from_millis(100));
            self.plan(at, Happening::Start { machine });
        }
        for client in 0..self.clients.len() {
            let at = BEGIN + self.chance.span(Duration::from_millis(50), Duration::from_millis(500));
            self.plan(at, Happening::ClientUp { client });
            for direction in [Direction::Up, Direction::Down] {
                self.plan(at, Happening::Traffic { client, direction });
            }
        }
    }

    /// Lives through it to the end.
    pub fn run(&mut self) -> Verdict {
        while !self.is_over()? {
            let Some(next) = self.next_instant() else { break };
            self.instant_steps = if next > self.now { 0 } else { self.instant_steps + 1 };
            ensure(self.instant_steps < STEPS_PER_INSTANT, Invariant::Timer, || {
                "time stands still".to_owned()
            })?;
            self.now = self.now.max(next);
            self.steps += 1;
            self.step()?;
        }
        self.close_books()
    }

    /// Takes something that happened into the world's digest.
    fn digest(&mut self, what: &impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.report.digest, self.now.as_nanos()).hash(&mut hasher);
        what.hash(&mut hasher);
        self.report.digest = hasher.finish();
        self.report.digest
    }

    /// Plans something.
    fn plan(&mut self, at: Time, happening: Happening) {
        self.next_order += 1;
        self.queue.insert((at.max(self.now), self.next_order), happening);
    }

    fn next_instant(&self) -> Option<Time> {
        let planned = self.queue.keys().next().map(|(at, _)| *at);
        let clients =
            self.clients.iter().filter(|client| client.is_running()).filter_map(|client| client.due);
        let machines =
            self.machines.iter().filter(|machine| machine.is_running()).filter_map(|machine| machine.due);
        planned.into_iter().chain(clients).chain(machines).min()
    }

    fn step(&mut self) -> Verdict {
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let happening = entry.remove();
            self.happen(happening)?;
        }
        for client in 0..self.clients.len() {
            self.client_timers(client)?;
        }
        for machine in 0..self.machines.len() {
            self.machine_timers(machine)?;
        }
        self.judge_instant()
    }

    fn happen(&mut self, happening: Happening) -> Verdict {
        match happening {
            Happening::Arrive(flight) => self.arrive(flight),
            Happening::Trouble(fault) => self.trouble(fault),
            Happening::Traffic { client, direction } => self.user_packet(client, direction),
            Happening::ClientUp { client } => self.client_up(client),
            Happening::ClientWakes { client } => self.client_wakes(client),
            Happening::LinkBack { client, link } => self.link_back(client, link),
            Happening::SocketError { client, socket } => self.socket_error(client, socket),
            Happening::Apply(key) => self.apply(key),
            Happening::Outcome(key) => self.outcome(key),
            Happening::Hint { machine, process, hint } => self.hint(machine, process, &hint),
            Happening::Words { machine, process } => self.words(machine, process),
            Happening::News { machine, process } => self.news(machine, process),
            Happening::ClerkGoesOn { machine, process } => self.clerk_goes_on(machine, process),
            Happening::Start { machine } => self.start(machine),
            Happening::GoOn { machine } => self.go_on(machine),
            Happening::Resigned { machine, process, down } => self.resigned(machine, process, down),
            Happening::Undrain { machine } => self.undrain(machine),
            Happening::CopyEnds { machine } => {
                self.machines[machine].stop();
                self.estrange();
                Ok(())
            }
            Happening::StoreMended { empty } => self.store_mended(empty),
            Happening::Strike { spacing, until } => self.strike(spacing, until),
            Happening::Calm => self.calm_down(),
            Happening::Deadline { last } => self.deadline(last),
        }
    }

    /// The gateway that listens there.
    fn gateway_at(&self, address: std::net::SocketAddr) -> Option<usize> {
        (0..self.rules.gateways).find(|gateway| endpoint(*gateway) == address)
    }

    /// The mutation of the ownership layer that is planted, if one is.
    fn mutant(&self) -> Option<Mutant> {
        match self.manner.plant? {
            Invariant::OneServes => Some(Mutant::TakeFromTheLiving),
            Invariant::OneGrant => Some(Mutant::EpochKept),
            Invariant::DeadIsSilent => Some(Mutant::DeathBeforeTheFence),
            Invariant::FrozenIsSilent => Some(Mutant::UnknownMeansFailed),
            _ => None,
        }
    }

    fn is_planted(&self, invariant: Invariant) -> bool {
        self.manner.plant == Some(invariant)
    }

    /// The operating system says why a link is gone.
    const UNPLUGGED: Reason = Reason::LinkDown;
}
