//! The client side: paths, probing, detection, jumps, rekey.
//!
//! This file only dispatches. Each concern has its file: `path` (links and what is known of each path), `birth`,
//! `live` (keys and bindings of the session), `frames`, `probe` (candidates and tickets), `watch` (is the active
//! path alive?), `jump` (moving the binding), `recover` (no path works), `takeover` and `claim` (another gateway goes on
//! with the session), `rekey`, `listing` (the signed list of gateways), `status`.
mod birth;
mod claim;
mod frames;
mod jump;
mod keyring;
mod links;
mod listing;
mod live;
mod operator;
mod outcome;
mod path;
mod probe;
mod rebind;
mod recover;
mod refused;
mod rekey;
mod status;
mod takeover;
mod watch;

use std::collections::VecDeque;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use jumpvpn_events::{Event, EventKind, PathLabel, Reason, SessionLabel, State, Time};
use jumpvpn_policy::Policy;
use jumpvpn_session::{PresharedKey, PrivateKey, PublicKey, SuiteSet, Trigger};
use jumpvpn_wire::Kind;
use rand_core::CryptoRng;

use crate::counters::Counters;
use crate::outbox::{Outbox, SLOT_LEN};
use crate::queue::EventQueue;
use crate::rejection::{Rejection, report_gathered};
use crate::resend::{ResendCursor, ResendRing};
use crate::{HEADROOM, Received, SocketKey, TAILROOM, TRANSMIT_BUFFER_LEN, Transmit};
use birth::Handshake;
use live::{End, Live};
pub use path::Link;
use path::Paths;
pub use status::{PathStatus, Status};
pub use takeover::rendezvous;

/// Datagrams that may wait for `poll_transmit`; a wake-up causes at most a probe per path to its own gateway and a few frames.
const OUTBOX_CAPACITY: usize = 128;
/// Events that may wait: a wake-up causes a dozen at most.
const EVENT_CAPACITY: usize = 1024;
/// Notices that may wait; each session causes three at most.
const NOTICE_CAPACITY: usize = 16;

/// What an agent is made of.
pub struct Config {
    /// Our static key.
    pub private: PrivateKey,
    /// The gateways that may serve us, the preferred one first; at least one.
    pub gateways: Vec<GatewayPeer>,
    /// Data suites this machine offers.
    pub suites: SuiteSet,
    /// The rules.
    pub policy: Policy,
}

/// A gateway as the agent knows it.
pub struct GatewayPeer {
    /// Its static key, which is its name.
    pub public: PublicKey,
    /// Optional operator secret.
    pub psk: Option<PresharedKey>,
    /// Where it listens (UDP), best first. An address that a gateway before it in the list has is not its own.
    pub endpoints: Vec<SocketAddr>,
    /// Its share of the sessions that look for another gateway; 1 where all are alike.
    pub weight: u32,
    /// Whether it is asked only where no other one helps.
    pub draining: bool,
    /// From when on it is not asked any more, where a list brought it that is over then; nothing for one of the agent's own file.
    pub until: Option<Time>,
}

impl GatewayPeer {
    /// A gateway of the agent's own file that no list says anything of.
    pub fn of_file(public: PublicKey, endpoints: Vec<SocketAddr>) -> GatewayPeer {
        GatewayPeer { public, psk: None, endpoints, weight: 1, draining: false, until: None }
    }

    /// Whether it may be asked now.
    fn is_current(&self, now: Time) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl Config {
    /// Where any of the gateways listens.
    pub fn endpoints(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.gateways.iter().flat_map(|gateway| gateway.endpoints.iter().copied())
    }
}

/// What an operator may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Jump to a path by name or interface; without a name to the best other one.
    Jump {
        /// Where to.
        to: Option<String>,
    },
    /// Bind the session to a path as long as it lives.
    Pin {
        /// Which.
        path: String,
    },
    /// Undo a pin.
    Unpin,
    /// End the session and stay away.
    Close,
}

/// A command that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// When to try again; `None` where time alone changes nothing.
    pub retry_after: Option<Duration>,
}

