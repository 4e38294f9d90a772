//! A cell's store: a cluster of etcd that many gateways share, spoken to by one thread.
//!
//! Of etcd's promises only those of transactions and linearizable reads are used. Leases, locks and elections are not, and
//! a watch is no more than a hint to look. Each operation is sent once: what has no answer is [`Outcome::Unknown`], and
//! only whoever asked knows whether to ask again. A heartbeat is the one exception, on purpose: it goes to two members at a
//! time, if its compare can hold for one of the copies only.
//!
//! The cluster's identity is kept in the folder since the first time, and the revision it has reached, at most a minute old. A cluster that was
//! set up anew has another identity or, if it has the old addresses and the old token, lower revisions; one that was put back
//! from a backup as well. Neither is believed: [`Outcome::Lost`].

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use jumpvpn_ownership::{Hint, Key, Operation, Outcome, OwnershipStore, StoreError, Ticket};
use tokio::sync::mpsc::{Receiver, Sender, channel, error::TrySendError};
use zeroize::Zeroizing;

use crate::desk::{Desk, desk};
use crate::{DataDir, Place, Waker};

mod connect;
mod error;
mod member;
mod messages;
mod pin;
mod shared;
mod translate;
mod work;

pub use connect::{Etcd, Memory};
pub use error::ConnectError;
use work::Order;

/// Operations that wait behind those that are on their way: what one machine took over in its best second. What comes
/// beyond is [`Outcome::Unknown`] at once, and so is what has waited for as long as a call may take.
const QUEUE: usize = 4096;

/// Heartbeats and hints that wait for the thread to turn to them: there is one heartbeat at a time.
const URGENT: usize = 16;

/// How to reach a cluster.
#[derive(Clone)]
pub struct Settings {
    /// Members, as `http://HOST:PORT` or `https://HOST:PORT`. Names are looked up once.
    pub endpoints: Vec<String>,
    /// What every key begins with. Nobody else may write below it.
    pub prefix: Vec<u8>,
    /// Certificates; nothing for `http`.
    pub tls: Option<Tls>,
    /// Who this is; nothing where etcd asks nobody, or asks the certificate.
    pub login: Option<Login>,
}

/// Certificates, as files in PEM.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Who signs the members' certificates.
    pub ca: PathBuf,
    /// Our certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// A user of etcd.
#[derive(Clone)]
pub struct Login {
    /// Name.
    pub user: String,
    /// Password.
    pub password: Zeroizing<String>,
}

impl fmt::Debug for Settings {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("endpoints", &self.endpoints)
            .field("prefix", &self.prefix.escape_ascii().to_string())
            .field("tls", &self.tls)
            .field("user", &self.login.as_ref().map(|login| &login.user))
            .finish()
    }
}

/// The store, with its thread.
pub struct EtcdStore {
    desk: Desk,
    /// Empty only while it is dropped.
    orders: Option<Orders>,
    thread: Option<JoinHandle<()>>,
    trouble: Arc<Mutex<Option<String>>>,
    /// Let go after the thread has ended.
    directory: DataDir,
}

/// Whoever wants to know what has changed.
pub type Listener = Arc<dyn Fn(Hint) + Send + Sync>;

/// An operation that may wait, and when it was submitted.
type Usual = (Ticket, Operation, Instant);

/// What the store's user sends.
struct Orders {
    /// In their order, as many at a time as one gateway may have on its way.
    usual: Sender<Usual>,
    /// At once.
    urgent: Sender<Order>,
}

/// What the thread receives.
struct Inbox {
    usual: Receiver<Usual>,
    urgent: Receiver<Order>,
}

fn queues() -> (Orders, Inbox) {
    let ((usual, usual_inbox), (urgent, urgent_inbox)) = (channel(QUEUE), channel(URGENT));
    (Orders { usual, urgent }, Inbox { usual: usual_inbox, urgent: urgent_inbox })
}

impl Etcd {
    /// Starts the thread. From here on no name is looked up and no file read any more.
    ///
    /// # Errors
    /// The system has no room for another thread.
    pub fn start(self, waker: Waker) -> io::Result<EtcdStore> {
        let (desk, outbox) = desk(waker);
        let (orders, inbox) = queues();
        let trouble = Arc::clone(&self.shared.trouble);
        let (directory, runtime, shared) = (self.directory, self.runtime, self.shared);
        let thread = std::thread::Builder::new()
            .name("jumpvpn-store".into())
            .spawn(move || work::run(&runtime, shared, inbox, outbox))?;
        Ok(EtcdStore { desk, orders: Some(orders), thread: Some(thread), trouble, directory })
    }
}

impl EtcdStore {
    /// Where this process runs and keeps its state.
    pub const fn place(&self) -> Place {
        self.directory.place()
    }

    /// Why the last operation was unknown or lost, in words for a log; nothing while operations are answered.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells `listener` whenever something below `prefix` has changed, and sometimes when nothing has; it may miss changes.
    /// Another prefix takes the place of the one before.
    pub fn watch(&self, prefix: Key, listener: Listener) {
        if let Some(orders) = &self.orders {
            // A hint that is lost costs the time until the next look.
            orders.urgent.try_send(Order::Watch(prefix, listener)).ok();
        }
    }
}

impl OwnershipStore for EtcdStore {
    fn submit(&mut self, ticket: Ticket, operation: Operation) {
        let is_heartbeat = translate::is_heartbeat(&operation);
        let sent = self.orders.as_ref().map(|orders| {
            if is_heartbeat {
                orders.urgent.try_send(Order::Beat(ticket, operation)).map_err(|error| is_full(&error))
            } else {
                orders.usual.try_send((ticket, operation, Instant::now())).map_err(|error| is_full(&error))
            }
        });
        match sent {
            Some(Ok(())) => self.desk.hand_out(ticket),
            Some(Err(true)) => self.desk.answer(ticket, Outcome::Unknown),
            _ => self.desk.answer(ticket, Outcome::Lost(StoreError::NotDurable)),
        }
    }

    fn poll(&mut self) -> Option<(Ticket, Outcome)> {
        self.desk.poll()
    }

    fn trouble(&self) -> Option<String> {
        EtcdStore::trouble(self)
    }
}

const fn is_full<T>(error: &TrySendError<T>) -> bool {
    matches!(error, TrySendError::Full(_))
}

impl Drop for EtcdStore {
    /// What is on its way is given up, and may or may not be carried out; the folder is let go after that.
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A thread that has panicked has said so.
            thread.join().ok();
        }
    }
}

impl fmt::Debug for EtcdStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdStore")
            .field("directory", &self.directory)
            .field("trouble", &self.trouble())
            .finish_non_exhaustive()
    }
}
