//! The agent's thread: one engine, its links, and what it says to the rest of the process.
//!
//! Order of work per wake-up: losses of links first (nothing else is as urgent), then questions, then the pump's own
//! order (inputs, timers, outputs), then what the engine wants to be acted on.

mod console;
mod links;
pub(crate) mod listing;
mod report;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender};
use std::time::Duration;

use jumpvpn_engine::agent::{Command, Notice, Refusal, Status};
use jumpvpn_engine::{Agent, Received, SocketKey, Transmit};
use jumpvpn_events::{DropCounters, Event, Reason, Severity, State, Time};

pub(crate) use console::AgentConsole;
pub(crate) use links::LinkRules;
use links::{LinkBook, Wanted};

use crate::clock;
use crate::daemon::{Ended, Word};
use crate::machine::{LinkWatch, PathSockets, TunnelSettings};
use crate::pump::{Engine, Pump};
use crate::settling::Settling;

/// How long the end of the session may take to be sent and acknowledged when the daemon stops.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(200);

/// What other threads may ask an agent.
pub(crate) enum Question {
    /// Everything there is to know.
    Look(SyncSender<Look>),
    /// An operator's command.
    Command(Command, SyncSender<Result<(), Refusal>>),
    /// What became of a list of gateways that was pulled.
    Listed { kept: bool, serial: u64 },
    /// Are you alive?
    Ping(SyncSender<()>),
    /// End the session and the thread.
    Stop,
}

/// What an agent tells of itself.
pub(crate) struct Look {
    pub(crate) status: Status,
    pub(crate) drops: DropCounters,
    pub(crate) packets_in: u64,
    pub(crate) packets_out: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

/// What an agent's thread owns.
pub(crate) struct AgentLoop {
    pub(crate) pump: Pump,
    pub(crate) engine: Agent,
    pub(crate) watch: Box<dyn LinkWatch>,
    pub(crate) rules: LinkRules,
    pub(crate) sockets: Box<dyn PathSockets>,
    pub(crate) questions: Receiver<Question>,
    pub(crate) words: Sender<Word>,
    /// Told of every [`Word::Tunnel`].
    pub(crate) settling: Arc<Settling>,
    /// Where lists of gateways go that were pulled.
    pub(crate) lists: Option<SyncSender<Vec<u8>>>,
}

/// [`AgentLoop`] under way.
struct Running {
    io: AgentLoop,
    book: LinkBook,
    /// Links whose socket could not be opened, so that it is said once.
    unopened: Vec<Wanted>,
    /// When to give up on a proper end, once a stop was asked for.
    stop_by: Option<Time>,
    complained: bool,
}

impl AgentLoop {
    /// Runs until the agent is stopped or stops for good.
    ///
    /// # Errors
    /// One sentence: something the agent cannot do without failed.
    pub(crate) fn run(self) -> Result<Ended, String> {
        let watching = self.pump.watch(self.watch.as_raw_fd());
        watching.map_err(|error| format!("cannot watch the network interfaces: {error}"))?;
        let book = LinkBook::new(self.rules.clone(), clock::now());
        let mut running = Running { io: self, book, unopened: Vec::new(), stop_by: None, complained: false };
        loop {
            if let Some(ended) = running.turn()? {
                return Ok(ended);
            }
        }
    }
}

impl Running {
    /// One wake-up.
    fn turn(&mut self) -> Result<Option<Ended>, String> {
        let deadlines = [self.io.engine.poll_timeout(), Some(self.book.look_at()), self.stop_by];
        let woken = self.io.pump.wait(deadlines.into_iter().flatten().min());
        let woken = woken.map_err(|error| format!("cannot wait for packets: {error}"))?;
        if woken.by_extra {
            self.handle_link_changes()?;
        }
        if self.book.look_at() <= clock::now() {
            self.look_at_links()?;
        }
        if woken.by_waker {
            self.handle_questions();
        }
        self.io
            .pump
            .exchange(&mut self.io.engine)
            .map_err(|error| format!("the interface failed: {error}"))?;
        self.pass_list_on();
        Ok(self.handle_notices())
    }

    fn handle_link_changes(&mut self) -> Result<(), String> {
        let failed = |error: io::Error| format!("cannot watch the network interfaces: {error}");
        while let Some(changes) = self.io.watch.try_changes().map_err(failed)? {
            let gone = self.book.handle_losses(&changes.losses);
            if !gone.is_empty() {
                self.close(&gone);
            }
            if changes.overrun {
                self.look_at_links()?;
            } else if changes.gains || !changes.losses.is_empty() {
                self.book.handle_gain(clock::now());
            }
        }
        Ok(())
    }

    /// Looks at all interfaces; closes and opens sockets accordingly.
    fn look_at_links(&mut self) -> Result<(), String> {
        let snapshot = self.io.watch.snapshot();
        let interfaces = snapshot.map_err(|error| format!("cannot read the network interfaces: {error}"))?;
        let before = self.book.links();
        let (gone, wanted) = self.book.compare(&interfaces, clock::now());
        self.unopened.retain(|unopened| wanted.contains(unopened));
        for wanted in wanted {
            self.open(wanted)?;
        }
        // Sockets, but also the MTU of a link may have changed.
        if self.book.links() != before {
            self.close(&gone);
        }
        Ok(())
    }

    /// Closes sockets and tells the engine what links there are now.
    fn close(&mut self, gone: &[(SocketKey, Reason)]) {
        for (key, _) in gone {
            self.io.pump.sockets().close(*key);
        }
        self.io.engine.handle_links(&self.book.links(), gone, clock::now());
        // A jump away from a dead link must not wait for the rest of this wake-up.
        self.io.pump.send_outputs(&mut self.io.engine);
    }

