//! Which inner addresses are served here: told to the shell, so that routes follow.
//!
//! Only in a cell, where an address can be served by one gateway now and by another one later. The record is the authority:
//! a change is told after the store has committed it, and before a packet passes.
use std::net::IpAddr;

use super::Gateway;
use super::session::Session;

/// An inner address has come to this gateway, or is gone from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteChange {
    /// Which.
    pub address: IpAddr,
    /// Owner epoch under which it is served here from now on; `None` where it no longer is.
    pub owner_epoch: Option<u64>,
    /// Whether its session has changed its gateway before: then the networks that gateways announce do not lead here.
    pub moved: bool,
}

impl Gateway {
    /// Next change of the inner addresses that are served here. In a cell it has to be taken out after each call, as
    /// requests to the store have.
    pub fn poll_route(&mut self) -> Option<RouteChange> {
        self.core.routes.pop_front()
    }

    /// Enters a session; `None` when the table is full.
    pub(super) fn enter(&mut self, session: Box<Session>) -> Option<u32> {
        let (inner, moved, owner_epoch) = (session.inner, session.moved, session.owner_epoch());
        let slot = self.table.insert(session)?;
        self.note_routes(inner, Some(owner_epoch), moved);
        Some(slot)
    }

    /// Takes a session out of everything that leads to it. Its keys are erased when it is dropped.
    pub(super) fn take_out(&mut self, slot: u32) -> Option<Box<Session>> {
        let session = self.table.remove(slot)?;
        self.core.resending.retain(|(resending, ..)| *resending != slot);
        // An address that has another session by now stays.
        let gone =
            session.inner.map(|address| address.filter(|address| self.table.by_inner(address).is_none()));
        self.note_routes(gone, None, session.moved);
        Some(session)
    }

    fn note_routes(&mut self, inner: [Option<IpAddr>; 2], owner_epoch: Option<u64>, moved: bool) {
        if self.core.cell.is_some() {
            let changes =
                inner.into_iter().flatten().map(|address| RouteChange { address, owner_epoch, moved });
            self.core.routes.extend(changes);
        }
    }
}
