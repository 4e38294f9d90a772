//! The gateway: the engine under test, its store and its fence, and what is known of it from outside.
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jumpvpn_engine::gateway::{Config, Peer};
use jumpvpn_engine::{Gateway, SocketKey};
use jumpvpn_events::{Event, EventKind, SessionLabel, State, Time};
use jumpvpn_ownership::{Answer, Fence, Ledger as Store, Request};
use jumpvpn_policy::Policy;
use jumpvpn_session::{PrivateKey, SuiteSet, TokenKey};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::audit::Log;
use crate::client::Client;
use crate::clock::Clock;
use crate::dice::Dice;
use crate::flight::Flight;
use crate::invariants::{Invariant, Ledger, Verdict, ensure};
use crate::model::{CidKey, Initiations, Model, NODE_ID};
use crate::scenario::BEGIN;
use crate::tap::Tap;
use crate::trace::Trace;
use crate::traffic;

/// What can be seen of a session at the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub client: usize,
    pub state: State,
    pub step: u64,
    pub key_epoch: u32,
    pub committed: Committed,
}

/// What only a commit may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub version: u64,
    pub epoch: u64,
    pub path_id: u32,
    pub address: SocketAddr,
    pub switches: u32,
}

/// All sessions of the gateway.
pub(crate) type Rows = BTreeMap<SessionLabel, Row>;

/// Trouble with the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoreTrouble {
    pub delay: Duration,
    /// Share of answers that get lost, of a thousand; the change behind them is made or not.
    pub unknown: u32,
    /// Share of requests that are never answered.
    pub silent: u32,
    /// Share of births that are told somebody else was first.
    pub conflict: u32,
    pub until: Time,
}

/// Records the store keeps: more than births in any world.
const STORE_CAPACITY: usize = 4096;
/// Minutes between 2026-01-01 and the origin of virtual time: eleven years, so that ten can be taken back.
const ORIGIN_MINUTE: u32 = 6_000_000;
/// Sessions at once.
const CAPACITY: usize = 16;
/// Handshakes of one client that may wait.
const PENDING_PER_CLIENT: usize = 8;

/// The gateway.
pub(crate) struct Server {
    pub policy: Policy,
    pub endpoints: Vec<SocketAddr>,
    pub engine: Option<Gateway>,
    pub store: Store,
    pub trouble: Option<StoreTrouble>,
    pub fence: Fence,
    pub stalled: bool,
    pub inbox: Vec<Flight>,
    pub rows: Rows,
    /// Rows at the beginning of this instant.
    pub rows_before: Rows,
    pub ledger: Ledger,
    pub log: Log,
    pub due: Option<Time>,
    /// Number of the process.
    pub incarnation: u64,
    pub clock: Clock,
    /// The next process finds the store of the last one.
    pub keep: bool,
    /// The wall clock of the next process is off by so many minutes.
    pub minutes: i64,
    /// Answers of the store keep their order.
    pub last_answer: Time,
    /// Says beforehand what the engine must do.
    pub model: Option<Model>,
    /// Hears what the engine draws.
    pub tap: Tap,
    /// What the model believes the policy to be.
    believed: Policy,
    clients: usize,
}

impl Server {
    pub fn new(policy: Policy, endpoints: Vec<SocketAddr>, clients: usize) -> Server {
        Server {
            model: None,
            believed: policy.clone(),
            tap: Tap::new(ChaCha20Rng::seed_from_u64(0)),
            policy,
            endpoints,
            engine: None,
            store: Store::new(STORE_CAPACITY, 1),
            trouble: None,
            fence: Fence { epoch: 0, valid_until: Time::MAX },
            stalled: false,
            inbox: Vec::new(),
            rows: Rows::new(),
            rows_before: Rows::new(),
            ledger: Ledger::default(),
            log: Log::new("gateway".to_owned()),
            due: None,
            incarnation: 0,
            clock: Clock::new(BEGIN, 0),
            keep: false,
            minutes: 0,
            last_answer: Time::ZERO,
            clients,
        }
    }

    /// Its static key.
    pub fn key() -> PrivateKey {
        PrivateKey::generate(&mut ChaCha20Rng::seed_from_u64(99))
    }

