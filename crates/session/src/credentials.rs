//! What a store may know of a session's keys (sections 5.6 and 5.7): enough for another gateway to prove, together with the
//! client, that the session goes on; too little to read or write a single packet of it.
//!
//! [`Credentials`] come from an epoch's secret; the client keeps them, the gateway hands them sealed to the store. The
//! key of that seal, and what else the gateways of a cell share, are [`StoreKeys`].

use core::fmt;

use jumpvpn_wire::{SessionId, TAG_LEN};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::kdf::{Expander, MacKey};
use crate::{AeadKey, EpochContext, EpochSecret, Suite, TokenKey, WeakRandomness};

#[cfg(test)]
mod tests;

/// Key epoch and three secrets.
const ENTRY_LEN: usize = 4 + 3 * 32;

/// Format number of sealed credentials.
const FORMAT: u8 = 1;

/// Format 1, key id 4, nonce 12.
const HEAD_LEN: usize = 1 + 4 + 12;

/// Longest sealed credentials, bytes: two epochs.
pub const SEALED_CREDENTIALS_LEN: usize = HEAD_LEN + 2 * ENTRY_LEN + TAG_LEN;

/// Resume secret and MAC keys of one key epoch. Erased on drop; never printed.
pub struct Credentials {
    n: u32,
    resume: Zeroizing<[u8; 32]>,
    c2s: Zeroizing<[u8; 32]>,
    s2c: Zeroizing<[u8; 32]>,
}

impl EpochSecret {
    /// `RS`, `K_to` and `K_to'` of this epoch. They are the same for every owner.
    pub fn credentials(&self, context: &EpochContext) -> Credentials {
        let root = Expander::from_secret(self.bytes());
        let (sid, n): (&[u8], &[u8]) = (&context.sid.0, &context.n.to_le_bytes());
        Credentials {
            n: context.n,
            resume: root.expand("resume", &[sid, n]),
            c2s: root.expand("takeover c2s", &[sid, n]),
            s2c: root.expand("takeover s2c", &[sid, n]),
        }
    }
}

impl Credentials {
    /// The key epoch they come from.
    pub fn n(&self) -> u32 {
        self.n
    }

    /// `RS`: the pre-shared key of a takeover.
    pub(crate) fn resume(&self) -> &[u8; 32] {
        &self.resume
    }

    /// `K_to`: shows a gateway, before any public-key work, that a request comes from the client.
    pub(crate) fn request_mac(&self) -> MacKey {
        MacKey::new(&self.c2s)
    }

    /// `K_to'`: shows the client that a refusal comes from somebody who can read the store.
    pub(crate) fn refusal_mac(&self) -> MacKey {
        MacKey::new(&self.s2c)
    }

    fn write(&self, out: &mut [u8]) {
        let (n, keys) = out.split_at_mut(4);
        n.copy_from_slice(&self.n.to_le_bytes());
        for (room, key) in keys.chunks_exact_mut(32).zip([&self.resume, &self.c2s, &self.s2c]) {
            room.copy_from_slice(key.as_slice());
        }
    }

    fn read(entry: &[u8; ENTRY_LEN]) -> Self {
        let mut credentials =
            Self { n: 0, resume: Zeroizing::default(), c2s: Zeroizing::default(), s2c: Zeroizing::default() };
        let (n, keys) = entry.split_at(4);
        credentials.n = n.iter().rev().fold(0, |n, &byte| n << 8 | u32::from(byte));
        let rooms = [&mut credentials.resume, &mut credentials.c2s, &mut credentials.s2c];
        for (room, key) in rooms.into_iter().zip(keys.chunks_exact(32)) {
            room.copy_from_slice(key);
        }
        credentials
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials {{ n: {} }}", self.n)
    }
}

/// Where sealed credentials belong. They open nowhere else, so that whoever can write to the store cannot give one
/// session the credentials of another, or of its own past.
#[derive(Debug, Clone, Copy)]
pub struct CredentialsPlace<'a> {
    /// The cell whose store it is.
    pub cell: &'a [u8],
    /// The session.
    pub sid: SessionId,
    /// Owner epoch of the record they were sealed for.
    pub owner_epoch: u64,
}

/// Why sealed credentials were not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedError {
    /// Length or format are unknown.
    Malformed,
    /// Sealed under another store key.
    OtherKey,
    /// Changed, or moved from another place.
    Forged,
}

impl fmt::Display for SealedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "sealed credentials of an unknown format",
            Self::OtherKey => "credentials are sealed under another store key",
            Self::Forged => "sealed credentials were changed or moved",
        })
    }
}

impl core::error::Error for SealedError {}

