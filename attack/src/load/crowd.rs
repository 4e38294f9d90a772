//! Crowds: more clients than there is room for, and all of them moving at once.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use jumpvpn_policy::PostQuantum;

use super::floods::PATIENCE;
use super::{Account, calm, ms, quantile};
use crate::arena::{Arena, Gateway, GatewayOptions, resident_bytes};
use crate::swarm::{Swarm, keys};

/// Room of the small gateway, and clients that want it.
const ROOM: u32 = 50;
const WANTED: u32 = 80;
/// Clients of the crowd.
const SHORT: u32 = 1_000;
/// At 35 KiB for an agent they need 3.4 GiB.
const LONG: u32 = 100_000;
/// Births per second: a gateway does the public-key work of 500, and everything here shares its machine.
const RATE: u32 = 400;
/// Longest wait for all to move. Every request may be repeated some times.
const STORM: Duration = Duration::from_secs(120);

/// Plays the trial.
pub(super) fn run(arena: &Arena, account: &mut Account) -> io::Result<()> {
    full_table(arena, account)?;
    storm(arena, account)
}

/// A full table refuses newcomers with the right reason and drops nobody.
fn full_table(arena: &Arena, account: &mut Account) -> io::Result<()> {
    let keys = keys(WANTED);
    let peers: Vec<_> = keys.iter().map(|key| key.public()).collect();
    let settings = format!("sessions_max = {ROOM}");
    let options = GatewayOptions { settings: &settings, ..GatewayOptions::default() };
    let mut gateway = Gateway::start(arena, &peers, options)?;
    let mut swarm = Swarm::new(arena)?;
    let (first, late) = keys.split_at(ROOM as usize);
    swarm.raise(first, gateway.public, &calm(), RATE, PATIENCE)?;
    let before = gateway.sessions_digest()?;
    late.iter().for_each(|key| swarm.add(key, gateway.public, &calm()));
    let enough = u64::from(WANTED - ROOM);
    let mut refused = 0;
    let until = Instant::now() + PATIENCE;
    while refused < enough && Instant::now() < until {
        swarm.run(Duration::from_millis(100))?;
        refused = gateway.drops("TABLE_FULL")?;
    }
    let after = gateway.sessions_digest()?;
    let count = gateway.session_count()?;
    account
        .figure(format!("a table for {ROOM}: {count} sessions, {refused} handshakes refused as TABLE_FULL"));
    account.require(refused >= enough, || format!("only {refused} were refused as TABLE_FULL"));
    account.require(count == u64::from(ROOM) && before == after, || {
        format!("of {ROOM} sessions {count} are left")
    });
    let (replies, until) = (swarm.replies, Instant::now() + PATIENCE);
    swarm.set_window(1);
    let served = swarm.run_until(until, |swarm| swarm.replies >= replies + u64::from(ROOM))?;
    account.require(served && swarm.live_count() == ROOM as usize, || "the living are not served".into());
    gateway.check()
}

/// A crowd is born, held, and moves: all want to from the same moment on, and each is asked as soon as the processor that
/// they share has its turn for it ([`Swarm::jump_all`]).
fn storm(arena: &Arena, account: &mut Account) -> io::Result<()> {
    let count = if account.is_long() { LONG } else { SHORT };
    let keys = keys(count);
    let peers: Vec<_> = keys.iter().map(|key| key.public()).collect();
    let options = GatewayOptions {
        settings: &format!("sessions_max = {count}"),
        policy: "security.pq = \"off\"",
        cpu: None,
    };
    let mut gateway = Gateway::start(arena, &peers, options)?;
    let empty = gateway.resident_bytes()?;
    let mut policy = calm();
    // Many thousand agents are to fit this machine: no ring of packets for each, and no hybrid keys, whose work is
    // that of the births' benchmark.
    policy.volatility.detection.replay_last_rtt = false;
    policy.security.pq = PostQuantum::Off;
    let mut swarm = Swarm::new(arena)?;
    let began = Instant::now();
    swarm.raise(&keys, gateway.public, &policy, RATE, PATIENCE)?;
    let born = began.elapsed();
    let held = gateway.resident_bytes()?;
    let per_session = held.saturating_sub(empty) / u64::from(count);
    account.figure(format!(
        "{count} sessions born in {:.1} s, {per_session} bytes of the gateway each, {} MiB of the agents together",
        born.as_secs_f64(),
        resident_bytes(std::process::id())? >> 20
    ));
    swarm.run(Duration::from_secs(1))?;
    let began = Instant::now();
    swarm.jump_all();
    let all = swarm.run_until(Instant::now() + STORM, |swarm| swarm.jumped_count() == count as usize)?;
    let mut times = swarm.jump_times();
    account.figure(format!(
        "{} of {count} moved within {:.2} s: median {}, p99 {}",
        times.len(),
        began.elapsed().as_secs_f64(),
        ms(quantile(&mut times, 0.5)),
        ms(quantile(&mut times, 0.99))
    ));
    account.require(all, || format!("{} of {count} clients moved", times.len()));
    // Whoever was answered last on a busy machine may just be finding out that it lives.
    swarm.run_until(Instant::now() + PATIENCE, |swarm| swarm.live_count() == count as usize)?;
    let (live, sessions) = (swarm.live_count(), gateway.session_count()?);
    let moved = gateway.resident_bytes()?;
    account.figure(format!(
        "{sessions} sessions afterwards, {} bytes each",
        moved.saturating_sub(empty) / u64::from(count)
    ));
    account.require(live == count as usize && sessions == u64::from(count), || {
        format!("{live} clients and {sessions} sessions of {count} live after the storm")
    });
    let mut ended: BTreeMap<String, usize> = BTreeMap::new();
    swarm.ended().iter().for_each(|(_, reason)| *ended.entry(reason.to_string()).or_default() += 1);
    account.require(ended.is_empty(), || format!("sessions ended: {ended:?}"));
    gateway.check()
}
