//! One AEAD key with its IV: seals and opens in place, without allocation.

use core::fmt;

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce, UnboundKey};
use jumpvpn_wire::TAG_LEN;

use crate::Suite;
use crate::kdf::Expander;

#[cfg(test)]
mod tests;

/// Largest number of plaintext bytes this crate seals under one nonce; far below the limits of both suites.
const MAX_LEN: usize = 1 << 20;

/// The AEAD refused: forged or damaged bytes when opening, an impossible length when sealing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused;

/// A key for one direction and one purpose. The library erases it on drop; never printed.
pub struct AeadKey {
    key: LessSafeKey,
    iv: [u8; 12],
    #[cfg(any(test, feature = "keylog"))]
    uses: crate::keylog::KeyUses,
}

impl AeadKey {
    /// `key = X(secret, "key", "", 32)`, `iv = X(secret, "iv", "", 12)`.
    pub(crate) fn derive(suite: Suite, secret: &Expander) -> Self {
        let key = secret.expand::<32>("key", &[]);
        let iv = secret.expand::<12>("iv", &[]);
        Self::new(suite, &key, *iv)
    }

    pub(crate) fn new(suite: Suite, key: &[u8; 32], iv: [u8; 12]) -> Self {
        // invariant: both suites have 32-byte keys.
        let unbound = UnboundKey::new(suite.algorithm(), key).expect("the key has the suite's length");
        Self {
            key: LessSafeKey::new(unbound),
            iv,
            #[cfg(any(test, feature = "keylog"))]
            uses: crate::keylog::KeyUses::of(key, &iv),
        }
    }

    /// `IV ⊕ (u32 lane ‖ u64 number)`, little-endian.
    #[inline]
    fn nonce(&self, lane: u32, number: u64) -> Nonce {
        let [l0, l1, l2, l3] = lane.to_le_bytes();
        let [n0, n1, n2, n3, n4, n5, n6, n7] = number.to_le_bytes();
        let mut nonce = self.iv;
        for (byte, mix) in nonce.iter_mut().zip([l0, l1, l2, l3, n0, n1, n2, n3, n4, n5, n6, n7]) {
            *byte ^= mix;
        }
        Nonce::assume_unique_for_key(nonce)
    }

    /// Seals `buffer`, whose last [`TAG_LEN`] bytes receive the tag.
    #[inline]
    pub(crate) fn seal(&self, lane: u32, number: u64, aad: &[u8], buffer: &mut [u8]) -> Result<(), Refused> {
        let plaintext_len = buffer.len().checked_sub(TAG_LEN).filter(|&len| len <= MAX_LEN).ok_or(Refused)?;
        let (plaintext, room) = buffer.split_at_mut(plaintext_len);
        #[cfg(any(test, feature = "keylog"))]
        self.uses.note(lane, number);
        let tag = self
            .key
            .seal_in_place_separate_tag(self.nonce(lane, number), Aad::from(aad), plaintext)
            .map_err(|_| Refused)?;
        room.copy_from_slice(tag.as_ref());
        Ok(())
    }

    /// Opens `buffer` (ciphertext and tag); the plaintext is its first `len − TAG_LEN` bytes. On refusal the
    /// content of `buffer` is unspecified.
    #[inline]
    pub(crate) fn open(&self, lane: u32, number: u64, aad: &[u8], buffer: &mut [u8]) -> Result<(), Refused> {
        if buffer.len() < TAG_LEN {
            return Err(Refused);
        }
        match self.key.open_in_place(self.nonce(lane, number), Aad::from(aad), buffer) {
            Ok(_) => Ok(()),
            Err(_) => Err(Refused),
        }
    }
}

impl fmt::Debug for AeadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AeadKey(..)")
    }
}