    /// Opens the socket of a link, if that is possible (already, or still).
    ///
    /// # Errors
    /// No socket can ever be opened again: started anew the agent finds its way, as it is it would lose one after another.
    fn open(&mut self, wanted: Wanted) -> Result<(), String> {
        let bound = self.io.sockets.open(wanted.local, &wanted.name);
        let key = self.book.next_key();
        // Without this a gateway that is gone is noticed later.
        let bound = bound.map(|mut binding| {
            binding.hear_refusals().unwrap_or_default();
            binding
        });
        let opened = bound
            .and_then(|binding| self.io.pump.sockets().open(key, binding).map_err(|error| error.to_string()));
        match opened {
            Ok(()) => self.book.opened(key, wanted),
            Err(message) if self.io.sockets.is_gone() => return Err(message),
            Err(message) if !self.unopened.contains(&wanted) => {
                let text = format!("cannot use the link {}: {message}", wanted.name);
                self.io.pump.feed().note(Severity::Warning, text);
                self.unopened.push(wanted);
            }
            Err(_) => {}
        }
        Ok(())
    }

    fn handle_questions(&mut self) {
        while let Ok(question) = self.io.questions.try_recv() {
            // Who asked may have given up waiting.
            match question {
                Question::Look(answer) => drop(answer.try_send(self.look())),
                Question::Ping(answer) => {
                    answer.try_send(()).ok();
                }
                Question::Command(command, answer) => {
                    let outcome = self.io.engine.handle_command(command, clock::now());
                    answer.try_send(outcome).ok();
                }
                Question::Listed { kept, serial } => self.io.engine.handle_list(kept, serial, clock::now()),
                Question::Stop => self.stop(),
            }
        }
    }

    fn look(&self) -> Look {
        let counters = self.io.engine.counters();
        let mut drops = self.io.pump.drops();
        drops.merge(&counters.drops);
        Look {
            status: self.io.engine.status(clock::now()),
            drops,
            packets_in: counters.packets_in,
            packets_out: counters.packets_out,
            bytes_in: counters.bytes_in,
            bytes_out: counters.bytes_out,
        }
    }

    /// Hands on a list that was pulled. Where the one before is still being kept it is dropped, and pulled again later.
    fn pass_list_on(&mut self) {
        if let (Some(list), Some(lists)) = (self.io.engine.poll_list(), &self.io.lists) {
            lists.try_send(list).ok();
        }
    }

    fn stop(&mut self) {
        let now = clock::now();
        if self.stop_by.is_none() {
            // Closing cannot be refused.
            self.io.engine.handle_command(Command::Close, now).ok();
            self.stop_by = Some(now + CLOSE_TIMEOUT);
        }
    }

    /// Acts on what the engine says; the end, if it has come.
    fn handle_notices(&mut self) -> Option<Ended> {
        let mut stopped = None;
        while let Some(notice) = self.io.engine.poll_notice() {
            match notice {
                Notice::TunnelUp { v4, v6, mtu } => {
                    self.complained = false;
                    let v4 = v4.map(|(address, len)| (IpAddr::from(address), len));
                    let v6 = v6.map(|(address, len)| (IpAddr::from(address), len));
                    let settings = TunnelSettings { addresses: v4.into_iter().chain(v6).collect(), mtu };
                    self.io.settling.begin();
                    self.say(Word::Tunnel(settings));
                }
                Notice::Terminated { reason, retry: true } if !self.complained => {
                    self.complained = true;
                    let text = format!("the session is over ({}); trying to get a new one", reason.code());
                    self.io.pump.feed().note(Severity::Warning, text);
                }
                Notice::Terminated { .. } => {}
                Notice::Stopped { reason } => stopped = Some(reason),
            }
        }
        if let Some(stop_by) = self.stop_by {
            let over = self.io.engine.state() == State::Terminated || stop_by <= clock::now();
            return over.then_some(Ended::Asked);
        }
        stopped.map(Ended::Refused)
    }

    fn say(&self, word: Word) {
        // The supervisor outlives the engines; without one there is nobody to tell.
        self.io.words.send(word).ok();
    }
}

impl Engine for Agent {
    fn handle_datagram(
        &mut self,
        socket: SocketKey,
        source: SocketAddr,
        _local: Option<IpAddr>,
        datagram: &mut [u8],
        now: Time,
    ) -> Received {
        Agent::handle_datagram(self, socket, source, datagram, now)
    }

    fn handle_packet(&mut self, buffer: &mut [u8], now: Time) -> Result<Transmit, Reason> {
        Agent::handle_packet(self, buffer, now)
    }

    fn handle_path_gone(&mut self, socket: SocketKey, now: Time) {
        self.handle_socket_error(socket, now);
    }

    fn handle_refused(&mut self, socket: SocketKey, by: IpAddr, now: Time) {
        Agent::handle_refused(self, socket, by, now);
    }

    fn handle_resume(&mut self, _slept: Duration, now: Time) {
        Agent::handle_resume(self, now);
    }

    fn handle_timeout(&mut self, now: Time) {
        Agent::handle_timeout(self, now);
    }

    fn poll_transmit(&mut self, buffer: &mut [u8], now: Time) -> Option<Transmit> {
        Agent::poll_transmit(self, buffer, now)
    }

    fn poll_event(&mut self) -> Option<Event> {
        Agent::poll_event(self)
    }

    fn lost_event_count(&self) -> u64 {
        self.counters().drops.count(Reason::TelemetryOverflow)
    }

    fn outbound_socket(&self) -> Option<SocketKey> {
        Agent::outbound_socket(self)
    }

    fn poll_timeout(&self) -> Option<Time> {
        Agent::poll_timeout(self)
    }
}
