//! The world of one seed: clients, gateway and network on one clock that nobody outside can see.
//!
//! One step is one instant: everything that arrives is handed in first, then the timers that are due, then what the
//! engines have to say goes out; the order of work that `jumpvpn-engine` asks of its shell. After each input the engine
//! is looked at and judged.
mod arrive;
mod attack;
mod depart;
pub(crate) mod flows;
mod trouble;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

use attack::Interception;
use jumpvpn_engine::SocketKey;
use jumpvpn_events::{Reason, State, Time};
use jumpvpn_ownership::Answer;
use jumpvpn_wire::Kind;

use crate::attacker::Attacker;
use crate::audit;
use crate::client::{Client, Presence};
use crate::coverage::WorldReport;
use crate::dice::Dice;
use crate::fault::Fault;
use crate::flight::Flight;
use crate::invariants::{Breach, Invariant, Verdict, ensure, is_impossible};
use crate::scenario::{BEGIN, Scenario};
use crate::server::Server;
use crate::trace::Trace;
use crate::traffic::Direction;

/// After the last trouble every client has so long to carry packets both ways again: a minute until the limit of
/// moves per minute lets go, half a minute of an agent's longest pause.
const PATIENCE: Duration = Duration::from_secs(100);
/// It has to stay well for so long.
const STEADY: Duration = Duration::from_secs(3);
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
    /// The operating system notices that the link of that socket is dead.
    LinkNotice {
        client: usize,
        socket: SocketKey,
        reason: Reason,
    },
    LinkBack {
        client: usize,
        link: usize,
        moved: bool,
    },
    SocketError {
        client: usize,
        socket: SocketKey,
    },
    ClientUp {
        client: usize,
    },
    ClientWakes {
        client: usize,
        moved: bool,
    },
    StallOver {
        client: usize,
    },
    GatewayUp,
    GatewayStallOver,
    FenceBack,
    StoreAnswer {
        incarnation: u64,
        answer: Answer,
    },
    Strike {
        spacing: Duration,
        until: Time,
    },
    /// One more request of a hostile client's burst.
    Hostile,
    Calm,
}

/// A world.
pub(crate) struct World {
    pub now: Time,
    queue: BTreeMap<(Time, u64), Happening>,
    next_order: u64,
    clients: Vec<Client>,
    server: Server,
    network: Dice,
    chance: Dice,
    attacker: Attacker,
    interception: Option<Interception>,
    /// For each genuine datagram: whether an engine has accepted it.
    accepted: Vec<bool>,
    /// Kinds of a client's datagrams that somebody else brought from an address, and that the gateway took.
    carried: BTreeSet<(usize, SocketAddr, Kind)>,
    /// Bytes that came from an address, less those that were answered to it.
    credit: BTreeMap<SocketAddr, i64>,
    calm_at: Time,
    calm: bool,
    well_since: Option<Time>,
    pub steps: u64,
    instant_steps: u32,
    pub trace: Trace,
    pub report: WorldReport,
}

impl World {
    /// The world of that seed, before its first instant.
    pub fn new(seed: u64, seconds: u64, trace_lines: usize) -> World {
        let scenario = Scenario::new(seed, seconds);
        let count = scenario.clients.len();
        let clients = scenario.clients.into_iter().enumerate().map(|(index, plan)| Client::new(index, plan));
        let mut world = World {
            now: BEGIN,
            queue: BTreeMap::new(),
            next_order: 0,
            clients: clients.collect(),
            server: Server::new(scenario.policy, scenario.endpoints, count),
            network: Dice::new(seed, 2),
            chance: Dice::new(seed, 3),
            attacker: Attacker::new(Dice::new(seed, 4)),
            interception: None,
            accepted: Vec::new(),
            carried: BTreeSet::new(),
            credit: BTreeMap::new(),
            calm_at: scenario.calm_at,
            calm: false,
            well_since: None,
            steps: 0,
            instant_steps: 0,
            trace: Trace::new(trace_lines),
            report: WorldReport::default(),
        };
        for (at, fault) in scenario.faults {
            world.plan(at, Happening::Trouble(fault));
        }
        world.plan(scenario.calm_at, Happening::Calm);
        world.plan(BEGIN, Happening::GatewayUp);
        for client in 0..count {
            let at = BEGIN + world.chance.span(Duration::ZERO, Duration::from_millis(500));
            world.plan(at, Happening::ClientUp { client });
            for direction in [Direction::Up, Direction::Down] {
                world.plan(at, Happening::Traffic { client, direction });
            }
        }
        world
    }

