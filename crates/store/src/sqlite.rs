//! One gateway's store: a file, written by one thread through SQLite.
//!
//! What is queued when the thread gets to it goes into one transaction of SQLite, with the compares of each of ours judged in
//! their order. Outcomes are told after that transaction is on the disk (write-ahead log, `synchronous=FULL`). A
//! transaction that fails is the end of the store: what is on the disk after a failed sync nobody knows, so everything from
//! then on is [`Outcome::Lost`] and the process should end and read its files again.
//!
//! What SQLite cannot promise: a disk that loses what it has acknowledged, or damages the end of the log, takes the last
//! transactions with it unnoticed. Keys do not suffer from that (each owner epoch has fresh ones).

use std::fmt;
use std::io;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use jumpvpn_ownership::{Operation, Outcome, OwnershipStore, StoreError, Ticket};

use crate::desk::{Desk, desk};
use crate::{DataDir, Place, Waker};

mod open;
mod row;
mod writer;

pub use open::Sqlite;
use writer::Order;

/// Operations that wait for the thread: a second's worth and more at 4,000 commits per second, and 6 MiB if all of them are
/// records of 600 bytes with as much to compare. What comes beyond is [`Outcome::Unknown`] at once.
const QUEUE: usize = 4096;

/// The store, with its thread.
pub struct SqliteStore {
    desk: Desk,
    /// Empty only while it is dropped.
    orders: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<()>>,
    failure: Arc<OnceLock<String>>,
    /// Let go after the thread has ended.
    directory: DataDir,
}

impl Sqlite {
    /// Starts the thread. From here on no path is looked up any more.
    ///
    /// # Errors
    /// The system has no room for another thread.
    pub fn start(self, waker: Waker) -> io::Result<SqliteStore> {
        let (directory, writer) = self.into_writer();
        let (desk, outbox) = desk(waker);
        let (orders, inbox) = sync_channel(QUEUE);
        let failure = Arc::new(OnceLock::new());
        let told = Arc::clone(&failure);
        let work = move || writer.run(&inbox, &outbox, &told);
        let thread = std::thread::Builder::new().name("jumpvpn-store".into()).spawn(work)?;
        Ok(SqliteStore { desk, orders: Some(orders), thread: Some(thread), failure, directory })
    }
}

impl SqliteStore {
    /// Where this process runs and keeps its state.
    pub const fn place(&self) -> Place {
        self.directory.place()
    }

    /// What ended the store, in words for a log; nothing while it works.
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }
}

impl OwnershipStore for SqliteStore {
    fn submit(&mut self, ticket: Ticket, operation: Operation) {
        let sent = self.orders.as_ref().map(|orders| orders.try_send(Order { ticket, operation }));
        match sent {
            Some(Ok(())) => self.desk.hand_out(ticket),
            Some(Err(TrySendError::Full(_))) => self.desk.answer(ticket, Outcome::Unknown),
            _ => self.desk.answer(ticket, Outcome::Lost(StoreError::NotDurable)),
        }
    }

    fn poll(&mut self) -> Option<(Ticket, Outcome)> {
        self.desk.poll()
    }

    fn trouble(&self) -> Option<String> {
        self.failure().map(str::to_owned)
    }
}

impl Drop for SqliteStore {
    /// What is queued is still carried out; the folder is let go after that.
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A thread that has panicked has said so.
            thread.join().ok();
        }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("directory", &self.directory)
            .field("failure", &self.failure())
            .finish_non_exhaustive()
    }
}
