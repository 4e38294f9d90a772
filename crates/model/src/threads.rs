//! What threads share in the runtime, under a scheduler that tries every order (`shuttle`).
//!
//! The files of the runtime are compiled here a second time, over the locks of `shuttle`. An engine shares little with other
//! threads: the entrance to the event queue ([`losses_are_counted`]), and a door that is a channel of the standard library
//! and nothing else. The supervisor and the control socket share a count of settings under way ([`waiting_ends`]).
//!
//! Not covered: `shuttle` has sequentially consistent memory, so that `Release` and `Acquire` suffice is by the argument in
//! `marks.rs` alone; its waits have no time limits; the threads that write to files, log and followers (each behind a queue of
//! its own) and two flags of the control socket, which are single atomic numbers, are left to their tests.

use std::collections::BTreeSet;
use std::sync::Arc;

use shuttle::sync::mpsc::{Receiver, SyncSender, sync_channel};
use shuttle::thread;

use lanes::Lanes;
use marks::{Marks, Turn};
use settling::Settling;

#[rustfmt::skip]
#[path = "../../runtime/src/telemetry/lanes.rs"]
mod lanes;
#[rustfmt::skip]
#[path = "../../runtime/src/telemetry/marks.rs"]
mod marks;
#[rustfmt::skip]
#[path = "../../runtime/src/settling.rs"]
mod settling;

/// When a loss is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marking {
    /// After the attempt failed, as the runtime does it.
    After,
    /// The mutant: before the attempt.
    Before,
}

enum Entry {
    Event { lane: usize, number: u64 },
    Stop,
}

/// Entrances that never wait, a queue with room for `room` entries, and a thread behind it: each event is either taken, once, or
/// counted as lost, once; nobody is left waiting for ever (`shuttle` tells).
///
/// # Panics
/// In an order in which this is not so.
pub fn losses_are_counted(lane_count: usize, event_count: u64, room: usize, marking: Marking) {
    let (queue, entries) = sync_channel(room);
    let marks = Marks::new(lane_count);
    let behind = {
        let marks = marks.clone();
        thread::spawn(move || take_all(&entries, &marks))
    };
    let entrances: Vec<_> = (0..lane_count)
        .map(|lane| {
            let (queue, marks) = (queue.clone(), marks.clone());
            thread::spawn(move || enter(&queue, &marks, lane, event_count, marking))
        })
        .collect();
    let lost: u64 = entrances.into_iter().map(|entrance| entrance.join().expect("an entrance")).sum();
    // Nothing is handed over any more: what the end has to wait for is the thread behind.
    queue.send(Entry::Stop).ok();
    let (taken, missing) = behind.join().expect("the thread behind the queue");
    assert_eq!(missing, lost, "losses that were told");
    assert_eq!(taken + missing, lane_count as u64 * event_count, "events");
}

/// One engine's side; how many it lost.
fn enter(queue: &SyncSender<Entry>, marks: &Marks, lane: usize, event_count: u64, marking: Marking) -> u64 {
    let mut lost = 0;
    for number in 1..=event_count {
        if marking == Marking::Before {
            marks.lose(lane, number);
        }
        lost += u64::from(!marks.hand_over(queue, lane, number, Entry::Event { lane, number }));
    }
    lost
}

/// The other side, as `writer.rs` has it: how many events came, and how many are known to be missing.
fn take_all(entries: &Receiver<Entry>, marks: &Marks) -> (u64, u64) {
    let mut lanes = Lanes::new(marks.lane_count());
    let (mut seen, mut missing) = (BTreeSet::new(), 0);
    let account = |lanes: &mut Lanes, lost: &[u64]| -> u64 {
        lost.iter().enumerate().map(|(lane, number)| lanes.account_lost(lane, *number)).sum()
    };
    loop {
        let entry = match marks.turn(entries) {
            Turn::Entry(entry) => entry,
            Turn::Over => break,
            Turn::Quiet(lost) => {
                missing += account(&mut lanes, &lost);
                let Ok(entry) = entries.recv() else { break };
                entry
            }
        };
        match entry {
            Entry::Event { lane, number } => {
                missing += lanes.accept(lane, number);
                assert!(seen.insert((lane, number)), "an event came twice");
            }
            Entry::Stop => {
                let lost = marks.look();
                missing += account(&mut lanes, &lost);
                break;
            }
        }
    }
    (seen.len() as u64, missing)
}

/// Settings that begin and end on one thread while another one waits for them: the waiting ends.
///
/// # Panics
/// In an order in which it does not (`shuttle` calls it a deadlock).
pub fn waiting_ends(count: u32) {
    let settling = Arc::new(Settling::default());
    settling.begin();
    let other = Arc::clone(&settling);
    let setter = thread::spawn(move || {
        for _ in 1..count {
            other.begin();
            other.end();
        }
        other.end();
    });
    settling.wait(std::time::Duration::MAX);
    setter.join().expect("the setter");
}
