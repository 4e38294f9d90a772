//! Sessions that are put in without a handshake: a measurement with a million of them cannot wait for so much public-key
//! work. Everything else about them is real. No gateway that serves anybody does this.
use std::net::IpAddr;

use jumpvpn_events::{Reason, Time};
use jumpvpn_ownership::{Expected, Rev};
use jumpvpn_session::{BindingContext, EpochContext, EpochSecret, Side, Trigger};
use jumpvpn_wire::Cid;

use super::session::{Beginning, Session};
use super::{From, Gateway};
use crate::SocketKey;

/// A session whose client holds the same secret already.
pub struct Installed {
    /// Secret of its first key epoch.
    pub secret: EpochSecret,
    /// What else names that epoch.
    pub context: EpochContext,
    /// Its inner addresses.
    pub inner: [Option<IpAddr>; 2],
    /// Outer address of its client.
    pub source: std::net::SocketAddr,
    /// Our address it is reached at.
    pub local: IpAddr,
    /// What it is to be called in packets to the client.
    pub peer_cid: Cid,
}

impl Gateway {
    /// Puts a session in, under the first of the peers; the CID of packets to us. `None` when the table is full.
    pub fn install(&mut self, installed: Installed, now: Time) -> Option<Cid> {
        let Installed { secret, context, inner, source, local, peer_cid } = installed;
        let slot = self.table.vacant_slot()?;
        let local_cid = self.table.mint_cid(slot, &mut *self.core.rng);
        // No pending birth: the place is looked at by nobody before the session is there.
        self.table.reserve(local_cid, 0).then_some(())?;
        let beginning = Beginning {
            handle: self.next_handle(now),
            peer: 0,
            inner,
            binding: BindingContext::birth(),
            traffic: secret.binding(&context, &BindingContext::birth(), Side::Server),
            context,
            secret,
            local_cid,
            peer_cid,
            from: From { socket: SocketKey(0), source, local },
            stored: Expected { rev: Rev(1), epoch: context.owner_epoch, version: 1 },
            born: now,
            expires: now + self.core.policy.session.max_lifetime,
            moved: false,
        };
        let slot = self.enter(Session::begin(beginning, false, now))?;
        self.transition(slot, Trigger::BirthComplete, Reason::BirthComplete, now);
        self.arm(slot, now);
        Some(local_cid)
    }
}
