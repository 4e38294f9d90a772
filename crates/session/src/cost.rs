//! The public-key operations of a birth at the gateway and nothing else, for a measurement that asks which share of a
//! birth they are. Nothing here takes part in a session.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::dh;

#[cfg(test)]
mod tests;

/// A key of ours and keys of a peer, made in advance.
pub struct PublicKeyWork {
    private: Zeroizing<[u8; 32]>,
    peer: [u8; 32],
    kem_public: [u8; jumpvpn_kem::PUBLIC_LEN],
}

impl PublicKeyWork {
    /// Fresh keys; `None` when the cryptographic library cannot make them.
    pub fn new(rng: &mut dyn CryptoRng) -> Option<Self> {
        let (mut private, mut other) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
        rng.fill_bytes(private.as_mut_slice());
        rng.fill_bytes(other.as_mut_slice());
        let mut seed = Zeroizing::new([0; jumpvpn_kem::KEY_SEED_LEN]);
        rng.fill_bytes(seed.as_mut_slice());
        let kem_public = jumpvpn_kem::generate(&seed)?.public;
        Some(Self { private, peer: dh::public(&other), kem_public })
    }

    /// Noise IKpsk2 as the responder: the public keys of the static and of a fresh ephemeral key, and the agreements
    /// `es`, `ss`, `ee`, `se`. `None` when one fails.
    pub fn handshake(&self) -> Option<()> {
        let _publics = [dh::public(&self.private), dh::public(&self.private)];
        (0..4).try_for_each(|_| dh::agree(&self.private, &self.peer).ok().map(drop))
    }

    /// The hybrid rekey as the responder: a fresh public key, one agreement, one encapsulation. `None` when one fails.
    pub fn rekey(&self) -> Option<()> {
        let _public = dh::public(&self.private);
        dh::agree(&self.private, &self.peer).ok()?;
        jumpvpn_kem::encapsulate(&self.kem_public, &self.private).map(drop)
    }
}