/// What the shell has to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Inner addresses are known and user packets flow.
    TunnelUp {
        /// Inner IPv4 address and prefix length.
        v4: Option<(Ipv4Addr, u8)>,
        /// Inner IPv6 address and prefix length.
        v6: Option<(Ipv6Addr, u8)>,
        /// Inner MTU, bytes.
        mtu: u16,
    },
    /// The session ended; a new one is tried if `retry`.
    Terminated {
        /// Why.
        reason: Reason,
        /// Whether the agent goes on by itself.
        retry: bool,
    },
    /// The agent has stopped for good.
    Stopped {
        /// Why.
        reason: Reason,
    },
}

/// The jump that was committed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastJump {
    /// Path left.
    pub from: PathLabel,
    /// Path taken.
    pub to: PathLabel,
    /// Why.
    pub reason: Reason,
    /// From the last sign of life of the old path to the decision.
    pub detect: Duration,
    /// From the last packet heard on the old path to the first on the new one.
    pub gap: Duration,
    /// When.
    pub at: Time,
}

/// Parts every concern uses: configuration, randomness, outputs.
pub(crate) struct Core {
    /// Its policy is the one in force: ours under the gateway's limits.
    pub config: Config,
    pub own_policy: Policy,
    pub rng: Box<dyn CryptoRng + Send>,
    pub outbox: Outbox,
    pub events: EventQueue,
    pub notices: VecDeque<Notice>,
    pub counters: Counters,
    pub resend: Option<ResendRing>,
    pub resending: Option<ResendCursor>,
    /// Last user packet in or out: probing is lazy when nobody uses the tunnel.
    pub last_use: Time,
    /// Lists of gateways with a higher serial are wanted, if any.
    pub list_above: Option<u64>,
    /// A list that was pulled.
    pub listed: Option<Vec<u8>>,
}

impl Core {
    /// Queues an event; on overflow the oldest gives way and is counted.
    pub fn event(&mut self, event: Event) {
        self.events.push(event, &mut self.counters);
    }

    /// Queues a notice; there are never so many that one is lost unless nobody reads them.
    pub fn notice(&mut self, notice: Notice) {
        if self.notices.len() == NOTICE_CAPACITY {
            self.notices.pop_front();
        }
        self.notices.push_back(notice);
    }

    /// Queues the datagram that `write` composes.
    pub fn send(
        &mut self,
        socket: SocketKey,
        remote: SocketAddr,
        write: impl FnOnce(&mut [u8; SLOT_LEN]) -> Option<usize>,
    ) {
        if !self.outbox.push(socket, remote, None, write) {
            self.counters.drops.record(Reason::OutboxFull);
        }
    }

    /// Counts and reports a refused datagram.
    pub fn reject(&mut self, rejection: Rejection, now: Time) -> Received {
        self.counters.drops.record(rejection.reason);
        rejection.note(&mut self.counters, &mut self.events, now);
        Received::Dropped(rejection.reason)
    }

    /// A random array.
    pub fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }
}

/// What the agent is doing.
enum Phase {
    /// Nothing until that time, then a handshake.
    Waiting { until: Time },
    /// A session is being born.
    Handshaking(Box<Handshake>),
    /// A session lives.
    Live(Box<Live>),
    /// The end.
    Stopped,
}

/// First pause before a new handshake after a session ended or a handshake failed; doubled up to the maximum.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(30);

/// The client engine.
pub struct Agent {
    core: Core,
    paths: Paths,
    phase: Phase,
    /// Sessions and handshakes in a row that came to nothing.
    failures: u32,
    handshakes: u32,
    /// Our operator wants the end.
    leaving: bool,
}

