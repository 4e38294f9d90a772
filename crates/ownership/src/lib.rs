//! Who may act for a session: the record, the fence, and the contract of the store that keeps both.
//!
//! The engine never talks to a store. It emits a [`Request`] and goes on with other sessions; until the
//! [`Answer`] arrives it does nothing that depends on it. Three outcomes of a change are told apart, because the third
//! one is where real systems fork: committed, refused because somebody else was first, and *unknown*.
//!
//! Deliberately not here: files, networks, clocks, threads, and rules of a cluster of gateways. What is here is
//! what a single gateway needs: [`MemoryStore`], and the conformance suite (feature `conformance`) that every other
//! store has to pass as well.

#![forbid(unsafe_code)]

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod fence;
mod incarnation;
mod ledger;
mod memory;
mod record;
mod request;
mod store;

pub use fence::Fence;
pub use incarnation::Incarnation;
pub use ledger::Ledger;
pub use memory::MemoryStore;
pub use record::{BadRecord, Handle, OpId, RecordState, SessionRecord, WallClock};
pub use request::{Answer, Ask, Expected, Owner, Request, RequestId, Rev};
pub use store::{
    Change, Compare, Key, Operation, Outcome, OwnershipStore, StoreError, Stored, Ticket, Transaction,
};
