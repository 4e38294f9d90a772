//! Many clients in one thread: the real engine's agents over real sockets, each with addresses of its own.
//!
//! Two UDP sockets carry all of them. A client is told apart by its local address: the whole prefix is local to the
//! node ([`crate::arena`]), each datagram names its source, and the kernel says where an answer was sent to. So a
//! hundred thousand clients need no hundred thousand descriptors. Deliberately not here: what is measured, and any
//! attack.

mod echo;
mod member;

use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use jumpvpn_engine::agent::{Command, Notice};
use jumpvpn_engine::{Received, SocketKey, TRANSMIT_BUFFER_LEN, Transmit};
use jumpvpn_events::{Reason, State, Time};
use jumpvpn_lab::plan::Family;
use jumpvpn_policy::Policy;
use jumpvpn_runtime::{SystemRandom, clock};
use jumpvpn_session::{PrivateKey, PublicKey};
use jumpvpn_transport::{BindOptions, DatagramBatch, MAX_BATCH_COUNT, UdpBinding};
use jumpvpn_wire::Kind;
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::arena::{Arena, INNER, inner_of, outer};
use echo::Echo;
pub use member::address_of;
use member::{Asked, Member, PORTS, index_of};

/// Kernel buffers of the sockets, bytes: all clients share them, and answers to a hundred of them come in bursts.
const BUFFER_LEN: usize = 8 << 20;
/// Batches taken from a socket before timers have their turn: all that the kernel's queue holds. A timer whose answer waits
/// in the queue must not fire: it would ask again, and all the others would wait for that.
const ROUNDS_MAX: usize = 256;
/// Timers and wishes that have their turn before datagrams have theirs again: some ms of work.
const TURN_COUNT: usize = 256;
/// Clients that are looked after in one sweep: of a large crowd a part each time, so that datagrams have their turn.
const SWEEP_COUNT: usize = 500;
/// Clients whose move is under way at once. A client waits 50 ms before it asks again, and 1.5 s in all; here the clients of
/// a crowd share a processor, which does the work of some thousand moves in a second.
const MOVING_MAX: usize = 500;
/// Between two looks at whether a client has to be asked once more.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// Clients that wait for their birth at once, while many are raised: each shakes hands anew twice a second, and when that takes more
/// than the thread has, no answer is looked at in its time and nobody is born any more.
const WAITING_MAX: usize = 200;
/// Longest sleep: what a caller waits for is looked at this often.
const NAP: Duration = Duration::from_millis(20);

/// The clients.
pub struct Swarm {
    family: Family,
    members: Vec<Member>,
    sockets: Vec<UdpBinding>,
    timers: BinaryHeap<Reverse<(Time, u32)>>,
    /// Clients that are to jump and have not been asked, in turn.
    wishes: VecDeque<u32>,
    /// Clients that have been asked, and when they are looked at again: the earliest first. Those that have jumped since are
    /// among them.
    asked: VecDeque<(Time, u32)>,
    /// How many of them have not jumped.
    moving_count: usize,
    /// Set aside while its datagrams are worked on.
    batch: Option<DatagramBatch>,
    scratch: Vec<u8>,
    /// Echo requests each client has under way; none: it is idle.
    window: u32,
    swept: Time,
    /// The client with which the next sweep begins.
    swept_to: usize,
    /// Clients that have had a session, that have one now, and that have jumped since they were asked last.
    born_count: usize,
    live_count: usize,
    jumped_count: usize,
    /// Echo replies that came back.
    pub replies: u64,
    /// The last datagram of each type that client 0 sent, by its code: what somebody on its path could have captured.
    captured: [Option<Vec<u8>>; 256],
}

/// Keys of that many clients.
#[must_use]
pub fn keys(count: u32) -> Vec<PrivateKey> {
    (0..count).map(|_| PrivateKey::generate(&mut SystemRandom)).collect()
}

impl Swarm {
    /// A swarm without clients.
    ///
    /// # Errors
    /// The kernel refuses a socket.
    pub fn new(arena: &Arena) -> io::Result<Swarm> {
        let bind = |port| {
            let options = BindOptions { mark: None, reuse_port: false, buffer_len: Some(BUFFER_LEN) };
            let any = SocketAddr::new(outer::anywhere(arena.family).addr(), port);
            arena.swarm.run(|| UdpBinding::bind(any, None, &options))
        };
        let mut sockets = Vec::new();
        for port in PORTS {
            sockets.push(bind(port)?.map_err(io::Error::other)?);
        }
        Ok(Swarm {
            family: arena.family,
            members: Vec::new(),
            sockets,
            timers: BinaryHeap::new(),
            wishes: VecDeque::new(),
            asked: VecDeque::new(),
            moving_count: 0,
            batch: Some(DatagramBatch::new(MAX_BATCH_COUNT)),
            scratch: vec![0; TRANSMIT_BUFFER_LEN],
            window: 0,
            swept: clock::now(),
            swept_to: 0,
            born_count: 0,
            live_count: 0,
            jumped_count: 0,
            replies: 0,
            captured: [const { None }; 256],
        })
    }

