//! `bench lookup`: whether a packet costs more when there are many sessions.

use std::time::Duration;

use jumpvpn_engine::{HEADROOM, Received, SocketKey};
use jumpvpn_events::Reason;
use jumpvpn_policy::PostQuantum;
use jumpvpn_runtime::SystemRandom;
use jumpvpn_wire::DataHeader;
use rand_core::Rng;

use super::client::Client;
use super::meter::{cpu_time, ns_per_item};
use super::progress::Progress;
use super::report::Figure;
use super::world::{BIRTH_SPACING, Keys, PACKET_LEN, SEALED_LEN, World, inner_packet, outer};
use crate::exit::Failure;

pub(super) const NOTE: &str = "\
Times of one core per datagram, to sessions in random order, in batches as a receive brings them: the engine is told
which datagrams come next, which is part of the time. lookup: DATA whose slot is found by its CID and that is refused by
its key generation, which stands beside the CID; the session itself is not read. packet: 28 bytes inside, _in opened, _out found by its inner address and
sealed. flatness: the time with many sessions over that with 10; what is above 1 is memory that many sessions do not
find in a cache. Packets go to the 400,000 youngest sessions at most: a gateway admits 500 births per second, and a key
lives for 900 s. A million sessions need about 8 GiB of memory, and their births some minutes.";

/// Datagrams of a receive: the most the transport asks the kernel for at once.
const RECEIVE_COUNT: usize = 32;
/// Packets between two readings of the clock: few enough that the packets themselves stay in the nearest caches, where
/// a receiver has just put them.
const BATCH_COUNT: usize = 8 * RECEIVE_COUNT;

/// Neither the generation of a newborn session's keys nor a neighbour of it.
const STALE_GENERATION: u8 = 100;

/// Sessions of which packets are sent: those born within 800 s, whose keys are still good.
const YOUNG_COUNT: u32 = 400_000;

/// How much is measured.
pub(super) struct Size {
    pub(super) few: u32,
    /// Sessions at which the times are measured on the way to `many`.
    pub(super) some: u32,
    pub(super) many: u32,
    /// Packets per round and direction, at least; a session gets a whole number of them.
    pub(super) packets_per_round: u32,
    pub(super) rounds: u32,
}

impl Size {
    pub(super) const DEFAULT: Size =
        Size { few: 10, some: 65_536, many: 1_000_000, packets_per_round: 20_000, rounds: 5 };
}

/// Measures.
pub(super) fn measure(size: &Size, progress: &mut Progress) -> Result<Vec<Figure>, Failure> {
    let mut few = Crowd::new(size, size.few)?;
    few.grow(size.few, &mut |_| ())?;
    let few = few.rounds(size)?;
    let mut step = |born| progress.step(born, size.many as usize);
    let mut crowd = Crowd::new(size, size.many)?;
    crowd.grow(size.some, &mut step)?;
    let some = crowd.rounds(size)?;
    crowd.grow(size.many, &mut step)?;
    let many = crowd.rounds(size)?;
    let mut figures = vec![
        flatness("lookup_flatness".to_owned(), &few.lookup, &many.lookup),
        flatness(format!("lookup_flatness_{}", size.some), &few.lookup, &some.lookup),
        flatness("packet_flatness".to_owned(), &few.both_ways(), &many.both_ways()),
        flatness(format!("packet_flatness_{}", size.some), &few.both_ways(), &some.both_ways()),
    ];
    for (count, times) in [(size.few, few), (size.some, some), (size.many, many)] {
        figures.push(Figure::of(format!("lookup_{count}_ns"), "ns", times.lookup));
        figures.push(Figure::of(format!("packet_{count}_in_ns"), "ns", times.inward));
        figures.push(Figure::of(format!("packet_{count}_out_ns"), "ns", times.outward));
    }
    Ok(figures)
}

/// Every round with many sessions over the median of the rounds with few.
fn flatness(name: String, few: &[f64], many: &[f64]) -> Figure {
    let base = Figure::of("", "ns", few.to_vec()).median();
    Figure::of(name, "ratio", many.iter().map(|time| time / base).collect())
}

/// Sessions, and packets that their clients sealed before they went.
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

impl Crowd {
    /// Nobody yet, with room for `capacity`.
    fn new(size: &Size, capacity: u32) -> Result<Crowd, Failure> {
        let keys = Keys::generate(capacity);
        let peers = keys.peers();
        // Without the hybrid rekey: a look-up does not depend on it, and the births take a third of the time.
        let world = World::new(keys, peers, PostQuantum::Off)?;
        // Two passes of rounds: some sessions take part in both.
        let per_session = 2 * packets_per_session(size, capacity.min(size.some)) * size.rounds;
        let room = capacity as usize;
        let sealed = Vec::with_capacity(room * per_session as usize);
        Ok(Crowd { world, count: 0, sealed, per_session, used: vec![0; room] })
    }

    /// Gives birth until there are `count`.
    fn grow(&mut self, count: u32, born: &mut dyn FnMut(usize)) -> Result<(), Failure> {
        for index in self.count..count {
            self.world.now += BIRTH_SPACING;
            let (_, mut uplink) = Client::born(&mut self.world, index)?;
            for _ in 0..self.per_session {
                let mut packet = inner_packet(index, true);
                uplink.seal(&mut packet, &self.world)?;
                self.sealed.push(packet);
            }
            self.count = index + 1;
            born(self.count as usize);
        }
        Ok(())
    }

    fn rounds(&mut self, size: &Size) -> Result<Times, Failure> {
        let mut times = Times::default();
        let each = packets_per_session(size, self.count);
        let order = |from: u32| (from..self.count).flat_map(move |index| (0..each).map(move |_| index));
        let mut all: Vec<u32> = order(0).collect();
        let mut young: Vec<u32> = order(self.count.saturating_sub(YOUNG_COUNT)).collect();
        for _ in 0..size.rounds {
            times.lookup.push(self.pass(&mut all, Crowd::look_up)?);
            times.inward.push(self.pass(&mut young, Crowd::receive)?);
            times.outward.push(self.pass(&mut young, Crowd::send)?);
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
        for run in datagrams.chunks_mut(RECEIVE_COUNT) {
            self.world.gateway.foresee(run.iter().map(|(_, datagram)| datagram.as_slice()));
            for (source, datagram) in run {
                let received = self.world.hand_over(*source, datagram);
                found += usize::from(received == Received::Dropped(Reason::StaleGeneration));
            }
        }
        let spent = cpu_time().saturating_sub(before);
        if found == batch.len() { Ok(spent) } else { Err(self.world.failure("a session was not found")) }
    }

    /// Processor time for the next packet of each of these sessions.
    fn receive(&mut self, batch: &[u32]) -> Result<Duration, Failure> {
        let mut datagrams: Vec<_> = batch.iter().map(|&index| (outer(index, 0), self.next(index))).collect();
        let before = cpu_time();
        let mut delivered = 0;
        for run in datagrams.chunks_mut(RECEIVE_COUNT) {
            self.world.gateway.foresee(run.iter().map(|(_, datagram)| datagram.as_slice()));
            for (source, datagram) in run {
                let received = self.world.hand_over(*source, datagram);
                delivered += usize::from(matches!(received, Received::Packet(_)));
            }
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
        for run in packets.chunks_mut(RECEIVE_COUNT) {
            gateway.foresee_packets(run.iter().map(|packet| &packet[HEADROOM..][..PACKET_LEN]));
            for packet in run {
                let sent = gateway.handle_packet(packet, now);
                sealed += usize::from(sent.is_ok_and(|transmit| transmit.socket == SocketKey(0)));
            }
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