    /// Starts a process. Its store is empty, as one in memory is, or that of the process before.
    pub fn start(&mut self, rng: ChaCha20Rng, now: Time) -> Verdict {
        let now = self.clock.at(now);
        self.incarnation += 1;
        if !self.keep {
            self.store = Store::new(STORE_CAPACITY, self.incarnation);
        }
        self.fence.epoch = self.incarnation;
        let cids = CidKey::of_gateway(rng.clone());
        self.tap = Tap::new(rng);
        let known = self.model.take().map(|model| model.initiations).unwrap_or_default();
        self.model = predict(&self.believed, &self.endpoints, cids, known);
        let created = Gateway::new(self.config(now), Box::new(self.tap.clone()), now);
        ensure(created.is_ok() && self.model.is_some(), Invariant::Internal, || {
            "no gateway with this randomness".to_owned()
        })?;
        self.engine = created.ok();
        self.log.begin_run();
        self.tell_fence();
        Ok(())
    }

    fn config(&self, now: Time) -> Config {
        let started_minute = wall_minute(now, self.minutes);
        gateway_config(Server::key(), &self.endpoints, self.clients, self.policy.clone(), started_minute)
    }

    /// Ends the process.
    pub fn stop(&mut self) {
        self.engine = None;
        self.due = None;
        self.inbox.clear();
        self.rows.clear();
    }

    /// Tells the engine about its fence.
    pub fn tell_fence(&mut self) {
        if let Some(engine) = &mut self.engine {
            engine.handle_fence(self.fence);
        }
    }

    /// Whether the process can do anything now.
    pub fn is_running(&self) -> bool {
        !self.stalled && self.engine.is_some()
    }

    /// The endpoint a datagram of that socket leaves from.
    pub fn endpoint(&self, socket: SocketKey) -> Option<SocketAddr> {
        self.endpoints.get(socket.0 as usize).copied()
    }

    /// The socket that listens there.
    pub fn socket(&self, endpoint: SocketAddr) -> Option<SocketKey> {
        self.endpoints.iter().position(|known| *known == endpoint).map(|at| SocketKey(at as u32))
    }

    /// Asks the store; when the answer arrives, if it is not there at once, and `None` if it never does.
    pub fn ask(&mut self, request: &Request, now: Time, dice: &mut Dice) -> Option<(Answer, Option<Time>)> {
        let trouble = self.trouble.filter(|trouble| now < trouble.until);
        if trouble.is_some_and(|trouble| dice.chance(trouble.silent)) {
            return None;
        }
        let refused = matches!(request, Request::Create { .. })
            && trouble.is_some_and(|trouble| dice.chance(trouble.conflict));
        let lost = trouble.is_some_and(|trouble| dice.chance(trouble.unknown));
        let answer = if lost && dice.chance(500) {
            Answer::Unknown { id: request.id() }
        } else if refused {
            Answer::Conflict { id: request.id(), current: None, owner: None }
        } else {
            let answer = self.store.submit(request, self.clock.at(now));
            if lost { Answer::Unknown { id: request.id() } } else { answer }
        };
        let delay = trouble.map_or(Duration::ZERO, |trouble| dice.span(Duration::ZERO, trouble.delay * 2));
        let at = (now + delay).max(self.last_answer);
        self.last_answer = at;
        Some((answer, (at > now).then_some(at)))
    }

    /// The engine, and before it the model, hears an answer of the store.
    pub fn hear(&mut self, answer: Answer, now: Time) {
        let now = self.clock.at(now);
        if let Some(model) = &mut self.model {
            model.hears(&answer, &self.fence, now);
        }
        if let Some(engine) = &mut self.engine {
            engine.handle_ownership(answer, now);
        }
    }

    /// Reads events and rows, and judges them.
    pub fn observe(&mut self, now: Time, trace: &mut Trace) -> Verdict {
        let now = self.clock.at(now);
        let Some(engine) = &mut self.engine else { return Ok(()) };
        let may_act = self.fence.allows(now);
        while let Some(event) = engine.poll_event() {
            trace.line(now, || {
                format!(
                    "gw      {} {:?} step {} v{} {:?}",
                    event.reason, event.kind, event.step, event.version, event.session
                )
            });
            ensure(may_act || !event.kind.is_commit(), Invariant::Fence, || {
                format!("committed without a fence: {event:?}")
            })?;
            self.ledger.note(&event)?;
            self.log.push(&event);
            if let Some(model) = &mut self.model {
                note_end(model, &event)?;
            }
            if let (EventKind::TransportSwitch { .. }, Some(label)) = (event.kind, event.session) {
                self.ledger.check_bounds(label, &self.policy)?;
            }
        }
        self.look(now)?;
        if let Some(model) = &self.model {
            model.compare(&self.rows)?;
        }
        self.judge()
    }

