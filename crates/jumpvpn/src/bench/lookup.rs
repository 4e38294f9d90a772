//! `bench lookup`: whether a packet costs more when there are many sessions.

use std::time::Duration;

use jumpvpn_engine::{Received, SocketKey};
use jumpvpn_events::Reason;
use jumpvpn_policy::PostQuantum;
use jumpvpn_runtime::SystemRandom;
use jumpvpn_wire::DataHeader;
use rand_core::Rng;

use super::meter::{cpu_time, ns_per_item};
use super::progress::Progress;
use super::report::Figure;
use super::world::{BIRTH_SPACING, Keys, SEALED_LEN, World, inner_packet, outer};
use crate::exit::Failure;

pub(super) const NOTE: &str = "\
Times of one core per datagram, to sessions in random order. lookup: DATA whose session is found by its CID and that is
refused by its key generation, before any cryptography. packet: 28 bytes inside, _in opened, _out found by its inner
address and sealed. flatness: the time with many sessions over that with few; what is above 1 is memory that many
sessions do not find in a cache. 65536 sessions, not 10^6: a gateway admits 500 births per second and a key lives for
900 s, so births alone hold no more than 450,000.";

/// Packets between two readings of the clock: few enough that the packets themselves stay in the nearest caches, where
/// a receiver has just put them.
const BATCH_COUNT: usize = 256;

/// Neither the generation of a newborn session's keys nor a neighbour of it.
const STALE_GENERATION: u8 = 100;

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
    let figure = |name: String, times: &[f64]| Figure::of(name, "ns", times.to_vec());
    let (count, base) = (size.many, size.few);
    Ok(vec![
        flatness(format!("lookup_flatness_{count}"), &few.lookup, &many.lookup),
        Figure::of("lookup_sessions", "sessions", vec![f64::from(count)]),
        figure(format!("lookup_{base}_ns"), &few.lookup),
        figure(format!("lookup_{count}_ns"), &many.lookup),
        flatness(format!("packet_flatness_{count}"), &few.both_ways(), &many.both_ways()),
        figure(format!("packet_{base}_in_ns"), &few.inward),
        figure(format!("packet_{base}_out_ns"), &few.outward),
        figure(format!("packet_{count}_in_ns"), &many.inward),
        figure(format!("packet_{count}_out_ns"), &many.outward),
    ])
}

/// Every round with many sessions over the median of the rounds with few.
fn flatness(name: String, few: &[f64], many: &[f64]) -> Figure {
    let base = Figure::of("", "ns", few.to_vec()).median();
    Figure::of(name, "ratio", many.iter().map(|time| time / base).collect())
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

/// Nanoseconds per datagram, one value per round.
#[derive(Default)]
struct Times {
    lookup: Vec<f64>,
    inward: Vec<f64>,
    outward: Vec<f64>,
}

impl Times {
    fn both_ways(&self) -> Vec<f64> {
        self.inward.iter().zip(&self.outward).map(|(inward, outward)| inward + outward).collect()
    }
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
        let mut times = Times::default();
        let each = packets_per_session(size, self.count);
        let mut order: Vec<u32> = (0..self.count).flat_map(|index| (0..each).map(move |_| index)).collect();
        for _ in 0..size.rounds {
            times.lookup.push(self.pass(&mut order, Crowd::look_up)?);
            times.inward.push(self.pass(&mut order, Crowd::receive)?);
            times.outward.push(self.pass(&mut order, Crowd::send)?);
        }
        Ok(times)
    }

    /// Nanoseconds per datagram when `take` is called with all sessions in a new random order.
    fn pass(
        &mut self,
        order: &mut [u32],
        take: fn(&mut Crowd, &[u32]) -> Result<Duration, Failure>,
    ) -> Result<f64, Failure> {
        shuffle(order);
        let mut spent = Duration::ZERO;
        for batch in order.chunks(BATCH_COUNT) {
            spent += take(self, batch)?;
        }
        Ok(ns_per_item(spent, order.len()))
    }

    /// Processor time for finding each of these sessions.
    fn look_up(&mut self, batch: &[u32]) -> Result<Duration, Failure> {
        let stale = |&index: &u32| {
            let mut datagram = self.sealed[(index * self.per_session) as usize];
            if let (Ok(mut header), Some(head)) = (DataHeader::parse(&datagram), datagram.first_chunk_mut()) {
                header.generation = STALE_GENERATION;
                header.write(head);
            }
            (outer(index, 0), datagram)
        };
        let mut datagrams: Vec<_> = batch.iter().map(stale).collect();
        let before = cpu_time();
        let mut found = 0;
        for (source, datagram) in &mut datagrams {
            let received = self.world.hand_over(*source, datagram);
            found += usize::from(received == Received::Dropped(Reason::StaleGeneration));
        }
        let spent = cpu_time().saturating_sub(before);
        if found == batch.len() { Ok(spent) } else { Err(self.world.failure("a session was not found")) }
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
