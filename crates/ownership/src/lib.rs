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
mod memory;
mod record;
mod request;

pub use fence::Fence;
pub use memory::MemoryStore;
pub use record::{BadRecord, Handle, RecordState, SessionRecord};
pub use request::{Answer, Expected, Request, RequestId, Rev};

use jumpvpn_events::Time;

/// Where ownership is kept.
///
/// Every change is a compare-and-set on one record: it applies as a whole or not at all, and at most once. A
/// request that is submitted again, unchanged, after [`Answer::Unknown`] is answered as if it had been submitted
/// once.
pub trait OwnershipStore {
    /// Carries out one request.
    fn submit(&mut self, request: &Request, now: Time) -> Answer;

    /// The right to act, as of the last successful renewal.
    fn fence(&self) -> Fence;
}
