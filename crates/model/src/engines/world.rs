//! Two engines, two paths, and an adversary between them who chooses every step.

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jumpvpn_engine::agent::{Command, Config as AgentConfig, GatewayPeer, Link};
use jumpvpn_engine::gateway::{Config as GatewayConfig, Peer};
use jumpvpn_engine::{Agent, Gateway, Received, SocketKey, TRANSMIT_BUFFER_LEN, Transmit};
use jumpvpn_events::{BindingState, Event, EventKind, PathLabel, SessionLabel, State, Time};
use jumpvpn_ownership::{Fence, Ledger};
use jumpvpn_policy::{Policy, PostQuantum};
use jumpvpn_session::{PrivateKey, SuiteSet};
use jumpvpn_wire::Kind;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// Delay of a path while nobody interferes.
const DELAY: Duration = Duration::from_millis(10);
/// Both sides end a session of which nothing is heard for this long.
const LOST_TTL: Duration = Duration::from_secs(30);
/// Time within which both sides have to find together on good paths: one interval of the probes that follow the
/// recovery window (5 s), a cooldown (3 s), a denied minute, and some round trips.
const HEAL_LIMIT: Duration = Duration::from_secs(75);
/// Datagrams under way that can be told apart; later ones wait for their turn.
const REACH: usize = 4;
/// Datagrams seen of which copies are made, newest first.
const MEMORY: usize = 3;

/// What is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// With [`Step::Mutate`] the gateway falls back to the state of its birth, as a machine that was restored from a
    /// snapshot.
    Rollback,
    /// From [`Step::Mutate`] on, path 1 leads to a copy of the gateway made at birth.
    Twin,
    /// Timers of the agent never fire.
    DeafAgent,
    /// From [`Step::Mutate`] on the observer knows no address that the client has seen.
    Amnesia,
    /// With [`Step::Mutate`] the agent is replaced by one that has just started, unseen by the observer.
    SilentRestart,
}

/// A promise that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Broken {
    /// Two bindings ACTIVE on one side, or one session ACTIVE at two gateways.
    TwoActive,
    /// A version fell.
    VersionFell,
    /// Another session id without an end before.
    SessionChanged,
    /// Something moved after TERMINATED.
    Resurrected,
    /// A binding was committed by something that is no REATTACH of the client, or twice by one.
    CommitUnasked,
    /// The gateway is bound to, or sends DATA to, an address that the client has not read in a ticket.
    Unaccepted,
    /// Good paths did not bring both sides together.
    NeverHealed,
    /// Dead paths did not make both sides end.
    NeverEnded,
}

/// Where a copy seems to come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The attacker's own address.
    Attacker,
    /// The client's address on a path.
    Path(u8),
}

/// One step. Datagrams are named by their place, the oldest under way or the newest seen first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A datagram arrives.
    Deliver(u8),
    /// It arrives and will arrive again.
    Twice(u8),
    /// It is lost.
    Lose(u8),
    /// A control message that was sent up arrives at the gateway once more.
    Copy(u8, Origin),
    /// A message that was sent down arrives at the agent once more, on this path.
    Echo(u8, u8),
    /// Time passes until a timer fires.
    Time,
    /// A person wants the other path.
    Jump,
    /// A link goes away.
    Down(u8),
    /// It comes back.
    Up(u8),
    /// A person ends the session.
    Close,
    /// The mutant's own step.
    Mutate,
}

impl Step {
    /// The adversary's.
    pub fn is_mischief(&self) -> bool {
        matches!(self, Step::Twice(_) | Step::Lose(_) | Step::Copy(..) | Step::Echo(..) | Step::Mutate)
    }

