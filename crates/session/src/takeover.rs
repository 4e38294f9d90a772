//! A session goes on at another gateway (section 5.6): Noise KKpsk0 between the client and the new gateway, with the
//! resume secret of the old session as the pre-shared key.
//!
//! Both static keys authenticate, the pre-shared key adds the session, two fresh ephemeral keys give new secrets that
//! neither the store nor the gateway before can know. Before any of that a gateway checks one MAC.
//!
//! Deliberately not here: who owns a session, and whether a gateway may take it. A takeover that was read and answered
//! is nothing yet; it counts when the client has confirmed it and the store has agreed.

pub(crate) mod initiator;
pub(crate) mod responder;

use jumpvpn_wire::{Cid, PathId, SessionId, TakeoverInit, TakeoverRespPayload};
use snow::HandshakeState;

use crate::kdf::{Expander, MacKey};
use crate::{
    BindingContext, Credentials, EpochContext, EpochSecret, HandshakeError, PublicKey, Suite, noise,
};

#[cfg(test)]
mod tests;

const PROLOGUE_LABEL: &[u8; 15] = b"jump/1 takeover";

/// Label, session, owner epoch, version, `cseq`, gateway.
const PROLOGUE_LEN: usize = PROLOGUE_LABEL.len() + 16 + 8 + 8 + 8 + 32;

/// What a finished takeover leaves behind, on either side.
#[derive(Debug)]
pub struct TakenOver {
    /// Secret of the new key epoch.
    pub secret: EpochSecret,
    /// Its context: the same session, the next key epoch, the new owner.
    pub context: EpochContext,
    /// The first binding under it.
    pub binding: BindingContext,
    /// CID this side listens on.
    pub local_cid: Cid,
    /// CID the peer listens on.
    pub peer_cid: Cid,
}

impl BindingContext {
    /// The first binding after a takeover: the request's `cseq` names it.
    pub const fn takeover(cseq: u64, path_id: PathId) -> Self {
        Self { cseq, path_id, client_nonce: [0; 16], ticket: None }
    }
}

/// What both sides mix in without saying it, or saying it in clear only.
fn prologue(sid: &SessionId, init: &TakeoverInit<'_>, gateway: &PublicKey) -> [u8; PROLOGUE_LEN] {
    let cseq = init.header().map_or(0, |header| header.cseq);
    let (owner_epoch, version) = (init.owner_epoch().to_le_bytes(), init.version().to_le_bytes());
    let parts: [&[u8]; 6] = [PROLOGUE_LABEL, &sid.0, &owner_epoch, &version, &cseq.to_le_bytes(), &gateway.0];
    let mut out = [0; PROLOGUE_LEN];
    let mut rest = out.as_mut_slice();
    for part in parts {
        let (room, tail) = rest.split_at_mut(part.len());
        room.copy_from_slice(part);
        rest = tail;
    }
    out
}

/// MAC of a request by `K_to`: over all of it, and the gateway that is meant.
fn request_tag(key: &MacKey, init: &TakeoverInit<'_>, gateway: &PublicKey) -> [u8; 16] {
    key.tag(&[&init.bytes()[TakeoverInit::MAC_INPUT], &gateway.0])
}

/// What both sides know of the session before the exchange.
#[derive(Clone, Copy)]
struct Before {
    sid: SessionId,
    n: u32,
}

impl Before {
    /// Section 5.6: `ES_{n+1}` from resume secret, raw split and handshake hash.
    fn finish(
        &self,
        state: &mut HandshakeState,
        resume: &[u8; 32],
        suite: Suite,
        lanes: u8,
        payload: &TakeoverRespPayload,
    ) -> Result<(EpochSecret, EpochContext), HandshakeError> {
        let n = self.n.checked_add(1).ok_or(HandshakeError::NotAhead)?;
        let (hash, keys) = noise::raw_split(state);
        let root = Expander::extract(resume, keys.as_slice());
        let (owner_epoch, number) = (payload.owner_epoch.to_le_bytes(), n.to_le_bytes());
        let secret = root.expand::<32>("takeover", &[&hash, &self.sid.0, &owner_epoch, &number]);
        let context = EpochContext {
            sid: self.sid,
            n,
            owner_epoch: payload.owner_epoch,
            owner_salt: payload.owner_salt,
            suite,
            lanes,
        };
        Ok((EpochSecret::new(&secret), context))
    }
}

/// The Noise state of one side.
fn state(
    seed: &noise::Seed,
    private: &[u8; 32],
    peer: &PublicKey,
    credentials: &Credentials,
    prologue: &[u8; PROLOGUE_LEN],
    initiator: bool,
) -> Result<HandshakeState, HandshakeError> {
    let builder = noise::builder(noise::TAKEOVER, seed)?
        .prologue(prologue)?
        .local_private_key(private)?
        .remote_public_key(&peer.0)?
        .psk(0, credentials.resume())?;
    Ok(if initiator { builder.build_initiator()? } else { builder.build_responder()? })
}
