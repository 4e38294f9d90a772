//! The pump of one engine: TUN queue, UDP sockets and time on one side, an [`Engine`] on the other.
//!
//! One thread, one pump, one engine, nothing shared. Order of work per wake-up ([`Pump::exchange`]): drain every input,
//! a bounded batch of each source in turn; only then the engine's timers, so that a late wake-up is never mistaken for
//! silence; then its outputs. Packets are sealed and opened in the buffers they were read into, and nothing is
//! allocated per packet.

mod inbound;
mod outbound;
mod sockets;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use jumpvpn_engine::{Received, SocketKey, TRANSMIT_BUFFER_LEN, Transmit};
use jumpvpn_events::{DropCounters, Event, Reason, Time};
use jumpvpn_tun::Tun;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::clock::{self, SleepWatch, WakeAlarm};
use crate::telemetry::Feed;
use inbound::Inbound;
use outbound::Outbound;
use sockets::Sent;
pub(crate) use sockets::Sockets;

const WAKER: Token = Token(0);
const TUN: Token = Token(1);
const ALARM: Token = Token(2);
const EXTRA: Token = Token(3);
/// Tokens of sockets are their keys above this.
const FIRST_SOCKET: usize = 16;

/// Readiness events taken per wake-up; there are fewer sources.
const EVENT_COUNT: usize = 64;
/// Batches taken of each source before timers and outputs have their turn. A socket's queue (some MiB) is empty after
/// that many; a flood that refills it as fast as it is drained must not stop the timers.
const ROUNDS_MAX: usize = 16;
/// Sockets of one address that share its datagrams by their type, at most. They stand side by side, that of the packets
/// first.
pub(crate) const SORTED_COUNT: usize = 3;
/// Requests taken in a round, if there are as many: a system call brings 32 of different senders, and a flood of them
/// must be refused faster than packets are carried, or genuine requests are lost in its queue.
const REQUESTS_PER_ROUND: usize = 128;
/// Datagrams the engine takes before its outputs are sent: the bound its output queue is made for.
const DATAGRAMS_PER_DRAIN: usize = 64;

/// What a pump drives.
pub(crate) trait Engine {
    /// A datagram came in on `socket`; `local` is the address it was sent to, when the kernel said.
    fn handle_datagram(
        &mut self,
        socket: SocketKey,
        source: SocketAddr,
        local: Option<IpAddr>,
        datagram: &mut [u8],
        now: Time,
    ) -> Received;
    /// These datagrams come next (at most as many as one receive fills buffers; of neighbours of one flow only the
    /// first): an engine with many sessions can fetch what it needs for all of them at once.
    fn foresee<'a>(&mut self, _datagrams: impl Iterator<Item = &'a [u8]>) {}
    /// These inner packets come next.
    fn foresee_packets<'a>(&self, _packets: impl Iterator<Item = &'a [u8]>) {}
    /// An inner packet leaves this machine: seal it in place. A refusal is counted by the engine.
    fn handle_packet(&mut self, buffer: &mut [u8], now: Time) -> Result<Transmit, Reason>;
    /// Sending from `socket` failed because its device, address or route is gone.
    fn handle_path_gone(&mut self, socket: SocketKey, now: Time);
    /// The machine `by` says that it has nobody for a datagram from `socket`; anybody may have said so.
    fn handle_refused(&mut self, _socket: SocketKey, _by: IpAddr, _now: Time) {}
    /// The machine slept.
    fn handle_resume(&mut self, slept: Duration, now: Time);
    /// Timers that are due.
    fn handle_timeout(&mut self, now: Time);
    /// Next datagram of the engine's own.
    fn poll_transmit(&mut self, buffer: &mut [u8], now: Time) -> Option<Transmit>;
    /// Next event.
    fn poll_event(&mut self) -> Option<Event>;
    /// Events that gave way to later ones since the start, because nobody polled them in time.
    fn lost_event_count(&self) -> u64;
    /// The socket that all inner packets leave by now; `None` where each packet has its own way.
    fn outbound_socket(&self) -> Option<SocketKey>;
    /// When `handle_timeout` wants to be called.
    fn poll_timeout(&self) -> Option<Time>;
}

/// Why [`Pump::wait`] came back, beyond what the pump handles itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Woken {
    /// Somebody used the waker.
    pub(crate) by_waker: bool,
    /// The extra descriptor is readable.
    pub(crate) by_extra: bool,
}

impl Woken {
    fn merge(&mut self, other: Woken) {
        self.by_waker |= other.by_waker;
        self.by_extra |= other.by_extra;
    }

