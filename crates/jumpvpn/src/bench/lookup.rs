//! `bench lookup`: whether a packet costs more when there are many sessions.

use std::time::Duration;

use jumpvpn_engine::{Received, SocketKey};
use jumpvpn_policy::PostQuantum;
use jumpvpn_runtime::SystemRandom;
use rand_core::Rng;

use super::meter::{cpu_time, ns_per_item};
use super::progress::Progress;
use super::report::Figure;
use super::world::{BIRTH_SPACING, Keys, SEALED_LEN, World, inner_packet, outer};
use crate::exit::Failure;

pub(super) const NOTE: &str = "\
Time of one core per small packet (28 bytes inside), to sessions in random order: _in is DATA found by its CID and
opened, _out a packet found by its inner address and sealed. flatness is the time with many sessions over that with
few. 65536 is the largest size on purpose: a gateway admits 500 births per second and a key lives for 900 s, so more
than 450,000 sessions cannot be held by births alone. Beyond the look-up, many sessions do not fit into the caches.";

/// Packets between two readings of the clock: few enough that the packets themselves stay in the nearest caches, where
/// a receiver has just put them.
const BATCH_COUNT: usize = 256;

/// How much is measured.
pub(super) struct Size {
    pub(super) few: u32,
    pub(super) many: u32,
    /// Packets per round and direction, at least; a session gets a whole number of them.
    pub(super) packets_per_round: u32,
    pub(super) rounds: u32,
}

impl Size {
    pub(super) const DEFAULT: Size = Size { few: 10, many: 65_536, packets_per_round: 20_000, rounds: 5 };
}

/// Measures.
pub(super) fn measure(size: &Size, progress: &mut Progress) -> Result<Vec<Figure>, Failure> {
    let few = crowd(size, size.few, &mut |_| ())?.rounds(size)?;
    let mut step = |born| progress.step(born, size.many as usize);
    let many = crowd(size, size.many, &mut step)?.rounds(size)?;
    let both = |times: &Times| -> Vec<f64> {
        times.inward.iter().zip(&times.outward).map(|(inward, outward)| inward + outward).collect()
    };
    let base = Figure::of("", "ns", both(&few)).median();
    let ratios = both(&many).into_iter().map(|time| time / base).collect();
    Ok(vec![
        Figure::of(format!("lookup_flatness_{}", size.many), "ratio", ratios),
        Figure::of("lookup_sessions", "sessions", vec![f64::from(size.many)]),
        Figure::of(format!("lookup_{}_in_ns", size.few), "ns", few.inward),
        Figure::of(format!("lookup_{}_out_ns", size.few), "ns", few.outward),
        Figure::of(format!("lookup_{}_in_ns", size.many), "ns", many.inward),
        Figure::of(format!("lookup_{}_out_ns", size.many), "ns", many.outward),
    ])
}

/// Sessions, and packets that their agents sealed before they went.
struct Crowd {
    world: World,
    count: u32,
    /// Packets of one session in a row.
    sealed: Vec<[u8; SEALED_LEN]>,
    per_session: u32,
    used: Vec<u32>,
}

/// Nanoseconds per packet, one value per round.
struct Times {
    inward: Vec<f64>,
    outward: Vec<f64>,
}

/// Packets of one session in one round.
fn packets_per_session(size: &Size, count: u32) -> u32 {
    size.packets_per_round.div_ceil(count)
}

fn crowd(size: &Size, count: u32, born: &mut dyn FnMut(usize)) -> Result<Crowd, Failure> {
    let keys = Keys::generate(count);
    let peers = keys.peers();
    // Without the hybrid rekey: a look-up does not depend on it, and the births take a third of the time.
    let mut world = World::new(keys, peers, PostQuantum::Off)?;
    let per_session = packets_per_session(size, count) * size.rounds;
    let mut sealed = Vec::with_capacity((count * per_session) as usize);
    for index in 0..count {
        world.now += BIRTH_SPACING;
        world.give_birth(index, 1)?;
        let now = world.now;
        for _ in 0..per_session {
            let mut packet = inner_packet(index, true);
            if world.agent(index)?.handle_packet(&mut packet, now).is_err() {
                return Err(world.failure("an agent did not seal a packet"));
            }
            sealed.push(packet);
        }
        world.part_with(index);
        born(index as usize + 1);
    }
    Ok(Crowd { world, count, sealed, per_session, used: vec![0; count as usize] })
}

impl Crowd {
    fn rounds(mut self, size: &Size) -> Result<Times, Failure> {
        let mut times = Times { inward: Vec::new(), outward: Vec::new() };
        let each = packets_per_session(size, self.count);
        for _ in 0..size.rounds {
            let mut order: Vec<u32> =
                (0..self.count).flat_map(|index| (0..each).map(move |_| index)).collect();
            shuffle(&mut order);
            let (mut inward, mut outward) = (Duration::ZERO, Duration::ZERO);
            for batch in order.chunks(BATCH_COUNT) {
                inward += self.receive(batch)?;
                outward += self.send(batch)?;
            }
            times.inward.push(ns_per_item(inward, order.len()));
            times.outward.push(ns_per_item(outward, order.len()));
        }
        Ok(times)
    }

    /// Processor time for the next packet of each of these sessions.
    fn receive(&mut self, batch: &[u32]) -> Result<Duration, Failure> {
        let mut datagrams: Vec<_> = batch.iter().map(|&index| (outer(index, 0), self.next(index))).collect();
        let before = cpu_time();
        let mut delivered = 0;
        for (source, datagram) in &mut datagrams {
            let received = self.world.hand_over(*source, datagram);
            delivered += usize::from(matches!(received, Received::Packet(_)));
        }
        let spent = cpu_time().saturating_sub(before);
        if delivered == batch.len() { Ok(spent) } else { Err(self.world.failure("a packet was dropped")) }
    }

    /// Processor time for a packet to each of these sessions.
    fn send(&mut self, batch: &[u32]) -> Result<Duration, Failure> {
        let mut packets: Vec<_> = batch.iter().map(|&index| inner_packet(index, false)).collect();
        let (gateway, now) = (&mut self.world.gateway, self.world.now);
        let before = cpu_time();
        let mut sealed = 0;
        for packet in &mut packets {
            let sent = gateway.handle_packet(packet, now);
            sealed += usize::from(sent.is_ok_and(|transmit| transmit.socket == SocketKey(0)));
        }
        let spent = cpu_time().saturating_sub(before);
        if sealed == batch.len() { Ok(spent) } else { Err(self.world.failure("a packet was not sealed")) }
    }

    fn next(&mut self, index: u32) -> [u8; SEALED_LEN] {
        let used = &mut self.used[index as usize];
        let at = index * self.per_session + *used;
        *used += 1;
        self.sealed[at as usize]
    }
}

/// Fisher and Yates.
fn shuffle(order: &mut [u32]) {
    for at in (1..order.len()).rev() {
        order.swap(at, (SystemRandom.next_u64() % (at as u64 + 1)) as usize);
    }
}
