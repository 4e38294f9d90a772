//! Key change with forward secrecy (section 5.3): X25519 and, unless switched off, ML-KEM-768 (FIPS 203), both
//! inside the authenticated channel of the epoch before. The session id stays.
//!
//! Request: epoch 4 ‖ client CID 8 ‖ X25519 public 32 ‖ ML-KEM-768 encapsulation key 1184 (absent in classical
//! mode). Response: X25519 public 32 ‖ ML-KEM ciphertext 1088 (absent in classical mode) ‖ server CID 8 ‖ route
//! token 16 ‖ token configuration 1 ‖ zero 3 ‖ confirmation 16. The confirmation shows that both sides hold the
//! same secret; it catches a request that was put together from parts of two attempts.

use core::fmt;

use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, ML_KEM_768};
use jumpvpn_events::Reason;
use jumpvpn_kem::{
    CIPHERTEXT_LEN as KEM_CIPHERTEXT_LEN, ENCAPSULATION_SEED_LEN, KEY_SEED_LEN, PUBLIC_LEN as KEM_PUBLIC_LEN,
};
use jumpvpn_wire::{Cid, RouteToken, SessionId};
use rand_core::CryptoRng;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::kdf::{Expander, sha256};
use crate::{EpochSecret, dh};

#[cfg(test)]
mod tests;

/// Epoch, client CID and X25519 key.
const REQUEST_HEAD_LEN: usize = 4 + 8 + 32;
const REQUEST_LEN: usize = REQUEST_HEAD_LEN + KEM_PUBLIC_LEN;
/// Server CID, token, token configuration, zeros.
const TERMS_LEN: usize = 8 + 16 + 1 + 3;
const CONFIRMATION_LEN: usize = 16;

/// Longest response, bytes. With frame and datagram headers it fits the smallest path (1232-byte datagrams).
pub const REKEY_RESPONSE_LEN: usize = 32 + KEM_CIPHERTEXT_LEN + TERMS_LEN + CONFIRMATION_LEN;

/// Length of part 0 of a request in two parts: half of it, so that both datagrams have the same size.
pub const REKEY_PART_LEN: usize = REQUEST_LEN / 2;

/// Which secrets a rekey mixes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RekeyMode {
    /// X25519 and ML-KEM-768.
    Hybrid,
    /// X25519 alone, for devices whose policy switches the KEM off.
    Classical,
}

/// Why a rekey message was refused. The epoch in use is not touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RekeyError {
    /// Length, reserved bytes or epoch number do not fit.
    Malformed,
    /// A key or ciphertext is not usable.
    Key,
    /// The two sides do not hold the same secret.
    Mismatch,
}

impl RekeyError {
    /// The reason to report.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Malformed => Reason::Malformed,
            Self::Key | Self::Mismatch => Reason::BadHandshake,
        }
    }
}

impl fmt::Display for RekeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "rekey message does not fit",
            Self::Key => "rekey key is not usable",
            Self::Mismatch => "the sides hold different secrets",
        })
    }
}

impl core::error::Error for RekeyError {}

/// What the gateway hands out with the new epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RekeyTerms {
    /// CID the gateway listens on under the new epoch.
    pub server_cid: Cid,
    /// A fresh route token.
    pub token: RouteToken,
    /// Which token key sealed it, 0..=7.
    pub token_config: u8,
}

impl RekeyTerms {
    fn encode(&self) -> [u8; TERMS_LEN] {
        let mut out = [0; TERMS_LEN];
        out[..8].copy_from_slice(&self.server_cid.0.to_le_bytes());
        out[8..24].copy_from_slice(&self.token.0);
        out[24] = self.token_config & 7;
        out
    }

    fn decode(bytes: &[u8; TERMS_LEN]) -> Option<Self> {
        let (cid, rest) = bytes.split_first_chunk::<8>()?;
        let (token, rest) = rest.split_first_chunk::<16>()?;
        let [token_config @ 0..=7, 0, 0, 0] = *rest else { return None };
        let server_cid = Cid(u64::from_le_bytes(*cid));
        Some(Self { server_cid, token: RouteToken(*token), token_config })
    }
}

/// The client's side of a rekey that waits for its response.
pub struct RekeyInitiator {
    n: u32,
    sid: SessionId,
    client_cid: Cid,
    private: Zeroizing<[u8; 32]>,
    kem: Option<DecapsulationKey>,
    request: Vec<u8>,
}

/// The client's side of a finished rekey.
#[derive(Debug)]
pub struct RekeyFinished {
    /// Secret of the new epoch.
    pub secret: EpochSecret,
    /// The new epoch's number.
    pub n: u32,
    /// CID the client listens on under the new epoch.
    pub client_cid: Cid,
    /// What the gateway handed out.
    pub terms: RekeyTerms,
}