    /// Adds a client that begins its handshake at once.
    pub fn add(&mut self, private: &PrivateKey, gateway: PublicKey, policy: &Policy) {
        let index = self.members.len() as u32;
        self.members.push(Member::new(self.family, index, private, gateway, policy));
        self.settle(index);
    }

    /// Adds clients at `per_second`, and waits until all have a session; at most `limit` longer than that takes.
    ///
    /// # Errors
    /// How many did not.
    pub fn raise(
        &mut self,
        keys: &[PrivateKey],
        gateway: PublicKey,
        policy: &Policy,
        per_second: u32,
        limit: Duration,
    ) -> io::Result<()> {
        let began = Instant::now();
        for (number, key) in (0..).zip(keys) {
            let is_free = |swarm: &Swarm| swarm.members.len() - swarm.born_count < WAITING_MAX;
            if !is_free(self) && !self.run_until(Instant::now() + limit, is_free)? {
                let count = self.born_count;
                return Err(io::Error::other(format!("{count} clients were born, and no more of them")));
            }
            self.add(key, gateway, policy);
            let due = began + Duration::from_secs(1) * number / per_second;
            if due > Instant::now() {
                self.run_until(due, |_| false)?;
            } else if number % 16 == 0 {
                self.turn(Duration::ZERO)?;
            }
        }
        let all =
            self.run_until(Instant::now() + limit, |swarm| swarm.live_count() == swarm.members.len())?;
        let count = self.live_count();
        if all {
            Ok(())
        } else {
            Err(io::Error::other(format!("{count} of {} sessions were born", self.members.len())))
        }
    }

    /// Clients whose session lives and carries packets under its final keys.
    #[must_use]
    pub fn live_count(&self) -> usize {
        self.live_count
    }

    /// Ends of sessions so far, with their reasons.
    #[must_use]
    pub fn ended(&self) -> Vec<(u32, Reason)> {
        (0..).zip(&self.members).filter_map(|(index, member)| Some((index, member.ended?))).collect()
    }

    /// From its first handshake to its first session, of every client from number `first` on that has one.
    #[must_use]
    pub fn birth_times(&self, first: usize) -> Vec<Duration> {
        self.members[first..].iter().filter_map(|member| member.born_in).collect()
    }

    /// Clients.
    #[must_use]
    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// Sets how many echo requests each client has under way from now on.
    pub fn set_window(&mut self, window: u32) {
        self.window = window;
    }

    /// What client 0 sent last of this kind.
    #[must_use]
    pub fn captured(&self, kind: Kind) -> Option<&[u8]> {
        self.captured[usize::from(kind.code())].as_deref()
    }

    /// Where client `index` sends from now.
    #[must_use]
    pub fn active_link(&self, index: u32) -> u32 {
        let status = self.members[index as usize].agent.status(clock::now());
        let active = status.paths.iter().find(|path| path.binding == jumpvpn_events::BindingState::Active);
        u32::from(active.is_some_and(|path| path.local == self.address_of(index, 1)))
    }

    /// Outer address of client `index` over `link`.
    #[must_use]
    pub fn address_of(&self, index: u32, link: u32) -> IpAddr {
        address_of(self.family, index, link)
    }

    /// UDP port of the clients on `link`.
    #[must_use]
    pub fn port(link: u32) -> u16 {
        PORTS[link as usize]
    }

    /// Wishes that every client jumps to its other link: all from this moment on. Each is asked when its turn comes: when what has
    /// arrived is dealt with, and fewer than [`MOVING_MAX`] are on their way.
    pub fn jump_all(&mut self) {
        let at = Instant::now();
        for index in 0..self.members.len() as u32 {
            self.wish(index, at);
        }
    }

    fn wish(&mut self, index: u32, at: Instant) {
        let member = &mut self.members[index as usize];
        self.jumped_count -= usize::from(member.jumped_in.take().is_some());
        match &mut member.asked {
            Some(asked) => asked.at = at,
            None => {
                member.asked = Some(Asked { at, before: None });
                self.wishes.push_back(index);
            }
        }
    }