    /// The people's and the links'.
    pub fn is_deed(&self) -> bool {
        matches!(self, Step::Jump | Step::Down(_) | Step::Up(_) | Step::Close)
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Flight {
    path: u8,
    up: bool,
    bytes: Vec<u8>,
}

/// What an observer knows who sees both sides.
#[derive(Default)]
struct Observer {
    session: Option<SessionLabel>,
    accepted: BTreeSet<SocketAddr>,
    versions: [u64; 2],
    gateway_active: Option<PathLabel>,
    ended: HashSet<(bool, SessionLabel)>,
    requests_taken: HashSet<Vec<u8>>,
    broken: Vec<Broken>,
}

impl Observer {
    fn found(&mut self, is: bool, broken: Broken) {
        if is && !self.broken.contains(&broken) {
            self.broken.push(broken);
        }
    }

    fn event(&mut self, at_gateway: bool, event: &Event) {
        let Some(session) = event.session else { return };
        let side = (at_gateway, session);
        match event.kind {
            EventKind::StateChange { from, .. } => {
                let dead = from == State::Terminated || self.ended.contains(&side);
                self.found(dead, Broken::Resurrected);
            }
            EventKind::TransportSwitch { .. } => {
                self.found(self.ended.contains(&side), Broken::Resurrected);
            }
            EventKind::Termination { .. } => {
                self.ended.insert(side);
                if at_gateway {
                    self.gateway_active = None;
                }
            }
            EventKind::PathState { path, binding: BindingState::Active, .. } if at_gateway => {
                self.found(self.gateway_active.is_some(), Broken::TwoActive);
                self.gateway_active = Some(path);
            }
            EventKind::PathState { path, .. } if at_gateway && self.gateway_active == Some(path) => {
                self.gateway_active = None;
            }
            _ => {}
        }
    }
}

/// The world.
pub(super) struct World {
    now: Time,
    agent: Agent,
    gateways: Vec<Gateway>,
    store: Ledger,
    up: [bool; 2],
    flying: Vec<Flight>,
    seen_up: Vec<Vec<u8>>,
    seen_down: Vec<Vec<u8>>,
    agent_trace: DefaultHasher,
    gateway_trace: DefaultHasher,
    observer: Observer,
    mutant: Option<Mutant>,
    mutated: bool,
}

fn gateway_address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 10], 4747))
}

fn outer(path: u8) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, path + 1], 40_000))
}

fn attacker() -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 66], 6666))
}

fn key(seed: u64) -> PrivateKey {
    PrivateKey::generate(&mut ChaCha20Rng::seed_from_u64(seed))
}

fn policy() -> Policy {
    let mut policy = Policy::vehicle();
    policy.security.pq = PostQuantum::Off;
    policy.session.transport_lost_ttl = LOST_TTL;
    policy
}

fn agent(now: Time) -> Agent {
    let config = AgentConfig {
        private: key(2),
        gateways: vec![GatewayPeer::of_file(key(1).public(), vec![gateway_address()])],
        suites: SuiteSet::ALL,
        policy: policy(),
    };
    Agent::new(config, Box::new(ChaCha20Rng::seed_from_u64(7)), now)
}

fn gateway(now: Time) -> Gateway {
    let peer = Peer {
        name: "alice".into(),
        public: key(2).public(),
        psk: None,
        inner: vec![IpAddr::from([10, 77, 0, 2])],
    };
    let config = GatewayConfig {
        private: key(1),
        peers: vec![peer],
        networks: Vec::new(),
        own: vec![gateway_address().ip()],
        allow_local: false,
        suites: SuiteSet::ALL,
        policy: policy(),
        capacity: 4,
        node: [0, 0, 0, 1],
        cell: None,
        started_minute: 1000,
        mtu: 1400,
    };
    let rng = Box::new(ChaCha20Rng::seed_from_u64(8));
    // invariant: this generator gives no zeros for this seed.
    let mut gateway = Gateway::new(config, rng, now).expect("good randomness");
    gateway.handle_fence(Fence { epoch: 1, valid_until: Time::MAX });
    gateway
}

fn link(path: u8) -> Link {
    Link {
        socket: SocketKey(u32::from(path)),
        iface: PathLabel::new(["wifi", "lte"][usize::from(path)]),
        local: IpAddr::from([10, path, 0, 2]),
        mtu: 1500,
        preference: 0,
        metered: false,
    }
}

fn is_control(bytes: &[u8]) -> bool {
    Kind::of(bytes).is_ok_and(Kind::is_control)
}

impl World {
    /// Both sides attached, both paths warm, nothing under way.
    pub(super) fn attached(mutant: Option<Mutant>) -> World {
        let now = Time::from_millis(1_000_000);
        // A snapshot cannot be taken of an engine: its double lives through the same birth beside it.
        let doubled = matches!(mutant, Some(Mutant::Rollback | Mutant::Twin));
        let mut world = World {
            now,
            agent: agent(now),
            gateways: (0..1 + usize::from(doubled)).map(|_| gateway(now)).collect(),
            store: Ledger::new(16, 1),
            up: [true; 2],
            flying: Vec::new(),
            seen_up: Vec::new(),
            seen_down: Vec::new(),
            agent_trace: DefaultHasher::new(),
            gateway_trace: DefaultHasher::new(),
            observer: Observer::default(),
            mutant: None,
            mutated: false,
        };
        world.set_links();
        let warm = |world: &World| {
            let status = world.agent.status(world.now);
            status.state == State::Attached
                && status
                    .paths
                    .iter()
                    .filter(|path| path.warm || path.binding == BindingState::Active)
                    .count()
                    == 2
                && status.paths.iter().all(|path| path.observed.is_some())
        };
        // invariant: without an adversary a birth takes a few round trips.
        assert!(world.run_until(Duration::from_secs(5), warm), "no session was born");
        world.flying.clear();
        world.seen_up.retain(|bytes| is_control(bytes));
        world.observe();
        world.mutant = mutant;
        world
    }

