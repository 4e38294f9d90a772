//! A gateway's thread: one shard, that is one engine with its sockets, its TUN queue and its store.
//!
//! Shards share nothing. Each is a [`Shard`] on a thread of its own; how many there are is a matter of who builds them.

mod burial;
mod console;
pub(crate) mod registry;
mod report;

use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Receiver, Sender, SyncSender};
use std::time::Duration;

use jumpvpn_engine::gateway::{Command, RouteChange, SessionRow, Status};
use jumpvpn_engine::{Gateway, Received, SocketKey, Transmit};
use jumpvpn_events::{DropCounters, Event, Reason, Time};
use jumpvpn_ownership::{Fence, Ledger};

pub use burial::{Buried, Departed, bury};
pub(crate) use console::GatewayConsole;
pub use registry::{Bells, OpenStore};
use registry::{News, Registry, RightToAct};

use crate::clock;
use crate::daemon::{Ended, Word};
use crate::pump::{Engine, Pump};

/// Rows of sessions in one answer: more would hold up the packets (a row costs about a microsecond) and nobody reads
/// them; the answer says that there are more.
pub(crate) const SESSION_ROWS_MAX: usize = 1000;

/// Sessions that are told one by one that the gateway ends. Finding a session by its id looks at all of them, so this
/// keeps the end within the time the supervisor gives.
const GOODBYES_MAX: usize = 2000;

/// How long a gateway that ends tells its clients where else to go: long enough for one message to each of 10,000, and little
/// beside the 500 ms that the supervisor gives.
const GOODBYE_TIME: Duration = Duration::from_millis(150);

/// How long the store may take to note that this gateway has gone; without that, its right to act ends by itself.
pub(crate) const RESIGN_LIMIT: Duration = Duration::from_millis(250);

/// What other threads may ask a shard.
pub(crate) enum Question {
    /// Everything there is to know; with rows of sessions on request.
    Look {
        /// Whether rows are wanted.
        sessions: bool,
        /// Where the answer goes.
        answer: SyncSender<Look>,
    },
    /// Are you alive?
    Ping(SyncSender<()>),
    /// What an operator wants; whether there was somebody to do it for.
    Command(Command, SyncSender<bool>),
    /// End the thread, and all sessions that could not go on elsewhere or later.
    Stop,
}

/// What a shard tells of itself.
pub(crate) struct Look {
    pub(crate) status: Status,
    /// At most [`SESSION_ROWS_MAX`].
    pub(crate) sessions: Vec<SessionRow>,
    pub(crate) drops: DropCounters,
    pub(crate) fence: Fence,
    /// Whether the fence allows to act now.
    pub(crate) may_act: bool,
    pub(crate) packets_in: u64,
    pub(crate) packets_out: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

/// What a shard's thread owns.
pub(crate) struct Shard {
    pub(crate) pump: Pump,
    pub(crate) side: Side,
    pub(crate) questions: Receiver<Question>,
}

/// Where the engine's requests go.
pub(crate) enum Records {
    /// Into a ledger that answers at once.
    Memory(Box<Ledger>),
    /// To the thread that owns the store.
    Registry {
        registry: Registry,
        /// As of the last news.
        right: RightToAct,
    },
}

impl Records {
    fn fence(&self) -> Fence {
        match self {
            Records::Memory(ledger) => ledger.fence(),
            Records::Registry { right, .. } => right.fence(),
        }
    }
}

/// An engine with its records, and the addresses of its sockets.
pub(crate) struct Side {
    pub(crate) engine: Gateway,
    pub(crate) records: Records,
    /// The address each socket is bound to, for datagrams of which the kernel does not tell the destination.
    pub(crate) bound: Vec<(SocketKey, IpAddr)>,
    /// Who changes the machine.
    pub(crate) words: Sender<Word>,
    /// Whether the machine itself cuts the tunnel when the right to act ends, and when it would as far as it was told.
    pub(crate) dead_man: bool,
    pub(crate) armed: Time,
}

impl Shard {
    /// Runs until the shard is stopped.
    ///
    /// # Errors
    /// One sentence: something the shard cannot do without failed.
    pub(crate) fn run(mut self) -> Result<Ended, String> {
        self.side.renew();
        loop {
            let woken = self.pump.wait(self.side.poll_timeout());
            let woken = woken.map_err(|error| format!("cannot wait for packets: {error}"))?;
            if woken.by_waker && self.handle_questions() {
                self.end()?;
                return Ok(Ended::Asked);
            }
            // A right that was lost while nothing happened has to be known before the next packet passes.
            self.side.hear()?;
            self.side.renew();
            self.exchange()?;
        }
    }

