//! A client: the agent under test, its links, and what is known of it from outside.
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use jumpvpn_engine::agent::{Config, GatewayPeer, Link as EngineLink, Notice};
use jumpvpn_engine::{Agent, SocketKey, TRANSMIT_BUFFER_LEN, Transmit};
use jumpvpn_events::{BindingState, PathLabel, Reason, SessionLabel, State, Time};
use jumpvpn_policy::Policy;
use jumpvpn_session::{PrivateKey, SuiteSet};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::audit::Log;
use crate::clock::Clock;
use crate::flight::Flight;
use crate::invariants::{BURST_LIMIT, Breach, Invariant, Ledger, Verdict, ensure};
use crate::network::Link;
use crate::scenario::ClientPlan;
use crate::tap::Tap;
use crate::trace::Trace;
use crate::traffic::Flow;

/// What the process gets of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Running,
    /// No processor: what arrives waits.
    Stalled,
    /// The machine sleeps: what arrives is lost.
    Asleep,
}

/// What can be seen of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AgentFacts {
    pub state: State,
    pub session: Option<SessionLabel>,
    pub step: u64,
    pub version: u64,
    pub epoch: u64,
    pub key_epoch: u32,
    pub jumps: u32,
    pub active: Option<PathLabel>,
}

const NOTHING: AgentFacts = AgentFacts {
    state: State::Birth,
    session: None,
    step: 0,
    version: 0,
    epoch: 0,
    key_epoch: 0,
    jumps: 0,
    active: None,
};

/// Control messages are counted over this span …
const CONTROL_SPAN: Duration = Duration::from_secs(10);
/// … and an agent sends at most so many of them for each of its paths, where the worst is a path that dies silently and
/// lives again 13 times (the most that a flap does), at 4 probes until it is heard again, and 12 requests to move; or one that
/// stays dead, at a probe each 150 ms for the first 3 s and then ever fewer, beside what the others cause …
const CONTROL_PER_PATH: usize = 84;
/// … and so many for each time it was told of links: a link that comes back is asked at once, in both ways.
const CONTROL_PER_NEWS: usize = 6;

/// A client.
pub(crate) struct Client {
    pub index: usize,
    pub policy: Policy,
    pub engine: Option<Agent>,
    pub presence: Presence,
    pub links: Vec<Link>,
    pub up: Flow,
    pub down: Flow,
    pub rogue: u32,
    /// Its keys are used against the gateway too. What becomes of itself is its own affair.
    pub hostile: bool,
    pub inbox: Vec<Flight>,
    pub facts: AgentFacts,
    pub ledger: Ledger,
    pub log: Log,
    /// When the engine wants to be called.
    pub due: Option<Time>,
    /// Outer addresses it has ever sent from, and those it takes for its own because a sealed ticket named them. The
    /// latter differ where somebody relays for it, as a translator does.
    pub used: BTreeSet<SocketAddr>,
    /// Links changed and the engine does not know yet; sockets that are gone, with the reason.
    pub unsaid: Option<Vec<(SocketKey, Reason)>>,
    /// A person asked it to go.
    pub leaving: bool,
    /// Hears what the engine draws.
    pub tap: Tap,
    pub clock: Clock,
    next_socket: u32,
    control_sent: VecDeque<Time>,
    /// When the engine was told of links, the last few times.
    told: VecDeque<Time>,
}

impl Client {
    pub fn new(index: usize, plan: ClientPlan) -> Client {
        Client {
            index,
            policy: plan.policy,
            engine: None,
            presence: Presence::Running,
            links: plan.links,
            up: plan.up,
            down: plan.down,
            rogue: plan.rogue,
            hostile: plan.hostile,
            inbox: Vec::new(),
            facts: NOTHING,
            ledger: Ledger::default(),
            log: Log::new(format!("client{index}")),
            due: None,
            used: BTreeSet::new(),
            unsaid: None,
            leaving: false,
            tap: Tap::new(ChaCha20Rng::seed_from_u64(0)),
            clock: plan.clock,
            next_socket: (index * 8) as u32 + 1000,
            control_sent: VecDeque::new(),
            told: VecDeque::new(),
        }
    }

    /// Its static key.
    pub fn key(index: usize) -> PrivateKey {
        PrivateKey::generate(&mut ChaCha20Rng::seed_from_u64(100 + index as u64))
    }

    /// Starts a process.
    pub fn start(&mut self, gateways: Vec<GatewayPeer>, rng: ChaCha20Rng, now: Time) {
        let config = Config {
            private: Client::key(self.index),
            gateways,
            suites: SuiteSet::ALL,
            policy: self.policy.clone(),
        };
        for at in 0..self.links.len() {
            self.open_socket(at);
        }
        self.tap = Tap::new(rng);
        self.engine = Some(Agent::new(config, Box::new(self.tap.clone()), self.clock.at(now)));
        self.facts = NOTHING;
        self.log.begin_run();
        self.unsaid = Some(Vec::new());
    }

    /// Ends the process.
    pub fn stop(&mut self) {
        self.engine = None;
        self.leaving = false;
        self.due = None;
        self.inbox.clear();
    }

    /// Gives a link a socket with a key that was never used before.
    pub fn open_socket(&mut self, link: usize) {
        self.next_socket += 1;
        self.links[link].socket = SocketKey(self.next_socket);
    }

    /// Whether the process can do anything now.
    pub fn is_running(&self) -> bool {
        self.presence == Presence::Running && self.engine.is_some()
    }

