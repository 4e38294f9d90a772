//! X25519 (RFC 7748) over byte arrays, with the all-zero result refused (section 6.1 of the RFC).

use aws_lc_rs::agreement::{self, UnparsedPublicKey, X25519};
use zeroize::Zeroizing;

/// The peer's public key has small order, so the shared secret would be known to everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SmallOrder;

fn key(private: &[u8; 32]) -> agreement::PrivateKey {
    // invariant: X25519 accepts every 32-byte string as a private key.
    agreement::PrivateKey::from_private_key(&X25519, private).expect("32 bytes are an X25519 key")
}

/// Public key of a private key.
pub(crate) fn public(private: &[u8; 32]) -> [u8; 32] {
    let mut out = [0; 32];
    // invariant: a parsed X25519 key has a public key of 32 bytes.
    let public = key(private).compute_public_key().expect("an X25519 key has a public key");
    out.copy_from_slice(public.as_ref());
    out
}

/// Shared secret of a private and a public key.
pub(crate) fn agree(private: &[u8; 32], peer: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, SmallOrder> {
    agreement::agree(&key(private), UnparsedPublicKey::new(&X25519, peer), SmallOrder, |secret| {
        let mut out = Zeroizing::new([0; 32]);
        // The library refuses an all-zero secret itself; the handshake must not depend on that.
        if secret.len() != out.len() || secret.iter().all(|&byte| byte == 0) {
            return Err(SmallOrder);
        }
        out.copy_from_slice(secret);
        Ok(out)
    })
}

#[cfg(test)]
mod tests;