    /// Asks those whose turn it is to jump. Who refused (it probed just then, or had jumped a moment ago) is asked again, and
    /// so is who gave up.
    fn ask(&mut self, now: Time) {
        for _ in 0..TURN_COUNT {
            let Some((due, index)) = self.asked.front().copied() else { break };
            if due > now {
                break;
            }
            self.asked.pop_front();
            if self.members[index as usize].asked.is_some_and(|asked| asked.before.is_some()) {
                self.command_jump(index, now);
            }
        }
        for _ in 0..TURN_COUNT {
            if self.moving_count >= MOVING_MAX {
                return;
            }
            let Some(index) = self.wishes.pop_front() else { return };
            let member = &mut self.members[index as usize];
            let Some(asked) = &mut member.asked else { continue };
            asked.before = Some(member.agent.status(now).jumps);
            self.moving_count += 1;
            self.command_jump(index, now);
        }
    }

    fn command_jump(&mut self, index: u32, now: Time) {
        self.members[index as usize].agent.handle_command(Command::Jump { to: None }, now).ok();
        self.asked.push_back((now + ASK_AGAIN, index));
        self.settle(index);
    }

    /// From the wish to the commit, of every client that has jumped since it was asked last.
    #[must_use]
    pub fn jump_times(&self) -> Vec<Duration> {
        self.members.iter().filter_map(|member| member.jumped_in).collect()
    }

    /// How many clients have jumped since they were asked last.
    #[must_use]
    pub fn jumped_count(&self) -> usize {
        self.jumped_count
    }

    /// Runs for `span`.
    ///
    /// # Errors
    /// A socket failed.
    pub fn run(&mut self, span: Duration) -> io::Result<()> {
        self.run_until(Instant::now() + span, |_| false).map(drop)
    }

    /// Runs until `done` says so, which is answered, or `until`.
    ///
    /// # Errors
    /// A socket failed.
    pub fn run_until(&mut self, until: Instant, mut done: impl FnMut(&Swarm) -> bool) -> io::Result<bool> {
        let mut looked = Instant::now();
        loop {
            let now = Instant::now();
            if now >= looked + NAP / 2 || now >= until {
                looked = now;
                if done(self) {
                    return Ok(true);
                }
            }
            if now >= until {
                return Ok(false);
            }
            self.turn(NAP.min(until - now))?;
        }
    }

    /// One round: what arrived, what is due, what is to be sent. Sleeps at most `nap` when there is nothing.
    fn turn(&mut self, nap: Duration) -> io::Result<()> {
        let mut received = false;
        for link in 0..self.sockets.len() {
            for _ in 0..ROUNDS_MAX {
                if !self.receive(link)? {
                    break;
                }
                received = true;
            }
        }
        let now = clock::now();
        self.fire(now);
        self.ask(now);
        if self.window > 0 && now.since(self.swept) >= echo::LOST_AFTER {
            self.sweep(now);
        }
        if !received {
            self.sleep(nap)?;
        }
        Ok(())
    }

    /// What is due is done, the earliest first.
    fn fire(&mut self, now: Time) {
        for _ in 0..TURN_COUNT {
            let Some(first) = self.timers.peek_mut().filter(|first| first.0.0 <= now) else { return };
            let Reverse((due, index)) = PeekMut::pop(first);
            let member = &mut self.members[index as usize];
            if member.scheduled == due {
                member.scheduled = Time::MAX;
                if member.agent.poll_timeout().is_some_and(|due| due <= now) {
                    member.agent.handle_timeout(now);
                }
                self.settle(index);
            }
        }
    }

