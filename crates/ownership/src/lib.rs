//! Who may act for a session: the record, the fence, the contract of the store that keeps both, and the algorithm.
//!
//! The engine never talks to a store. It emits a [`Request`] and goes on with other sessions; until the
//! [`Answer`] arrives it does nothing that depends on it. [`Node`] turns requests into transactions for an [`OwnershipStore`], renews
//! the gateway's own right to act, and watches the others'. Three outcomes of a change are told apart, because the third
//! one is where real systems fork: committed, refused because somebody else was first, and *unknown*, which the node settles.
//!
//! Deliberately not here: files, networks, clocks, threads. The one store here is [`MemoryStore`]; a gateway that has no other one
//! uses [`Ledger`], which answers at once. The conformance suite (feature `conformance`) says whether another store will do.

#![forbid(unsafe_code)]

mod burial;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod fence;
mod incarnation;
mod ledger;
mod memory;
mod node;
mod record;
mod request;
mod store;

pub use burial::{Burial, Deceased, Verdict};
pub use fence::Fence;
pub use incarnation::Incarnation;
pub use ledger::Ledger;
pub use memory::MemoryStore;

pub use node::keys::mailboxes;
pub use node::{Counts, Limits, Mutant, Node, NodeConfig, Peer, Profile, Standing, Status, Upkeep};
pub use record::{BadRecord, Handle, Moves, OpId, RecordState, SessionRecord, WallClock};
pub use request::{Answer, Ask, Expected, Owner, Request, RequestId, Rev};
pub use store::{
    Change, Compare, Hint, Key, Operation, Outcome, OwnershipStore, StoreError, Stored, Ticket, Transaction,
};
