//! Drills: what an operator does and what happens to him, with the time for which traffic stands still.
//!
//! Gaps are those of numbered datagrams every 5 ms, the longer of both directions; the inner TCP connection is one and the
//! same through all drills, so it must survive every one.

use std::fmt;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::cell::Cell;
use super::nemesis::Arena;
use super::plan::COUNT;
use crate::story::{Direction, Directions};

/// When a supervisor starts a killed program again: systemd's `RestartSec` in packaging/systemd.
const RESTART: Duration = Duration::from_secs(1);
/// Over which time a drain spreads its moves: there is one session.
const DRAIN: Duration = Duration::from_secs(1);
/// How long a dead host stays dead: longer than it takes to give it up.
const DEAD: Duration = Duration::from_secs(10);
/// How long a session may take to leave a gateway that is drained.
const LEAVE: Duration = Duration::from_secs(20);
/// What arrives late belongs to the drill.
const SETTLE: Duration = Duration::from_millis(500);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Something that happens to the gateway that holds the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drill {
    /// Its process is killed, and started again after a second.
    Restart,
    /// Its machine is gone: nothing comes from it any more, and nothing reaches it.
    HostDies,
    /// It is drained.
    Drain,
    /// All three are drained, stopped and started again, one after the other.
    Rolling,
}

/// All drills, the cheap ones first.
pub const ALL: [Drill; 4] = [Drill::Drain, Drill::Rolling, Drill::Restart, Drill::HostDies];

/// What came of a drill.
#[derive(Debug, Clone)]
pub struct Measured {
    drill: Drill,
    /// Longest gap of each run.
    gaps: Vec<Duration>,
    /// Runs after which the agent had another session.
    lost_count: usize,
    /// Whether the inner TCP connection was alive in the end.
    tcp_alive: bool,
}

impl Measured {
    /// Whether nothing was lost; how long it took is for others to judge.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.lost_count == 0 && self.tcp_alive
    }
}

/// Lets a drill happen some times.
///
/// # Errors
/// Traffic did not come back, or a daemon failed.
pub fn measure(drill: Drill, arena: &mut Arena, runs: u32) -> io::Result<Measured> {
    let mut measured = Measured { drill, gaps: Vec::new(), lost_count: 0, tcp_alive: false };
    for _ in 0..runs {
        arena.wait_until_flowing()?;
        let session = arena.daemons.status()?.session;
        arena.streams.tcp.mark();
        let began = Instant::now();
        happen(drill, arena)?;
        arena.wait_until_flowing()?;
        thread::sleep(SETTLE);
        let end = Instant::now();
        let gap = |direction| arena.streams.udp.record(direction).account(began, end).gap;
        measured.gaps.push(Direction::ALL.map(gap).into_iter().max().unwrap_or_default());
        measured.lost_count += usize::from(arena.daemons.status()?.session != session);
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

fn happen(drill: Drill, arena: &mut Arena) -> io::Result<()> {
    let owner = arena.daemons.owner().ok_or_else(|| io::Error::other("nobody holds the session"))?;
    match drill {
        Drill::Drain => {
            drain(arena, owner)?;
            arena.daemons.undrain(owner)
        }
        Drill::Rolling => (0..COUNT).try_for_each(|index| {
            drain(arena, index)?;
            arena.daemons.stop_gateway(index)?;
            arena.daemons.start_gateway(&arena.cell, index)?;
            arena.daemons.wait_for_gateway(index)
        }),
        Drill::Restart => {
            arena.daemons.kill_gateway(owner)?;
            thread::sleep(RESTART);
            arena.daemons.start_gateway(&arena.cell, owner)?;
            arena.daemons.wait_for_gateway(owner)
        }
        Drill::HostDies => {
            unplug(&arena.cell, owner, true);
            arena.daemons.kill_gateway(owner)?;
            thread::sleep(DEAD);
            unplug(&arena.cell, owner, false);
            arena.daemons.start_gateway(&arena.cell, owner)?;
            arena.daemons.wait_for_gateway(owner)
        }
    }
}

fn drain(arena: &Arena, index: usize) -> io::Result<()> {
    arena.daemons.drain(index, DRAIN)?;
    let until = Instant::now() + LEAVE;
    while !arena.daemons.sessions(index)?.is_empty() {
        if Instant::now() >= until {
            let text = format!("a session is still at a gateway {LEAVE:?} after it was drained");
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
        let name = match self.drill {
            Drill::Restart => "gateway killed, restarted after 1 s",
            Drill::HostDies => "gateway's host dies",
            Drill::Drain => "drain",
            Drill::Rolling => "rolling restart of three gateways",
        };
        let mut gaps = self.gaps.clone();
        gaps.sort();
        let ms = |at: usize| gaps.get(at).map_or(0.0, |gap| gap.as_secs_f64() * 1e3);
        let (median, worst) = (ms(gaps.len() / 2), ms(gaps.len().saturating_sub(1)));
        write!(
            out,
            "{name}: gap median {median:.0} ms, worst {worst:.0} ms of {} runs, {} sessions lost, TCP {}",
            gaps.len(),
            self.lost_count,
            if self.tcp_alive { "alive" } else { "BROKEN" }
        )
    }
}