    fn receive(&mut self, link: usize) -> io::Result<bool> {
        // Each client is settled after each of its datagrams, so the batch is set aside meanwhile.
        let Some(mut batch) = self.batch.take() else { return Ok(false) };
        let received = self.sockets[link].try_recv(&mut batch);
        if received.is_ok() {
            self.deliver(link, &mut batch);
        }
        self.batch = Some(batch);
        match received {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn deliver(&mut self, link: usize, batch: &mut DatagramBatch) {
        let now = clock::now();
        for datagram in batch.datagrams_mut() {
            let Some(index) = datagram.destination.and_then(index_of) else { continue };
            let Some(member) = self.members.get_mut(index as usize) else { continue };
            let socket = SocketKey(link as u32);
            let received = member.agent.handle_datagram(socket, datagram.source, datagram.bytes, now);
            if let Received::Packet(range) = received
                && echo::is_reply(&datagram.bytes[range])
            {
                self.replies += 1;
                member.echo.in_flight = member.echo.in_flight.saturating_sub(1);
                member.echo.moved = now;
            }
            self.settle(index);
        }
    }

    /// Takes everything out of a client: datagrams, events, notices, its next timer, and its next packets.
    fn settle(&mut self, index: u32) {
        let now = clock::now();
        let mut scratch = std::mem::take(&mut self.scratch);
        while let Some(transmit) = self.members[index as usize].agent.poll_transmit(&mut scratch, now) {
            self.send(index, &transmit, &scratch[..transmit.len]);
        }
        self.scratch = scratch;
        self.offer(index, now);
        let member = &mut self.members[index as usize];
        let mut committed = false;
        while let Some(event) = member.agent.poll_event() {
            committed |= matches!(event.kind, jumpvpn_events::EventKind::TransportSwitch { .. });
        }
        while let Some(notice) = member.agent.poll_notice() {
            match notice {
                Notice::TunnelUp { .. } => {
                    member.up = true;
                    if member.born_in.is_none() {
                        member.born_in = Some(member.began.elapsed());
                        self.born_count += 1;
                    }
                }
                Notice::Terminated { reason, .. } | Notice::Stopped { reason } => {
                    // A birth that is given up, and begun anew, was no session.
                    if std::mem::take(&mut member.up) {
                        member.ended = Some(reason);
                    }
                }
            }
        }
        if let Some(Asked { at, before: Some(before) }) = member.asked.filter(|_| committed)
            && member.agent.status(now).jumps > before
        {
            member.jumped_in = Some(at.elapsed());
            member.asked = None;
            self.jumped_count += 1;
            self.moving_count -= 1;
        }
        let is_live = member.up && member.agent.state() == State::Attached;
        if is_live != std::mem::replace(&mut member.is_live, is_live) {
            self.live_count = if is_live { self.live_count + 1 } else { self.live_count - 1 };
        }
        if let Some(due) = member.agent.poll_timeout().filter(|due| *due < member.scheduled) {
            member.scheduled = due;
            self.timers.push(Reverse((due, index)));
        }
    }

    fn offer(&mut self, index: u32, now: Time) {
        while self.members[index as usize].up && self.members[index as usize].echo.in_flight < self.window {
            let member = &mut self.members[index as usize];
            member.echo.sent = member.echo.sent.wrapping_add(1);
            let mut packet = echo::request(inner_of(index), INNER.addr(), member.echo.sent);
            let Ok(transmit) = member.agent.handle_packet(&mut packet, now) else { return };
            member.echo.in_flight += 1;
            self.send(index, &transmit, &packet[..transmit.len]);
        }
    }

    fn send(&mut self, index: u32, transmit: &Transmit, bytes: &[u8]) {
        if index == 0
            && let Some(code) = bytes.first()
        {
            self.captured[usize::from(*code)] = Some(bytes.to_vec());
        }
        let link = transmit.socket.0;
        let source = self.address_of(index, link);
        // A full queue loses the datagram, as any network may.
        self.sockets[link as usize].try_send(transmit.destination, Some(source), bytes, None).ok();
    }

    /// What was lost is sent anew.
    fn sweep(&mut self, now: Time) {
        self.swept = now;
        let count = self.members.len();
        for place in 0..count.min(SWEEP_COUNT) {
            let index = ((self.swept_to + place) % count) as u32;
            let member = &mut self.members[index as usize];
            if now.since(member.echo.moved) >= echo::LOST_AFTER {
                member.echo.in_flight = 0;
                member.echo.moved = now;
                self.settle(index);
            }
        }
        self.swept_to = (self.swept_to + SWEEP_COUNT) % count.max(1);
    }

    fn sleep(&self, nap: Duration) -> io::Result<()> {
        let timer = self.timers.peek().map(|Reverse((due, _))| *due);
        let asked = self.asked.front().map(|(due, _)| *due);
        let is_waited_for = !self.wishes.is_empty() && self.moving_count < MOVING_MAX;
        let due = if is_waited_for { Some(Time::ZERO) } else { timer.into_iter().chain(asked).min() };
        let nap = due.map_or(nap, |due| due.since(clock::now()).min(nap));
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(nap.min(NAP).subsec_nanos()) };
        let mut waited: Vec<PollFd<'_>> = self
            .sockets
            .iter()
            .map(|socket| PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN))
            .collect();
        match rustix::event::poll(&mut waited, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
