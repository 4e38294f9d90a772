//! Estimators of one path: round-trip time, packet spacing, loss.
use std::time::Duration;

use jumpvpn_events::Time;

/// Initial round-trip time before the first sample. RFC 9002 §6.2.2 uses 333 ms.
const INITIAL_RTT: Duration = Duration::from_millis(333);
/// Floor of the variance part of the probe timeout. RFC 9002 §6.1.2 has a granularity of 1 ms for a kernel
/// timer; a user-space daemon on a loaded machine wakes up to ~10 ms late (measured on two busy cores), and a
/// false alarm costs a jump, so the floor is 15 ms.
const MIN_TIMEOUT_SLACK: Duration = Duration::from_millis(15);
/// Longest probe timeout: the back-off of recovery ends at 1.6 s too.
const MAX_TIMEOUT: Duration = Duration::from_millis(1600);

/// Smoothed round-trip time and its variation (RFC 9002 §5.3, weights 1/8 and 1/4).
#[derive(Clone, Debug, Default)]
pub struct RttEstimator {
    smoothed: Option<Duration>,
    variation: Duration,
    latest: Duration,
}

impl RttEstimator {
    /// Takes a sample in.
    pub fn update(&mut self, sample: Duration) {
        self.latest = sample;
        match self.smoothed {
            None => {
                self.smoothed = Some(sample);
                self.variation = sample / 2;
            }
            Some(smoothed) => {
                self.variation = (self.variation * 3 + smoothed.abs_diff(sample)) / 4;
                self.smoothed = Some((smoothed * 7 + sample) / 8);
            }
        }
    }

    /// The smoothed value; `None` before the first sample.
    pub fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// The smoothed value, or RFC 9002's initial 333 ms.
    pub fn smoothed_or_initial(&self) -> Duration {
        self.smoothed.unwrap_or(INITIAL_RTT)
    }

    /// How long an answer may take before it counts as missing: SRTT + max(4 × RTTVAR, 15 ms), at most 1.6 s
    /// (RFC 9002 §6.2.1 without an acknowledgement delay: the peer answers heartbeats and probes at once).
    pub fn timeout(&self) -> Duration {
        let slack = (self.variation * 4).max(MIN_TIMEOUT_SLACK);
        (self.smoothed_or_initial() + slack).min(MAX_TIMEOUT)
    }
}

/// Arrivals further apart than this are separate bursts and teach nothing about the spacing inside one.
const BURST_END: Duration = Duration::from_millis(300);
/// Arrivals needed in a row before the spacing is trusted.
const SPACING_MIN_SAMPLES: u32 = 8;

/// Spacing of the datagrams that arrive on a binding: mean and mean deviation, the same weights as the RTT.
/// Tells how long a silence is unusual while traffic flows.
#[derive(Clone, Debug, Default)]
pub struct ArrivalSpacing {
    last: Option<Time>,
    mean: Duration,
    deviation: Duration,
    samples: u32,
}

impl ArrivalSpacing {
    /// Notes an authentic arrival.
    pub fn note(&mut self, now: Time) {
        let Some(last) = self.last.replace(now) else { return };
        let gap = now.since(last);
        if gap > BURST_END {
            self.samples = 0;
            return;
        }
        if self.samples == 0 {
            self.mean = gap;
            self.deviation = gap / 2;
        } else {
            self.deviation = (self.deviation * 3 + self.mean.abs_diff(gap)) / 4;
            self.mean = (self.mean * 7 + gap) / 8;
        }
        self.samples = self.samples.saturating_add(1);
    }

    /// The silence from which on it is suspicious: spacing + 4 × deviation, clamped to `min..=max`. `None` while no
    /// steady stream is known.
    pub fn tolerance(&self, min: Duration, max: Duration) -> Option<Duration> {
        (self.samples >= SPACING_MIN_SAMPLES).then(|| (self.mean + self.deviation * 4).clamp(min, max))
    }

    /// When the present silence becomes suspicious: last arrival + tolerance.
    pub fn deadline(&self, min: Duration, max: Duration) -> Option<Time> {
        Some(self.last? + self.tolerance(min, max)?)
    }
}

/// Loss over a sliding window from pairs of counters (sent by one side, received by the other).
#[derive(Clone, Debug, Default)]
pub struct LossWindow {
    start: Option<(Time, u64, u64)>,
    generation: u64,
    permille: u16,
}

/// Fewer packets than this in a window say nothing about loss.
const LOSS_MIN_PACKETS: u64 = 20;

impl LossWindow {
    /// Takes what a receiver says of a binding: the highest position it has seen (generation ‖ number) and how many
    /// packets it has received in all. Numbers start anew with each generation, and so does the window.
    pub fn update_from(&mut self, now: Time, highest: u64, received: u64, window: Duration) {
        let generation = highest >> 32;
        if generation != self.generation {
            self.generation = generation;
            self.start = None;
        }
        self.update(now, (highest & 0xffff_ffff) + 1, received, window);
    }

    /// Takes cumulative counters in: `sent` packets should have arrived, `received` did.
    fn update(&mut self, now: Time, sent: u64, received: u64, window: Duration) {
        let Some((since, sent_then, received_then)) = self.start else {
            self.start = Some((now, sent, received));
            return;
        };
        if now.since(since) < window {
            return;
        }
        let sent_delta = sent.saturating_sub(sent_then);
        let received_delta = received.saturating_sub(received_then);
        if sent_delta >= LOSS_MIN_PACKETS {
            let lost = sent_delta.saturating_sub(received_delta);
            self.permille = u16::try_from(lost * 1000 / sent_delta).unwrap_or(1000).min(1000);
        } else {
            self.permille = 0;
        }
        self.start = Some((now, sent, received));
    }

    /// Loss of the last complete window, in thousandths.
    pub fn permille(&self) -> u16 {
        self.permille
    }
}

#[cfg(test)]
mod tests;