    fn exchange(&mut self) -> Result<(), String> {
        self.pump.exchange(&mut self.side).map_err(|error| format!("the interface failed: {error}"))
    }

    /// Ends sessions that nobody can go on with. Those in a durable store go on: now, on another gateway, or here, when this one
    /// is started again; the supervisor then gives the right to act back.
    fn end(&mut self) -> Result<(), String> {
        if matches!(self.side.records, Records::Memory(_)) {
            self.close_all();
            return Ok(());
        }
        let goodbye = clock::now() + GOODBYE_TIME;
        self.side.engine.handle_command(Command::Drain { span: GOODBYE_TIME / 2 }, clock::now());
        while clock::now() < goodbye {
            let due = self.side.poll_timeout().map_or(goodbye, |due| due.min(goodbye));
            self.pump.wait(Some(due)).map_err(|error| format!("cannot wait for packets: {error}"))?;
            self.side.hear()?;
            self.side.renew();
            self.exchange()?;
        }
        Ok(())
    }

    /// Answers what was asked; true if the shard is to end.
    fn handle_questions(&mut self) -> bool {
        while let Ok(question) = self.questions.try_recv() {
            // Who asked may have given up waiting.
            match question {
                Question::Look { sessions, answer } => drop(answer.try_send(self.look(sessions))),
                Question::Ping(answer) => {
                    answer.try_send(()).ok();
                }
                Question::Command(command, done) => {
                    let known = self.side.engine.handle_command(command, clock::now());
                    self.side.settle(clock::now());
                    done.try_send(known).ok();
                }
                Question::Stop => return true,
            }
        }
        false
    }

    fn look(&self, sessions: bool) -> Look {
        let now = clock::now();
        let engine = &self.side.engine;
        let counters = engine.counters();
        let mut drops = self.pump.drops();
        drops.merge(&counters.drops);
        let row_count = if sessions { SESSION_ROWS_MAX } else { 0 };
        let fence = self.side.records.fence();
        Look {
            status: engine.status(),
            sessions: engine.sessions(now).take(row_count).collect(),
            drops,
            fence,
            may_act: fence.allows(now),
            packets_in: counters.packets_in,
            packets_out: counters.packets_out,
            bytes_in: counters.bytes_in,
            bytes_out: counters.bytes_out,
        }
    }

    /// Ends every session, a few at a time: each says goodbye with a datagram and some events, and the engine's queues
    /// for both are made for a wake-up, not for all sessions at once.
    fn close_all(&mut self) {
        let now = clock::now();
        let sessions: Vec<_> = self.side.engine.sessions(now).map(|row| row.session).collect();
        for session in sessions.iter().take(GOODBYES_MAX) {
            let reason = Reason::Shutdown;
            self.side.engine.handle_command(Command::Close { session: *session, reason }, now);
            self.side.settle(now);
            self.pump.send_outputs(&mut self.side);
        }
        // Whoever is left finds out when it asks: the agent of a session nobody knows starts a new one.
        self.side.engine.handle_command(Command::CloseAll { reason: Reason::Shutdown }, now);
        self.side.settle(now);
        self.pump.send_outputs(&mut self.side);
    }
}

impl Side {
    /// Passes the engine's requests on; a ledger answers them at once. What moved here or away is told to the machine.
    fn settle(&mut self, now: Time) {
        while let Some(request) = self.engine.poll_ownership_request() {
            let answer = match &mut self.records {
                Records::Memory(ledger) => Some(ledger.submit(&request, now)),
                Records::Registry { registry, .. } => registry.submit(request),
            };
            if let Some(answer) = answer {
                self.engine.handle_ownership(answer, now);
            }
        }
        // Of all sessions, as the gateways of a cell have their networks in common: none of them is where those lead.
        let routes: Vec<RouteChange> = std::iter::from_fn(|| self.engine.poll_route()).collect();
        if !routes.is_empty() {
            // Without its hearer the process ends.
            self.words.send(Word::Routes(routes)).ok();
        }
    }

