//! A gateway's thread: one shard, that is one engine with its sockets, its TUN queue and its store.
//!
//! Shards share nothing. Each is a [`Shard`] on a thread of its own; how many there are is a matter of who builds them.

mod console;
mod report;

use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use jumpvpn_engine::gateway::{Command, SessionRow, Status};
use jumpvpn_engine::{Gateway, Received, SocketKey, Transmit};
use jumpvpn_events::{DropCounters, Event, Reason, Time};
use jumpvpn_ownership::{Fence, Ledger};

pub(crate) use console::GatewayConsole;

use crate::clock;
use crate::daemon::Ended;
use crate::pump::{Engine, Pump};

/// Rows of sessions in one answer: more would hold up the packets (a row costs about a microsecond) and nobody reads
/// them; the answer says that there are more.
pub(crate) const SESSION_ROWS_MAX: usize = 1000;

/// Sessions that are told one by one that the gateway ends. Finding a session by its id looks at all of them, so this
/// keeps the end within the time the supervisor gives.
const GOODBYES_MAX: usize = 2000;

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
    /// End all sessions and the thread.
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

/// An engine with the store that answers it at once, and the addresses of its sockets.
pub(crate) struct Side {
    pub(crate) engine: Gateway,
    pub(crate) store: Ledger,
    /// The address each socket is bound to, for datagrams of which the kernel does not tell the destination.
    pub(crate) bound: Vec<(SocketKey, IpAddr)>,
}

impl Shard {
    /// Runs until the shard is stopped.
    ///
    /// # Errors
    /// One sentence: something the shard cannot do without failed.
    pub(crate) fn run(mut self) -> Result<Ended, String> {
        self.side.engine.handle_fence(self.side.store.fence());
        loop {
            let woken = self.pump.wait(self.side.poll_timeout());
            let woken = woken.map_err(|error| format!("cannot wait for packets: {error}"))?;
            if woken.by_waker && self.handle_questions() {
                self.close_all();
                return Ok(Ended::Asked);
            }
            self.pump.exchange(&mut self.side).map_err(|error| format!("the interface failed: {error}"))?;
        }
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
        let fence = self.side.store.fence();
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
    /// Answers the engine's requests to the store. A store in memory answers at once, so nothing is ever under way.
    fn settle(&mut self, now: Time) {
        while let Some(request) = self.engine.poll_ownership_request() {
            let answer = self.store.submit(&request, now);
            self.engine.handle_ownership(answer, now);
        }
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