impl Agent {
    /// An agent without links: it starts a handshake as soon as it is given one.
    pub fn new(config: Config, rng: Box<dyn CryptoRng + Send>, now: Time) -> Agent {
        let resend = config.policy.volatility.detection.replay_last_rtt.then(ResendRing::new);
        let core = Core {
            own_policy: config.policy.clone(),
            config,
            rng,
            outbox: Outbox::new(OUTBOX_CAPACITY),
            events: EventQueue::new(EVENT_CAPACITY),
            notices: VecDeque::with_capacity(NOTICE_CAPACITY),
            counters: Counters::default(),
            resend,
            resending: None,
            last_use: now,
            list_above: None,
            listed: None,
        };
        Agent {
            core,
            paths: Paths::default(),
            phase: Phase::Waiting { until: now },
            failures: 0,
            leaving: false,
            handshakes: 0,
        }
    }

    /// A whole snapshot of the usable links; `gone` says why a socket of the one before is missing.
    pub fn handle_links(&mut self, links: &[Link], gone: &[(SocketKey, Reason)], now: Time) {
        let policy = &self.core.config.policy;
        let change = self.paths.handle_links(links, gone, &self.core.config.gateways, policy, now);
        for (key, up, reason) in change
            .lost
            .iter()
            .map(|(key, reason)| (*key, false, *reason))
            .chain(change.gained.iter().map(|key| (*key, true, Reason::LinkUp)))
        {
            self.link_event(key, up, reason, now);
        }
        match &mut self.phase {
            Phase::Live(live) => live.handle_link_change(&mut self.core, &mut self.paths, &change, now),
            Phase::Handshaking(handshake) => handshake.hurry(now),
            // A new link is worth a try at once.
            Phase::Waiting { until } if change.arrived => *until = now,
            Phase::Waiting { .. } | Phase::Stopped => {}
        }
        self.settle(now);
    }

    fn link_event(&mut self, key: u32, up: bool, reason: Reason, now: Time) {
        let Some(path) = self.paths.by_key(key).map(|path| path.label) else { return };
        let kind = EventKind::Link { path, up };
        match &self.phase {
            Phase::Live(live) => live.event(&mut self.core, reason, kind, now),
            _ => self.core.event(bare_event(reason, kind, now)),
        }
    }

    /// Sending on a socket failed for good: the link is gone before anybody said so.
    pub fn handle_socket_error(&mut self, socket: SocketKey, now: Time) {
        let policy = &self.core.config.policy;
        let mut lost = Vec::new();
        for path in self.paths.of_socket(socket) {
            if path.health != jumpvpn_policy::Health::Dead {
                path.note_dead(policy, now);
                path.next_probe = now + Duration::from_millis(250);
                lost.push((path.key, Reason::SocketError));
            }
        }
        if let Phase::Live(live) = &mut self.phase {
            let change = path::LinkChange { lost, ..path::LinkChange::default() };
            live.handle_link_change(&mut self.core, &mut self.paths, &change, now);
        }
        self.settle(now);
    }

    /// Takes a received datagram in. An inner packet is left in place, at the range returned.
    pub fn handle_datagram(
        &mut self,
        socket: SocketKey,
        source: SocketAddr,
        datagram: &mut [u8],
        now: Time,
    ) -> Received {
        let kind = match Kind::of(datagram) {
            Ok(kind) => kind,
            Err(malformed) => return self.core.reject(crate::malformed_reason(malformed).into(), now),
        };
        // Everything that is meant for us comes from where we send to.
        let Some(path) = self.paths.by_socket(socket, source).map(|path| path.key) else {
            return self.core.reject(Reason::AddressMismatch.into(), now);
        };
        let received = match (&mut self.phase, kind) {
            (Phase::Live(live), Kind::Data) => {
                live.handle_data(&mut self.core, &mut self.paths, path, datagram, now)
            }
            (Phase::Live(live), kind) if kind.is_reply() => {
                live.handle_reply(&mut self.core, &mut self.paths, path, kind, datagram, now)
            }
            (Phase::Live(live), Kind::NoSession) => {
                live.handle_no_session(&mut self.core, &self.paths, path, datagram, now)
            }
            (Phase::Live(live), Kind::HsRetry | Kind::TakeoverResp) => {
                live.handle_takeover(&mut self.core, &mut self.paths, path, kind, datagram, now)
            }
            (Phase::Handshaking(_), Kind::HsRetry | Kind::HsResp) => {
                self.handle_handshake(path, kind, datagram, now)
            }
            (_, Kind::Data) => Err(Reason::UnknownCid),
            _ => Err(Reason::UnknownType),
        };
        let received = received.unwrap_or_else(|reason| {
            let stamp = match &self.phase {
                Phase::Live(live) => Some(live.stamp()),
                _ => None,
            };
            self.core.reject(Rejection { reason, stamp }, now)
        });
        self.settle(now);
        received
    }

