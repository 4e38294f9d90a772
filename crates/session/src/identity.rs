//! Long-lived keys of the two sides and their text form (base64 of 32 bytes, as in WireGuard configurations).

use core::fmt;
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand_core::CryptoRng;
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

use crate::dh;
use crate::kdf::{Expander, sha256};

#[cfg(test)]
mod tests;

/// A short name for what has a long one: the first 4 bytes of `SHA-256("jump/1 " ‖ label ‖ 0x00 ‖ name)`. Two names share it
/// once in four billion.
pub fn name_id(label: &str, name: &str) -> [u8; 4] {
    let [a, b, c, d, ..] = sha256(&[b"jump/1 ", label.as_bytes(), &[0], name.as_bytes()]);
    [a, b, c, d]
}

/// Text that is not the base64 form of 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyTextError;

impl fmt::Display for KeyTextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key is 44 characters of base64 (32 bytes)")
    }
}

impl core::error::Error for KeyTextError {}

pub(crate) fn decode(text: &str, key: &mut [u8; 32]) -> Result<(), KeyTextError> {
    // The decoder wants room for whole groups of three bytes.
    let mut buffer = Zeroizing::new([0u8; 33]);
    match STANDARD.decode_slice(text, buffer.as_mut_slice()) {
        Ok(32) => {
            key.copy_from_slice(&buffer[..32]);
            Ok(())
        }
        _ => Err(KeyTextError),
    }
}

pub(crate) fn encode(key: &[u8; 32]) -> String {
    STANDARD.encode(key)
}

/// 32 secret bytes in one place of the heap. A value that is moved leaves its bytes behind on the stack, where nobody
/// wipes them; of this one only the address moves.
pub(crate) struct Secret(Box<[u8; 32]>);

impl Secret {
    fn zero() -> Self {
        Self(Box::new([0; 32]))
    }

    pub(crate) fn copy_of(bytes: &[u8; 32]) -> Self {
        let mut secret = Self::zero();
        secret.0.copy_from_slice(bytes);
        secret
    }

    pub(crate) fn random(rng: &mut dyn CryptoRng) -> Self {
        let mut secret = Self::zero();
        rng.fill_bytes(secret.0.as_mut_slice());
        secret
    }

    pub(crate) fn from_text(text: &str) -> Result<Self, KeyTextError> {
        let mut secret = Self::zero();
        decode(text, &mut secret.0).map(|()| secret)
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Clone for Secret {
    fn clone(&self) -> Self {
        Self::copy_of(&self.0)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for Secret {}

/// X25519 private key (RFC 7748). Erased on drop; never printed.
#[derive(Clone)]
pub struct PrivateKey(Secret);

impl PrivateKey {
    /// A fresh key.
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        Self(Secret::random(rng))
    }

    /// From its 32 bytes. Any 32 bytes are a key; the bits that RFC 7748 section 5 fixes are fixed on use.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Secret::copy_of(bytes))
    }

    /// The matching public key.
    pub fn public(&self) -> PublicKey {
        PublicKey(dh::public(self.expose()))
    }

    /// A further secret of this node, for `label`: the same after every restart, useless for finding the key.
    pub fn derive(&self, label: &str) -> Zeroizing<[u8; 32]> {
        Expander::extract(b"jump/1 node", self.expose()).expand(label, &[])
    }

    /// The key's bytes. The name is a warning: whoever holds them is this peer.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0.0
    }

    /// Base64 text, erased on drop.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.expose()))
    }
}

impl FromStr for PrivateKey {
    type Err = KeyTextError;

    fn from_str(text: &str) -> Result<Self, KeyTextError> {
        Secret::from_text(text).map(Self)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

/// X25519 public key: the name of a peer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl FromStr for PublicKey {
    type Err = KeyTextError;

    fn from_str(text: &str) -> Result<Self, KeyTextError> {
        let mut key = [0; 32];
        decode(text, &mut key).map(|()| Self(key))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// Operator's secret shared by a client and its gateway, mixed into the handshake. Erased on drop; never printed.
#[derive(Clone)]
pub struct PresharedKey(Secret);

impl PresharedKey {
    /// A fresh key.
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        Self(Secret::random(rng))
    }

    /// From its 32 bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Secret::copy_of(bytes))
    }

    /// The key's bytes.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0.0
    }

    /// Base64 text, erased on drop.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.expose()))
    }
}

impl FromStr for PresharedKey {
    type Err = KeyTextError;

    fn from_str(text: &str) -> Result<Self, KeyTextError> {
        Secret::from_text(text).map(Self)
    }
}

impl PartialEq for PresharedKey {
    fn eq(&self, other: &Self) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}

impl Eq for PresharedKey {}

impl fmt::Debug for PresharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresharedKey(..)")
    }
}
