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
    let file = file.map(EventFile::opened);
    let options = Options { file, lane_count: 1, log_level: LogLevel::Quiet, ..Options::default() };
    Telemetry::start(options).unwrap()
}

/// A writer into the file of that path.
fn start_at(path: &std::path::Path) -> Writer {
    let (file, trouble) = EventFile::open(path).unwrap();
    assert!(trouble.is_none(), "{trouble:?}");
    let options =
        Options { file: Some(file), lane_count: 1, log_level: LogLevel::Quiet, ..Options::default() };
    Telemetry::start(options).unwrap()
}

/// Waits for what is bound to happen, far longer than it takes on a busy machine.
fn wait_until(what: &str, mut wanted: impl FnMut() -> bool) {
    let began = Instant::now();
    while !wanted() {
        assert!(began.elapsed() < Duration::from_secs(30), "waited in vain until {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn sequence(line: &str) -> Value {
    serde_json::from_str::<Value>(line).unwrap()["seq"].clone()
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
    // Were one of these to wait for the pipe, this test would never end: nobody reads it yet. Once the file's own queue is
    // full, every further event is lost, here or there.
    let mut count = 0;
    while writer.telemetry().losses().file.is_some_and(|file| file.dropped == 0) {
        count += 1;
        feed.push(event(count));
    }
    let lines = thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).map(|_| text).unwrap()
    });
    let telemetry = writer.telemetry().clone();
    assert!(writer.finish(Duration::from_secs(30)));
    let losses = telemetry.losses();
    let text = lines.join().unwrap();
    let summary = verify::verify_lines([("file", text.as_bytes())]).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let gap_count = text.matches("TELEMETRY_GAP").count() as u64;
    assert_eq!(
        last["seq"],
        u64::from(count) + gap_count,
        "every event is told or part of a gap, up to the last"
    );
    assert_eq!(losses.queue, feed.overflow_count());
    let file = losses.file.unwrap();
    assert_eq!(summary.missing, losses.queue + file.dropped, "every lost event is in a gap, and was counted");
    assert!(!file.stuck);
}

