//! One direction of a radio link, as a pure machine: packets and the time go in, deliveries come out.
//!
//! No clock, no socket, no randomness of the machine: the same seed and the same input give the same output.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// A packet that is overtaken is held back this much longer: more than the spacing of the lab's streams (5 ms), less
/// than what the loss detection of TCP takes for a loss on a 20 ms path.
const REORDER_HOLD: Duration = Duration::from_millis(8);
/// A bottleneck queues this much and drops what comes on top: a usual home router's buffer.
const MAX_QUEUE: Duration = Duration::from_millis(250);
/// Shares are given in parts of this.
const MILLION: u32 = 1_000_000;

/// What one direction of a link does to packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Conditions {
    /// One-way delay.
    pub delay: Duration,
    /// Largest extra delay, uniformly distributed; order is kept.
    pub jitter: Duration,
    /// Random loss, parts of a million.
    pub loss_ppm: u32,
    /// Packets that are overtaken by later ones, parts of a million.
    pub reorder_ppm: u32,
    /// Bottleneck in bits per second.
    pub rate_bps: Option<u64>,
    /// Longest IP packet that passes, bytes; longer ones vanish without a message.
    pub max_packet_len: Option<usize>,
    /// UDP vanishes, everything else passes.
    pub udp_blocked: bool,
    /// Everything vanishes.
    pub black_hole: bool,
}

/// Why a packet never arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The black hole.
    BlackHole,
    /// The UDP filter.
    Udp,
    /// Longer than the link carries.
    TooBig,
    /// Bad luck.
    Random,
    /// The bottleneck's queue is full.
    QueueFull,
}

/// Decides when and whether each packet arrives.
#[derive(Debug)]
pub struct Shaper {
    conditions: Conditions,
    random: ChaCha8Rng,
    /// When the bottleneck has sent everything it was given.
    busy_until: Option<Instant>,
    /// Nothing that keeps its order may arrive before this.
    last_arrival: Option<Instant>,
}

impl Shaper {
    /// A link under `conditions`; equal seeds behave alike.
    #[must_use]
    pub fn new(conditions: Conditions, seed: u64) -> Shaper {
        Shaper { conditions, random: ChaCha8Rng::seed_from_u64(seed), busy_until: None, last_arrival: None }
    }

    /// What holds now.
    #[must_use]
    pub fn conditions(&self) -> Conditions {
        self.conditions
    }

    /// Applies to every packet from now on; packets under way are not touched.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.conditions = conditions;
    }

    /// Judges a packet of `packet_len` bytes that enters at `now`: when it arrives, or why it does not.
    ///
    /// # Errors
    /// The reason of the loss.
    pub fn handle_packet(&mut self, now: Instant, packet_len: usize, is_udp: bool) -> Result<Instant, Loss> {
        // The random numbers are drawn first, for every packet: switching a fault on or off must not shift what later
        // packets draw.
        let [lost, overtaken, late] = std::array::from_fn(|_| self.random.next_u32());
        let conditions = self.conditions;
        if conditions.black_hole {
            return Err(Loss::BlackHole);
        }
        if conditions.udp_blocked && is_udp {
            return Err(Loss::Udp);
        }
        if conditions.max_packet_len.is_some_and(|most| packet_len > most) {
            return Err(Loss::TooBig);
        }
        if hit(lost, conditions.loss_ppm) {
            return Err(Loss::Random);
        }
        let sent = self.pass_bottleneck(now, packet_len)?;
        let extra = conditions.jitter.mul_f64(f64::from(late) / f64::from(u32::MAX));
        let arrival = sent + conditions.delay + extra;
        if hit(overtaken, conditions.reorder_ppm) {
            return Ok(arrival + REORDER_HOLD);
        }
        let in_order = self.last_arrival.map_or(arrival, |last| arrival.max(last));
        self.last_arrival = Some(in_order);
        Ok(in_order)
    }

    fn pass_bottleneck(&mut self, now: Instant, packet_len: usize) -> Result<Instant, Loss> {
        let Some(rate_bps) = self.conditions.rate_bps else {
            return Ok(now);
        };
        let start = self.busy_until.map_or(now, |busy| busy.max(now));
        if start.saturating_duration_since(now) > MAX_QUEUE {
            return Err(Loss::QueueFull);
        }
        let sent = start + Duration::from_secs_f64(packet_len as f64 * 8.0 / rate_bps.max(1) as f64);
        self.busy_until = Some(sent);
        Ok(sent)
    }

    /// Forgets what is under way, as a radio does that loses its access point.
    fn forget_order(&mut self) {
        self.busy_until = None;
        self.last_arrival = None;
    }
}

fn hit(drawn: u32, share_ppm: u32) -> bool {
    (u64::from(drawn) * u64::from(MILLION)) >> 32 < u64::from(share_ppm)
}

/// A shaper and the packets that are under way on it.
#[derive(Debug)]
pub struct Pipe {
    shaper: Shaper,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    entered_count: u64,
    delivered_count: u64,
    lost_count: u64,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct UnderWay {
    arrival: Instant,
    /// Breaks ties: what entered first arrives first.
    order: u64,
    packet: Vec<u8>,
}

/// What became of all packets so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PipeCounts {
    /// Packets that entered.
    pub entered_count: u64,
    /// Packets that came out.
    pub delivered_count: u64,
    /// Packets that vanished.
    pub lost_count: u64,
}

impl Pipe {
    /// An empty pipe.
    #[must_use]
    pub fn new(shaper: Shaper) -> Pipe {
        Pipe { shaper, under_way: BinaryHeap::new(), entered_count: 0, delivered_count: 0, lost_count: 0 }
    }

    /// The shaper, to read its conditions.
    #[must_use]
    pub fn shaper(&self) -> &Shaper {
        &self.shaper
    }

    /// Applies to every packet that enters from now on.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.shaper.set_conditions(conditions);
    }

    /// Takes a packet in; it arrives `extra` later than the link's conditions say.
    pub fn handle_packet(&mut self, now: Instant, packet: Vec<u8>, is_udp: bool, extra: Duration) {
        self.entered_count += 1;
        match self.shaper.handle_packet(now, packet.len(), is_udp) {
            Ok(arrival) => {
                let arrival = arrival + extra;
                self.under_way.push(Reverse(UnderWay { arrival, order: self.entered_count, packet }));
            }
            Err(_loss) => self.lost_count += 1,
        }
    }

    /// The next packet that has arrived by `now`.
    pub fn poll_delivery(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.under_way.peek()?.0.arrival > now {
            return None;
        }
        self.delivered_count += 1;
        self.under_way.pop().map(|Reverse(under_way)| under_way.packet)
    }

    /// When to ask for a delivery again; never when nothing is under way.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.under_way.peek().map(|Reverse(first)| first.arrival)
    }

    /// Drops everything that is under way.
    pub fn flush(&mut self) {
        self.lost_count += self.under_way.len() as u64;
        self.under_way.clear();
        self.shaper.forget_order();
    }

    /// What became of all packets so far.
    #[must_use]
    pub fn counts(&self) -> PipeCounts {
        PipeCounts {
            entered_count: self.entered_count,
            delivered_count: self.delivered_count,
            lost_count: self.lost_count,
        }
    }
}

#[cfg(test)]
mod tests;
