//! Drills: what an operator does and what happens to him, with the time for which traffic stands still.
//!
//! Gaps are those of numbered datagrams every 5 ms, the longer of both directions; the inner TCP connection is one and the
//! same through all drills, so it must survive every one.

use std::fmt;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use super::cell::Cell;
use super::daemons::Keeping;
use super::fault::Fault;
use super::nemesis::Arena;
use super::plan::{self, COUNT};
use crate::story::{Direction, Directions};

/// How long a killed gateway stays away where its service manager takes its time.
const RESTART: Duration = Duration::from_secs(1);
/// The same with `RestartSec` of packaging/systemd.
const RESTART_SOON: Duration = Duration::from_millis(100);
/// Over which time a drain spreads its moves: there is one session.
const DRAIN: Duration = Duration::from_secs(1);
/// How long a dead host stays dead: longer than it takes to give it up (7 s) and to come back.
const DEAD: Duration = Duration::from_secs(10);
/// How long a member of the store is frozen: longer than any fence but that of `calm`.
const FROZEN: Duration = Duration::from_secs(8);
/// How long a session may take to leave a gateway that is drained.
const LEAVE: Duration = Duration::from_secs(20);
/// What arrives late belongs to the drill.
const SETTLE: Duration = Duration::from_millis(500);
/// Between two drills: what the one before has left to do (routes, a rekey, an election) is none of the next one's.
const REST: Duration = Duration::from_secs(1);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Something that happens to the gateway that holds the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Drill {
    /// The session is handed to another gateway.
    Handoff,
    /// Its gateway is drained.
    Drain,
    /// All three gateways are drained, stopped and started again, one after the other.
    Rolling,
    /// The disk of the store's leader is frozen for 8 s.
    Frozen,
    /// Its gateway's process is killed, and started again after a second.
    Restart,
    /// Its gateway's process is killed, and its service manager does what packaging/systemd says: it runs `jumpvpn bury` and
    /// starts it again after 100 ms.
    Crash,
    /// Its gateway's machine is gone for 10 s: nothing comes from it any more, and nothing reaches it.
    HostDies,
}

impl Drill {
    /// All drills that make sense where sessions are kept so, the cheap ones first.
    #[must_use]
    pub fn all(keeping: Keeping) -> &'static [Drill] {
        match keeping {
            Keeping::Alone => &[Drill::Restart],
            Keeping::Cell { .. } => Drill::value_variants(),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Drill::Handoff => "handoff",
            Drill::Drain => "drain",
            Drill::Rolling => "rolling restart of three gateways",
            Drill::Frozen => "disk of the store's leader frozen",
            Drill::Restart => "gateway killed, restarted after 1 s",
            Drill::Crash => "gateway killed, and its service manager sees it",
            Drill::HostDies => "gateway's host dies",
        }
    }
}

/// What came of a drill.
#[derive(Debug, Clone)]
pub struct Measured {
    drill: Drill,
    /// Longest gap of each run.
    gaps: Vec<Duration>,
    /// From the moment when a gateway that was started again listens to the first datagrams of both directions.
    comebacks: Vec<Duration>,
    /// Runs after which the agent had another session.
    lost_count: usize,
    /// How often a gateway has lost its right to act.
    fenced_count: u64,
    /// Whether the inner TCP connection was alive in the end.
    tcp_alive: bool,
}

impl Measured {
    /// Whether nothing was lost, and nobody lost his right because of a disk that is not his; how long it took is for others to
    /// judge.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.lost_count == 0 && self.tcp_alive && (self.drill != Drill::Frozen || self.fenced_count == 0)
    }
}

/// Lets a drill happen some times.
///
/// # Errors
/// Traffic did not come back, or a daemon failed.
pub fn measure(drill: Drill, arena: &mut Arena, runs: u32) -> io::Result<Measured> {
    let mut measured = Measured {
        drill,
        gaps: Vec::new(),
        comebacks: Vec::new(),
        lost_count: 0,
        fenced_count: 0,
        tcp_alive: false,
    };
    for _ in 0..runs {
        arena.wait_until_flowing()?;
        thread::sleep(REST);
        let session = arena.daemons.status()?.session;
        let fenced = arena.daemons.fenced_count()?;
        arena.streams.tcp.mark();
        let began = Instant::now();
        let listens = happen(drill, arena)?;
        arena.wait_until_flowing()?;
        thread::sleep(SETTLE);
        let end = Instant::now();
        let gap = |direction| arena.streams.udp.record(direction).account(began, end).gap;
        measured.gaps.push(Direction::ALL.map(gap).into_iter().max().unwrap_or_default());
        measured.comebacks.extend(listens.map(|listens| comeback(arena, listens)));
        measured.lost_count += usize::from(arena.daemons.status()?.session != session);
        // A gateway that was started again counts from zero.
        measured.fenced_count += arena.daemons.fenced_count()?.saturating_sub(fenced);
    }
    // A connection that was silent for long needs a moment to find out that it is not dead.
    let before = arena.streams.tcp.right_len(Direction::Up);
    let until = Instant::now() + LEAVE;
    while Instant::now() < until && arena.streams.tcp.right_len(Direction::Up) == before {
        thread::sleep(LOOK_AGAIN);
    }
    measured.tcp_alive = arena.streams.tcp.right_len(Direction::Up) > before;
    Ok(measured)
}