impl RekeyInitiator {
    /// Starts a rekey to epoch `n` (the present one plus one). All keys are made of `rng`.
    ///
    /// # Errors
    /// [`RekeyError::Key`] when the library cannot make a key pair.
    pub fn start(
        n: u32,
        sid: SessionId,
        client_cid: Cid,
        mode: RekeyMode,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, RekeyError> {
        let mut private = Zeroizing::new([0; 32]);
        rng.fill_bytes(private.as_mut_slice());
        let mut request = Vec::with_capacity(REQUEST_LEN);
        request.extend_from_slice(&n.to_le_bytes());
        request.extend_from_slice(&client_cid.0.to_le_bytes());
        request.extend_from_slice(&dh::public(&private));
        let kem = match mode {
            RekeyMode::Classical => None,
            RekeyMode::Hybrid => {
                let mut seed = Zeroizing::new([0; KEY_SEED_LEN]);
                rng.fill_bytes(seed.as_mut_slice());
                let pair = jumpvpn_kem::generate(&seed).ok_or(RekeyError::Key)?;
                request.extend_from_slice(&pair.public);
                let key = DecapsulationKey::new(&ML_KEM_768, pair.private.as_slice());
                Some(key.map_err(|_| RekeyError::Key)?)
            }
        };
        Ok(Self { n, sid, client_cid, private, kem, request })
    }

    /// The request; cut it with [`rekey_parts`]. A retransmission is byte-identical.
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// The epoch this rekey leads to.
    pub fn n(&self) -> u32 {
        self.n
    }

    /// Finishes the rekey. `secret` is that of the present epoch. On error the attempt is still alive.
    ///
    /// # Errors
    /// `Malformed`, `Key`, or `Mismatch`.
    pub fn finish(&self, secret: &EpochSecret, response: &[u8]) -> Result<RekeyFinished, RekeyError> {
        let (peer, rest) = response.split_first_chunk::<32>().ok_or(RekeyError::Malformed)?;
        let (rest, confirmation) =
            rest.split_last_chunk::<CONFIRMATION_LEN>().ok_or(RekeyError::Malformed)?;
        let (ciphertext, terms) = rest.split_last_chunk::<TERMS_LEN>().ok_or(RekeyError::Malformed)?;
        let terms = RekeyTerms::decode(terms).ok_or(RekeyError::Malformed)?;
        let mut shared = Shared::new();
        shared.put(dh::agree(&self.private, peer).map_err(|_| RekeyError::Key)?.as_slice());
        match &self.kem {
            None if ciphertext.is_empty() => {}
            Some(kem) if ciphertext.len() == KEM_CIPHERTEXT_LEN => {
                let kem_secret =
                    kem.decapsulate(Ciphertext::from(ciphertext)).map_err(|_| RekeyError::Key)?;
                shared.put(kem_secret.as_ref());
            }
            _ => return Err(RekeyError::Malformed),
        }
        let body = &response[..response.len() - CONFIRMATION_LEN];
        let derived = derive(secret, &self.sid, self.n, &shared, &self.request, body);
        if !bool::from(derived.confirmation.ct_eq(confirmation)) {
            return Err(RekeyError::Mismatch);
        }
        Ok(RekeyFinished { secret: derived.secret, n: self.n, client_cid: self.client_cid, terms })
    }
}

impl fmt::Debug for RekeyInitiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RekeyInitiator").field("n", &self.n).finish_non_exhaustive()
    }
}

/// The gateway's side of a finished rekey.
#[derive(Debug)]
pub struct RekeyResponded {
    /// Secret of the new epoch, unconfirmed until the client's first packet under it.
    pub secret: EpochSecret,
    /// CID the client listens on under the new epoch.
    pub client_cid: Cid,
    /// What was mixed in; a policy that requires post-quantum keys refuses `Classical`.
    pub mode: RekeyMode,
    /// To be sent; a repeated request gets the same bytes again.
    pub response: Vec<u8>,
}

/// Answers a request for epoch `n` (the present one plus one). Our X25519 key and the seed of the encapsulation come
/// from `rng`.
///
/// # Errors
/// `Malformed` (also for another epoch number), `Key`.
pub fn rekey_respond(
    n: u32,
    sid: SessionId,
    secret: &EpochSecret,
    request: &[u8],
    terms: &RekeyTerms,
    rng: &mut dyn CryptoRng,
) -> Result<RekeyResponded, RekeyError> {
    let (claimed, rest) = request.split_first_chunk::<4>().ok_or(RekeyError::Malformed)?;
    let (client_cid, rest) = rest.split_first_chunk::<8>().ok_or(RekeyError::Malformed)?;
    let (peer, kem_public) = rest.split_first_chunk::<32>().ok_or(RekeyError::Malformed)?;
    if u32::from_le_bytes(*claimed) != n || !matches!(kem_public.len(), 0 | KEM_PUBLIC_LEN) {
        return Err(RekeyError::Malformed);
    }
    let mode = if kem_public.is_empty() { RekeyMode::Classical } else { RekeyMode::Hybrid };
    let mut private = Zeroizing::new([0; 32]);
    rng.fill_bytes(private.as_mut_slice());
    let mut shared = Shared::new();
    shared.put(dh::agree(&private, peer).map_err(|_| RekeyError::Key)?.as_slice());
    let mut response = Vec::with_capacity(REKEY_RESPONSE_LEN);
    response.extend_from_slice(&dh::public(&private));
    if mode == RekeyMode::Hybrid {
        let public = kem_public.first_chunk().ok_or(RekeyError::Malformed)?;
        let mut seed = Zeroizing::new([0; ENCAPSULATION_SEED_LEN]);
        rng.fill_bytes(seed.as_mut_slice());
        let made = jumpvpn_kem::encapsulate(public, &seed).ok_or(RekeyError::Key)?;
        shared.put(made.secret.as_slice());
        response.extend_from_slice(&made.ciphertext);
    }
    response.extend_from_slice(&terms.encode());
    let derived = derive(secret, &sid, n, &shared, request, &response);
    response.extend_from_slice(derived.confirmation.as_slice());
    let client_cid = Cid(u64::from_le_bytes(*client_cid));
    Ok(RekeyResponded { secret: derived.secret, client_cid, mode, response })
}

