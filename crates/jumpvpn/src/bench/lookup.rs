//! `bench lookup`: whether a packet costs more when there are many sessions.

use std::collections::HashMap;
use std::time::Duration;

use jumpvpn_engine::{HEADROOM, Received, SocketKey};
use jumpvpn_events::Reason;
use jumpvpn_policy::PostQuantum;
use jumpvpn_runtime::SystemRandom;
use jumpvpn_session::TrafficSender;
use jumpvpn_wire::{Cid, DataHeader};
use rand_core::Rng;

use super::meter::{cpu_time, ns_per_item};
use super::progress::Progress;
use super::report::Figure;
use super::world::{Keys, PACKET_LEN, SEALED_LEN, Shared, World, inner_packet, outer};
use crate::exit::Failure;

pub(super) const NOTE: &str = "\
Times of one core per datagram, to sessions in random order, in batches as a receive brings them: the engine is told
which datagrams come next, which is part of the time. lookup: DATA whose slot is found by its CID and that is refused by
its key generation, which stands beside the CID; the session itself is not read. packet: 28 bytes inside, _in opened,
_out found by its inner address and sealed. flatness: the time with 10^6 sessions, or with as many as the name says,
over that with 10, each measured in turn with the other; what is above 1 is memory that many sessions do not find in a
cache. Sessions are put in without their handshakes, and are otherwise what a handshake makes. A million of them need
about 6 GiB of memory.";

/// Datagrams of a receive: the most the transport asks the kernel for at once.
const RECEIVE_COUNT: usize = 32;
/// Packets between two readings of the clock: few enough that the packets themselves stay in the nearest caches, where
/// a receiver has just put them.
const BATCH_COUNT: usize = 8 * RECEIVE_COUNT;

/// Neither the generation of a newborn session's keys nor a neighbour of it.
const STALE_GENERATION: u8 = 100;

/// How much is measured.
pub(super) struct Size {
    pub(super) few: u32,
    /// Sessions at which the times are measured, each more than before, beside those with `few`.
    pub(super) many: &'static [u32],
    /// Packets per round and direction.
    pub(super) packets_per_round: usize,
    pub(super) rounds: u32,
}

impl Size {
    pub(super) const DEFAULT: Size =
        Size { few: 10, many: &[1000, 65_536, 1_000_000], packets_per_round: 40_000, rounds: 5 };
}

/// Measures.
pub(super) fn measure(size: &Size, progress: &mut Progress) -> Result<Vec<Figure>, Failure> {
    let most = size.many.iter().copied().max().unwrap_or_default();
    let mut few = Crowd::new(size.few)?;
    few.grow(size.few, &mut |_| ())?;
    let mut crowd = Crowd::new(most)?;
    let mut all_few = Times::default();
    let (mut ratios, mut figures) = (Vec::new(), Vec::new());
    for &count in size.many {
        crowd.grow(count, &mut |done| progress.step(done, most as usize))?;
        let (mut base, mut times) = (Times::default(), Times::default());
        for _ in 0..size.rounds {
            few.round(size, &mut base)?;
            crowd.round(size, &mut times)?;
        }
        // The greatest number is the one that is meant where no number is named.
        let number = if count == most { String::new() } else { format!("_{count}") };
        ratios.push(flatness(format!("lookup_flatness{number}"), &base.lookup, &times.lookup));
        ratios.push(flatness(format!("packet_flatness{number}"), &base.both_ways(), &times.both_ways()));
        figures.extend(times.figures(count));
        all_few.take(base);
    }
    ratios.extend(all_few.figures(size.few));
    ratios.extend(figures);
    Ok(ratios)
}

/// Every round with many sessions over the median of the rounds with few.
fn flatness(name: String, few: &[f64], many: &[f64]) -> Figure {
    let base = Figure::of("", "ns", few.to_vec()).median();
    Figure::of(name, "ratio", many.iter().map(|time| time / base).collect())
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

    fn take(&mut self, other: Times) {
        self.lookup.extend(other.lookup);
        self.inward.extend(other.inward);
        self.outward.extend(other.outward);
    }

    fn figures(self, count: u32) -> [Figure; 3] {
        [
            Figure::of(format!("lookup_{count}_ns"), "ns", self.lookup),
            Figure::of(format!("packet_{count}_in_ns"), "ns", self.inward),
            Figure::of(format!("packet_{count}_out_ns"), "ns", self.outward),
        ]
    }
}