    fn look(&mut self, now: Time) -> Verdict {
        let Some(engine) = &self.engine else { return Ok(()) };
        self.due = engine.poll_timeout().map(|due| self.clock.when(due));
        let mut rows = Rows::new();
        for row in engine.sessions(now) {
            let committed = Committed {
                version: row.version,
                epoch: row.epoch,
                path_id: row.path_id,
                address: row.address,
                switches: row.switches,
            };
            // invariant: peers are named by their numbers.
            let client = row.peer.parse().unwrap_or(usize::MAX);
            let seen = Row { client, state: row.state, step: row.step, key_epoch: row.key_epoch, committed };
            let twice = rows.insert(row.session, seen).is_some();
            ensure(!twice, Invariant::SessionId, || format!("two sessions {}", row.session))?;
        }
        let pending = engine.status().pending;
        let limit = PENDING_PER_CLIENT * self.clients;
        ensure(pending <= limit, Invariant::Memory, || format!("{pending} pending births, at most {limit}"))?;
        let before = std::mem::replace(&mut self.rows, rows);
        for (label, _) in before.iter().filter(|(label, _)| !self.rows.contains_key(label)) {
            ensure(self.ledger.is_closed(*label), Invariant::SessionId, || {
                format!("{label} vanished without an end")
            })?;
        }
        Ok(())
    }

    fn judge(&self) -> Verdict {
        let mut holders = BTreeMap::new();
        for (label, row) in &self.rows {
            let commits = self.ledger.commits(*label);
            ensure(commits == row.committed.version, Invariant::CommitEvents, || {
                format!("gateway: {label} has version {}, {commits} commit events", row.committed.version)
            })?;
            ensure(!self.ledger.is_closed(*label), Invariant::Absorbing, || {
                format!("{label} lives after its end")
            })?;
            let other = holders.insert(row.client, label);
            ensure(other.is_none(), Invariant::OneBinding, || {
                format!("client {} has the sessions {label} and {other:?}", row.client)
            })?;
        }
        Ok(())
    }
}

/// A gateway of its own for so many clients.
pub(crate) fn gateway_config(
    private: PrivateKey,
    endpoints: &[SocketAddr],
    clients: usize,
    policy: Policy,
    started_minute: u32,
) -> Config {
    let peer = |index: usize| {
        let (v4, v6) = traffic::inner(index as u8);
        Peer {
            name: index.to_string(),
            public: Client::key(index).public(),
            psk: None,
            inner: vec![v4.into(), v6.into()],
        }
    };
    let network = |address: IpAddr, prefix| ipnet::IpNet::new(address, prefix).ok();
    let networks = [network(traffic::GATEWAY_V4.into(), 24), network(traffic::GATEWAY_V6.into(), 64)];
    Config {
        private,
        peers: (0..clients).map(peer).collect(),
        networks: networks.into_iter().flatten().collect(),
        own: endpoints.iter().map(SocketAddr::ip).collect(),
        allow_local: false,
        suites: SuiteSet::ALL,
        policy,
        capacity: CAPACITY,
        node: NODE_ID,
        cell: None,
        started_minute,
        mtu: 1400,
    }
}

/// The wall clock, which may have been set to anything: `minutes` beside the truth.
pub(crate) fn wall_minute(now: Time, minutes: i64) -> u32 {
    let minute = i64::from(ORIGIN_MINUTE) + (now.as_millis() / 60_000) as i64 + minutes;
    u32::try_from(minute.max(0)).unwrap_or(u32::MAX)
}

/// The model of a gateway that starts now.
fn predict(policy: &Policy, endpoints: &[SocketAddr], cids: CidKey, known: Initiations) -> Option<Model> {
    let key = Server::key();
    let derived = key.derive("route token");
    let tokens = TokenKey::new(0, derived.first_chunk()?).ok()?;
    let inner: [IpAddr; 2] = [traffic::GATEWAY_V4.into(), traffic::GATEWAY_V6.into()];
    let own = endpoints.iter().map(SocketAddr::ip).chain(inner).collect();
    Some(Model::new(key.public(), policy.clone(), own, CAPACITY, (tokens, cids), known))
}

fn note_end(model: &mut Model, event: &Event) -> Verdict {
    match (event.kind, event.session) {
        (EventKind::Termination { .. }, Some(label)) => model.ended(label, event.reason, event.at),
        _ => Ok(()),
    }
}
