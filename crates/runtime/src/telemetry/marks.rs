//! How the loss of an event becomes known although the queue it was meant for is full.
//!
//! An entrance marks the number of a lost event *after* its attempt failed, or before it hands over a later one. The thread
//! behind the queue looks at the marks and *then* finds the queue empty: so everything up to a mark was either taken or lost.
//! A loss leaves a full queue behind, hence the thread is awake and looks again.
//!
//! `crates/model` compiles this file a second time, over the locks of a scheduler that tries every order.

use crate::sync::{Arc, AtomicU64, Ordering, Receiver, SyncSender, TryRecvError};

/// For each lane, the highest number that was lost.
#[derive(Clone)]
pub(super) struct Marks(Arc<[AtomicU64]>);

/// What the thread behind the queue has to do next.
pub(super) enum Turn<E> {
    /// To take this entry.
    Entry(E),
    /// The queue is empty: to account for everything up to these numbers, and to wait.
    Quiet(Vec<u64>),
    /// Nobody is left who could hand anything over.
    Over,
}

impl Marks {
    /// Nothing is lost.
    pub(super) fn new(lane_count: usize) -> Marks {
        Marks((0..lane_count).map(|_| AtomicU64::new(0)).collect())
    }

    /// The number of lanes.
    pub(super) fn lane_count(&self) -> usize {
        self.0.len()
    }

    /// Hands the entry of that number over, without waiting; false if it is lost.
    pub(super) fn hand_over<E>(&self, queue: &SyncSender<E>, lane: usize, number: u64, entry: E) -> bool {
        let taken = queue.try_send(entry).is_ok();
        if !taken {
            self.lose(lane, number);
        }
        taken
    }

    /// Everything up to `number` that is not in the queue yet is lost.
    pub(super) fn lose(&self, lane: usize, number: u64) {
        self.0[lane].store(number, Ordering::Release);
    }

    /// The numbers, lane by lane.
    pub(super) fn look(&self) -> Vec<u64> {
        self.0.iter().map(|number| number.load(Ordering::Acquire)).collect()
    }

    /// What is next, without waiting.
    pub(super) fn turn<E>(&self, entries: &Receiver<E>) -> Turn<E> {
        // In this order: a mark that is set later may be about an entry that is in the queue by then.
        let lost = self.look();
        match entries.try_recv() {
            Ok(entry) => Turn::Entry(entry),
            Err(TryRecvError::Empty) => Turn::Quiet(lost),
            Err(TryRecvError::Disconnected) => Turn::Over,
        }
    }
}