/// What the gateways of a cell share: a secret that its operator keeps away from the store. Erased on drop; never
/// printed.
pub struct StoreKeys {
    id: [u8; 4],
    seal: Zeroizing<[u8; 32]>,
    token: Zeroizing<[u8; 16]>,
    reset: Zeroizing<[u8; 32]>,
}

impl StoreKeys {
    /// From the content of the store key file.
    ///
    /// # Errors
    /// [`WeakRandomness`] for a secret of zeros.
    pub fn from_secret(secret: &[u8; 32]) -> Result<Self, WeakRandomness> {
        if secret == &[0; 32] {
            return Err(WeakRandomness);
        }
        let root = Expander::extract(b"jump/1 store", secret);
        Ok(Self {
            id: *root.expand("store key id", &[]),
            seal: root.expand("store seal", &[]),
            token: root.expand("store route token", &[]),
            reset: root.expand("store session reset", &[]),
        })
    }

    /// Names this key in what it sealed; tells nothing about the key.
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// Key of the route tokens, under this configuration number (three bits are kept).
    ///
    /// # Errors
    /// [`WeakRandomness`], with a probability of 2^-128.
    pub fn token_key(&self, config: u8) -> Result<TokenKey, WeakRandomness> {
        TokenKey::new(config, &self.token)
    }

    /// Key of the reset tokens.
    pub fn reset_key(&self) -> &[u8; 32] {
        &self.reset
    }

    /// Seals the credentials of the newest epoch and, during a rekey, of the one before: the client may hold either.
    ///
    /// Under a random nonce; with fewer than 2^32 writes of records per store key a nonce repeats with a probability
    /// below 2^-32 (NIST SP 800-38D section 8.3).
    pub fn seal(
        &self,
        place: &CredentialsPlace<'_>,
        newest: &Credentials,
        before: Option<&Credentials>,
        rng: &mut dyn CryptoRng,
    ) -> Vec<u8> {
        let count = 1 + usize::from(before.is_some());
        let mut out = vec![0; HEAD_LEN + count * ENTRY_LEN + TAG_LEN];
        let (head, body) = out.split_at_mut(HEAD_LEN);
        head[0] = FORMAT;
        head[1..5].copy_from_slice(&self.id);
        rng.fill_bytes(&mut head[5..]);
        for (room, credentials) in body.chunks_exact_mut(ENTRY_LEN).zip([Some(newest), before]) {
            if let Some(credentials) = credentials {
                credentials.write(room);
            }
        }
        let sealed = self.aead(head).seal(0, 0, &place.aad(head), body);
        // invariant: some 200 bytes, far below the limit of the suite.
        sealed.expect("short credentials are sealed");
        out
    }

    /// Opens sealed credentials, newest first: one or two.
    ///
    /// A record that changed hands without being sealed anew has a higher owner epoch than its credentials: the caller
    /// knows which changes do that, and asks for the epoch before then.
    ///
    /// # Errors
    /// See [`SealedError`].
    pub fn open(&self, place: &CredentialsPlace<'_>, sealed: &[u8]) -> Result<Vec<Credentials>, SealedError> {
        let (head, body) = sealed.split_at_checked(HEAD_LEN).ok_or(SealedError::Malformed)?;
        let count = body.len().checked_sub(TAG_LEN).ok_or(SealedError::Malformed)? / ENTRY_LEN;
        let fits = body.len() == count * ENTRY_LEN + TAG_LEN && (1..=2).contains(&count);
        if head[0] != FORMAT || !fits {
            return Err(SealedError::Malformed);
        }
        if head[1..5] != self.id {
            return Err(SealedError::OtherKey);
        }
        let mut body = Zeroizing::new(body.to_vec());
        self.aead(head).open(0, 0, &place.aad(head), &mut body).map_err(|_| SealedError::Forged)?;
        let (entries, _tag) = body.as_chunks::<ENTRY_LEN>();
        Ok(entries.iter().map(Credentials::read).collect())
    }

    fn aead(&self, head: &[u8]) -> AeadKey {
        let mut nonce = [0; 12];
        nonce.copy_from_slice(&head[5..HEAD_LEN]);
        AeadKey::new(Suite::Aes256Gcm, &self.seal, nonce)
    }
}

impl CredentialsPlace<'_> {
    /// Format, key id, session, owner epoch; the cell comes last, it alone has no fixed length.
    fn aad(&self, head: &[u8]) -> Vec<u8> {
        let label: &[u8] = b"jump/1 credentials";
        [label, &head[..5], &self.sid.0, &self.owner_epoch.to_le_bytes(), self.cell].concat()
    }
}

impl fmt::Debug for StoreKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreKeys {{ id: {:02x?} }}", self.id)
    }
}
