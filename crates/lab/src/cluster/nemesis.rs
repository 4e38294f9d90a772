//! The nemesis: a cell under load, one fault after another, and a judgement in the end.
//!
//! A run proves something only if its faults had an effect: sessions that moved, packets that were heard. So a run with too
//! little of either fails as well, as does a session that does not come back once all is well again.

use std::fs::File;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::bird::Birds;
use super::cell::Cell;
use super::daemons::{Daemons, Keeping, Programs};
use super::etcd::Store;
use super::fault::Fault;
use super::judge::{Evidence, Figures, Finding, Silence, judge};
use super::plan::COUNT;
use super::witness::Witness;
use crate::plan::{GATEWAY_PORT, LAPTOP_INNER};
use crate::story::{Direction, Directions, Story};
use crate::streams::Streams;
use crate::tunnel::{self, unix_now};

/// Spacing of the numbered datagrams, as in the stories.
const SPACING: Duration = Duration::from_millis(5);
/// Shortest and longest fault: below and above what it takes to give up a silent gateway (3.6 s at the `fast` pace).
const FAULT: [Duration; 2] = [Duration::from_millis(1_500), Duration::from_millis(7_000)];
/// How long traffic may take to flow again when all is well: a gateway is given up after 3.6 s, a client whose
/// session is gone begins anew, and the machine may be busy.
const COMEBACK: Duration = Duration::from_secs(40);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Fewer moves than this for each four faults, and the faults missed.
const FAULTS_PER_MOVE: usize = 4;
/// The least that both witnesses must have heard for each fault: half a second of one stream.
const PACKETS_PER_FAULT: usize = 100;
/// Gateways that may end by themselves in one run: more than that is no accident.
const REVIVED_MAX: usize = 50;
/// How long a delayed client is behind: less than the fence (3 s), and more than what is left of it when a gateway is
/// given up too early.
const STRAGGLE: Duration = Duration::from_millis(2_500);

/// The same in the control run, in which gateways are given up after half of the fence: before what is delayed arrives.
const CONTROL_STRAGGLE: Duration = Duration::from_millis(2_000);

/// How long a fault of it takes: until the former owner has stopped by itself (3 s), and what was sent to it has come.
const CONTROL_FAULT: Duration = Duration::from_millis(4_000);

/// Which faults happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// All kinds, most of them to the owner.
    All,
    /// The one that shows an owner that was given up too early, and always to the owner.
    Forgotten,
}

/// What a run is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// For how long faults happen.
    pub time: Duration,
    /// Seed of all choices.
    pub seed: u64,
    /// Which faults happen.
    pub choice: Choice,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// Faults that happened.
    pub fault_count: usize,
    /// What was judged.
    pub figures: Figures,
    /// Longest gap of the numbered datagrams that came up to the server.
    pub longest_gap: Duration,
    /// How often a gateway ended by itself and was started again: it does where the machine does not do what it asks.
    pub revived_count: usize,
    /// Faults that cannot happen on this machine, and why.
    pub left_out: Vec<String>,
    /// What the judge found.
    pub findings: Vec<Finding>,
    /// What else is wrong.
    pub troubles: Vec<String>,
}

impl Outcome {
    /// One line of figures.
    #[must_use]
    pub fn line(&self) -> String {
        let [inner, outer] = self.figures.packet_counts;
        format!(
            "{} faults, {} owner epochs, {} moves, {inner} + {outer} packets and {} keys judged, longest gap {:.1} s, \
             {} gateways ended by themselves, {} findings{}",
            self.fault_count,
            self.figures.step_count,
            self.figures.move_count,
            self.figures.key_count,
            self.longest_gap.as_secs_f64(),
            self.revived_count,
            self.findings.len() + self.troubles.len(),
            if self.left_out.is_empty() {
                String::new()
            } else {
                format!(", left out: {}", self.left_out.join("; "))
            },
        )
    }

    /// Whether the judge found two gateways that served one session: what a control run is for.
    #[must_use]
    pub fn has_caught_two_owners(&self) -> bool {
        self.troubles.is_empty()
            && self.findings.iter().any(|finding| matches!(finding, Finding::Stale { .. }))
    }

    /// Whether the run counts and nothing was found.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty() && self.troubles.is_empty()
    }
}

/// A cell with everything running.
#[derive(Debug)]
pub struct Arena {
    pub(super) cell: Cell,
    pub(super) store: Store,
    pub(super) daemons: Daemons,
    pub(super) streams: Streams,
    witness: Witness,
    /// Gateways that ended by themselves and were started again.
    revived: Vec<usize>,
    /// Only has to live.
    _birds: Birds,
}

