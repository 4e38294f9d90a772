//! How busy this machine is: a thread that sleeps, and sees how late it is woken.
//!
//! Daemons and streams are late as well then; a verdict of a few milliseconds is only as good as the machine was free.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Sleep between two looks: fine enough to see a stall of a few milliseconds, at less than 1 % of a processor.
const NAP: Duration = Duration::from_millis(2);

/// The thread, watching until it is dropped.
#[derive(Debug)]
pub struct StallWatch {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    longest_ns: AtomicU64,
    over: AtomicBool,
}

impl StallWatch {
    /// Starts watching.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn start() -> io::Result<StallWatch> {
        let shared = Arc::new(Shared::default());
        let watched = Arc::clone(&shared);
        thread::Builder::new().name("stall".into()).spawn(move || {
            while !watched.over.load(Ordering::Acquire) {
                let due = Instant::now() + NAP;
                thread::sleep(NAP);
                let late = u64::try_from(due.elapsed().as_nanos()).unwrap_or(u64::MAX);
                watched.longest_ns.fetch_max(late, Ordering::AcqRel);
            }
        })?;
        Ok(StallWatch { shared })
    }

    /// The longest stall so far.
    #[must_use]
    pub fn longest(&self) -> Duration {
        Duration::from_nanos(self.shared.longest_ns.load(Ordering::Acquire))
    }
}

impl Drop for StallWatch {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
    }
}
