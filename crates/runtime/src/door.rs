//! The way into an engine's thread for all other threads: a bounded channel and the pump's waker.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use mio::Waker;

use crate::control::Refused;

/// Questions waiting for one engine: every client of the control socket and the supervisor have one at a time.
const QUEUE_COUNT: usize = 32;
/// How long an engine may take to answer. It looks at its door at every wake-up, so this is far beyond a busy one.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Takes questions to one engine.
pub(crate) struct Door<Q> {
    queue: SyncSender<Q>,
    waker: Arc<Waker>,
}

impl<Q> Door<Q> {
    /// A door and its inside, for an engine that `waker` wakes.
    pub(crate) fn new(waker: Arc<Waker>) -> (Door<Q>, Receiver<Q>) {
        let (queue, questions) = sync_channel(QUEUE_COUNT);
        (Door { queue, waker }, questions)
    }

    /// Hands a question in; false if the engine is gone or does not keep up.
    pub(crate) fn send(&self, question: Q) -> bool {
        self.queue.try_send(question).is_ok() && self.waker.wake().is_ok()
    }

    /// Hands a question in and waits for its answer.
    ///
    /// # Errors
    /// The engine is gone or does not keep up.
    pub(crate) fn ask<A>(&self, question: impl FnOnce(SyncSender<A>) -> Q) -> Result<A, Refused> {
        let (answer, answered) = sync_channel(1);
        if !self.send(question(answer)) {
            return Err(Refused::failed("the daemon is busy or about to end: try again"));
        }
        answered
            .recv_timeout(ANSWER_TIMEOUT)
            .map_err(|_| Refused::failed("the daemon did not answer in time"))
    }
}

impl<Q> Clone for Door<Q> {
    fn clone(&self) -> Door<Q> {
        Door { queue: self.queue.clone(), waker: Arc::clone(&self.waker) }
    }
}