impl Arena {
    /// Builds the network, starts store, routing daemons, gateways and agent, and lets the streams run.
    ///
    /// # Errors
    /// A sentence: what could not be built or started.
    pub fn open(programs: Programs, folder: &Path, seed: u64) -> io::Result<Arena> {
        let cell = Cell::build(Story::calm_network(), seed)?;
        let store = Store::start(&cell, &folder.join("store"))?;
        let birds = Birds::start(&cell, folder)?;
        if programs.keeping() == Keeping::Alone {
            cell.lead_sessions_to(0)?;
        }
        let witness = Witness::listen(&cell, LAPTOP_INNER, GATEWAY_PORT)?;
        let daemons = Daemons::start(&cell, programs)?;
        let streams = start_streams(&cell)?;
        Ok(Arena { cell, store, daemons, streams, witness, revived: Vec::new(), _birds: birds })
    }

    /// Waits until datagrams flow both ways again, without a pause of the last half second.
    pub(super) fn wait_until_flowing(&mut self) -> io::Result<()> {
        let until = Instant::now() + COMEBACK;
        let counts = |streams: &Streams| Direction::ALL.map(|direction| streams.udp.progress(direction).0);
        let mut before = counts(&self.streams);
        loop {
            thread::sleep(10 * SPACING);
            let now = counts(&self.streams);
            // At least half of what was sent in the meantime, each way.
            if now.iter().zip(before).all(|(now, before)| *now >= before + 5) {
                return Ok(());
            }
            before = now;
            self.revived.extend(self.daemons.revive(&self.cell)?);
            self.daemons.check()?;
            if Instant::now() >= until {
                let text =
                    format!("nothing flows {COMEBACK:?} after all was well: {:?}", self.daemons.status());
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
        }
    }
}

/// The routers have to hear of the session first, so that a connection comes about.
fn start_streams(cell: &Cell) -> io::Result<Streams> {
    let until = Instant::now() + COMEBACK;
    loop {
        match Streams::start(&cell.laptop, &cell.server, LAPTOP_INNER, SPACING, None) {
            Err(_) if Instant::now() < until => thread::sleep(LOOK_AGAIN),
            started => return started,
        }
    }
}

/// Runs the nemesis; must be called [`inside`](crate::inside). `say` is told what happens.
///
/// # Errors
/// A sentence: what could not be built or started. What goes wrong later is part of the outcome.
pub fn run(
    order: Order,
    programs: Programs,
    folder: &Path,
    say: &mut dyn FnMut(&str),
) -> io::Result<Outcome> {
    let mut arena = Arena::open(programs, folder, order.seed)?;
    arena.wait_until_flowing()?;
    let began = Instant::now();
    let mut random = ChaCha8Rng::seed_from_u64(order.seed);
    let mut evidence = Evidence::default();
    let (mut fault_count, mut left_out, mut troubles) = (0, Vec::new(), Vec::new());
    let mut kinds = Vec::new();
    while began.elapsed() < order.time && troubles.is_empty() {
        if kinds.is_empty() {
            kinds = match order.choice {
                Choice::All => shuffled(&mut random),
                Choice::Forgotten => vec![Fault::Forgotten(0, CONTROL_STRAGGLE)],
            };
        }
        let Some(kind) = kinds.pop() else { break };
        let owner = arena.daemons.owner().unwrap_or_else(|| below(&mut random, COUNT));
        let fault = match order.choice {
            Choice::All => aimed(kind, owner, &mut random),
            Choice::Forgotten => kind.at(owner),
        };
        let time = match order.choice {
            Choice::All => FAULT[0] + (FAULT[1] - FAULT[0]) * (below(&mut random, 1_000) as u32) / 1_000,
            Choice::Forgotten => CONTROL_FAULT,
        };
        let from = unix_now();
        let revived_before = arena.revived.len();
        let happened = happen(&mut arena, fault, time);
        let revived = arena.revived[revived_before..].iter();
        evidence.silences.extend(revived.map(|gateway| Silence { gateway: *gateway, from, to: unix_now() }));
        match happened {
            Ok(()) => {
                fault_count += 1;
                evidence.silences.extend(silences(fault, from));
                say(&format!(
                    "{:6.1} s: {fault} for {:.1} s",
                    began.elapsed().as_secs_f64(),
                    time.as_secs_f64()
                ));
            }
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                left_out.push(format!("{fault} ({error})"))
            }
            Err(error) => troubles.push(format!("{fault}: {error}")),
        }
    }
    arena.streams.stop_sending();
    evidence.facts = arena.daemons.facts()?;
    evidence.packets = arena.witness.heard();
    evidence.key_uses = arena.daemons.key_uses()?;
    let (figures, findings) = judge(&evidence);
    troubles.extend(too_little(fault_count, figures));
    left_out.dedup();
    let up = arena.streams.udp.record(Direction::Up);
    let longest_gap = up.account(began, Instant::now()).gap;
    keep(&arena, folder)?;
    let revived_count = arena.revived.len();
    Ok(Outcome { fault_count, figures, longest_gap, revived_count, left_out, findings, troubles })
}

