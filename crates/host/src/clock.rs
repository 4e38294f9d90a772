//! The clocks of this machine.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Time since boot, time asleep included (CLOCK_BOOTTIME).
///
/// This is the clock of everything that must expire while a laptop sleeps: leases, tickets, keys.
pub fn boottime() -> Duration {
    reading(ClockId::Boottime)
}

/// Time since boot without time asleep (CLOCK_MONOTONIC); only of use beside [`boottime`], to notice a suspend.
pub fn monotonic() -> Duration {
    reading(ClockId::Monotonic)
}

fn reading(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    // Both clocks start at zero at boot, so neither part is negative.
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
