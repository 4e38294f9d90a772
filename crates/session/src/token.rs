//! Route tokens (section 3): one AES-128 block that leads a control message to its session, and whose 32 zero
//! bits reject a forged one without a table look-up. Also the reset token of a session.

use core::fmt;

use aws_lc_rs::cipher::{AES_128, DecryptingKey, DecryptionContext, EncryptingKey, UnboundCipherKey};
use jumpvpn_wire::{Handle, ResetToken, RouteToken};
use rand_core::CryptoRng;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::kdf::MacKey;

#[cfg(test)]
pub(crate) mod tests;

/// The random source returned an all-zero key. GnuTLS once issued tickets under such a key for hours
/// (CVE-2020-13777); here the process must not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeakRandomness;

impl fmt::Display for WeakRandomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the random source returned an all-zero key")
    }
}

impl core::error::Error for WeakRandomness {}

/// A fresh key that is not zero.
pub(crate) fn random_key<const N: usize>(
    rng: &mut dyn CryptoRng,
) -> Result<Zeroizing<[u8; N]>, WeakRandomness> {
    let mut key = Zeroizing::new([0; N]);
    rng.fill_bytes(key.as_mut_slice());
    if key.iter().all(|&byte| byte == 0) { Err(WeakRandomness) } else { Ok(key) }
}

/// Key of the route tokens, shared by the nodes of a cluster. The library erases it on drop.
pub struct TokenKey {
    config: u8,
    seal: EncryptingKey,
    open: DecryptingKey,
}

impl TokenKey {
    /// From its configuration number (three bits are kept) and 16 key bytes.
    ///
    /// # Errors
    /// [`WeakRandomness`] for the all-zero key.
    pub fn new(config: u8, key: &[u8; 16]) -> Result<Self, WeakRandomness> {
        if key == &[0; 16] {
            return Err(WeakRandomness);
        }
        let unbound = || UnboundCipherKey::new(&AES_128, key);
        let seal = unbound().and_then(EncryptingKey::ecb);
        let open = unbound().and_then(DecryptingKey::ecb);
        // invariant: AES-128 takes every 16-byte key.
        let (seal, open) = (seal.expect("16 bytes are a key"), open.expect("16 bytes are a key"));
        Ok(Self { config: config & 7, seal, open })
    }

    /// A fresh key.
    ///
    /// # Errors
    /// [`WeakRandomness`].
    pub fn generate(config: u8, rng: &mut dyn CryptoRng) -> Result<Self, WeakRandomness> {
        Self::new(config, &*random_key::<16>(rng)?)
    }

    /// The configuration number that travels in the control header.
    pub fn config(&self) -> u8 {
        self.config
    }

    /// A fresh token: `AES(node 2 ‖ handle 6 ‖ random 4 ‖ zero 4)`. One block, so ECB is a plain permutation.
    pub fn seal(&self, handle: Handle, node: u16, rng: &mut dyn CryptoRng) -> RouteToken {
        let mut block = [0; 16];
        block[..2].copy_from_slice(&node.to_le_bytes());
        block[2..8].copy_from_slice(&handle.to_bytes());
        rng.fill_bytes(&mut block[8..12]);
        // invariant: one whole block, and ECB takes no context.
        self.seal.encrypt(&mut block).expect("one block always encrypts");
        RouteToken(block)
    }

    /// Handle and node of a token; `None` when its 32 zero bits do not come out: forged, or of another key.
    pub fn open(&self, token: &RouteToken) -> Option<(Handle, u16)> {
        let mut block = token.0;
        self.open.decrypt(&mut block, DecryptionContext::None).ok()?;
        let [n0, n1, h0, h1, h2, h3, h4, h5, _, _, _, _, zero @ ..] = block;
        let genuine: bool = zero.ct_eq(&[0; 4]).into();
        genuine.then(|| (Handle::from_bytes([h0, h1, h2, h3, h4, h5]), u16::from_le_bytes([n0, n1])))
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKey {{ config: {} }}", self.config)
    }
}

/// Whether a reset token is the one that was given; the comparison takes the same time whatever it finds.
pub fn is_reset_token(given: &ResetToken, shown: &ResetToken) -> bool {
    given.0.ct_eq(&shown.0).into()
}

/// What an orphaned NO_SESSION shows in place of the reset token: the session lives on, so its token must stay
/// unseen, and what was shown once must not serve for another request.
pub fn orphaned_proof(token: &ResetToken, cseq: u64) -> ResetToken {
    let mut key = Zeroizing::new([0; 32]);
    key[..16].copy_from_slice(&token.0);
    ResetToken(MacKey::new(&key).tag(&[b"jump/1 orphaned", &cseq.to_le_bytes()]))
}

/// Reset token of a session: HMAC-SHA-256/128 of its handle under the cluster's reset key.
pub fn reset_token(key: &[u8; 32], handle: Handle) -> ResetToken {
    ResetToken(MacKey::new(key).tag(&[b"jump/1 reset", &handle.to_bytes()]))
}
