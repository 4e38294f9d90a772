//! `bench takeover` and `bench drain`: all sessions of a gateway go to another one, after its death or at its wish.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use jumpvpn_events::Time;
use jumpvpn_policy::Policy;

use super::cell::{Cell, Inbound, client_at, outer};
use super::client::Hello;
use super::mover::{Mover, jitter};
use super::progress::Progress;
use super::report::Figure;
use crate::exit::{Code, Failure};

pub(super) const TAKEOVER_NOTE: &str = "\
A gateway with so many sessions has written its tombstone and is gone; its clients find out within 0.4 s of each other and ask
another gateway, which takes the sessions over: cookie, credentials from the store, handshake, confirmation, transaction. Both
gateways and their store (SQLite on this disk) are real. all: from the death to the last welcome, in processor time of the gateway
with the store's answers waited for one batch after the other; a session's time begins when its client decides to ask. lost: did
not arrive. The clients' own work is not counted.";

pub(super) const DRAIN_NOTE: &str = "\
A gateway with so many sessions is drained over 10 s, the default of `jumpvpn drain`: each client is asked to go, asks the other
gateway, which asks the owner by its mailbox in the store. all: from the command to the last welcome; a session's time begins when
its client is asked. Both gateways share one processor here, their store is SQLite on this disk, and it is waited for one batch
after the other. lost: did not arrive, or stayed at the drained gateway. The clients' own work is not counted.";

/// The gateway where all clients begin, and the one they go to.
const HOME: usize = 0;
const OTHER: usize = 1;
/// Births that are under way at once: a quarter of those that a gateway lets wait.
const BIRTH_BATCH: u32 = 64;
/// Datagrams that wait for a gateway at the most, as many as its receive buffer holds: 16 MiB by the kernel's count, which
/// counts 768 bytes for each of these. What comes beyond is lost, and sent again.
const INBOUND_MAX: usize = (16 << 20) / 768;
/// Clients of a gateway that died find out within so long of each other (agent/takeover.rs).
const FIND_OUT: Duration = Duration::from_millis(400);
/// Over so long clients are asked to go.
const SPAN: Duration = Duration::from_secs(10);
/// Who has not arrived by then is lost: an agent gives up after its recovery window and more.
const LIMIT: Duration = Duration::from_secs(120);

/// How much is measured.
pub(super) struct Size {
    pub(super) sessions: u32,
    pub(super) rounds: usize,
}

impl Size {
    pub(super) const TAKEOVER: Size = Size { sessions: 25_000, rounds: 1 };
    pub(super) const DRAIN: Size = Size { sessions: 10_000, rounds: 1 };
}

/// What the rounds have shown, one value each.
#[derive(Default)]
struct Rounds {
    all_s: Vec<f64>,
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
    lost: Vec<f64>,
    writes: Vec<f64>,
    record_bytes: Vec<f64>,
}

/// Measures a death.
pub(super) fn measure_takeover(size: &Size, progress: &mut Progress) -> Result<Vec<Figure>, Failure> {
    let depart = |crowd: &mut Crowd| {
        crowd.cell.bury(HOME)?;
        let now = crowd.cell.now();
        for mover in &mut crowd.movers {
            mover.go(jitter(FIND_OUT), now);
        }
        Ok(())
    };
    measure("takeover", size, progress, depart)
}

/// Measures a drain.
pub(super) fn measure_drain(size: &Size, progress: &mut Progress) -> Result<Vec<Figure>, Failure> {
    let depart = |crowd: &mut Crowd| {
        crowd.cell.drain(HOME, SPAN);
        Ok(())
    };
    measure("drain", size, progress, depart)
}

fn measure(
    name: &str,
    size: &Size,
    progress: &mut Progress,
    depart: fn(&mut Crowd) -> Result<(), Failure>,
) -> Result<Vec<Figure>, Failure> {
    let mut rounds = Rounds::default();
    for _ in 0..size.rounds {
        let mut crowd = Crowd::born(size.sessions, progress)?;
        let written = crowd.cell.written();
        let began = crowd.cell.now();
        depart(&mut crowd)?;
        let last = crowd.journey(began + LIMIT, progress)?;
        rounds.note(&crowd, last.since(began), crowd.cell.written().commits - written.commits);
    }
    let Rounds { all_s, p50_ms, p99_ms, lost, writes, record_bytes } = rounds;
    let figure = |what: &str, unit, values| Figure::of(format!("{name}_{what}"), unit, values);
    Ok(vec![
        figure("sessions", "sessions", vec![f64::from(size.sessions)]),
        figure("lost", "sessions", lost),
        figure("all_s", "s", all_s),
        figure("p50_ms", "ms", p50_ms),
        figure("p99_ms", "ms", p99_ms),
        figure("writes_per_session", "1", writes),
        figure("record_bytes", "bytes", record_bytes),
    ])
}

