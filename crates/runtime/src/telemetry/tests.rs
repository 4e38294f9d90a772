//! Tests of the way from the engine threads to the outlets: nothing waits, losses are told.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::time::Instant;

use jumpvpn_events::{EventKind, Reason, Time, verify};
use rustix::pipe::{PipeFlags, pipe_with};
use serde_json::Value;

use super::*;

fn event(attempt: u32) -> Event {
    let (reason, kind) = (Reason::HandshakeStarted, EventKind::Handshake { attempt });
    Event { at: Time::ZERO, session: None, step: 0, epoch: 0, version: 0, reason, kind }
}

fn start(file: Option<File>) -> Writer {
    let options = Options { file, lane_count: 1, log_level: LogLevel::Quiet, ..Options::default() };
    Telemetry::start(options).unwrap()
}

fn pipe(flags: PipeFlags) -> (File, File) {
    let (reader, writer): (OwnedFd, OwnedFd) = pipe_with(flags | PipeFlags::CLOEXEC).unwrap();
    (reader.into(), writer.into())
}

#[test]
fn a_file_gets_every_event_once_and_in_order() {
    let (reader, file) = pipe(PipeFlags::empty());
    let lines = thread::spawn(move || std::io::read_to_string(reader).unwrap());
    let writer = start(Some(file));
    let mut feed = writer.telemetry().feed(0);
    for attempt in 1..=1000 {
        feed.push(event(attempt));
    }
    assert_eq!(feed.overflow_count(), 0);
    assert!(writer.finish(Duration::from_secs(10)));
    let lines = lines.join().unwrap();
    assert_eq!(lines.lines().count(), 1000);
    verify::verify_lines([("file", lines.as_bytes())]).unwrap();
}

/// A reader that never reads makes the writer wait in write(2) (the pipe is blocking here on purpose, like a disk that
/// hangs). The feed must not notice; the file must account for every lost event once it moves again.
#[test]
fn a_stuck_sink_never_holds_up_the_feed_and_the_gap_is_told() {
    let (mut reader, file) = pipe(PipeFlags::empty());
    let writer = start(Some(file));
    let mut feed = writer.telemetry().feed(0);
    let count = QUEUE_COUNT as u32 * 3;
    let begin = Instant::now();
    for attempt in 1..=count {
        feed.push(event(attempt));
    }
    let took = begin.elapsed();
    assert!(feed.overflow_count() > 0, "the queue never filled up");
    // Two orders of magnitude above what it takes, three below a wait.
    assert!(took < Duration::from_secs(2), "{count} events took {took:?}");
    let lines = thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).map(|_| text).unwrap()
    });
    assert!(writer.finish(Duration::from_secs(10)));
    let text = lines.join().unwrap();
    let summary = verify::verify_lines([("file", text.as_bytes())]).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let gap_count = text.matches("TELEMETRY_GAP").count() as u64;
    assert_eq!(last["event"], "TELEMETRY_GAP", "the loss at the end is told without a later event");
    assert_eq!(last["seq"], u64::from(count) + gap_count);
    assert_eq!(summary.missing, feed.overflow_count(), "every lost event is in a gap");
}

#[test]
fn a_writer_that_is_stuck_for_good_does_not_hold_up_the_end() {
    let (reader, file) = pipe(PipeFlags::empty());
    let writer = start(Some(file));
    let mut feed = writer.telemetry().feed(0);
    for attempt in 1..=QUEUE_COUNT as u32 * 2 {
        feed.push(event(attempt));
    }
    let begin = Instant::now();
    assert!(!writer.finish(Duration::from_millis(100)));
    assert!(begin.elapsed() < Duration::from_secs(2));
    drop(reader);
}

#[test]
fn a_full_file_is_a_gap_and_goes_on() {
    let (mut reader, file) = pipe(PipeFlags::NONBLOCK);
    let writer = start(Some(file));
    let mut feed = writer.telemetry().feed(0);
    let follower = writer.telemetry().subscribe(true).unwrap();
    // Wait for each event at the follower, so that the queue never overflows: only the pipe does.
    for attempt in 1..=1000 {
        feed.push(event(attempt));
        let line: Value = serde_json::from_str(&follower.recv().unwrap()).unwrap();
        assert_eq!(line["seq"], attempt);
    }
    let mut some = vec![0; 65_536];
    let len = reader.read(&mut some).unwrap();
    let mut text = String::from_utf8(some[..len].to_vec()).unwrap();
    feed.push(event(1001));
    follower.recv().unwrap();
    assert!(writer.finish(Duration::from_secs(10)));
    reader.read_to_string(&mut text).unwrap();
    let summary = verify::verify_lines([("file", text.as_bytes())]).unwrap();
    assert!(summary.missing > 0);
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["attempt"], 1001);
    assert_eq!(summary.missing + summary.lines, 1001 + 1, "all events and one gap");
}