/// One fault, and the way back.
fn happen(arena: &mut Arena, fault: Fault, time: Duration) -> io::Result<()> {
    let Arena { cell, store, daemons, revived, .. } = arena;
    let ongoing = fault.begin(cell, store, Some(daemons))?;
    thread::sleep(time);
    ongoing.end(cell, store, Some(daemons))?;
    store.wait_until_serving(cell)?;
    if let Fault::GatewayKilled(gateway) = fault {
        // One that waits for the store in vain ends, and is started again.
        while let Err(error) = daemons.wait_for_gateway(gateway) {
            let ended = daemons.revive(cell)?;
            if ended.is_empty() || revived.len() >= REVIVED_MAX {
                return Err(error);
            }
            revived.extend(ended);
        }
    }
    arena.wait_until_flowing()
}

/// Who may have failed to write something down because of a fault that began then and is over now.
fn silences(fault: Fault, from: Duration) -> Vec<Silence> {
    let to = unix_now();
    let all = 0..COUNT;
    all.filter(|index| fault.gateway().is_none_or(|gateway| gateway == *index))
        .map(|gateway| Silence { gateway, from, to })
        .collect()
}

/// A run that had too little of what it is for.
fn too_little(fault_count: usize, figures: Figures) -> Option<String> {
    let moves_wanted = fault_count.div_ceil(FAULTS_PER_MOVE);
    let packets_wanted = fault_count * PACKETS_PER_FAULT;
    let heard = figures.packet_counts.iter().all(|count| *count >= packets_wanted);
    if fault_count > 0 && figures.move_count >= moves_wanted && heard {
        return None;
    }
    Some(format!(
        "the run does not count: {fault_count} faults led to {} moves of {moves_wanted} wanted, and {:?} packets of \
         {packets_wanted} wanted were heard",
        figures.move_count, figures.packet_counts
    ))
}

/// What can happen; whom it meets is decided when it does.
fn shuffled(random: &mut ChaCha8Rng) -> Vec<Fault> {
    let ways = [Directions::BOTH, Directions::only(Direction::Up), Directions::only(Direction::Down)];
    let mut kinds = vec![
        Fault::StoreSlow(0, Duration::from_millis(200)),
        Fault::Straggler(0, STRAGGLE),
        Fault::Forgotten(0, STRAGGLE),
        Fault::GatewayPaused(0),
        Fault::GatewayKilled(0),
        Fault::LeaderCut,
        Fault::LeaderPaused,
        Fault::LeaderKilled,
        Fault::LeaderFrozen,
        Fault::DiskFull(0),
        Fault::NoQuorum,
    ];
    for way in ways {
        kinds.extend([Fault::StoreCut(0, way), Fault::ClientCut(0, way)]);
    }
    // Fisher and Yates.
    for last in (1..kinds.len()).rev() {
        kinds.swap(last, below(random, last + 1));
    }
    kinds
}

/// Most faults meet the owner: the others have nothing to lose.
fn aimed(kind: Fault, owner: usize, random: &mut ChaCha8Rng) -> Fault {
    kind.at(if below(random, 4) == 0 { below(random, COUNT) } else { owner })
}

fn below(random: &mut ChaCha8Rng, bound: usize) -> usize {
    // The bias of the remainder is of no consequence here.
    random.next_u32() as usize % bound
}

/// Everything that the daemons wrote, in order of time, in one file.
fn keep(arena: &Arena, folder: &Path) -> io::Result<()> {
    let files = arena.daemons.event_files();
    let parts: Vec<_> = files.iter().map(|(name, path)| (*name, path.as_path())).collect();
    tunnel::merge(&mut File::create(folder.join("events.jsonl"))?, 1, &[], &parts)
}

#[cfg(test)]
mod tests;
