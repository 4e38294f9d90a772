//! One attack on one running tunnel: what the attacker has at hand, and what he is to be told afterwards.

use std::collections::BTreeSet;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use jumpvpn_lab::plan::{self, Family};
use jumpvpn_lab::story::{Action, Direction, Uplink};
use jumpvpn_lab::streams::Streams;
use jumpvpn_lab::tunnel::Tunnel;
use jumpvpn_wire::Kind;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::carrier::{Carrier, Class};
use crate::datagram::{Datagram, address};
use crate::field::{Field, mallory};
use crate::rogue::Rogue;
use crate::snapshot::Snapshot;
use crate::wiretap::{Origin, Seen};

/// Whether there is time for more than what every change must pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// A few seconds.
    Short,
    /// As long as the subject asks for.
    Long,
}

/// Longest wait for something that must happen: the machine may be busy with other things.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Spacing of the victim's datagrams, each way: those of a call.
const SPACING: Duration = Duration::from_millis(5);

/// Share of the victim's datagrams that must arrive during an attack that fills no queue on the way: what is missing is
/// what the kernel's socket buffers did not hold while the machine was busy.
const SHARE: f64 = 0.95;

/// Forged datagrams between two pauses, so that a burst stays below what the gateway's socket buffers: what the kernel
/// throws away attacks nobody.
const BURST: usize = 50;
/// That pause.
const PAUSE: Duration = Duration::from_millis(5);

/// The attack that goes on.
#[derive(Debug)]
pub(crate) struct Siege<'a> {
    /// Where it goes on.
    pub(crate) field: &'a Field,
    /// Over which transport.
    pub(crate) class: Class,
    /// Over which version of IP below that.
    pub(crate) family: Family,
    /// How much is done.
    pub(crate) effort: Effort,
    /// The program under test, with one session.
    pub(crate) tunnel: Tunnel,
    /// What the victim does meanwhile.
    pub(crate) streams: Streams,
    /// Source of every random choice.
    pub(crate) rng: ChaCha20Rng,
    /// Id of the victim's session, which it must have in the end.
    pub(crate) session: Option<String>,
    /// Both sides as they must be in the end.
    pub(crate) baseline: Snapshot,
    /// Resident memory of the gateway from which on it may not grow, once the attack is warm.
    pub(crate) memory: Option<u64>,
    /// Smallest share of the victim's datagrams that must arrive.
    pub(crate) share: f64,
    /// Whether the network itself was disturbed, so that states may have been left and entered again.
    pub(crate) is_restless: bool,
    /// Whether the gateway may answer its clients alone.
    pub(crate) is_silence_due: bool,
    /// Reasons that the gateway must have reported.
    pub(crate) reasons: BTreeSet<&'static str>,
    /// Addresses besides those of the laptop's routers that a client accepted.
    pub(crate) accepted: BTreeSet<SocketAddr>,
    /// Datagrams put on the line by [`Siege::forge`].
    forged_count: usize,
    /// What went wrong, one sentence each.
    pub(crate) findings: Vec<String>,
    /// What was measured.
    pub(crate) figures: Vec<String>,
}