    /// Makes the gateway follow another policy than the model believes in.
    #[cfg(test)]
    pub fn mislead(&mut self, change: fn(&mut jumpvpn_policy::Policy)) {
        change(&mut self.server.policy);
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

    /// Takes the bytes of a datagram into the world's digest.
    fn digest(&mut self, bytes: &[u8]) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.report.digest, self.now.as_nanos(), bytes).hash(&mut hasher);
        self.report.digest = hasher.finish();
        let mut alone = DefaultHasher::new();
        bytes.hash(&mut alone);
        alone.finish()
    }

    /// Plans something.
    fn plan(&mut self, at: Time, happening: Happening) {
        self.next_order += 1;
        self.queue.insert((at, self.next_order), happening);
    }

    fn next_instant(&self) -> Option<Time> {
        let planned = self.queue.keys().next().map(|(at, _)| *at);
        let clients =
            self.clients.iter().filter(|client| client.is_running()).filter_map(|client| client.due);
        let server = self.server.due.filter(|_| self.server.is_running());
        planned.into_iter().chain(clients).chain(server).min()
    }

    fn step(&mut self) -> Verdict {
        self.server.rows_before.clone_from(&self.server.rows);
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let happening = entry.remove();
            self.happen(happening)?;
        }
        for client in 0..self.clients.len() {
            self.client_timers(client)?;
        }
        self.server_timers()
    }

    fn happen(&mut self, happening: Happening) -> Verdict {
        match happening {
            Happening::Arrive(flight) => self.arrive(flight),
            Happening::Trouble(fault) => self.trouble(fault),
            Happening::Traffic { client, direction } => self.user_packet(client, direction),
            Happening::LinkNotice { client, socket, reason } => self.link_notice(client, socket, reason),
            Happening::LinkBack { client, link, moved } => self.link_back(client, link, moved),
            Happening::SocketError { client, socket } => self.socket_error(client, socket),
            Happening::ClientUp { client } => self.client_up(client),
            Happening::ClientWakes { client, moved } => self.client_wakes(client, moved),
            Happening::StallOver { client } => self.stall_over(client),
            Happening::GatewayUp => self.gateway_up(),
            Happening::GatewayStallOver => self.gateway_stall_over(),
            Happening::FenceBack => self.fence_back(),
            Happening::StoreAnswer { incarnation, answer } => self.store_answer(incarnation, answer),
            Happening::Strike { spacing, until } => self.strike(spacing, until),
            Happening::Hostile => {
                self.hostile(Duration::ZERO);
                Ok(())
            }
            Happening::Calm => self.calm_down(),
        }
    }

    fn client_timers(&mut self, index: usize) -> Verdict {
        let now = self.now;
        if !self.clients[index].fire(now) {
            return Ok(());
        }
        self.settle_client(index)?;
        self.clients[index].judge_due(now)
    }

    fn server_timers(&mut self) -> Verdict {
        let now = self.now;
        if !self.server.is_running() || self.server.due.is_none_or(|due| due > now) {
            return Ok(());
        }
        if let Some(model) = &mut self.server.model {
            model.timers(self.server.clock.at(now));
        }
        let shown = self.server.clock.at(now);
        if let Some(engine) = &mut self.server.engine {
            engine.handle_timeout(shown);
        }
        self.settle_server()?;
        let due = self.server.due;
        ensure(due.is_none_or(|due| due > now), Invariant::Timer, || {
            format!("the gateway wants to be called at {due:?}, it is {now:?}")
        })
    }

    /// Whether there is nothing more to see: some seconds after all trouble everybody is well.
    fn is_over(&mut self) -> Result<bool, Breach> {
        if !self.calm {
            return Ok(false);
        }
        let recent = |at: Time| self.now.since(at) < Duration::from_secs(1);
        let well = |client: &Client| {
            client.facts.state == State::Attached
                && recent(client.up.last_delivery)
                && recent(client.down.last_delivery)
        };
        if !self.clients.iter().filter(|client| !client.hostile).all(well) {
            self.well_since = None;
            let late = self.now.since(self.calm_at) > PATIENCE;
            ensure(!late, Invariant::Liveness, || {
                let words = |client: &Client| {
                    let (up, down) = (client.up.last_delivery, client.down.last_delivery);
                    format!(
                        "client {}: {:?}, last packet up {up:?}, down {down:?}",
                        client.index, client.facts
                    )
                };
                self.clients.iter().map(words).collect::<Vec<_>>().join("; ")
            })?;
            return Ok(false);
        }
        let since = *self.well_since.get_or_insert(self.now);
        self.report.longest_recovery = self.report.longest_recovery.max(since.since(self.calm_at));
        Ok(self.now.since(since) > STEADY)
    }

    /// The last judgements: counters of impossible things, and the event files.
    fn close_books(&mut self) -> Verdict {
        let engines =
            self.clients.iter().filter_map(|client| client.engine.as_ref().map(|engine| engine.counters()));
        let counters = engines.chain(self.server.engine.as_ref().map(|engine| engine.counters()));
        for (reason, count) in counters.flat_map(|counters| counters.drops.iter()) {
            ensure(!is_impossible(reason), Invariant::Internal, || {
                format!("{reason} was counted {count} times")
            })?;
        }
        self.note_gateway();
        let logs = self.clients.iter().map(|client| &client.log).chain([&self.server.log]);
        let proof = audit::prove(logs)?;
        self.report.seeds = 1;
        self.report.events = proof.lines;
        self.report.virtual_time = self.now.since(BEGIN);
        self.report.steps = self.steps;
        self.report.datagrams = self.accepted.len() as u64;
        self.report.jumps = self.server.ledger.switches;
        self.report.births = self.server.ledger.births;
        Ok(())
    }

    /// What the gateway's process counted goes into the report before it is lost.
    fn note_gateway(&mut self) {
        let Some(engine) = &self.server.engine else { return };
        let counters = engine.counters();
        for (reason, count) in counters.drops.iter() {
            self.report.note(format!("gateway {reason}"), count);
        }
        for (from, to, count) in counters.transitions.iter() {
            self.report.note(format!("{from} to {to}"), count);
        }
        self.report.own.verdicts +=
            self.server.model.as_mut().map_or(0, |model| std::mem::take(&mut model.verdicts));
    }

    /// Clients that can be asked anything.
    fn is_asleep(&self, client: usize) -> bool {
        self.clients[client].presence == Presence::Asleep
    }
}
