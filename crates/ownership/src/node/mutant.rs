//! The algorithm, broken on purpose: each of these has to be found by the models.

/// One thing left out or done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// The fence is counted from the receipt of a confirmation, not from the sending of the heartbeat.
    FenceFromReceipt,
    /// A session is taken without the compare that its owner is dead.
    TakeFromTheLiving,
    /// An observer's timer begins when it asks, not when it sees.
    TimerFromQuestion,
    /// An observer declares death when half of the owner's own time is over.
    DeathBeforeTheFence,
    /// Heartbeats are written whatever stands there.
    BlindHeartbeat,
    /// A handoff whose outcome is not known counts as one that failed.
    UnknownMeansFailed,
    /// A session is given to an incarnation that may be dead.
    GivenToTheDead,
    /// A session is created, changed or taken without the compare that the own right still stands.
    OwnDeathIgnored,
    /// Tombstones go although records name them.
    TombstoneForgotten,
    /// The scan ends records that the node holds.
    ReconcileHeld,
    /// The scan ends sessions of owners that are alive.
    SweepTheLiving,
    /// A session that was taken over from a dead owner keeps its epoch.
    EpochKept,
    /// Records of ended sessions go at once, and a late copy of their creation applies again.
    NoRetention,
}
