//! The contract of a store: transactions over one ordered key space, with three outcomes.
//!
//! It is small on purpose. What a store has to promise is that a transaction applies as a whole or not at all, in one order that
//! all gateways agree on, and that a store which cannot tell says [`Outcome::Unknown`]. Leases, locks, elections and
//! watches are not asked for, because the safety of ownership must not rest on them.
//!
//! Deliberately not here: any store. [`MemoryStore`](crate::MemoryStore) is one; the conformance suite (feature `conformance`)
//! says whether another one keeps the contract.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use crate::Rev;

/// A key: bytes, ordered as bytes. At most [`Key::MAX_LEN`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub Box<[u8]>);

impl Key {
    /// Longest key, in bytes: twice the longest in use (`revoke/` and a public key take 39), far below what any store takes.
    pub const MAX_LEN: usize = 128;

    /// The key of those bytes. Stores may refuse one above [`Key::MAX_LEN`].
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Key {
        Key(bytes.into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// A store says that there is something to look at. Nothing is believed because of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// It may have missed something.
    Anything,
    /// Something was put under a key, or it was deleted.
    Changed {
        /// Which key.
        key: Key,
        /// Revision of the transaction that did it.
        rev: Rev,
    },
}

/// What stands under a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stored {
    /// Revision of the transaction that put it there.
    pub rev: Rev,
    /// The value.
    pub value: Box<[u8]>,
}

/// Something that has to be true for a transaction to apply.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Compare {
    /// The key has exactly this revision *and* this value. A revision alone could be handed out again by a store that was
    /// restored from a backup.
    Is {
        /// Which key.
        key: Key,
        /// Its revision.
        rev: Rev,
        /// Its value.
        value: Box<[u8]>,
    },
    /// Nothing stands under the key.
    Absent {
        /// Which key.
        key: Key,
    },
    /// Something stands under the key.
    Present {
        /// Which key.
        key: Key,
    },
}

impl Compare {
    /// The key it is about.
    pub const fn key(&self) -> &Key {
        match self {
            Compare::Is { key, .. } | Compare::Absent { key } | Compare::Present { key } => key,
        }
    }

    /// Whether it is true of what stands there.
    pub fn holds(&self, current: Option<&Stored>) -> bool {
        match (self, current) {
            (Compare::Is { rev, value, .. }, Some(stored)) => stored.rev == *rev && stored.value == *value,
            (Compare::Absent { .. }, None) | (Compare::Present { .. }, Some(_)) => true,
            _ => false,
        }
    }
}

/// What a transaction does to a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Puts the value there; its revision is that of the transaction.
    Put {
        /// Which key.
        key: Key,
        /// Its value from now on.
        value: Box<[u8]>,
    },
    /// Leaves nothing there. No error if there was nothing.
    Delete {
        /// Which key.
        key: Key,
    },
}

impl Change {
    /// The key it is about.
    pub const fn key(&self) -> &Key {
        match self {
            Change::Put { key, .. } | Change::Delete { key } => key,
        }
    }
}

/// If all compares hold, all changes are made, at one instant; else none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Transaction {
    /// What has to be true.
    pub compares: Vec<Compare>,
    /// What is done: at least one change. A key occurs at most once.
    pub changes: Vec<Change>,
}

/// One thing asked of a store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Make a change. A store carries it out at most once for each time it is submitted.
    Commit(Transaction),
    /// Look a key up. Linearizable: the answer was true at some instant between the submission and the outcome.
    Read(Key),
    /// Look keys up in their order: those that begin with `prefix` and come after `after`, at most `limit` of them. It
    /// may be a little out of date.
    List {
        /// What the keys begin with: at least one byte.
        prefix: Key,
        /// The last key of the page before; strictly greater keys are listed.
        after: Option<Key>,
        /// Entries of a page, from 1.
        limit: usize,
    },
}

/// What a store says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The transaction has been applied and is durable. Every key it put now has this revision, which is above that of every
    /// transaction before it. One that changed nothing may have the revision of the one before it.
    Committed(Rev),
    /// The transaction has not been applied and this copy of it never will be. For each of its compares, in order, what stood
    /// there when it was judged.
    Conflict(Vec<Option<Stored>>),
    /// It may have been applied, or may still be, or never will (for a read or a list: it was not answered).
    Unknown,
    /// The answer to [`Operation::Read`].
    Found(Option<Stored>),
    /// The answer to [`Operation::List`].
    Listed {
        /// Keys in order, with what stands under them.
        entries: Vec<(Key, Stored)>,
        /// There were more of them than fit on the page.
        more: bool,
    },
    /// The store itself is gone or is another one. Nothing it says may be believed any more.
    Lost(StoreError),
}

/// Why nothing that a store says may be believed any more.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StoreError {
    /// It is not the store that was opened: its identity has changed.
    Foreign,
    /// What it had written may be gone: a write or a sync has failed.
    NotDurable,
    /// What it holds contradicts itself, or cannot be read.
    Corrupt(Cow<'static, str>),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Foreign => f.write_str("the store is not the one that was opened"),
            StoreError::NotDurable => f.write_str("the store could not keep what was written"),
            StoreError::Corrupt(what) => write!(f, "the store is damaged: {what}"),
        }
    }
}

impl Error for StoreError {}

/// Pairs an outcome with its operation. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Where ownership is kept.
///
/// Neither call blocks. A store with threads of its own takes a waker when it is made, and calls it when an outcome can be polled.
/// Each ticket gets exactly one outcome, in any order, within seconds: a timeout, a cancelled call and a lost connection
/// are all [`Outcome::Unknown`]. A store never carries an operation out again by itself.
pub trait OwnershipStore {
    /// Begins an operation. Operations with different tickets may take effect in any order.
    fn submit(&mut self, ticket: Ticket, operation: Operation);

    /// The next outcome that has arrived.
    fn poll(&mut self) -> Option<(Ticket, Outcome)>;

    /// Why outcomes are unknown or the store is lost, in words for people; nothing while operations are answered.
    fn trouble(&self) -> Option<String> {
        None
    }
}