impl<'a> Siege<'a> {
    /// Starts gateway, agent and streams, and waits until all is warm.
    ///
    /// # Errors
    /// A sentence: what did not start.
    pub(crate) fn lay(
        field: &'a Field,
        class: Class,
        family: Family,
        effort: Effort,
        seed: u64,
    ) -> io::Result<Siege<'a>> {
        field.trunk.forget();
        field.world.calm_down()?;
        let tunnel = Tunnel::start(&field.program, field.world.site(family), &folder(field))?;
        let (laptop, server) = (&field.world.laptop, &field.world.server);
        let streams = Streams::start(laptop, server, plan::LAPTOP_INNER, SPACING, None)?;
        let baseline = Snapshot::of(&tunnel)?;
        let mut siege = Siege {
            field,
            class,
            family,
            effort,
            tunnel,
            streams,
            rng: ChaCha20Rng::seed_from_u64(seed),
            session: baseline.agent.session.clone(),
            baseline,
            memory: None,
            share: SHARE,
            is_restless: false,
            is_silence_due: false,
            reasons: BTreeSet::new(),
            accepted: BTreeSet::new(),
            forged_count: 0,
            findings: Vec::new(),
            figures: Vec::new(),
        };
        siege.until("the victim's streams flow", |siege| {
            let flows = |direction| siege.streams.udp.progress(direction).0 > 0;
            Ok(Direction::ALL.into_iter().all(flows))
        })?;
        // The first packets of a session change it: the hybrid rekey comes before them, its confirmation after.
        siege.settle()?;
        Ok(siege)
    }

    /// Waits until both sides agree and nothing changes any more, and takes that as what must be in the end.
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        self.until("the session is calm", |siege| {
            let before = std::mem::replace(&mut siege.baseline, Snapshot::of(&siege.tunnel)?);
            let agent = &siege.baseline.agent;
            let row = siege.baseline.session_of("laptop");
            let agrees = row.is_some_and(|row| Some(&row.session) == agent.session.as_ref());
            thread::sleep(Duration::from_millis(50));
            Ok(agrees && agent.state == "ATTACHED" && siege.baseline.changes_since(&before).is_empty())
        })
    }

    /// The attacker's way to the gateway.
    pub(crate) fn carrier(&self) -> Carrier<'_> {
        Carrier { class: self.class, family: self.family, trunk: &self.field.trunk }
    }

    /// Every datagram of the laptop that reached the gateway's line, oldest first.
    pub(crate) fn captured(&self) -> Vec<Seen> {
        let genuine = |seen: &&Seen| seen.direction == Direction::Up && seen.origin == Origin::Wire;
        self.field.trunk.look(|log| log.iter().filter(genuine).cloned().collect())
    }

    /// The captured datagrams of one kind, as bytes.
    pub(crate) fn captured_of(&self, kind: Kind) -> Vec<Vec<u8>> {
        let of_kind = |seen: &Seen| seen.datagram.first() == kind.code();
        self.captured().into_iter().filter(of_kind).map(|seen| seen.datagram.payload).collect()
    }

    /// Waits until one of a kind has been captured, from now on: the newest.
    ///
    /// # Errors
    /// None comes.
    pub(crate) fn next_captured(&mut self, kind: Kind) -> io::Result<Vec<u8>> {
        let before = self.captured_of(kind).len();
        let mut found = None;
        self.until("the client says what is wanted", |siege| {
            found = siege.captured_of(kind).into_iter().nth(before);
            Ok(found.is_some())
        })?;
        found.ok_or_else(|| io::Error::other("nothing captured"))
    }

    /// A session of one of the peers in the attacker's hands, which both sides are expected to keep.
    ///
    /// # Errors
    /// It is not born.
    pub(crate) fn rogue(&mut self, guest: usize) -> io::Result<Rogue> {
        let seed = self.rng.next_u64();
        let rogue = Rogue::born(self.field, self.class, self.family, guest, seed)?;
        self.accepted.insert(rogue.address);
        let count = self.baseline.sessions.len() + 1;
        self.until("the rogue's session lives", |siege| Ok(siege.tunnel.sessions()?.len() == count))?;
        self.settle()?;
        Ok(rogue)
    }

    /// Makes a datagram arrive from `source`, at a pace that fills no socket buffer.
    ///
    /// # Errors
    /// A daemon died.
    pub(crate) fn forge(&mut self, source: SocketAddr, payload: &[u8]) -> io::Result<()> {
        self.carrier().forge(source, payload);
        self.forged_count += 1;
        if self.forged_count.is_multiple_of(BURST) { self.last(PAUSE) } else { Ok(()) }
    }

    /// Makes a datagram arrive at a client, at the same pace.
    ///
    /// # Errors
    /// A daemon died.
    pub(crate) fn plant(&mut self, datagram: Datagram) -> io::Result<()> {
        self.field.trunk.inject(Direction::Down, datagram);
        self.forged_count += 1;
        if self.forged_count.is_multiple_of(BURST) { self.last(PAUSE) } else { Ok(()) }
    }

    /// Waits until something holds.
    ///
    /// # Errors
    /// It did not within a generous time, or a daemon died.
    pub(crate) fn until(
        &mut self,
        what: &str,
        mut holds: impl FnMut(&mut Siege<'a>) -> io::Result<bool>,
    ) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        while !holds(self)? {
            self.tunnel.check()?;
            if Instant::now() >= until {
                let text = format!("{what}: not within {PATIENCE:?}");
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// Goes on for a while, which is part of the attack.
    pub(crate) fn last(&mut self, span: Duration) -> io::Result<()> {
        thread::sleep(span);
        self.tunnel.check()
    }

    /// Lets the operator move the session, and waits until the gateway has moved it. Returns how long that took.
    ///
    /// # Errors
    /// It did not come to that, or the daemons do not answer.
    pub(crate) fn jump(&mut self, uplink: Uplink) -> io::Result<Duration> {
        let was = self.baseline.clone();
        self.ask_to_jump(uplink)?;
        let began = Instant::now();
        let version = was.session_of("laptop").map(|row| row.version + 1);
        self.until("the session jumps when it is asked to", |siege| {
            let now = Snapshot::of(&siege.tunnel)?;
            Ok(now.session_of("laptop").map(|row| row.version) == version)
        })?;
        let took = began.elapsed();
        self.settle()?;
        Ok(took)
    }

    /// Asks the agent to move, until its policy lets it: it holds back a move soon after another one.
    ///
    /// # Errors
    /// It never does.
    pub(crate) fn ask_to_jump(&mut self, uplink: Uplink) -> io::Result<()> {
        let wanted = Action::Jump(uplink);
        self.until("the policy lets the session move", |siege| Ok(siege.tunnel.steer(&wanted).is_ok()))
    }

    /// Where the gateway says it sends to the victim.
    ///
    /// # Errors
    /// It cannot be asked.
    pub(crate) fn bound(&self) -> io::Result<Option<String>> {
        Ok(Snapshot::of(&self.tunnel)?.session_of("laptop").map(|row| row.remote.clone()))
    }

    /// Address from which the laptop last spoke.
    ///
    /// # Errors
    /// It never did.
    pub(crate) fn laptop(&self) -> io::Result<SocketAddr> {
        let mut heard =
            self.captured().into_iter().rev().map(|seen| seen.datagram.source).filter(Field::is_laptop);
        heard.next().ok_or_else(|| io::Error::other("the laptop says nothing"))
    }

    /// Notes a finding unless `holds`.
    pub(crate) fn require(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.findings.push(otherwise());
        }
    }

    /// Notes a figure for the report.
    pub(crate) fn figure(&mut self, words: impl Into<String>) {
        self.figures.push(words.into());
    }

    /// From now on the gateway's memory may not grow: everything the attack can touch has been touched once.
    pub(crate) fn memory_is_warm(&mut self) {
        self.memory = self.tunnel.gateway_resident_len();
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.rng.next_u64() % end.max(1) as u64) as usize
    }

    /// Random bytes.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    /// Brings things into random order.
    pub(crate) fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.below(last + 1));
        }
    }

    /// Where the gateway listens.
    pub(crate) fn gateway(&self) -> SocketAddr {
        self.class.gateway(self.family)
    }

    /// Whether the client is behind routers that translate addresses. Then it takes the address that the gateway tells it, from
    /// whomever that one has its packets; else nobody can speak for the address that it has itself.
    pub(crate) fn is_translated(&self) -> bool {
        self.family == Family::V4
    }

    /// A socket on the attacker's own machine.
    ///
    /// # Errors
    /// The kernel refuses one.
    pub(crate) fn own_socket(&self) -> io::Result<UdpSocket> {
        self.field.mallory.run(|| UdpSocket::bind((mallory(self.family), 0)))?
    }

    /// An address of a third party that has nothing to do with it all (RFC 5737, RFC 3849), always another one.
    pub(crate) fn bystander(&mut self) -> SocketAddr {
        let host = 20 + self.below(200) as u8;
        let port = 1024 + self.below(60_000) as u16;
        match self.family {
            Family::V4 => address([203, 0, 113, host], port),
            Family::V6 => address(plan::documented(0xb, 0x100 + u16::from(host)), port),
        }
    }

    /// Addresses that the gateway may send to.
    pub(crate) fn accepted(&self) -> BTreeSet<SocketAddr> {
        let mut accepted = self.accepted.clone();
        let laptop = self.captured().into_iter().map(|seen| seen.datagram.source);
        accepted.extend(laptop.filter(Field::is_laptop));
        accepted
    }
}

/// Where the files of the present attack are.
pub(crate) fn folder(field: &Field) -> PathBuf {
    field.folder.join("run")
}
