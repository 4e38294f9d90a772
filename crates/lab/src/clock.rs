//! Waiting precisely: the links and the streams of the lab are timed to fractions of a millisecond.

use std::num::NonZeroU64;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

/// Timers of ordinary threads may be late by 50 µs, so that wake-ups can be joined; here each microsecond counts.
const SLACK_NS: NonZeroU64 = NonZeroU64::MIN;

/// Priority of the threads that stand for physics: a wire does not wait for a busy machine. Below what the kernel's own
/// threads have.
const NICE: i32 = -15;

/// Makes the timers of the calling thread exact, and lets it run before others where that is allowed (to root).
pub fn be_exact() {
    rustix::process::setpriority_process(None, NICE).ok();
    // Where it is refused the timers are late by 50 µs: that is within what the lab promises.
    rustix::thread::set_current_timer_slack(Some(SLACK_NS)).ok();
}

/// Waits until `source` can be read or `until` has come; without `until`, as long as it takes.
pub fn wait_readable(source: BorrowedFd<'_>, until: Option<Instant>) {
    let left = until.map(|until| timespec(until.saturating_duration_since(Instant::now())));
    let mut waited = [PollFd::from_borrowed_fd(source, PollFlags::IN)];
    // An error (a signal) means looking again too early, which every caller is made for.
    rustix::event::poll(&mut waited, left.as_ref()).ok();
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
