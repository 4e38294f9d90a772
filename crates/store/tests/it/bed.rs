//! What the tests share: a folder, a store in it that is asked one thing at a time, and the door, which is another process.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use jumpvpn_ownership::{
    Change, Compare, Key, Operation, Outcome, OwnershipStore, Rev, Stored, Ticket, Transaction,
};
use jumpvpn_store::{OpenError, Sqlite, SqliteStore, Waker};

/// Far above what anything here takes, even on a machine that does other things.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A folder, gone with the test.
pub struct Bed(pub PathBuf);

impl Bed {
    pub fn new() -> Bed {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("store-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let bed = Bed(std::env::temp_dir().join(name));
        std::fs::create_dir(&bed.0).unwrap();
        bed
    }

    /// The folder with the files of the store.
    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    pub fn file(&self) -> PathBuf {
        self.data().join("ownership.db")
    }

    pub fn open(&self) -> Result<Sqlite, OpenError> {
        DirBuilder::new().recursive(true).mode(0o700).create(self.data()).unwrap();
        Sqlite::open(&self.file(), [1; 16])
    }

    pub fn store(&self) -> Asked<SqliteStore> {
        let (waker, woken) = waker();
        Asked::new(self.open().unwrap().start(waker).unwrap(), woken)
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// A waker, and where it is heard.
pub fn waker() -> (Waker, Receiver<()>) {
    let (wake, woken) = channel();
    (Arc::new(move || wake.send(()).unwrap_or_default()), woken)
}

/// A store, and somebody who waits for what it says.
pub struct Asked<S> {
    pub store: S,
    woken: Receiver<()>,
    next: u64,
}

impl<S: OwnershipStore> Asked<S> {
    pub fn new(store: S, woken: Receiver<()>) -> Asked<S> {
        Asked { store, woken, next: 0 }
    }

    pub fn submit(&mut self, operation: Operation) -> Ticket {
        self.next += 1;
        self.store.submit(Ticket(self.next), operation);
        Ticket(self.next)
    }

    /// The next outcome, whichever it is.
    #[track_caller]
    pub fn wait(&mut self) -> (Ticket, Outcome) {
        loop {
            if let Some(outcome) = self.store.poll() {
                return outcome;
            }
            self.woken.recv_timeout(PATIENCE).expect("the store has an answer");
        }
    }

    /// Asks one thing while nothing else is on its way.
    #[track_caller]
    pub fn ask(&mut self, operation: Operation) -> Outcome {
        let ticket = self.submit(operation);
        let (answered, outcome) = self.wait();
        assert_eq!(answered, ticket);
        outcome
    }

    #[track_caller]
    pub fn committed(&mut self, transaction: Transaction) -> Rev {
        match self.ask(Operation::Commit(transaction)) {
            Outcome::Committed(rev) => rev,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub fn read(&mut self, name: &str) -> Option<Stored> {
        match self.ask(Operation::Read(key(name))) {
            Outcome::Found(found) => found,
            other => panic!("{other:?}"),
        }
    }

    /// Everything below a prefix, in pages of `limit`.
    #[track_caller]
    pub fn all(&mut self, prefix: &str, limit: usize) -> Vec<(Key, Stored)> {
        let mut all: Vec<(Key, Stored)> = Vec::new();
        loop {
            let after = all.last().map(|(key, _)| key.clone());
            match self.ask(Operation::List { prefix: key(prefix), after, limit }) {
                Outcome::Listed { entries, more } => {
                    assert!(entries.len() <= limit && (!more || entries.len() == limit));
                    all.extend(entries);
                    if !more {
                        return all;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

pub fn key(name: &str) -> Key {
    Key::new(name.as_bytes())
}

pub fn put(name: &str, value: &[u8]) -> Change {
    Change::Put { key: key(name), value: value.into() }
}

pub fn absent(name: &str) -> Compare {
    Compare::Absent { key: key(name) }
}

/// One change, whatever stands there.
pub fn blind(change: Change) -> Transaction {
    Transaction { compares: Vec::new(), changes: vec![change] }
}

/// The door, about to be started.
pub fn door(act: &str, folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_store-door"));
    command.arg(act).arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}