    fn by_anything(self) -> bool {
        self.by_waker || self.by_extra
    }
}

/// See the head of this file.
pub(crate) struct Pump {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    alarm: WakeAlarm,
    sleep: SleepWatch,
    tun: Tun,
    tun_readable: bool,
    sockets: Sockets,
    /// One for each socket of a group: see [`SORTED_COUNT`].
    inbound: [Inbound; SORTED_COUNT],
    outbound: Outbound,
    scratch: Vec<u8>,
    feed: Feed,
    /// Events the engine lost that the feed knows of.
    skipped_count: u64,
    drops: DropCounters,
    /// Wake-ups seen while looking for late inputs, for the next `wait`.
    pending: Woken,
}

impl Pump {
    /// A pump for the TUN queue `tun` without sockets yet, which feeds events to `feed`.
    ///
    /// # Errors
    /// The kernel has no more descriptors for us.
    pub(crate) fn new(tun: Tun, feed: Feed) -> io::Result<Pump> {
        let poll = Poll::new()?;
        let registry = poll.registry();
        let waker = Arc::new(Waker::new(registry, WAKER)?);
        let alarm = WakeAlarm::new()?;
        registry.register(&mut SourceFd(&alarm.as_raw_fd()), ALARM, Interest::READABLE)?;
        registry.register(&mut SourceFd(&tun.as_raw_fd()), TUN, Interest::READABLE)?;
        let sockets = Sockets::new(registry.try_clone()?, FIRST_SOCKET);
        Ok(Pump {
            poll,
            events: Events::with_capacity(EVENT_COUNT),
            waker,
            alarm,
            sleep: SleepWatch::new(),
            tun,
            tun_readable: true,
            sockets,
            inbound: std::array::from_fn(|_| Inbound::new()),
            outbound: Outbound::new(),
            scratch: vec![0; TRANSMIT_BUFFER_LEN],
            feed,
            skipped_count: 0,
            drops: DropCounters::default(),
            pending: Woken::default(),
        })
    }

    /// Wakes the pump's thread from any other one.
    pub(crate) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Watches one more descriptor (edge-triggered: drain it when [`Woken::by_extra`]).
    ///
    /// # Errors
    /// The kernel cannot poll it.
    pub(crate) fn watch(&self, fd: RawFd) -> io::Result<()> {
        self.poll.registry().register(&mut SourceFd(&fd), EXTRA, Interest::READABLE)
    }

    /// The sockets.
    pub(crate) fn sockets(&mut self) -> &mut Sockets {
        &mut self.sockets
    }

    /// Where events and notes go.
    pub(crate) fn feed(&mut self) -> &mut Feed {
        &mut self.feed
    }

    /// What the pump itself had to drop, by reason.
    pub(crate) fn drops(&self) -> DropCounters {
        let mut drops = self.drops.clone();
        drops.add(Reason::TelemetryOverflow, self.feed.overflow_count());
        drops
    }

    /// Sleeps until something happens or `deadline`.
    ///
    /// # Errors
    /// The kernel's polling failed, which nothing can be done about.
    pub(crate) fn wait(&mut self, deadline: Option<Time>) -> io::Result<Woken> {
        let timeout = if self.has_work() {
            Some(Duration::ZERO)
        } else {
            deadline.filter(|deadline| *deadline != Time::MAX).map(|deadline| deadline.since(clock::now()))
        };
        let mut woken = self.poll_ready(timeout)?;
        woken.merge(std::mem::take(&mut self.pending));
        Ok(woken)
    }

    /// Moves everything that is waiting, runs the timers, sends the outputs.
    ///
    /// # Errors
    /// The TUN device is gone.
    pub(crate) fn exchange(&mut self, engine: &mut impl Engine) -> io::Result<()> {
        if let Some(slept) = self.sleep.poll() {
            engine.handle_resume(slept, clock::now());
        }
        self.drain(engine)?;
        let now = clock::now();
        if engine.poll_timeout().is_some_and(|deadline| deadline <= now) {
            // What arrived before `now` while the batches above were worked on must count before the timers do.
            let woken = self.poll_ready(Some(Duration::ZERO))?;
            self.pending.merge(woken);
            self.drain(engine)?;
            engine.handle_timeout(now);
        }
        self.send_outputs(engine);
        Ok(())
    }

    /// Sends what the engine has to say and feeds its events.
    pub(crate) fn send_outputs(&mut self, engine: &mut impl Engine) {
        let now = clock::now();
        let Pump { sockets, scratch, drops, feed, skipped_count, .. } = self;
        transmit(engine, sockets, scratch, drops, now);
        pass_events(engine, feed, skipped_count);
    }

