//! The clock of the process: a monotonic time that goes on while the machine sleeps, and the end of such a sleep.
//!
//! The engines take [`Time`] as an argument; here is where it comes from. `CLOCK_BOOTTIME` counts time asleep, so a
//! lifetime or a silence that passed while the lid was closed has passed. An event loop that stalled and a machine that
//! slept look the same on that clock alone; `CLOCK_MONOTONIC` stands still during sleep, and the difference of both
//! grows by exactly the time slept.

use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use jumpvpn_events::Time;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};

/// A growth of the two clocks' difference below this is no sleep: both are read one after the other, and a thread that
/// is descheduled in between sees them apart by that much. A real suspend lasts longer (entering S3 or s2idle and
/// leaving it alone takes hundreds of milliseconds).
const SLEEP_MIN: Duration = Duration::from_millis(200);

/// Far enough in the future to never expire (year 2242), small enough for every `time_t` arithmetic of the kernel.
const NEVER_UNIX_SECONDS: i64 = 1 << 33;

/// Now, on the clock of the engines.
pub fn now() -> Time {
    Time::from_nanos(nanos(clock_gettime(ClockId::Boottime)))
}

/// Nanoseconds since the Unix epoch at which `at` was, judged by what the wall clock says now.
pub fn unix_nanos(at: Time) -> u128 {
    let unix = u128::from(nanos(clock_gettime(ClockId::Realtime)));
    let here = now();
    let ago = here.since(at).as_nanos();
    let ahead = at.since(here).as_nanos();
    (unix + ahead).saturating_sub(ago)
}

/// Whole minutes since 2026-01-01T00:00:00Z by the wall clock; zero if that is in the future.
pub fn minutes_since_2026() -> u32 {
    minutes_at(clock_gettime(ClockId::Realtime).tv_sec)
}

/// The same, at a time in Unix seconds. A clock that is wrong by centuries counts like one that has not been set.
fn minutes_at(unix_seconds: i64) -> u32 {
    /// 2026-01-01T00:00:00Z in Unix seconds.
    const START: i64 = 1_767_225_600;
    u32::try_from(unix_seconds.saturating_sub(START) / 60).unwrap_or(0)
}

/// Notices that the machine slept since the last look.
#[derive(Debug)]
pub struct SleepWatch {
    difference: Duration,
}

impl SleepWatch {
    /// Starts watching.
    pub fn new() -> SleepWatch {
        SleepWatch { difference: asleep_so_far() }
    }

    /// How long the machine slept since the last call, if it did.
    pub fn poll(&mut self) -> Option<Duration> {
        self.observe(asleep_so_far())
    }

    fn observe(&mut self, difference: Duration) -> Option<Duration> {
        let slept = difference.saturating_sub(self.difference);
        if slept < SLEEP_MIN {
            // Not stored: a reading error is gone with the next look and must not hide a part of a sleep.
            return None;
        }
        self.difference = difference;
        Some(slept)
    }
}

impl Default for SleepWatch {
    fn default() -> SleepWatch {
        SleepWatch::new()
    }
}

/// Becomes readable when the machine wakes up, so that an idle event loop does not sit out its monotonic timeout.
///
/// It is a timer on the wall clock that is cancelled when that clock jumps (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET);
/// the kernel counts a resume as a jump. A step of the wall clock by a person or NTP wakes the loop as well, and
/// [`SleepWatch`] then finds that nobody slept.
#[derive(Debug)]
pub struct WakeAlarm {
    timer: OwnedFd,
}

impl WakeAlarm {
    /// Creates and arms the alarm.
    ///
    /// # Errors
    /// What the kernel says about timerfd_create(2), for example that there are too many open files.
    pub fn new() -> io::Result<WakeAlarm> {
        let timer = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        let alarm = WakeAlarm { timer };
        alarm.arm()?;
        Ok(alarm)
    }

    /// Takes the pending wake-up, so that the next one is seen.
    ///
    /// # Errors
    /// What the kernel says about timerfd_settime(2).
    pub fn acknowledge(&self) -> io::Result<()> {
        match rustix::io::read(&self.timer, &mut [0; 8]) {
            Err(error) if io::Error::from(error).kind() == ErrorKind::WouldBlock => Ok(()),
            // ECANCELED is the wake-up itself; an expiry in the year 2242 is treated alike.
            _ => self.arm(),
        }
    }

    fn arm(&self) -> io::Result<()> {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let at = Timespec { tv_sec: NEVER_UNIX_SECONDS, tv_nsec: 0 };
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        timerfd_settime(&self.timer, flags, &Itimerspec { it_interval: zero, it_value: at })?;
        Ok(())
    }
}

impl AsRawFd for WakeAlarm {
    fn as_raw_fd(&self) -> RawFd {
        self.timer.as_raw_fd()
    }
}

fn asleep_so_far() -> Duration {
    // Monotonic first: being descheduled in between makes the difference larger, never negative.
    let awake = nanos(clock_gettime(ClockId::Monotonic));
    let all = nanos(clock_gettime(ClockId::Boottime));
    Duration::from_nanos(all.saturating_sub(awake))
}

fn nanos(at: Timespec) -> u64 {
    // invariant: these clocks do not count below zero, and 2^64 ns are 584 years.
    let seconds = u64::try_from(at.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(at.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests;