#[test]
fn a_writer_that_is_stuck_for_good_does_not_hold_up_the_end() {
    let (reader, file) = pipe(PipeFlags::empty());
    let writer = start(Some(file));
    let mut feed = writer.telemetry().feed(0);
    for attempt in 1..=QUEUE_COUNT as u32 * 3 {
        feed.push(event(attempt));
    }
    // Were it to wait for the pipe, this test would never end.
    assert!(!writer.finish(Duration::from_millis(100)));
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

/// A disk that hangs in write(2) holds up neither those who follow nor those who ask what happened.
#[test]
fn a_file_that_hangs_holds_up_no_other_outlet() {
    let (reader, file) = pipe(PipeFlags::empty());
    let writer = start(Some(file));
    let mut feed = writer.telemetry().feed(0);
    let follower = writer.telemetry().subscribe(true).unwrap();
    let count = QUEUE_COUNT as u32 * 2;
    for attempt in 1..=count {
        feed.push(event(attempt));
        assert_eq!(sequence(&follower.recv().unwrap()), attempt);
    }
    let held: Vec<_> = writer.telemetry().subscribe(false).unwrap().iter().collect();
    assert_eq!((held.len(), sequence(&held[HELD_COUNT - 1])), (HELD_COUNT, count.into()));
    let losses = writer.telemetry().losses();
    assert_eq!((losses.queue, losses.followers.dropped), (0, 0));
    assert!(losses.file.unwrap().dropped > 0, "{losses:?}");
    drop(reader);
}

/// Events that gave way inside the engine are part of the gap, before those that came through.
#[test]
fn what_the_engine_lost_itself_is_told() {
    let (reader, file) = pipe(PipeFlags::empty());
    let writer = start(Some(file));
    let mut feed = writer.telemetry().feed(0);
    feed.push(event(1));
    feed.skip(7);
    feed.push(event(9));
    feed.skip(0);
    feed.push(event(10));
    let telemetry = writer.telemetry().clone();
    assert!(writer.finish(Duration::from_secs(30)));
    let text = std::io::read_to_string(reader).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert_eq!((&lines[1]["first_seq"], &lines[1]["last_seq"]), (&2.into(), &8.into()));
    assert_eq!((&lines[2]["seq"], &lines[2]["attempt"]), (&10.into(), &9.into()));
    assert_eq!(verify::verify_lines([("file", text.as_bytes())]).unwrap().missing, 7);
    assert_eq!((telemetry.losses().queue, feed.overflow_count()), (7, 0));
}

/// The gap does not wait for the next event: a sink that is back says at once what it missed.
#[test]
fn a_sink_that_is_back_tells_the_gap_without_another_event() {
    let (reader, file) = pipe(PipeFlags::NONBLOCK);
    let writer = start(Some(file));
    let mut feed = writer.telemetry().feed(0);
    let stuck = || writer.telemetry().losses().file.unwrap().stuck;
    // One after the other, so that none is on its way when the pipe is full.
    let taken = || {
        let dropped = writer.telemetry().losses().file.unwrap().dropped;
        (rustix::io::ioctl_fionread(&reader).unwrap(), dropped)
    };
    while !stuck() {
        let before = taken();
        feed.push(event(1));
        wait_until("it is written or lost", || taken() != before);
    }
    let mut text = String::new();
    wait_until("the gap is written", || {
        // Ends with an error, as the pipe does not block; what it had is in the text.
        (&reader).read_to_string(&mut text).ok();
        !stuck()
    });
    (&reader).read_to_string(&mut text).ok();
    assert!(text.lines().last().unwrap().contains("TELEMETRY_GAP"), "{text}");
    assert_eq!(text.matches("TELEMETRY_GAP").count(), 1);
    let summary = verify::verify_lines([("file", text.as_bytes())]).unwrap();
    assert_eq!(summary.missing, writer.telemetry().losses().file.unwrap().dropped);
    assert!(writer.finish(Duration::from_secs(30)));
}

#[test]
fn followers_that_never_read_miss_and_nobody_else_does() {
    let writer = start(None);
    let mut feed = writer.telemetry().feed(0);
    let stuck: Vec<_> = (1..FOLLOWERS_MAX).map(|_| writer.telemetry().subscribe(true).unwrap()).collect();
    let reads = writer.telemetry().subscribe(true).unwrap();
    let count = HELD_COUNT as u32 * 3;
    for attempt in 1..=count {
        feed.push(event(attempt));
        assert_eq!(sequence(&reads.recv().unwrap()), attempt);
    }
    let lost = u64::from(count) - HELD_COUNT as u64;
    let losses = writer.telemetry().losses();
    assert_eq!((losses.queue, losses.followers.dropped), (0, lost * stuck.len() as u64));
    // Once it reads, a follower gets one gap of all it missed.
    let late: Vec<_> = stuck[0].try_iter().collect();
    assert_eq!(late.len(), HELD_COUNT);
    let gap: Value = serde_json::from_str(&stuck[0].recv().unwrap()).unwrap();
    assert_eq!((&gap["first_seq"], &gap["last_seq"]), (&(HELD_COUNT + 1).into(), &count.into()));
    assert!(writer.finish(Duration::from_secs(30)));
}

#[test]
fn a_file_that_is_moved_away_or_deleted_is_made_anew() {
    let dir = std::env::temp_dir().join(format!("jumpvpn-rotate-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (path, moved) = (dir.join("events.jsonl"), dir.join("events.jsonl.1"));
    let writer = start_at(&path);
    let mut feed = writer.telemetry().feed(0);
    let lines = |path: &std::path::Path| std::fs::read_to_string(path).unwrap_or_default().lines().count();
    feed.push(event(1));
    wait_until("the first event is written", || lines(&path) == 1);
    // As logrotate does it: the file has another name, and is written to until the signal.
    std::fs::rename(&path, &moved).unwrap();
    feed.push(event(2));
    wait_until("the second event is written", || lines(&moved) == 2);
    writer.telemetry().reopen();
    wait_until("there is a new file", || path.exists());
    feed.push(event(3));
    wait_until("the third event is in the new file", || lines(&path) == 1);
    let both = std::fs::read_to_string(&moved).unwrap() + &std::fs::read_to_string(&path).unwrap();
    verify::verify_lines([("both", both.as_bytes())]).unwrap();
    // Somebody deletes it: nothing more goes where nobody can read it.
    std::fs::remove_file(&path).unwrap();
    feed.push(event(4));
    wait_until("the fourth event is in a new file", || lines(&path) == 1);
    assert!(std::fs::read_to_string(&path).unwrap().contains("\"attempt\":4"));
    assert_eq!(writer.telemetry().losses().file.unwrap(), SinkLosses::default());
    // And with it the directory it was in: this is counted, and over when the directory is back.
    std::fs::remove_dir_all(&dir).unwrap();
    feed.push(event(5));
    wait_until("the loss shows", || writer.telemetry().losses().file.unwrap().dropped == 1);
    std::fs::create_dir_all(&dir).unwrap();
    wait_until("the gap is told", || std::fs::read_to_string(&path).is_ok_and(|text| text.contains("_GAP")));
    wait_until("it is not stuck", || !writer.telemetry().losses().file.unwrap().stuck);
    assert!(writer.finish(Duration::from_secs(30)));
    std::fs::remove_dir_all(&dir).unwrap();
}