    /// Bounded rounds over all inputs until the network has nothing more. Whoever was empty is asked again in each
    /// round: a flood on one socket must not make the others and the TUN device wait for its end.
    fn drain(&mut self, engine: &mut impl Engine) -> io::Result<()> {
        for round in 0..ROUNDS_MAX {
            if round > 0 {
                let woken = self.poll_ready(Some(Duration::ZERO))?;
                self.pending.merge(woken);
            }
            self.receive(engine);
            while let Some((socket, by)) = self.sockets.next_refusal() {
                engine.handle_refused(socket, by, clock::now());
            }
            self.forward(engine)?;
            if !self.sockets.any_readable() {
                break;
            }
        }
        Ok(())
    }

    /// One batch of each socket that has something. The sockets of a group are read in their order and worked on in
    /// the opposite one: a packet that follows a request on the wire is read before the request is looked for, so it is
    /// never worked on before it, although both have queues of their own.
    fn receive(&mut self, engine: &mut impl Engine) {
        let Pump { sockets, inbound, scratch, tun, drops, feed, skipped_count, .. } = self;
        for first in (0..sockets.count()).step_by(SORTED_COUNT) {
            let filled: [bool; SORTED_COUNT] =
                std::array::from_fn(|place| inbound[place].receive(sockets, first + place));
            for place in (0..SORTED_COUNT).rev().filter(|place| filled[*place]) {
                let (inbound, mut taken_count) = (&mut inbound[place], 0);
                loop {
                    let now = clock::now();
                    taken_count += inbound.count();
                    inbound.deliver(engine, sockets, tun, scratch, drops, now);
                    transmit(engine, sockets, scratch, drops, now);
                    pass_events(engine, feed, skipped_count);
                    let again = place > 0 && taken_count < REQUESTS_PER_ROUND;
                    if !again || !inbound.receive(sockets, first + place) {
                        break;
                    }
                }
            }
        }
    }

    /// What the TUN device has: first the rest that did not fit a socket, then one batch.
    fn forward(&mut self, engine: &mut impl Engine) -> io::Result<()> {
        let Pump { sockets, outbound, tun, tun_readable, drops, .. } = self;
        if !outbound.flush(engine, sockets, drops) || !*tun_readable {
            return Ok(());
        }
        match outbound.read(tun) {
            Ok(_) => {
                outbound.seal(engine, clock::now());
                outbound.flush(engine, sockets, drops);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => *tun_readable = false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A TUN device that is merely down has nothing to read; any error means that it was deleted.
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn has_work(&self) -> bool {
        self.pending.by_anything()
            || self.sockets.any_readable()
            || (self.tun_readable && !self.outbound.is_stalled())
    }

    fn poll_ready(&mut self, timeout: Option<Duration>) -> io::Result<Woken> {
        if let Err(error) = self.poll.poll(&mut self.events, timeout)
            && error.kind() != io::ErrorKind::Interrupted
        {
            return Err(error);
        }
        let mut woken = Woken::default();
        for event in &self.events {
            match event.token() {
                WAKER => woken.by_waker = true,
                EXTRA => woken.by_extra = true,
                TUN => self.tun_readable = true,
                ALARM => self.alarm.acknowledge()?,
                Token(token) => {
                    self.sockets.handle_ready(
                        token,
                        event.is_readable() || event.is_error(),
                        event.is_writable(),
                    );
                }
            }
        }
        Ok(woken)
    }
}

/// Passes the engine's events on; the hole that lost ones leave is before those that are still there.
fn pass_events(engine: &mut impl Engine, feed: &mut Feed, skipped_count: &mut u64) {
    let lost_count = engine.lost_event_count();
    feed.skip(lost_count - *skipped_count);
    *skipped_count = lost_count;
    while let Some(event) = engine.poll_event() {
        feed.push(event);
    }
}

/// Sends the engine's own datagrams. What does not fit is dropped: all of them are repeated by timers when needed.
fn transmit(
    engine: &mut impl Engine,
    sockets: &mut Sockets,
    scratch: &mut [u8],
    drops: &mut DropCounters,
    now: Time,
) {
    while let Some(transmit) = engine.poll_transmit(scratch, now) {
        match sockets.send(&transmit, &scratch[..transmit.len], None) {
            Sent::All => {}
            Sent::Blocked { .. } => drops.record(Reason::QueueFull),
            Sent::Gone => engine.handle_path_gone(transmit.socket, now),
            Sent::Failed(reason) => drops.record(reason),
        }
    }
}

#[cfg(test)]
mod tests;
