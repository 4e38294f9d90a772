//! What arrived from each engine thread, and what did not.

/// Per lane: the number up to which everything has arrived or is known to be lost.
#[derive(Debug)]
pub(super) struct Lanes {
    settled: Vec<u64>,
}

impl Lanes {
    /// Lanes whose first event will be number 1.
    pub(super) fn new(lane_count: usize) -> Lanes {
        Lanes { settled: vec![0; lane_count] }
    }

    /// An event arrived: how many before it were lost.
    pub(super) fn accept(&mut self, lane: usize, number: u64) -> u64 {
        let lost_count = self.account_lost(lane, number.saturating_sub(1));
        self.settled[lane] = number;
        lost_count
    }

    /// Nothing up to `number` will arrive any more: how many of them never did.
    pub(super) fn account_lost(&mut self, lane: usize, number: u64) -> u64 {
        let count = number.saturating_sub(self.settled[lane]);
        self.settled[lane] += count;
        count
    }
}

#[cfg(test)]
mod tests;
