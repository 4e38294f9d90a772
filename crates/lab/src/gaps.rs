//! The account of one direction of a stream of numbered datagrams: what was lost, what came late, how long nothing came.

use std::time::{Duration, Instant};

/// A datagram that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Its number, from 0 without holes in the order of sending.
    pub number: u64,
    /// When.
    pub at: Instant,
}

/// What one side sent and the other received.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// When each datagram was sent, by number, from `first` on.
    pub sent: Vec<Instant>,
    /// In the order of arrival.
    pub arrivals: Vec<Arrival>,
    /// Number of the first datagram that is remembered.
    first: u64,
    /// The account of all before it.
    forgotten: Account,
}

/// The account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// Datagrams sent.
    pub sent_count: u64,
    /// Datagrams that never arrived.
    pub lost_count: u64,
    /// Datagrams that arrived after a later one.
    pub reordered_count: u64,
    /// Datagrams that arrived again.
    pub duplicate_count: u64,
    /// Median time under way.
    pub delay: Duration,
    /// Longest time between two consecutive arrivals of new datagrams, from the fault on.
    pub gap: Duration,
    /// Longest time between two consecutive sendings from the fault on: what the machine itself added to the gap.
    pub sending_gap: Duration,
}

impl Record {
    /// Number of the next datagram that is sent.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.first + self.sent.len() as u64
    }

    /// Forgets the single datagrams that were sent before `moment`; their counts stay in the account, their gaps do not.
    pub fn forget_before(&mut self, moment: Instant) {
        let count = self.sent.partition_point(|sent| *sent < moment);
        let boundary = self.first + count as u64;
        let (old, arrivals) = self.arrivals.drain(..).partition(|arrival| arrival.number < boundary);
        let sent = self.sent.drain(..count).collect();
        let old = Record { sent, arrivals: old, first: self.first, forgotten: self.forgotten };
        let Account { sent_count, lost_count, reordered_count, duplicate_count, .. } =
            old.account(moment, moment);
        self.forgotten =
            Account { sent_count, lost_count, reordered_count, duplicate_count, ..Account::default() };
        self.arrivals = arrivals;
        self.first = boundary;
    }

    /// When something came for the first time after `moment`.
    #[must_use]
    pub fn first_after(&self, moment: Instant) -> Option<Instant> {
        self.arrivals.iter().map(|arrival| arrival.at).find(|at| *at > moment)
    }

    /// Draws up the account. `fault`: when the clock of the gap starts; the gap that is open then counts whole.
    /// `end`: when sending stopped; silence until then counts as well, and what was sent later is not called lost.
    #[must_use]
    pub fn account(&self, fault: Instant, end: Instant) -> Account {
        let mut seen = vec![false; self.sent.len()];
        let mut account = Account { sent_count: self.next_number(), ..self.forgotten };
        let mut newest = None;
        let mut first_times = Vec::with_capacity(self.arrivals.len());
        let mut delays = Vec::with_capacity(self.arrivals.len());
        for arrival in &self.arrivals {
            // A number that was never sent is a stray of an earlier stream.
            let index = arrival.number.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
            let index = index.unwrap_or(usize::MAX);
            let (Some(seen), Some(sent)) = (seen.get_mut(index), self.sent.get(index)) else { continue };
            if std::mem::replace(seen, true) {
                account.duplicate_count += 1;
                continue;
            }
            if newest.is_some_and(|newest| arrival.number < newest) {
                account.reordered_count += 1;
            }
            newest = newest.max(Some(arrival.number));
            first_times.push(arrival.at);
            delays.push(arrival.at.saturating_duration_since(*sent));
        }
        account.lost_count +=
            self.sent.iter().zip(&seen).filter(|(sent, seen)| **sent <= end && !**seen).count() as u64;
        delays.sort();
        account.delay = delays.get(delays.len() / 2).copied().unwrap_or_default();
        account.gap = longest_pause(&first_times, fault, end);
        account.sending_gap = longest_pause(&self.sent, fault, end);
        account
    }
}

/// The longest time without an event that ends after `from`, the time up to `end` included.
fn longest_pause(events: &[Instant], from: Instant, end: Instant) -> Duration {
    let Some(last) = events.last() else { return end.saturating_duration_since(from) };
    let pauses = events.windows(2).filter(|pair| pair[1] > from).map(|pair| pair[1] - pair[0]);
    pauses.max().unwrap_or_default().max(end.saturating_duration_since(*last))
}

#[cfg(test)]
mod tests;