impl Rounds {
    fn note(&mut self, crowd: &Crowd, all: Duration, commits: u64) {
        let count = crowd.movers.len();
        let mut times: Vec<f64> =
            crowd.movers.iter().filter_map(Mover::took).map(|took| took.as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
        let arrived = times.len().min(crowd.cell.session_count(OTHER));
        let left_behind = crowd.cell.session_count(HOME);
        self.lost.push((count - arrived + left_behind) as f64);
        self.all_s.push(all.as_secs_f64());
        self.p50_ms.push(at(50));
        self.p99_ms.push(at(99));
        self.writes.push(commits as f64 / count as f64);
        self.record_bytes.push(crowd.cell.written().longest as f64);
    }
}

/// A cell with its clients.
struct Crowd {
    cell: Cell,
    policy: Policy,
    /// By client.
    movers: Vec<Mover>,
}

impl Crowd {
    /// So many clients that were born at their first gateway.
    fn born(count: u32, progress: &mut Progress) -> Result<Crowd, Failure> {
        let mut crowd = Crowd { cell: Cell::open(count)?, policy: Policy::laptop(), movers: Vec::new() };
        for first in (0..count).step_by(BIRTH_BATCH as usize) {
            crowd.give_births(first..count.min(first + BIRTH_BATCH))?;
            progress.step(crowd.movers.len(), 2 * count as usize);
        }
        if crowd.cell.session_count(HOME) == count as usize {
            Ok(crowd)
        } else {
            Err(failed("a session was not born"))
        }
    }

    fn give_births(&mut self, clients: std::ops::Range<u32>) -> Result<(), Failure> {
        let mut hellos: VecDeque<Hello> = VecDeque::new();
        let mut answers = Vec::new();
        for client in clients {
            let (hello, init) =
                Hello::new(client, self.cell.keys(client, HOME)).ok_or_else(|| failed("a key is none"))?;
            hellos.push_back(hello);
            self.cell.space_birth();
            answers.extend(self.cell.turn(&mut vec![inbound(HOME, client, init.to_vec())])?);
        }
        let mut confirmations = Vec::new();
        for (_, answer) in answers {
            // Each is answered at once, so they come in order.
            let born = hellos.pop_front().and_then(|hello| hello.answered(&answer));
            let (client, mut uplink) = born.ok_or_else(|| failed("a handshake was not answered"))?;
            let fin = uplink.confirmation().ok_or_else(|| failed("a packet was not sealed"))?;
            confirmations.push(inbound(HOME, client.index(), fin));
            self.movers.push(Mover::new(client, uplink));
        }
        self.cell.turn(&mut confirmations)?;
        Ok(())
    }

    /// Lets all go that want to, until all are there, or the time is over; when the last one arrived.
    fn journey(&mut self, end: Time, progress: &mut Progress) -> Result<Time, Failure> {
        let mut dues: BinaryHeap<Reverse<(Time, u32)>> = BinaryHeap::new();
        for (client, mover) in (0..).zip(&self.movers) {
            dues.extend(mover.due().map(|due| Reverse((due, client))));
        }
        let (mut waiting, mut arrived) = (Vec::new(), 0);
        while arrived < self.movers.len() && self.cell.now() < end {
            let now = self.cell.now();
            while let Some(Reverse((_, client))) =
                dues.peek().copied().filter(|Reverse((due, _))| *due <= now)
            {
                dues.pop();
                let mover = &mut self.movers[client as usize];
                let sent = mover.handle_timeout(self.cell.keys(client, OTHER), &self.policy, now);
                waiting.extend(sent.map(|bytes| inbound(OTHER, client, bytes)));
                dues.extend(mover.due().map(|due| Reverse((due, client))));
            }
            // All of it: a gateway does not wait for its store before it reads on.
            waiting.truncate(INBOUND_MAX);
            let sent = self.cell.turn(&mut std::mem::take(&mut waiting))?;
            if sent.is_empty() && waiting.is_empty() {
                let next = dues.peek().map(|Reverse((due, _))| *due);
                let due = next.into_iter().chain(self.cell.next_due()).min();
                self.cell.skip(due.unwrap_or(end));
            }
            for (destination, mut bytes) in sent {
                let Some(client) = client_at(destination) else { continue };
                let Some(mover) = self.movers.get_mut(client as usize) else { continue };
                let was_there = mover.took().is_some();
                let reply = mover.handle_datagram(&mut bytes, self.cell.now());
                waiting.extend(reply.map(|bytes| inbound(OTHER, client, bytes)));
                dues.extend(mover.due().map(|due| Reverse((due, client))));
                arrived += usize::from(!was_there && mover.took().is_some());
            }
            progress.step(self.movers.len() + arrived, 2 * self.movers.len());
        }
        Ok(self.cell.now())
    }
}

fn inbound(to: usize, client: u32, bytes: Vec<u8>) -> Inbound {
    let source: SocketAddr = outer(client);
    Inbound { to, source, bytes }
}

fn failed(what: &str) -> Failure {
    Failure::new(Code::Failed, what.to_owned())
}
