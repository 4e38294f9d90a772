//! `bench memory`: what a session costs a gateway in memory.

use std::time::Duration;

use jumpvpn_engine::gateway::SessionRow;
use jumpvpn_policy::PostQuantum;

use super::client::Client;
use super::meter::resident_bytes;
use super::progress::Progress;
use super::report::Figure;
use super::world::{BIRTH_SPACING, Keys, World, outer};
use crate::exit::Failure;

pub(super) const NOTE: &str = "\
Resident memory of a full gateway engine per session, after a handshake and the hybrid rekey of an agent of its own:
the session, its keys and replay windows, its share of every table that is allotted per capacity. What does not grow
with sessions is left out (difference between a large and a small gateway), and so are the peers of the configuration,
sockets and the ownership store's record. idle: nobody sends, one key epoch. live: packets have gone both ways and the
key epoch before is still open, the largest state without a rekey or a jump under way. growth: by how much a session has
grown when it has jumped 30 more times and was sent forged datagrams of every kind after each; zero is the expected value.";

/// Time between births where sessions fall idle one after the other: the key epoch before is forgotten 3 s after a
/// rekey, and the oldest session must not reach the age of 900 s at which keys end.
const IDLE_SPACING: Duration = Duration::from_millis(300);
/// After the last birth: longer than those 3 s.
const IDLE_END: Duration = Duration::from_secs(4);

/// Time between two jumps of a session: below the limits of the policy (1.5 s, and 8 per minute), and short beside the
/// time for which a session may be silent.
const JUMP_SPACING: Duration = Duration::from_secs(10);
/// Jumps of each session before it is weighed for the first time: every part that exists at all exists then.
const JUMPS_BEFORE: u32 = 10;
/// Jumps until it is weighed again.
const JUMPS_BETWEEN: u32 = 30;

/// How much is measured.
pub(super) struct Size {
    /// Sessions of the small gateway: enough that every queue of the engine has gone round once.
    pub(super) small: u32,
    /// Sessions of the large gateway.
    pub(super) large: u32,
    pub(super) rounds: usize,
    /// Sessions that are worn out.
    pub(super) worn: u32,
}

impl Size {
    pub(super) const DEFAULT: Size = Size { small: 1024, large: 2048, rounds: 3, worn: 256 };
}

/// State in which sessions are weighed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Idle,
    Live,
}

/// Measures.
pub(super) fn measure(size: &Size, progress: &mut Progress) -> Result<Vec<Figure>, Failure> {
    // Nothing is freed before the end: memory that is used again would not show.
    let mut kept = Vec::new();
    let mut bytes = [Vec::new(), Vec::new()];
    // What the process takes once, when the first engines are made, is no session's.
    resident(size.small.div_ceil(16), Life::Live, &mut kept)?;
    let total = size.rounds * 4 + 1;
    for _ in 0..size.rounds {
        for (life, values) in [Life::Idle, Life::Live].into_iter().zip(&mut bytes) {
            let small = resident(size.small, life, &mut kept)?;
            progress.step(kept.len(), total);
            let large = resident(size.large, life, &mut kept)?;
            progress.step(kept.len(), total);
            values.push((large - small) / f64::from(size.large - size.small));
        }
    }
    let [idle, live] = bytes;
    Ok(vec![
        Figure::of("session_idle_bytes", "bytes", idle),
        Figure::of("session_live_bytes", "bytes", live),
        Figure::of("session_growth_bytes", "bytes", vec![growth(size.worn)?]),
    ])
}

/// By how much the process grows per session while `count` sessions jump and are attacked.
fn growth(count: u32) -> Result<f64, Failure> {
    let keys = Keys::generate(count);
    let peers = keys.peers();
    let mut world = World::new(keys, peers, PostQuantum::Off)?;
    let mut clients = Vec::with_capacity(count as usize);
    for index in 0..count {
        world.now += BIRTH_SPACING;
        clients.push(Client::born(&mut world, index)?.0);
    }
    wear(&mut world, &mut clients, 0..JUMPS_BEFORE)?;
    let before = resident_bytes()?;
    wear(&mut world, &mut clients, JUMPS_BEFORE..JUMPS_BEFORE + JUMPS_BETWEEN)?;
    let grown = resident_bytes()? as f64 - before as f64;
    let moved = |row: &SessionRow| row.switches == JUMPS_BEFORE + JUMPS_BETWEEN;
    if world.gateway.sessions(world.now).filter(moved).count() != count as usize {
        return Err(world.failure("a session did not move"));
    }
    Ok(grown / f64::from(count))
}

fn wear(world: &mut World, clients: &mut [Client], jumps: std::ops::Range<u32>) -> Result<(), Failure> {
    for jump in jumps {
        world.run_until(world.now + JUMP_SPACING);
        for (index, client) in (0..).zip(&mut *clients) {
            let link = jump + 1;
            let mut request = client.request(link, world)?;
            let moved = world.exchange(outer(index, link), &mut request).pop();
            if !moved.is_some_and(|mut answer| client.has_moved(&mut answer)) {
                return Err(world.failure("a session did not move"));
            }
            world.carry_forgeries(index);
        }
    }
    Ok(())
}

/// By how much the process grows when a gateway is made and filled with `count` sessions.
fn resident(count: u32, life: Life, kept: &mut Vec<World>) -> Result<f64, Failure> {
    let keys = Keys::generate(count);
    let peers = keys.peers();
    let before = resident_bytes()?;
    let mut world = World::new(keys, peers, PostQuantum::On)?;
    for index in 0..count {
        match life {
            Life::Idle => world.run_until(world.now + IDLE_SPACING),
            Life::Live => world.now += BIRTH_SPACING,
        }
        world.give_birth(index, 1)?;
        if life == Life::Live {
            world.carry_packets(index)?;
        }
        world.part_with(index);
    }
    if life == Life::Idle {
        world.run_until(world.now + IDLE_END);
    }
    let after = resident_bytes()?;
    if world.gateway.sessions(world.now).count() != count as usize {
        return Err(world.failure("a session was lost"));
    }
    kept.push(world);
    Ok(after as f64 - before as f64)
}
