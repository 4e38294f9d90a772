//! Clocks and gauges of the measurements.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::exit::{Code, Failure};

/// Processor time this thread has used so far: what other programs do on the machine does not count, what the kernel
/// does for this thread (randomness) does. Reading it costs about 0.3 µs and stays in the figures.
pub(super) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    // invariant: a thread's processor time is never negative, and nanoseconds stay below 10^9.
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Bytes of this process that are in memory now (proc_pid_statm(5), second field).
pub(super) fn resident_bytes() -> Result<u64, Failure> {
    let failed = |error: String| Failure::new(Code::Failed, format!("/proc/self/statm: {error}"));
    let text = std::fs::read_to_string("/proc/self/statm").map_err(|error| failed(error.to_string()))?;
    let pages = text.split_whitespace().nth(1).and_then(|field| field.parse::<u64>().ok());
    let pages = pages.ok_or_else(|| failed(format!("unexpected content {text:?}")))?;
    Ok(pages * rustix::param::page_size() as u64)
}

/// Nanoseconds per item.
pub(super) fn ns_per_item(spent: Duration, count: usize) -> f64 {
    spent.as_secs_f64() * 1e9 / count as f64
}

/// Items per second of processor time.
pub(super) fn per_second(spent: Duration, count: usize) -> f64 {
    count as f64 / spent.as_secs_f64()
}