    pub(super) fn broken(&self) -> &[Broken] {
        &self.observer.broken
    }

    /// Version at the gateway.
    pub(super) fn version(&self) -> u64 {
        self.observer.versions[1]
    }

    /// See the head of [`super`].
    pub(super) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.agent_trace.finish(), self.gateway_trace.finish(), self.now.as_nanos(), self.up)
            .hash(&mut hasher);
        let mut flying: Vec<u64> = self.flying.iter().map(hash_of).collect();
        flying.sort_unstable();
        (flying, self.mutated, &self.observer.broken).hash(&mut hasher);
        hasher.finish()
    }

    /// Every step that is possible.
    pub(super) fn choices(&self) -> Vec<Step> {
        let mut choices = vec![Step::Time];
        let reach = self.flying.len().min(REACH) as u8;
        choices.extend(
            (0..reach).flat_map(|place| [Step::Deliver(place), Step::Lose(place), Step::Twice(place)]),
        );
        let origins = [Origin::Attacker, Origin::Path(0), Origin::Path(1)];
        let seen = self.seen_up.len().min(MEMORY) as u8;
        choices.extend((0..seen).flat_map(|place| origins.map(|origin| Step::Copy(place, origin))));
        let seen = self.seen_down.len().min(MEMORY) as u8;
        choices.extend((0..seen).flat_map(|place| [Step::Echo(place, 0), Step::Echo(place, 1)]));
        choices.push(Step::Jump);
        choices.push(if self.up[0] { Step::Down(0) } else { Step::Up(0) });
        choices.push(Step::Close);
        choices.extend(self.mutant.map(|_| Step::Mutate));
        choices
    }

    /// Takes a step and looks at what it did.
    pub(super) fn take(&mut self, step: Step) {
        match step {
            Step::Deliver(place) if usize::from(place) < self.flying.len() => {
                let flight = self.flying.remove(usize::from(place));
                self.arrive(&flight);
            }
            Step::Twice(place) => {
                let flight = self.flying.get(usize::from(place)).cloned();
                flight.iter().for_each(|flight| self.arrive(flight));
            }
            Step::Lose(place) if usize::from(place) < self.flying.len() => {
                self.flying.remove(usize::from(place));
            }
            Step::Copy(place, origin) => {
                let seen = self.seen_up.iter().rev().nth(usize::from(place)).cloned();
                let source = match origin {
                    Origin::Attacker => attacker(),
                    Origin::Path(path) => outer(path),
                };
                seen.iter().for_each(|bytes| self.hand_to_gateway(source, bytes));
            }
            Step::Echo(place, path) => {
                let seen = self.seen_down.iter().rev().nth(usize::from(place)).cloned();
                seen.iter().for_each(|bytes| self.hand_to_agent(path, bytes));
            }
            Step::Time => self.pass_time(),
            Step::Jump => self.command(Command::Jump { to: None }),
            Step::Close => self.command(Command::Close),
            Step::Down(path) | Step::Up(path) => {
                self.up[usize::from(path)] = matches!(step, Step::Up(_));
                self.set_links();
            }
            Step::Mutate => self.mutate(),
            Step::Deliver(_) | Step::Lose(_) => {}
        }
        self.observe();
    }

    /// Two gateways believe that they own the session.
    fn split(&self) -> bool {
        self.mutated && self.mutant == Some(Mutant::Twin)
    }

    fn mutate(&mut self) {
        self.mutated = true;
        match self.mutant {
            Some(Mutant::Rollback) if self.gateways.len() == 2 => {
                self.gateways.remove(0);
            }
            Some(Mutant::Amnesia) => self.observer.accepted.clear(),
            Some(Mutant::SilentRestart) => {
                self.agent = agent(self.now);
                self.set_links();
                self.run_until(Duration::from_secs(2), |world| world.agent.state() == State::Attached);
            }
            _ => {}
        }
    }

    fn command(&mut self, command: Command) {
        (self.now.as_nanos(), format!("{command:?}")).hash(&mut self.agent_trace);
        // A refusal is an outcome like any other.
        self.agent.handle_command(command, self.now).ok();
        self.collect();
    }

    fn set_links(&mut self) {
        (self.now.as_nanos(), self.up).hash(&mut self.agent_trace);
        let links: Vec<Link> = (0..2).filter(|path| self.up[usize::from(*path)]).map(link).collect();
        self.agent.handle_links(&links, &[], self.now);
        self.collect();
    }

    fn next_timer(&self) -> Option<Time> {
        let hears = self.mutant != Some(Mutant::DeafAgent);
        let agent = self.agent.poll_timeout().filter(|_| hears);
        self.gateways.iter().map(Gateway::poll_timeout).chain([agent]).flatten().min()
    }

    fn pass_time(&mut self) {
        let Some(next) = self.next_timer() else { return };
        self.now = self.now.max(next);
        self.fire();
    }

    fn fire(&mut self) {
        if self.mutant != Some(Mutant::DeafAgent) {
            (self.now.as_nanos(), "timeout").hash(&mut self.agent_trace);
            self.agent.handle_timeout(self.now);
        }
        (self.now.as_nanos(), "timeout").hash(&mut self.gateway_trace);
        for gateway in &mut self.gateways {
            gateway.handle_timeout(self.now);
        }
        self.collect();
    }

    fn arrive(&mut self, flight: &Flight) {
        if flight.up {
            self.hand_to_gateway(outer(flight.path), &flight.bytes);
        } else {
            self.hand_to_agent(flight.path, &flight.bytes);
        }
    }

    fn hand_to_agent(&mut self, path: u8, bytes: &[u8]) {
        let mut copy = bytes.to_vec();
        let socket = SocketKey(u32::from(path));
        let received = self.agent.handle_datagram(socket, gateway_address(), &mut copy, self.now);
        if self.collect() || !matches!(received, Received::Dropped(_)) {
            (self.now.as_nanos(), path, bytes).hash(&mut self.agent_trace);
        }
    }

    fn hand_to_gateway(&mut self, source: SocketAddr, bytes: &[u8]) {
        let version = self.gateway_version();
        let via_twin = self.split() && source == outer(1);
        // Until it is let loose the double lives the first one's life, or keeps to its birth.
        let shared = self.mutant.is_none() && self.gateways.len() == 2;
        let mut effect = false;
        for index in 0..self.gateways.len() {
            if !shared && index != usize::from(via_twin) {
                continue;
            }
            let local = gateway_address().ip();
            let received = self.gateways[index].handle_datagram(
                SocketKey(0),
                source,
                local,
                &mut bytes.to_vec(),
                self.now,
            );
            effect |= !matches!(received, Received::Dropped(_));
        }
        if self.collect() || effect {
            (self.now.as_nanos(), source, bytes).hash(&mut self.gateway_trace);
        }
        if self.gateway_version() > version && version > 0 {
            let asked = Kind::of(bytes) == Ok(Kind::Reattach);
            let first = self.observer.requests_taken.insert(bytes.to_vec());
            self.observer.found(!asked || !first, Broken::CommitUnasked);
        }
    }

    fn gateway_version(&self) -> u64 {
        let rows = self.gateways.iter().take(1).flat_map(|gateway| gateway.sessions(self.now));
        rows.map(|row| row.version).max().unwrap_or(0)
    }

    /// Takes every output; whether there was any.
    fn collect(&mut self) -> bool {
        let mut any = false;
        let mut buffer = [0; TRANSMIT_BUFFER_LEN];
        for index in 0..self.gateways.len() {
            // The double's store is its own: what it asks for is granted, as it was to the first one.
            while let Some(request) = self.gateways[index].poll_ownership_request() {
                let mut own = Ledger::new(16, 1);
                let store = if index == 0 { &mut self.store } else { &mut own };
                let answer = store.submit(&request, self.now);
                self.gateways[index].handle_ownership(answer, self.now);
                any = true;
            }
            let speaks = index == 0 || self.split();
            while let Some(transmit) = self.gateways[index].poll_transmit(&mut buffer, self.now) {
                any = true;
                if speaks {
                    self.fly_down(&transmit, &buffer);
                }
            }
            while let Some(event) = self.gateways[index].poll_event() {
                any = true;
                if speaks {
                    self.observer.event(true, &event);
                }
            }
        }
        while let Some(transmit) = self.agent.poll_transmit(&mut buffer, self.now) {
            any = true;
            self.fly_up(&transmit, &buffer);
        }
        while let Some(event) = self.agent.poll_event() {
            any = true;
            self.observer.event(false, &event);
        }
        while self.agent.poll_notice().is_some() {}
        any
    }

    fn fly_up(&mut self, transmit: &Transmit, buffer: &[u8]) {
        let bytes = buffer[..transmit.len].to_vec();
        if is_control(&bytes) && self.seen_up.last() != Some(&bytes) {
            self.seen_up.push(bytes.clone());
        }
        self.flying.push(Flight { path: transmit.socket.0 as u8, up: true, bytes });
    }

    fn fly_down(&mut self, transmit: &Transmit, buffer: &[u8]) {
        let bytes = buffer[..transmit.len].to_vec();
        let to = transmit.destination;
        // What goes to the attacker's address is his: he may hand it on.
        self.seen_down.push(bytes.clone());
        let begun = self.observer.session.is_some();
        let data = Kind::of(&bytes) == Ok(Kind::Data);
        self.observer.found(begun && data && !self.observer.accepted.contains(&to), Broken::Unaccepted);
        if let Some(path) = (0..2).find(|path| outer(*path) == to) {
            self.flying.push(Flight { path, up: false, bytes });
        }
    }

    fn observe(&mut self) {
        let status = self.agent.status(self.now);
        if !(self.mutated && self.mutant == Some(Mutant::Amnesia)) {
            self.observer.accepted.extend(status.paths.iter().filter_map(|path| path.observed));
        }
        let active = status.paths.iter().filter(|path| path.binding == BindingState::Active).count();
        self.observer.found(active > 1, Broken::TwoActive);
        if let Some(session) = status.session {
            let first = *self.observer.session.get_or_insert(session);
            if session != first {
                let told = self.observer.ended.contains(&(false, first));
                self.observer.found(!told, Broken::SessionChanged);
            } else {
                self.observer.found(status.version < self.observer.versions[0], Broken::VersionFell);
                self.observer.versions[0] = status.version.max(self.observer.versions[0]);
            }
        }
        let speaking = 1 + usize::from(self.split());
        let rows: Vec<_> =
            self.gateways.iter().take(speaking).flat_map(|gateway| gateway.sessions(self.now)).collect();
        self.observer.found(rows.len() > 1, Broken::TwoActive);
        for row in rows {
            self.observer.found(self.observer.ended.contains(&(true, row.session)), Broken::Resurrected);
            if Some(row.session) == self.observer.session {
                self.observer.found(row.version < self.observer.versions[1], Broken::VersionFell);
                self.observer.found(!self.observer.accepted.contains(&row.address), Broken::Unaccepted);
                self.observer.versions[1] = row.version.max(self.observer.versions[1]);
            }
        }
    }

    /// From here on nobody interferes and both paths work: both sides have to find together, in this session or, where it
    /// ended, in the next, unless a person ended it.
    pub(super) fn heal(&mut self) -> Result<(), Broken> {
        self.up = [true; 2];
        self.set_links();
        let together = |world: &World| {
            let status = world.agent.status(world.now);
            let bound = status.paths.iter().position(|path| path.binding == BindingState::Active);
            let rows: Vec<_> = world.gateways[0].sessions(world.now).collect();
            match (status.state, bound, rows.as_slice()) {
                (State::Attached, Some(path), [row]) => {
                    status.session == Some(row.session)
                        && row.state == State::Attached
                        && row.version == status.version
                        && row.address == outer(path as u8)
                }
                (State::Terminated, None, []) => true,
                (State::Terminated, _, rows) => rows.is_empty(),
                _ => false,
            }
        };
        let found = self.run_until(HEAL_LIMIT, together);
        if found { Ok(()) } else { Err(Broken::NeverHealed) }
    }

    /// From here on nothing arrives any more: both sides have to end what they have.
    pub(super) fn starve(&mut self) -> Result<(), Broken> {
        let before = self.agent.session();
        let end = self.now + LOST_TTL + Duration::from_secs(5);
        while self.now < end {
            self.flying.clear();
            self.now = self.now.max(self.next_timer().unwrap_or(end)).min(end);
            self.fire();
        }
        let agent_ended = before.is_none_or(|before| self.agent.session() != Some(before));
        let gateway_ended = self.gateways[0].sessions(self.now).next().is_none();
        if agent_ended && gateway_ended { Ok(()) } else { Err(Broken::NeverEnded) }
    }

    /// Everything arrives after [`DELAY`], in order, until `done` or the limit.
    fn run_until(&mut self, limit: Duration, done: impl Fn(&World) -> bool) -> bool {
        let end = self.now + limit;
        while self.now < end && !done(self) {
            if self.flying.is_empty() {
                self.now = self.now.max(self.next_timer().unwrap_or(end));
            } else {
                self.now += DELAY;
                for flight in std::mem::take(&mut self.flying) {
                    self.arrive(&flight);
                }
            }
            self.fire();
        }
        done(self)
    }
}

fn hash_of<T: Hash>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
