//! `bench events`: what telling an event costs the thread that must not wait for it.

use std::path::Path;
use std::time::Duration;

use jumpvpn_events::{Event, EventKind, PathLabel, Reason, Time};
use jumpvpn_runtime::telemetry::{EventFile, LogLevel, Options, Telemetry, Writer};

use super::meter::{cpu_time, ns_per_item};
use super::progress::Progress;
use super::report::Figure;
use crate::exit::{Code, Failure};

pub(super) const NOTE: &str = "\
Time of the engine's core per event, from the call to its return. ok: the file takes every line. failing: the disk is full
(/dev/full). flooded: events come faster than they can be handed on, most of them are lost and counted. The shares are those
of the failing and of the flooded over the healthy one.";

/// Events per reading of the clock; the queue has room for 4096, so that a healthy one never overflows.
const BURST_COUNT: usize = 512;
/// Bursts of a flood: far more than the queue and the threads behind it take meanwhile.
const FLOOD_BURSTS: usize = 64;
/// A thread that writes needs some milliseconds for a burst.
const PAUSE: Duration = Duration::from_millis(20);
/// At the end nobody waits longer for lines that nobody reads.
const FINISH_LIMIT: Duration = Duration::from_secs(5);

/// How much is measured.
pub(super) struct Size {
    pub(super) rounds: usize,
}

impl Size {
    pub(super) const DEFAULT: Size = Size { rounds: 15 };
}

/// Measures.
pub(super) fn measure(size: &Size, progress: &mut Progress) -> Result<Vec<Figure>, Failure> {
    let total = size.rounds * 3;
    let (mut ok, mut failing, mut flooded) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..size.rounds {
        ok.push(burst(Path::new("/dev/null"), 1)?);
        progress.step(round * 3 + 1, total);
        failing.push(burst(Path::new("/dev/full"), 1)?);
        progress.step(round * 3 + 2, total);
        flooded.push(burst(Path::new("/dev/null"), FLOOD_BURSTS)?);
        progress.step(round * 3 + 3, total);
    }
    let shares = |values: &[f64]| values.iter().zip(&ok).map(|(value, ok)| value / ok).collect::<Vec<_>>();
    let (failing_shares, flooded_shares) = (shares(&failing), shares(&flooded));
    Ok(vec![
        Figure::of("event_ok_ns", "ns", ok),
        Figure::of("event_failing_ns", "ns", failing),
        Figure::of("event_flooded_ns", "ns", flooded),
        Figure::of("event_failing_share", "", failing_shares),
        Figure::of("event_flooded_share", "", flooded_shares),
    ])
}

/// Nanoseconds per event of the last of so many bursts.
fn burst(path: &Path, burst_count: usize) -> Result<f64, Failure> {
    let writer = start(path)?;
    let mut feed = writer.telemetry().feed(0);
    // The threads wait, and the memory is there.
    (0..BURST_COUNT).for_each(|_| feed.push(event()));
    std::thread::sleep(PAUSE);
    let mut spent = Duration::ZERO;
    for _ in 0..burst_count {
        let began = cpu_time();
        (0..BURST_COUNT).for_each(|_| feed.push(event()));
        spent = cpu_time() - began;
    }
    writer.finish(FINISH_LIMIT);
    Ok(ns_per_item(spent, BURST_COUNT))
}

fn start(path: &Path) -> Result<Writer, Failure> {
    let failed = |error: std::io::Error| Failure::new(Code::Failed, format!("{}: {error}", path.display()));
    let (file, _) = EventFile::open(path).map_err(failed)?;
    let log_level = LogLevel::Off;
    let options = Options { gateway: "bench".into(), file: Some(file), log_level, lane_count: 1 };
    Telemetry::start(options).map_err(failed)
}

fn event() -> Event {
    let path = PathLabel::new("wlan0/udp4");
    let (reason, kind) = (Reason::LinkUp, EventKind::Link { path, up: true });
    Event { at: Time::ZERO, session: None, step: 0, epoch: 0, version: 0, reason, kind }
}
