//! The thread that has lists of gateways judged and kept: a disk may take its time, and neither packets nor the supervisor wait
//! for it.

use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use serde_json::Value;

use super::Question;
use crate::door::Door;
use crate::sync::{Arc, Mutex, PoisonError};

/// What became of a list.
pub struct ListVerdict {
    /// Whether it is kept.
    pub kept: bool,
    /// The serial of the newest one that is; 0 for none.
    pub serial: u64,
    /// What is known of lists now, as `status` tells it.
    pub report: Value,
}

/// Judges a list that a gateway sent, and keeps it if it is newer and good.
pub type KeepList = Box<dyn FnMut(Vec<u8>) -> ListVerdict + Send>;

/// The signed lists of gateways that an agent believes.
pub struct ListOptions {
    /// What is known of them, as `status` tells it.
    pub report: Value,
    /// The serial of the newest one that is kept, and who judges others; without, gateways are asked for none.
    pub follow: Option<(u64, KeepList)>,
}

/// What is known of lists, for whoever asks.
pub(crate) type ListReport = Arc<Mutex<Value>>;

/// Starts the thread; it ends when the way to it is gone. One list at a time: another one comes with the next look.
pub(crate) fn start(
    mut keep: KeepList,
    report: ListReport,
    door: Door<Question>,
) -> io::Result<SyncSender<Vec<u8>>> {
    let (lists, coming) = sync_channel::<Vec<u8>>(1);
    let thread = thread::Builder::new().name("jumpvpn-list".into());
    let spawned = thread.spawn(move || {
        for list in coming {
            let ListVerdict { kept, serial, report: now } = keep(list);
            *report.lock().unwrap_or_else(PoisonError::into_inner) = now;
            // An engine that is too busy to hear it asks for the same list an hour later.
            door.send(Question::Listed { kept, serial });
        }
    });
    spawned.map(|_| lists)
}