    /// Seals a packet of the TUN device in place: `buffer` is headroom, packet, tailroom.
    ///
    /// # Errors
    /// The reason of a drop, already counted.
    pub fn handle_packet(&mut self, buffer: &mut [u8], now: Time) -> Result<Transmit, Reason> {
        self.seal_packet(buffer, now).inspect_err(|reason| self.core.counters.drops.record(*reason))
    }

    fn seal_packet(&mut self, buffer: &mut [u8], now: Time) -> Result<Transmit, Reason> {
        let end = buffer.len().checked_sub(TAILROOM).filter(|end| *end > HEADROOM).ok_or(Reason::NotIp)?;
        let Phase::Live(live) = &mut self.phase else { return Err(Reason::NotAttached) };
        live.check_sendable(now)?;
        let packet = &buffer[HEADROOM..end];
        if !jumpvpn_wire::is_ip_packet(packet) {
            return Err(Reason::NotIp);
        }
        if let Some(ring) = &mut self.core.resend {
            ring.keep(0, packet, now);
        }
        self.core.counters.packets_out += 1;
        self.core.counters.bytes_out += packet.len() as u64;
        live.note_use(&mut self.core, &mut self.paths, now);
        live.seal(&self.paths, buffer, now)
    }

    /// The socket that inner packets leave by now; `None` without a session.
    pub fn outbound_socket(&self) -> Option<SocketKey> {
        let Phase::Live(live) = &self.phase else { return None };
        let early = live.pending.as_ref().filter(|pending| pending.early);
        let path = early.map_or(live.active.path, |pending| pending.binding.path);
        self.paths.by_key(path).map(|path| path.link.socket)
    }

    /// Timers. Call it after all inputs are drained, so that a late wake-up does not look like silence.
    pub fn handle_timeout(&mut self, now: Time) {
        match &mut self.phase {
            Phase::Waiting { until } if *until <= now => self.begin_handshake(now),
            Phase::Handshaking(_) => self.handshake_due(now),
            Phase::Live(live) => live.handle_timeout(&mut self.core, &mut self.paths, now),
            Phase::Waiting { .. } | Phase::Stopped => {}
        }
        report_gathered(&mut self.core.counters, &mut self.core.events, now);
        self.settle(now);
    }

    /// The machine slept: nothing that was measured before counts, every path is asked at once.
    pub fn handle_resume(&mut self, now: Time) {
        match &mut self.phase {
            Phase::Live(live) => live.handle_resume(&mut self.core, &mut self.paths, now),
            Phase::Waiting { until } => *until = now,
            Phase::Handshaking(handshake) => handshake.hurry(now),
            Phase::Stopped => {}
        }
        self.settle(now);
    }

    /// Operator commands.
    ///
    /// # Errors
    /// The policy's reason, or why the command makes no sense now.
    pub fn handle_command(&mut self, command: Command, now: Time) -> Result<(), Refusal> {
        let outcome = match (&mut self.phase, command) {
            (Phase::Live(live), Command::Jump { to }) => {
                live.operator_jump(&mut self.core, &mut self.paths, to.as_deref(), now)
            }
            (Phase::Live(live), Command::Pin { path }) => {
                live.pin(&mut self.core, &mut self.paths, &path, now)
            }
            (Phase::Live(live), Command::Unpin) => {
                live.pinned = None;
                Ok(())
            }
            (Phase::Live(live), Command::Close) => {
                live.say_close(&mut self.core, &self.paths, Reason::Shutdown);
                live.finish(Reason::Shutdown, false);
                self.leaving = true;
                Ok(())
            }
            (phase, Command::Close) => {
                *phase = Phase::Stopped;
                Ok(())
            }
            _ => Err(Refusal { reason: Reason::NotAttached, retry_after: None }),
        };
        self.settle(now);
        outcome
    }

