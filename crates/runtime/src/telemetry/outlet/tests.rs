//! Tests of numbering and gaps of one outlet.

use std::sync::mpsc::{Receiver, sync_channel};

use jumpvpn_events::Time;
use serde_json::Value;

use super::*;

fn offer(outlet: &mut Outlet<Follower>, attempt: u32) -> bool {
    let (reason, kind) = (Reason::HandshakeStarted, EventKind::Handshake { attempt });
    let event = Event { at: Time::ZERO, session: None, step: 0, epoch: 0, version: 0, reason, kind };
    outlet.offer(&Line::new(&event, u64::from(attempt), "gw")).is_ok()
}

/// `(seq, attempt)` of an event, `(seq, first, last)` of a gap.
fn receive(follower: &Receiver<Arc<str>>) -> Vec<u64> {
    let line: Value = serde_json::from_str(&follower.try_recv().unwrap()).unwrap();
    ["seq", "attempt", "first_seq", "last_seq"].iter().filter_map(|key| line[key].as_u64()).collect()
}

#[test]
fn a_slow_follower_gets_one_gap_and_goes_on_behind_it() {
    let (lines, follower) = sync_channel(2);
    let mut outlet = Outlet::new(Follower(lines), 0);
    assert!(offer(&mut outlet, 1) && offer(&mut outlet, 2));
    assert!(!offer(&mut outlet, 3) && !offer(&mut outlet, 4));
    assert_eq!(receive(&follower), [1, 1]);
    assert_eq!(receive(&follower), [2, 2]);
    assert!(offer(&mut outlet, 5));
    assert_eq!(receive(&follower), [5, 3, 4], "3 and 4 are missing, the gap itself is 5");
    assert_eq!(receive(&follower), [6, 5]);
}

#[test]
fn room_for_the_gap_alone_keeps_the_line_missed() {
    let (lines, follower) = sync_channel(1);
    let mut outlet = Outlet::new(Follower(lines), 0);
    assert!(offer(&mut outlet, 1) && !offer(&mut outlet, 2));
    assert_eq!(receive(&follower), [1, 1]);
    assert!(!offer(&mut outlet, 3), "the gap took the only place");
    assert_eq!(receive(&follower), [3, 2, 2]);
    assert!(outlet.has_missed());
    assert!(outlet.catch_up("gw").is_ok());
    assert_eq!(receive(&follower), [5, 4, 4]);
}

#[test]
fn what_was_lost_before_is_part_of_the_gap() {
    let (lines, follower) = sync_channel(4);
    let mut outlet = Outlet::new(Follower(lines), 10);
    outlet.miss(3);
    assert!(offer(&mut outlet, 4));
    assert_eq!(receive(&follower), [14, 11, 13]);
    assert_eq!(receive(&follower), [15, 4]);
}

#[test]
fn a_follower_that_left_is_a_broken_pipe() {
    let (lines, follower) = sync_channel(1);
    drop(follower);
    let error = Follower(lines).try_write(&"line".into()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn only_the_last_lines_are_held() {
    let mut held = Held(VecDeque::new());
    for number in 0..HELD_COUNT + 3 {
        held.try_write(&number.to_string().into()).unwrap();
    }
    assert_eq!(held.0.len(), HELD_COUNT);
    assert_eq!(&*held.0[0], "3");
}

/// Takes everything, and is told when it has lost the last of it.
struct Forgetful {
    lines: Vec<Arc<str>>,
    lost: bool,
}

impl LineSink for Forgetful {
    fn try_write(&mut self, line: &Arc<str>) -> io::Result<()> {
        self.lines.push(Arc::clone(line));
        Ok(())
    }

    fn has_lost_last(&mut self) -> bool {
        std::mem::take(&mut self.lost)
    }
}

#[test]
fn a_line_that_was_taken_and_lost_is_in_the_next_gap() {
    let mut outlet = Outlet::new(Forgetful { lines: Vec::new(), lost: false }, 0);
    let offer = |outlet: &mut Outlet<Forgetful>, number: u64| {
        let kind = EventKind::Security { count: 1 };
        let reason = Reason::BadSeal;
        let event = Event { at: clock::now(), session: None, step: 0, epoch: 0, version: 0, reason, kind };
        outlet.offer(&Line::new(&event, number, "gw")).unwrap();
    };
    offer(&mut outlet, 1);
    offer(&mut outlet, 2);
    outlet.sink_mut().lost = true;
    offer(&mut outlet, 3);
    let lines = &outlet.sink().lines;
    assert!(lines[2].contains("TELEMETRY_GAP") || lines[2].contains("telemetry_gap"), "{}", lines[2]);
    assert!(lines[2].contains("\"first_seq\":2,\"last_seq\":2"), "{}", lines[2]);
    assert!(lines[2].contains("\"seq\":3") && lines[3].contains("\"seq\":4"), "{lines:?}");
}
