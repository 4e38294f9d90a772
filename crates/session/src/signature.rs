//! Signatures over what an operator publishes: Ed25519 (RFC 8032), with the name of what is signed in front of it, so that a
//! signature for one purpose is none for another.

use core::fmt;
use core::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::identity::{KeyTextError, Secret, decode, encode};

#[cfg(test)]
mod tests;

/// What a signature is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The list of a cell's gateways.
    GatewayList,
}

impl Purpose {
    /// What stands in front of the content; none is the beginning of another one, as each ends in its only zero.
    const fn prefix(self) -> &'static [u8] {
        match self {
            Purpose::GatewayList => b"jump/1 gateway list\0",
        }
    }

    fn message(self, content: &[u8]) -> Vec<u8> {
        [self.prefix(), content].concat()
    }
}

/// The signature is not of this key, purpose and content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadSignature;

/// Length of a signature, bytes (RFC 8032 section 5.1.6).
pub const SIGNATURE_LEN: usize = 64;

/// Private key of who signs: the 32-byte seed of RFC 8032 section 5.1.5. Erased on drop; never printed.
pub struct SigningKey(Secret);

impl SigningKey {
    /// A fresh key.
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        Self(Secret::random(rng))
    }

    /// From its 32 bytes. Any 32 bytes are a key.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Secret::copy_of(bytes))
    }

    fn pair(&self) -> Ed25519KeyPair {
        // invariant: Ed25519 accepts every 32-byte string as a seed.
        Ed25519KeyPair::from_seed_unchecked(self.0.bytes()).expect("32 bytes are a seed")
    }

    /// The matching public key.
    pub fn public(&self) -> VerifyingKey {
        let mut public = [0; 32];
        public.copy_from_slice(self.pair().public_key().as_ref());
        VerifyingKey(public)
    }

    /// Signs the content for that purpose. The same key, purpose and content always give the same signature.
    pub fn sign(&self, purpose: Purpose, content: &[u8]) -> [u8; SIGNATURE_LEN] {
        let mut signature = [0; SIGNATURE_LEN];
        signature.copy_from_slice(self.pair().sign(&purpose.message(content)).as_ref());
        signature
    }

    /// Base64 text, erased on drop.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(encode(self.0.bytes()))
    }
}

impl FromStr for SigningKey {
    type Err = KeyTextError;

    fn from_str(text: &str) -> Result<Self, KeyTextError> {
        Secret::from_text(text).map(Self)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// Public key of who signs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VerifyingKey(pub [u8; 32]);

/// Encodings of the points of small order, without their sign bits: under such a key anybody can make signatures. The values of y
/// are 0, 1 and -1, the first two also as p and p + 1 (p of RFC 8032 section 5.1), and those of the points of order 8.
const SMALL_ORDER: [[u8; 32]; 7] = [
    [0; 32],
    framed(0x01, 0x00, 0x00),
    framed(0xec, 0xff, 0x7f),
    framed(0xed, 0xff, 0x7f),
    framed(0xee, 0xff, 0x7f),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

const fn framed(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

impl VerifyingKey {
    /// Whether the key has small order, so that anybody can make signatures that it verifies.
    pub fn is_weak(&self) -> bool {
        let mut y = self.0;
        y[31] &= 0x7f;
        SMALL_ORDER.contains(&y)
    }

    /// Checks a signature.
    ///
    /// # Errors
    /// It is not one of this key for exactly this purpose and content.
    pub fn verify(
        &self,
        purpose: Purpose,
        content: &[u8],
        signature: &[u8; SIGNATURE_LEN],
    ) -> Result<(), BadSignature> {
        let key = UnparsedPublicKey::new(&ED25519, &self.0);
        key.verify(&purpose.message(content), signature).map_err(|_| BadSignature)
    }
}

impl FromStr for VerifyingKey {
    type Err = KeyTextError;

    fn from_str(text: &str) -> Result<Self, KeyTextError> {
        let mut key = [0; 32];
        decode(text, &mut key).map(|()| Self(key))
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(&self.0))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({self})")
    }
}