/// `ss_x25519 ‖ ss_mlkem`, erased on drop.
struct Shared {
    bytes: Zeroizing<[u8; 64]>,
    len: usize,
}

impl Shared {
    fn new() -> Self {
        Self { bytes: Zeroizing::new([0; 64]), len: 0 }
    }

    fn put(&mut self, secret: &[u8]) {
        self.bytes[self.len..self.len + secret.len()].copy_from_slice(secret);
        self.len += secret.len();
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

struct Derived {
    secret: EpochSecret,
    confirmation: Zeroizing<[u8; CONFIRMATION_LEN]>,
}

/// `T = SHA-256("jump/1 rekey" ‖ SID ‖ n ‖ request ‖ response)`,
/// `ES_n = X(Extract(salt = ES_{n−1}, ikm), "rekey", T ‖ SID ‖ n, 32)`. The response enters without its
/// confirmation, which hangs on the new secret.
fn derive(
    old: &EpochSecret,
    sid: &SessionId,
    n: u32,
    shared: &Shared,
    request: &[u8],
    response: &[u8],
) -> Derived {
    let n = n.to_le_bytes();
    let transcript = sha256(&[b"jump/1 rekey", &sid.0, &n, request, response]);
    let prk = Expander::extract(old.bytes(), shared.as_slice());
    let secret = prk.expand::<32>("rekey", &[&transcript, &sid.0, &n]);
    let confirmation = Expander::from_secret(&secret).expand("rekey confirm", &[]);
    Derived { secret: EpochSecret::new(&secret), confirmation }
}

/// Cuts a request into the parts that travel in REKEY_REQ frames: (part, parts, body).
pub fn rekey_parts(request: &[u8]) -> impl Iterator<Item = (u8, u8, &[u8])> {
    let parts = if request.len() > REKEY_PART_LEN { 2 } else { 1 };
    let (first, second) = request.split_at(request.len().min(REKEY_PART_LEN));
    [(0, parts, first), (1, parts, second)].into_iter().take(usize::from(parts))
}

/// Puts a request together again; parts may come in any order and more than once.
#[derive(Debug, Clone)]
pub struct RekeyReassembly {
    buffer: [u8; REQUEST_LEN],
    first: bool,
    second: bool,
}

impl RekeyReassembly {
    /// Empty.
    pub const fn new() -> Self {
        Self { buffer: [0; REQUEST_LEN], first: false, second: false }
    }

    /// Takes a part; the whole request once it is there. A part that differs from what is held belongs to a
    /// newer attempt and displaces the rest of the old one.
    ///
    /// # Errors
    /// [`RekeyError::Malformed`] for part numbers or lengths that no request has.
    pub fn push(&mut self, part: u8, parts: u8, body: &[u8]) -> Result<Option<&[u8]>, RekeyError> {
        match (part, parts) {
            (0, 1) if body.len() == REQUEST_HEAD_LEN => {
                *self = Self::new();
                self.buffer[..REQUEST_HEAD_LEN].copy_from_slice(body);
                return Ok(Some(&self.buffer[..REQUEST_HEAD_LEN]));
            }
            (0, 2) if body.len() == REKEY_PART_LEN => {
                let slot = &mut self.buffer[..REKEY_PART_LEN];
                self.second &= !self.first || *slot == *body;
                slot.copy_from_slice(body);
                self.first = true;
            }
            (1, 2) if body.len() == REQUEST_LEN - REKEY_PART_LEN => {
                let slot = &mut self.buffer[REKEY_PART_LEN..];
                self.first &= !self.second || *slot == *body;
                slot.copy_from_slice(body);
                self.second = true;
            }
            _ => return Err(RekeyError::Malformed),
        }
        Ok((self.first && self.second).then_some(self.buffer.as_slice()))
    }
}

impl Default for RekeyReassembly {
    fn default() -> Self {
        Self::new()
    }
}
