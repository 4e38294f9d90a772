//! The order of paths: total, deterministic, in integers.

use std::cmp::Reverse;
use std::time::Duration;

use jumpvpn_events::Time;

use crate::{Class, Health, PathView, Policy};

/// Round trip time assumed for a path that was never measured: worse than any path people would choose.
const UNMEASURED: Duration = Duration::from_secs(1);

/// Cost at which a path gets half of the points of its band: a round trip that people begin to notice.
const HALF_POINTS: u64 = 100_000; // us

/// How usable a path is, best first. Between bands, measured quality does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Band {
    /// Works, with acceptable loss.
    Good,
    /// Works, with more loss than `volatility.loss_volatile_threshold`.
    Lossy,
    /// Works, but flapped and is held back.
    Held,
    /// May or may not work.
    Suspect,
    /// Never answered.
    Unproven,
    /// Does not work.
    Dead,
    /// Its class is not allowed.
    Forbidden,
}

impl Band {
    /// The name as it stands in status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Band::Good => "good",
            Band::Lossy => "lossy",
            Band::Held => "held",
            Band::Suspect => "suspect",
            Band::Unproven => "unproven",
            Band::Dead => "dead",
            Band::Forbidden => "forbidden",
        }
    }
}

/// The place of one path in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// Which path.
    pub id: u32,
    /// How usable it is.
    pub band: Band,
    /// Round trip time plus the costs of `path.*`, in microseconds. Lower is better.
    pub cost_us: u64,
    /// For people: 0 (unusable) to 1000 (perfect). Never higher than that of a path in a better band.
    pub score: u16,
}

/// All paths, best first: by band, then the operator's preference, then cost, then warm before cold, then id.
///
/// The id makes the order total, so that the same paths give the same order whatever order they came in.
pub fn rank(policy: &Policy, now: Time, paths: &[PathView]) -> Vec<Rank> {
    let mut sorted: Vec<&PathView> = paths.iter().collect();
    sorted.sort_by_key(|path| sort_key(policy, now, path));
    sorted.into_iter().map(|path| place(policy, now, path)).collect()
}

/// How usable the path is at that time.
pub(crate) fn band(policy: &Policy, now: Time, path: &PathView) -> Band {
    match path.health {
        _ if !policy.transport.allowed.contains(path.class) => Band::Forbidden,
        Health::Dead => Band::Dead,
        Health::Unproven => Band::Unproven,
        Health::Suspect => Band::Suspect,
        Health::Alive if path.is_held(now) => Band::Held,
        Health::Alive if path.loss_permille > policy.volatility.loss_volatile_threshold => Band::Lossy,
        Health::Alive => Band::Good,
    }
}

/// Round trip time plus costs, in microseconds.
pub(crate) fn cost_us(policy: &Policy, path: &PathView) -> u64 {
    let costs = &policy.path;
    let class = match path.class {
        Class::Udp => Duration::ZERO,
        Class::Tcp => costs.tcp_cost,
        Class::Tls => costs.tls_cost,
    };
    let metered = if path.metered { costs.metered_cost } else { Duration::ZERO };
    let loss = micros(costs.loss_cost).saturating_mul(u64::from(path.loss_permille)) / 10;
    [micros(path.rtt.unwrap_or(UNMEASURED)), micros(class), micros(metered), loss]
        .into_iter()
        .fold(0, u64::saturating_add)
}

/// The order of [`rank()`], as a key.
pub(crate) fn sort_key(policy: &Policy, now: Time, path: &PathView) -> (Band, Reverse<i32>, u64, bool, u32) {
    (band(policy, now, path), Reverse(path.preference), cost_us(policy, path), !path.warm, path.id)
}

fn place(policy: &Policy, now: Time, path: &PathView) -> Rank {
    let band = band(policy, now, path);
    let cost_us = cost_us(policy, path);
    Rank { id: path.id, band, cost_us, score: score(band, cost_us) }
}

/// Points for people. Each band has a range of its own: base plus a share that falls with the cost.
fn score(band: Band, cost_us: u64) -> u16 {
    let (base, span) = match band {
        Band::Good => (500, 500),
        Band::Lossy => (300, 199),
        Band::Held => (150, 149),
        Band::Suspect => (50, 99),
        Band::Unproven => (1, 48),
        Band::Dead | Band::Forbidden => (0, 0),
    };
    let share = span * HALF_POINTS / HALF_POINTS.saturating_add(cost_us);
    u16::try_from(base + share).unwrap_or(u16::MAX)
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(crate) mod tests;
