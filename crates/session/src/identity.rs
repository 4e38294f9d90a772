//! Long-lived keys of the two sides and their text form (base64 of 32 bytes, as in WireGuard configurations).

use core::fmt;
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand_core::CryptoRng;
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

use crate::dh;
use crate::kdf::Expander;

#[cfg(test)]
mod tests;

/// Text that is not the base64 form of 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyTextError;

impl fmt::Display for KeyTextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key is 44 characters of base64 (32 bytes)")
    }
}

impl core::error::Error for KeyTextError {}

fn decode(text: &str) -> Result<Zeroizing<[u8; 32]>, KeyTextError> {
    // The decoder wants room for whole groups of three bytes.
    let mut buffer = Zeroizing::new([0u8; 33]);
    match STANDARD.decode_slice(text, buffer.as_mut_slice()) {
        Ok(32) => {
            let mut key = Zeroizing::new([0; 32]);
            key.copy_from_slice(&buffer[..32]);
            Ok(key)
        }
        _ => Err(KeyTextError),
    }
}

/// X25519 private key (RFC 7748). Erased on drop; never printed.
#[derive(Clone, ZeroizeOnDrop)]
pub struct PrivateKey([u8; 32]);

impl PrivateKey {
    /// A fresh key.
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        let key = Self(bytes);
        bytes.zeroize();
        key
    }

    /// From its 32 bytes. Any 32 bytes are a key; the bits that RFC 7748 section 5 fixes are fixed on use.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The matching public key.
    pub fn public(&self) -> PublicKey {
        PublicKey(dh::public(&self.0))
    }

    /// A further secret of this node, for `label`: the same after every restart, useless for finding the key.
    pub fn derive(&self, label: &str) -> Zeroizing<[u8; 32]> {
        Expander::extract(b"jump/1 node", &self.0).expand(label, &[])
    }

    /// The key's bytes. The name is a warning: whoever holds them is this peer.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Base64 text, erased on drop.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0))
    }
}

impl FromStr for PrivateKey {
    type Err = KeyTextError;

    fn from_str(text: &str) -> Result<Self, KeyTextError> {
        decode(text).map(|key| Self(*key))
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
        decode(text).map(|key| Self(*key))
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
#[derive(Clone, ZeroizeOnDrop)]
pub struct PresharedKey([u8; 32]);

impl PresharedKey {
    /// A fresh key.
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        let key = Self(bytes);
        bytes.zeroize();
        key
    }

    /// From its 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key's bytes.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Base64 text, erased on drop.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0))
    }
}

impl FromStr for PresharedKey {
    type Err = KeyTextError;

    fn from_str(text: &str) -> Result<Self, KeyTextError> {
        decode(text).map(|key| Self(*key))
    }
}

impl PartialEq for PresharedKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for PresharedKey {}

impl fmt::Debug for PresharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresharedKey(..)")
    }
}