    /// Tells the engine what the operating system has said of the links.
    pub fn tell_links(&mut self, now: Time) {
        if !self.is_running() {
            return;
        }
        let Some(gone) = self.unsaid.take() else { return };
        self.told.push_back(now);
        self.told.retain(|at| now.since(*at) <= CONTROL_SPAN);
        let links: Vec<EngineLink> = self
            .links
            .iter()
            .filter(|link| link.present)
            .map(|link| EngineLink {
                socket: link.socket,
                iface: link.iface,
                local: link.local,
                mtu: 1500,
                preference: link.preference,
                metered: link.metered,
            })
            .collect();
        if let Some(engine) = &mut self.engine {
            engine.handle_links(&links, &gone, self.clock.at(now));
        }
    }

    /// Calls the engine, if it wants to be called by now. Whether it was: then it has something to say.
    pub fn fire(&mut self, now: Time) -> bool {
        let is_due = self.is_running() && self.due.is_some_and(|due| due <= now);
        if is_due && let Some(engine) = &mut self.engine {
            engine.handle_timeout(self.clock.at(now));
        }
        is_due
    }

    /// An engine that was called does not want to be called at the same instant again.
    pub fn judge_due(&self, now: Time) -> Verdict {
        ensure(self.due.is_none_or(|due| due > now), Invariant::Timer, || {
            format!("client {} wants to be called at {:?}, it is {now:?}", self.index, self.due)
        })
    }

    /// What the engine sends next, after `sent` datagrams in the same go.
    pub fn poll_transmit(
        &mut self,
        sent: usize,
        buffer: &mut [u8; TRANSMIT_BUFFER_LEN],
        now: Time,
    ) -> Result<Option<Transmit>, Breach> {
        let shown = self.clock.at(now);
        let transmit = self.engine.as_mut().and_then(|engine| engine.poll_transmit(buffer, shown));
        ensure(transmit.is_none() || sent < BURST_LIMIT, Invariant::Memory, || {
            format!("client {} does not stop sending", self.index)
        })?;
        Ok(transmit)
    }

    /// Reads events, notices and status, and judges them.
    pub fn observe(&mut self, now: Time, trace: &mut Trace) -> Verdict {
        self.tap.clear();
        let Some(engine) = &mut self.engine else { return Ok(()) };
        let index = self.index;
        while let Some(event) = engine.poll_event() {
            trace.line(now, || {
                format!(
                    "c{index}      {} {:?} step {} v{}",
                    event.reason, event.kind, event.step, event.version
                )
            });
            self.ledger.note(&event)?;
            self.log.push(&event);
        }
        while let Some(notice) = engine.poll_notice() {
            trace.line(now, || format!("c{index}      {notice:?}"));
            if let Notice::Stopped { reason } = notice {
                ensure(self.leaving, Invariant::GivesUp, || {
                    format!("client {index} stopped for good: {reason}")
                })?;
            }
        }
        let before = std::mem::replace(&mut self.facts, NOTHING);
        self.look(now)?;
        self.judge(&before)
    }

    fn look(&mut self, now: Time) -> Verdict {
        let Some(engine) = &self.engine else { return Ok(()) };
        let status = engine.status(self.clock.at(now));
        self.due = engine.poll_timeout().map(|due| self.clock.when(due));
        self.used.extend(status.paths.iter().filter_map(|path| path.observed));
        let mut active = status.paths.iter().filter(|path| path.binding == BindingState::Active);
        let first = active.next().map(|path| path.name);
        let index = self.index;
        ensure(active.next().is_none(), Invariant::OneBinding, || {
            format!("client {index} has two active paths: {:?}", status.paths)
        })?;
        ensure(status.paths.len() <= 32, Invariant::Memory, || format!("{} paths", status.paths.len()))?;
        self.facts = AgentFacts {
            state: status.state,
            session: status.session,
            step: status.step,
            version: status.version,
            epoch: status.epoch,
            key_epoch: status.key_epoch,
            jumps: status.jumps,
            active: first,
        };
        Ok(())
    }

    fn judge(&self, before: &AgentFacts) -> Verdict {
        let (facts, index) = (&self.facts, self.index);
        if let Some(old) = before.session.filter(|_| facts.session != before.session) {
            ensure(self.ledger.is_closed(old), Invariant::SessionId, || {
                format!("client {index} lost session {old} without an end")
            })?;
        }
        let Some(label) = facts.session else { return Ok(()) };
        ensure(!self.ledger.is_closed(label), Invariant::Absorbing, || {
            format!("client {index} lives in {label} after its end")
        })?;
        if facts.state != State::Birth {
            let commits = self.ledger.commits(label);
            ensure(commits == facts.version, Invariant::CommitEvents, || {
                format!("client {index}: version {}, {commits} commit events", facts.version)
            })?;
        }
        Ok(())
    }

    /// Counts a control message that it sends.
    pub fn note_control(&mut self, now: Time, endpoints: usize) -> Verdict {
        self.control_sent.push_back(now);
        while self.control_sent.front().is_some_and(|at| now.since(*at) > CONTROL_SPAN) {
            self.control_sent.pop_front();
        }
        let fresh = |at: &&Time| now.since(**at) <= CONTROL_SPAN;
        let news = self.told.iter().filter(fresh).count();
        let paths = self.links.len() * endpoints;
        let (count, limit) = (self.control_sent.len(), (CONTROL_PER_PATH + CONTROL_PER_NEWS * news) * paths);
        ensure(count <= limit, Invariant::Bounds, || {
            format!(
                "client {} sent {count} control messages in {CONTROL_SPAN:?}, at most {limit}",
                self.index
            )
        })
    }
}
