//! Birth of a session: Noise IKpsk2 with `mac1` and cookies (sections 4.2, 5.1, 7.3).
//!
//! `mac1` and the retry MAC are HMAC-SHA-256/128 keyed by `SHA-256("jump/1 mac1" ‖ Ns_pub)` and
//! `SHA-256("jump/1 retry" ‖ Ns_pub)`, where `Ns_pub` is the gateway's public key: whoever does not know the
//! gateway gets nothing but silence, at the price of one short hash.

pub(crate) mod cookie;
pub(crate) mod initiator;
pub(crate) mod responder;

use core::fmt;

use jumpvpn_events::Reason;
use jumpvpn_wire::{Cid, HS_INIT_LEN, HsInit, HsRetry, Malformed, RespPayload, SessionId};
use snow::HandshakeState;

use crate::kdf::{Expander, MacKey, sha256};
use crate::{EpochContext, EpochSecret, PublicKey, Suite, noise};

#[cfg(test)]
mod tests;

/// Prologue label; the first twelve bytes of HS_INIT follow it.
const PROLOGUE_LABEL: &[u8; 6] = b"jump/1";

/// Length of the prologue, bytes.
const PROLOGUE_LEN: usize = PROLOGUE_LABEL.len() + HsInit::HEAD.end;

/// Why a handshake message was refused. The attempt itself is still alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeError {
    /// Not the message expected here.
    Malformed(Malformed),
    /// It answers another request.
    NotOurs,
    /// `mac1`, the MAC of a takeover or of a retry is wrong.
    Mac,
    /// Noise refused: forged, damaged, wrong keys, or wrong pre-shared key.
    Noise,
    /// The two sides have no suite in common, or the response names one that was not offered.
    Suite,
    /// A takeover that would not lead ahead: to an owner epoch or a version that is known already.
    NotAhead,
}

impl HandshakeError {
    /// The reason to report.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Malformed(_) => Reason::Malformed,
            Self::Mac => Reason::BadMac1,
            Self::NotOurs | Self::Noise | Self::Suite | Self::NotAhead => Reason::BadHandshake,
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::NotOurs => f.write_str("answers another request"),
            Self::Mac => f.write_str("handshake MAC is wrong"),
            Self::Noise => f.write_str("handshake is not authentic (keys or pre-shared key differ)"),
            Self::Suite => f.write_str("no suite in common"),
            Self::NotAhead => f.write_str("the takeover does not lead ahead"),
        }
    }
}

impl core::error::Error for HandshakeError {}

impl From<Malformed> for HandshakeError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<snow::Error> for HandshakeError {
    fn from(_: snow::Error) -> Self {
        Self::Noise
    }
}

/// What a finished handshake leaves behind.
#[derive(Debug)]
pub struct Established {
    /// The session's id, fixed from here on.
    pub sid: SessionId,
    /// Suite of control and data.
    pub suite: Suite,
    /// Secret of epoch 0.
    pub secret: EpochSecret,
    /// CID this side listens on.
    pub local_cid: Cid,
    /// CID the peer listens on.
    pub peer_cid: Cid,
}

impl Established {
    /// Epoch 0 of the session, as the gateway's payload describes it. One lane: this version uses no more.
    pub fn epoch(&self, payload: &RespPayload) -> EpochContext {
        EpochContext {
            sid: self.sid,
            n: 0,
            owner_epoch: payload.owner_epoch,
            owner_salt: payload.owner_salt,
            suite: self.suite,
            lanes: 1,
        }
    }
}

/// Section 5.1: session id and first epoch secret from the handshake hash and the raw split.
fn birth(state: &mut HandshakeState) -> (SessionId, EpochSecret) {
    let (hash, keys) = noise::raw_split(state);
    let prk = Expander::extract(&hash, keys.as_slice());
    let sid = SessionId(*prk.expand::<16>("session id", &[]));
    let secret = prk.expand::<32>("epoch", &[&sid.0, &0u32.to_le_bytes()]);
    (sid, EpochSecret::new(&secret))
}

fn prologue(init: &[u8; HS_INIT_LEN]) -> [u8; PROLOGUE_LEN] {
    let mut out = [0; PROLOGUE_LEN];
    let (label, head) = out.split_at_mut(PROLOGUE_LABEL.len());
    label.copy_from_slice(PROLOGUE_LABEL);
    head.copy_from_slice(&init[HsInit::HEAD]);
    out
}

/// Writes the `mac1` that belongs to this request: everybody who knows the gateway's public key can.
pub fn write_mac1(gateway: &PublicKey, init: &mut [u8; HS_INIT_LEN]) {
    PublicMacs::new(gateway).write_mac1(init);
}

/// The two MAC keys that everybody who knows the gateway's public key can compute.
pub(crate) struct PublicMacs {
    mac1: MacKey,
    retry: MacKey,
}

impl PublicMacs {
    pub(crate) fn new(gateway: &PublicKey) -> Self {
        Self {
            mac1: MacKey::new(&sha256(&[b"jump/1 mac1", &gateway.0])),
            retry: MacKey::new(&sha256(&[b"jump/1 retry", &gateway.0])),
        }
    }

    fn write_mac1(&self, init: &mut [u8; HS_INIT_LEN]) {
        let tag = self.mac1.tag(&[&init[HsInit::MAC1_INPUT]]);
        init[HsInit::MAC1].copy_from_slice(&tag);
    }

    fn check_mac1(&self, init: &HsInit<'_>) -> bool {
        self.mac1.verify(&[&init.bytes()[HsInit::MAC1_INPUT]], &init.mac1())
    }

    /// Covers the retry's bytes and the request's own MAC, which a blind attacker has not seen.
    pub(crate) fn retry_mac(&self, retry: &HsRetry, mac: &[u8; 16]) -> [u8; 16] {
        self.retry.tag(&[&retry.encode()[HsRetry::MAC_INPUT], mac])
    }

    pub(crate) fn check_retry(&self, retry: &HsRetry, mac: &[u8; 16]) -> bool {
        self.retry.verify(&[&retry.encode()[HsRetry::MAC_INPUT], mac], &retry.mac)
    }
}