    /// Carries out the end of a session that a handler has decided.
    fn settle(&mut self, now: Time) {
        let Phase::Live(live) = &mut self.phase else { return };
        if live.stage == live::Stage::Ready {
            self.failures = 0;
        }
        let Some(End { reason, committed }) = live.end else { return };
        live.transition(&mut self.core, Trigger::Terminate, reason, now);
        let kind = EventKind::Termination { committed, lifetime: now.since(live.born), switches: live.jumps };
        live.event(&mut self.core, reason, kind, now);
        // A gateway that shuts down comes back, and one that has struck us may have read a wrong file.
        let stop = self.leaving || reason == Reason::Superseded;
        self.core.resending = None;
        self.core.notice(Notice::Terminated { reason, retry: !stop });
        if stop {
            self.core.notice(Notice::Stopped { reason });
            self.phase = Phase::Stopped;
        } else {
            self.wait(now);
        }
    }

    fn wait(&mut self, now: Time) {
        let pause = RETRY_PAUSE.saturating_mul(1 << self.failures.min(8)).min(RETRY_PAUSE_MAX);
        // Between half and the whole: a restarted gateway is not hit by all its clients at once.
        let share = u32::from(self.core.random::<1>()[0]) + 256;
        self.failures += 1;
        self.phase = Phase::Waiting { until: now + pause * share / 512 };
    }

    /// When [`Agent::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Time> {
        let due = match &self.phase {
            Phase::Waiting { until } => self.paths.iter().any(|path| path.linked).then_some(*until),
            Phase::Handshaking(handshake) => Some(handshake.next_due()),
            Phase::Live(live) => Some(live.next_due(&self.core, &self.paths)),
            Phase::Stopped => None,
        };
        [due, self.core.counters.security_due()].into_iter().flatten().min()
    }

    /// Writes the next datagram to `buffer` (at least [`TRANSMIT_BUFFER_LEN`] bytes).
    pub fn poll_transmit(&mut self, buffer: &mut [u8], now: Time) -> Option<Transmit> {
        debug_assert!(buffer.len() >= TRANSMIT_BUFFER_LEN);
        self.core.outbox.pop(buffer).or_else(|| self.poll_resend(buffer, now))
    }

    fn poll_resend(&mut self, buffer: &mut [u8], now: Time) -> Option<Transmit> {
        let Phase::Live(live) = &mut self.phase else { return None };
        let (ring, cursor) = (self.core.resend.as_ref()?, self.core.resending.as_mut()?);
        match ring.advance(cursor, &mut buffer[HEADROOM..]) {
            Some(len) => live.seal(&self.paths, &mut buffer[..HEADROOM + len + TAILROOM], now).ok(),
            None => {
                self.core.resending = None;
                None
            }
        }
    }

    /// Next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.core.events.pop()
    }

    /// Next notice.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.core.notices.pop_front()
    }

    /// Counters of this engine.
    pub fn counters(&self) -> &Counters {
        &self.core.counters
    }

    /// State of the session's machine; BIRTH while there is none.
    pub fn state(&self) -> State {
        match &self.phase {
            Phase::Live(live) => live.state(),
            Phase::Stopped => State::Terminated,
            Phase::Waiting { .. } | Phase::Handshaking(_) => State::Birth,
        }
    }

    /// Id of the live session.
    pub fn session(&self) -> Option<SessionLabel> {
        match &self.phase {
            Phase::Live(live) => Some(live.label),
            _ => None,
        }
    }
}

/// An event outside of any session.
fn bare_event(reason: Reason, kind: EventKind, now: Time) -> Event {
    Event { at: now, session: None, step: 0, epoch: 0, version: 0, reason, kind }
}
