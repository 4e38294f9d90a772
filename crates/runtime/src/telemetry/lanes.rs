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
mod tests {
    use super::*;

    #[test]
    fn without_loss_nothing_is_missing() {
        let mut lanes = Lanes::new(2);
        assert_eq!([lanes.accept(0, 1), lanes.accept(1, 1), lanes.accept(0, 2)], [0, 0, 0]);
    }

    #[test]
    fn holes_are_counted_per_lane() {
        let mut lanes = Lanes::new(2);
        lanes.accept(0, 1);
        assert_eq!(lanes.accept(0, 5), 3);
        assert_eq!(lanes.accept(1, 2), 1);
    }

    #[test]
    fn a_loss_at_the_end_is_counted_once() {
        let mut lanes = Lanes::new(1);
        lanes.accept(0, 1);
        assert_eq!(lanes.account_lost(0, 3), 2);
        assert_eq!(lanes.account_lost(0, 3), 0);
        assert_eq!(lanes.accept(0, 4), 0);
    }
}