    /// Passes the right to act on: to the engine, and to the machine, which cuts the tunnel when it ends.
    fn renew(&mut self) {
        let fence = self.records.fence();
        self.engine.handle_fence(fence);
        if self.dead_man && fence.valid_until != self.armed {
            self.armed = fence.valid_until;
            // Without its hearer the process ends.
            self.words.send(Word::Right(fence.valid_until)).ok();
        }
    }

    /// Takes in what the thread that owns the store has said.
    fn hear(&mut self) -> Result<(), String> {
        let Records::Registry { registry, right } = &mut self.records else { return Ok(()) };
        let mut heard = false;
        while let Some(news) = registry.poll() {
            heard = true;
            let now = clock::now();
            match news {
                News::Answer(answer) => self.engine.handle_ownership(answer, now),
                News::Ask(ask) => self.engine.handle_ask(ask, now),
                News::Joined(new) => {
                    *right = new;
                    self.engine.handle_fence(right.fence());
                }
                News::FenceEnding => {
                    self.engine.handle_fence(right.fence());
                    self.engine.handle_fence_ending(now);
                }
                News::Lost(why) => return Err(format!("ownership can no longer be known: {why}")),
            }
        }
        if heard {
            self.settle(clock::now());
        }
        Ok(())
    }
}

impl Engine for Side {
    fn foresee<'a>(&mut self, datagrams: impl Iterator<Item = &'a [u8]>) {
        self.engine.foresee(datagrams);
    }

    fn foresee_packets<'a>(&self, packets: impl Iterator<Item = &'a [u8]>) {
        self.engine.foresee_packets(packets);
    }

    fn handle_datagram(
        &mut self,
        socket: SocketKey,
        source: SocketAddr,
        local: Option<IpAddr>,
        datagram: &mut [u8],
        now: Time,
    ) -> Received {
        let bound = || self.bound.iter().find(|(key, _)| *key == socket).map(|(_, address)| *address);
        let Some(local) = local.or_else(bound) else { return Received::Dropped(Reason::Internal) };
        let received = self.engine.handle_datagram(socket, source, local, datagram, now);
        self.settle(now);
        received
    }

    fn handle_packet(&mut self, buffer: &mut [u8], now: Time) -> Result<Transmit, Reason> {
        self.engine.handle_packet(buffer, now)
    }

    fn handle_path_gone(&mut self, _socket: SocketKey, _now: Time) {
        // A gateway's sockets are bound to no device: what is gone is the way to one client, whose agent will jump.
    }

    fn handle_resume(&mut self, _slept: Duration, _now: Time) {
        // Lifetimes ran on; the timers find out.
    }

    fn handle_timeout(&mut self, now: Time) {
        self.engine.handle_timeout(now);
        self.settle(now);
    }

    fn poll_transmit(&mut self, buffer: &mut [u8], now: Time) -> Option<Transmit> {
        self.engine.poll_transmit(buffer, now)
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.engine.poll_event()
    }

    fn lost_event_count(&self) -> u64 {
        self.engine.counters().drops.count(Reason::TelemetryOverflow)
    }

    fn outbound_socket(&self) -> Option<SocketKey> {
        // Each session has its own way, most of them over the same socket.
        None
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.engine.poll_timeout()
    }
}
