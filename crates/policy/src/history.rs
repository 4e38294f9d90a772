//! What a session remembers of its own moves: enough to enforce the limits, fixed in size.

use std::time::Duration;

use jumpvpn_events::Time;

use crate::{PathView, Policy};

/// Upper bound of `switching.max_switches_per_min`: the ring must hold one full minute.
pub(crate) const SWITCH_CAPACITY: usize = 32;

/// Upper bound of `switching.churn_denials`: the ring must hold that many.
pub(crate) const DENIAL_CAPACITY: usize = 64;

/// The span of `max_switches_per_min`.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// Denials closer together than this count once: a caller that asks again on every heartbeat has one problem,
/// not many.
const DENIAL_SPACING: Duration = Duration::from_secs(5);

/// Samples closer together than this count once, so that "several measurements in a row" cannot shrink to a
/// burst of packets.
const SAMPLE_SPACING: Duration = Duration::from_millis(100);

/// The moves, denials and the improvement streak of one session. Under 1 KiB, no heap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchHistory {
    switches: Ring<SWITCH_CAPACITY>,
    denials: Ring<DENIAL_CAPACITY>,
    last: Option<Move>,
    streak: Option<Streak>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Move {
    at: Time,
    from: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Streak {
    path: u32,
    count: u16,
    last: Time,
}

impl SwitchHistory {
    /// The history of a session that has never moved.
    pub const fn new() -> SwitchHistory {
        SwitchHistory { switches: Ring::new(), denials: Ring::new(), last: None, streak: None }
    }

    /// The history of a session that has moved at these times elsewhere, oldest first. Of more than 32 the newest are remembered.
    pub fn carried(oldest_first: impl Iterator<Item = Time>) -> SwitchHistory {
        let mut history = SwitchHistory::new();
        oldest_first.for_each(|at| history.switches.push(at));
        history
    }

    /// What is carried on: the moves of the minute that ended with the last of them, newest first.
    pub fn carry(&self) -> impl Iterator<Item = Time> + '_ {
        let newest = self.switches.newest().unwrap_or_default();
        // At most 32.
        (0..usize::from(self.switches.count_since(newest, MINUTE)))
            .filter_map(|n| self.switches.nth_newest(n))
    }

    /// The session came here on this path. Whether that counts as a move is told by [`SwitchHistory::carried`]; the next one has to
    /// wait its time in any case.
    pub fn arrive(&mut self, now: Time, path: u32) {
        self.last = Some(Move { at: now, from: path });
    }

    /// A move from one path to another was committed. A rebinding of the same path is one, too. `now` must not be
    /// before that of an earlier call.
    pub fn record_switch(&mut self, now: Time, from: u32, to: u32) {
        self.switches.push(now);
        self.last = Some(Move { at: now, from });
        if from != to {
            self.streak = None;
        }
    }

    /// A move that was needed was denied. Repeats within five seconds count once.
    pub fn record_denial(&mut self, now: Time) {
        if self.denials.newest().is_none_or(|last| now.since(last) >= DENIAL_SPACING) {
            self.denials.push(now);
        }
    }

    /// One measurement of all paths was completed: follows up which path is better than the active one, and for how
    /// many measurements in a row. Calls within 100 ms of the last one are ignored.
    pub fn record_sample(&mut self, policy: &Policy, now: Time, active: &PathView, others: &[PathView]) {
        if self.streak.is_some_and(|streak| now.since(streak.last) < SAMPLE_SPACING) {
            return;
        }
        self.streak = crate::choose::improvement(policy, now, active, others, self).map(|path| {
            let before = self.streak.filter(|streak| streak.path == path).map_or(0, |streak| streak.count);
            Streak { path, count: before.saturating_add(1), last: now }
        });
    }

    /// For how many measurements in a row that path has been the better one.
    pub fn streak(&self, path: u32) -> u16 {
        self.streak.filter(|streak| streak.path == path).map_or(0, |streak| streak.count)
    }

    /// Moves in the 60 seconds that end now.
    pub fn switches_last_minute(&self, now: Time) -> u16 {
        self.switches.count_since(now, MINUTE)
    }

    /// Denied moves in the span that ends now; at most 64 are remembered.
    pub fn denials(&self, now: Time, span: Duration) -> u16 {
        self.denials.count_since(now, span)
    }

    /// When the session last moved.
    pub fn last_switch(&self) -> Option<Time> {
        self.last.map(|last| last.at)
    }

    /// Which path the last move left, and when.
    pub fn last_left(&self) -> Option<(u32, Time)> {
        self.last.map(|last| (last.from, last.at))
    }

    /// How long until fewer than `limit` moves lie in the last minute; zero if that is so now. A limit of 0 is never
    /// met: the answer is then a whole minute.
    pub fn wait_for_budget(&self, now: Time, limit: u16) -> Duration {
        if self.switches_last_minute(now) < limit {
            return Duration::ZERO;
        }
        match self.switches.nth_newest(usize::from(limit).wrapping_sub(1)) {
            Some(blocking) => (blocking + MINUTE).since(now),
            None => MINUTE,
        }
    }

    /// How long until the cooldown after the last move is over; zero if it is.
    pub fn wait_for_cooldown(&self, now: Time, cooldown: Duration) -> Duration {
        self.last.map_or(Duration::ZERO, |last| (last.at + cooldown).since(now))
    }
}

impl Default for SwitchHistory {
    fn default() -> SwitchHistory {
        SwitchHistory::new()
    }
}

/// The last `N` points in time, oldest overwritten first.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ring<const N: usize> {
    times: [Time; N],
    next: usize,
    len: usize,
}

impl<const N: usize> Ring<N> {
    const fn new() -> Ring<N> {
        Ring { times: [Time::ZERO; N], next: 0, len: 0 }
    }

    fn push(&mut self, at: Time) {
        self.times[self.next] = at;
        self.next = (self.next + 1) % N;
        self.len = (self.len + 1).min(N);
    }

    /// The newest one is number 0.
    fn nth_newest(&self, n: usize) -> Option<Time> {
        (n < self.len).then(|| self.times[(self.next + 2 * N - 1 - n) % N])
    }

    fn newest(&self) -> Option<Time> {
        self.nth_newest(0)
    }

    fn count_since(&self, now: Time, span: Duration) -> u16 {
        let mut count = 0;
        while self.nth_newest(usize::from(count)).is_some_and(|at| now.since(at) < span) {
            count += 1;
        }
        count
    }
}

#[cfg(test)]
mod tests;