/// A gateway with sessions, and what their clients have.
struct Crowd {
    world: World,
    shared: Shared,
    /// By client.
    cids: Vec<Cid>,
    /// Of the clients that have sent a packet.
    senders: HashMap<u32, TrafficSender>,
    /// All clients, in no order.
    order: Vec<u32>,
}

impl Crowd {
    /// Nobody yet, with room for `capacity`.
    fn new(capacity: u32) -> Result<Crowd, Failure> {
        let keys = Keys::generate(1);
        let peers = keys.peers();
        let world = World::with_capacity(capacity as usize, keys, peers, PostQuantum::Off)?;
        let cids = Vec::with_capacity(capacity as usize);
        Ok(Crowd { world, shared: Shared::generate(), cids, senders: HashMap::new(), order: Vec::new() })
    }

    /// Puts sessions in until there are `count`.
    fn grow(&mut self, count: u32, done: &mut dyn FnMut(usize)) -> Result<(), Failure> {
        for index in self.order.len() as u32..count {
            self.cids.push(self.world.install(index, &self.shared)?);
            self.order.push(index);
            done(self.order.len());
        }
        Ok(())
    }

    fn round(&mut self, size: &Size, times: &mut Times) -> Result<(), Failure> {
        times.lookup.push(self.pass(size, Crowd::look_up)?);
        times.inward.push(self.pass(size, Crowd::receive)?);
        times.outward.push(self.pass(size, Crowd::send)?);
        Ok(())
    }

    /// Nanoseconds per datagram when `take` is called with sessions in random order.
    fn pass(
        &mut self,
        size: &Size,
        take: fn(&mut Crowd, &[u32]) -> Result<Duration, Failure>,
    ) -> Result<f64, Failure> {
        let drawn = self.draw(size.packets_per_round);
        let mut spent = Duration::ZERO;
        for batch in drawn.chunks(BATCH_COUNT) {
            spent += take(self, batch)?;
        }
        Ok(ns_per_item(spent, drawn.len()))
    }

    /// So many clients: nobody twice before everybody was there.
    fn draw(&mut self, count: usize) -> Vec<u32> {
        let mut drawn = Vec::with_capacity(count);
        while drawn.len() < count {
            let more = self.order.len().min(count - drawn.len());
            shuffle(&mut self.order, more);
            drawn.extend(&self.order[..more]);
        }
        drawn
    }

    /// Processor time for finding each of these sessions.
    fn look_up(&mut self, batch: &[u32]) -> Result<Duration, Failure> {
        let stale = |&index: &u32| {
            let (mut datagram, cid) = ([0; SEALED_LEN], self.cids[index as usize]);
            if let Some(head) = datagram.first_chunk_mut() {
                DataHeader { generation: STALE_GENERATION, lane: 0, cid, pn: 0 }.write(head);
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
        let mut datagrams = Vec::with_capacity(batch.len());
        for &index in batch {
            datagrams.push((outer(index, 0), self.seal(index)?));
        }
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

    /// The next packet of this client.
    fn seal(&mut self, index: u32) -> Result<[u8; SEALED_LEN], Failure> {
        let sender = self.senders.entry(index).or_insert_with(|| self.shared.sender(index));
        let mut packet = inner_packet(index, true);
        let sealed = sender.seal(self.cids[index as usize], 0, &mut packet);
        sealed.map(|()| packet).map_err(|_| self.world.failure("a packet was not sealed"))
    }
}

/// The first `count` places get clients drawn from all (Fisher and Yates).
fn shuffle(order: &mut [u32], count: usize) {
    for at in 0..count {
        let left = (order.len() - at) as u64;
        order.swap(at, at + (SystemRandom.next_u64() % left) as usize);
    }
}