/// Until datagrams came in both directions.
fn comeback(arena: &Arena, listens: Instant) -> Duration {
    let came = |direction| arena.streams.udp.record(direction).first_after(listens);
    let last = Direction::ALL.into_iter().filter_map(came).max();
    last.map_or(Duration::MAX, |last| last - listens)
}

/// Lets it happen; when a gateway that was started again began to listen, if one was killed.
fn happen(drill: Drill, arena: &mut Arena) -> io::Result<Option<Instant>> {
    let owner = arena.daemons.owner().ok_or_else(|| io::Error::other("nobody holds the session"))?;
    match drill {
        Drill::Handoff => {
            arena.daemons.hand_off(owner, plan::GATEWAYS[(owner + 1) % COUNT])?;
            wait_until_left(arena, owner)?;
        }
        Drill::Drain => {
            drain(arena, owner)?;
            arena.daemons.undrain(owner)?;
        }
        Drill::Rolling => (0..COUNT).try_for_each(|index| {
            drain(arena, index)?;
            arena.daemons.stop_gateway(index)?;
            arena.daemons.start_gateway(&arena.cell, index)?;
            arena.daemons.wait_for_gateway(index)
        })?,
        Drill::Frozen => {
            let Arena { cell, store, daemons, .. } = arena;
            let ongoing = Fault::LeaderFrozen.begin(cell, store, Some(daemons))?;
            thread::sleep(FROZEN);
            ongoing.end(cell, store, Some(daemons))?;
            store.wait_until_serving(cell)?;
        }
        Drill::Restart => {
            arena.daemons.kill_gateway(owner)?;
            thread::sleep(RESTART);
            return start_again(arena, owner).map(Some);
        }
        Drill::Crash => {
            arena.daemons.kill_gateway(owner)?;
            arena.daemons.bury_gateway(&arena.cell, owner)?;
            thread::sleep(RESTART_SOON);
            return start_again(arena, owner).map(Some);
        }
        Drill::HostDies => {
            unplug(&arena.cell, owner, true);
            arena.daemons.kill_gateway(owner)?;
            thread::sleep(DEAD);
            unplug(&arena.cell, owner, false);
            arena.daemons.start_gateway(&arena.cell, owner)?;
            arena.daemons.wait_for_gateway(owner)?;
        }
    }
    Ok(None)
}

/// Starts a gateway; when it listened to the outside for the first time.
fn start_again(arena: &mut Arena, index: usize) -> io::Result<Instant> {
    arena.daemons.start_gateway(&arena.cell, index)?;
    let listens = arena.daemons.wait_until_listening(&arena.cell, index)?;
    arena.daemons.wait_for_gateway(index)?;
    Ok(listens)
}

fn drain(arena: &Arena, index: usize) -> io::Result<()> {
    arena.daemons.drain(index, DRAIN)?;
    wait_until_left(arena, index)
}

fn wait_until_left(arena: &Arena, index: usize) -> io::Result<()> {
    let until = Instant::now() + LEAVE;
    while !arena.daemons.sessions(index)?.is_empty() {
        if Instant::now() >= until {
            let text = format!("a session is still at a gateway {LEAVE:?} after it was sent away");
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}

/// All lines of a gateway but the router's, on which nothing comes by itself.
fn unplug(cell: &Cell, gateway: usize, unplugged: bool) {
    for line in [&cell.outer[gateway], &cell.store[gateway]] {
        super::fault::set_cut(line, Directions::BOTH, unplugged);
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: gap {} of {} runs", self.drill.name(), spread(&self.gaps), self.gaps.len())?;
        if !self.comebacks.is_empty() {
            write!(out, ", after it listens {}", spread(&self.comebacks))?;
        }
        let tcp = if self.tcp_alive { "alive" } else { "BROKEN" };
        write!(out, ", {} sessions lost, TCP {tcp}, {} fenced", self.lost_count, self.fenced_count)
    }
}

/// Median, and the least and the most, in milliseconds.
fn spread(times: &[Duration]) -> String {
    let mut times = times.to_vec();
    times.sort();
    let ms = |at: usize| times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e3);
    let last = times.len().saturating_sub(1);
    format!("median {:.0} ms ({:.0} to {:.0})", ms(times.len() / 2), ms(0), ms(last))
}

#[cfg(test)]
mod tests;
