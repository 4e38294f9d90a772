//! The primitives that the Noise state machine (crate `snow`) runs on: all of them from `aws-lc-rs`.
//!
//! Randomness is an argument: the state machine gets the 32 bytes of one ephemeral key and an error for every byte
//! more. The state machine keeps copies of chaining key and pre-shared key that it does not erase.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest;
use rand_core::CryptoRng;
use snow::params::{CipherChoice, DHChoice, HashChoice, NoiseParams};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState};
use zeroize::{Zeroize, Zeroizing};

use crate::dh;

#[cfg(test)]
mod tests;

/// The handshake of a birth, section 4.2.
pub(crate) const BIRTH: &str = "Noise_IKpsk2_25519_ChaChaPoly_SHA256";

/// The handshake of a takeover, section 5.6.
pub(crate) const TAKEOVER: &str = "Noise_KKpsk0_25519_ChaChaPoly_SHA256";

/// Where the pre-shared key of a birth is mixed in (`psk2`: at the end of the second message).
pub(crate) const PSK_SLOT: usize = 2;

/// Length of a Poly1305 tag, bytes.
const TAG_LEN: usize = 16;

/// Randomness for one ephemeral key, handed to the state machine when it is needed.
#[derive(Clone, Default)]
pub(crate) struct Seed(Arc<Mutex<Option<Zeroizing<[u8; 32]>>>>);

impl Seed {
    /// Draws the 32 bytes.
    pub(crate) fn fill(&self, rng: &mut dyn CryptoRng) {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut_slice());
        *self.cell() = Some(seed);
    }

    fn cell(&self) -> MutexGuard<'_, Option<Zeroizing<[u8; 32]>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A state machine builder over our primitives, whose ephemeral key will come from `seed`.
pub(crate) fn builder<'a>(pattern: &str, seed: &Seed) -> Result<Builder<'a>, snow::Error> {
    let params: NoiseParams = pattern.parse()?;
    Ok(Builder::with_resolver(params, Box::new(Resolver(seed.clone()))))
}

/// Handshake hash and raw split `k1 ‖ k2` of a finished handshake.
pub(crate) fn raw_split(state: &mut HandshakeState) -> ([u8; 32], Zeroizing<[u8; 64]>) {
    let mut hash = [0; 32];
    hash.copy_from_slice(state.get_handshake_hash());
    let (mut k1, mut k2) = state.dangerously_get_raw_split();
    let mut keys = Zeroizing::new([0; 64]);
    keys[..32].copy_from_slice(&k1);
    keys[32..].copy_from_slice(&k2);
    k1.zeroize();
    k2.zeroize();
    (hash, keys)
}

struct Resolver(Seed);

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(self.0.clone()))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519).then(|| Box::<X25519>::default() as Box<dyn Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        matches!(choice, HashChoice::SHA256).then(|| Box::<Sha256>::default() as Box<dyn Hash>)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        matches!(choice, CipherChoice::ChaChaPoly).then(|| Box::<ChaChaPoly>::default() as Box<dyn Cipher>)
    }
}

/// Gives out its one key's worth of randomness and then errors.
impl Random for Seed {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        match self.cell().take() {
            Some(seed) if dest.len() == seed.len() => {
                dest.copy_from_slice(seed.as_slice());
                Ok(())
            }
            _ => Err(snow::Error::Rng),
        }
    }
}

/// Curve25519 of the Noise specification, section 12.1. Unlike the specification's default an all-zero result is
/// an error.
#[derive(Default)]
struct X25519 {
    private: Zeroizing<[u8; 32]>,
    public: [u8; 32],
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, privkey: &[u8]) {
        self.private.copy_from_slice(privkey);
        self.public = dh::public(&self.private);
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), snow::Error> {
        rng.try_fill_bytes(self.private.as_mut_slice())?;
        self.public = dh::public(&self.private);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        self.private.as_slice()
    }

    fn dh(&self, pubkey: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        let peer = pubkey.first_chunk::<32>().ok_or(snow::Error::Dh)?;
        let secret = dh::agree(&self.private, peer).map_err(|_| snow::Error::Dh)?;
        out.get_mut(..32).ok_or(snow::Error::Dh)?.copy_from_slice(secret.as_slice());
        Ok(())
    }
}

/// ChaChaPoly of the Noise specification, section 12.3.
#[derive(Default)]
struct ChaChaPoly {
    key: Option<LessSafeKey>,
    #[cfg(any(test, feature = "keylog"))]
    uses: Option<crate::keylog::KeyUses>,
}

fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}

impl Cipher for ChaChaPoly {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }

    fn set(&mut self, key: &[u8; 32]) {
        // Without a key nothing seals and nothing opens, so a failure here is safe.
        self.key = UnboundKey::new(&CHACHA20_POLY1305, key).ok().map(LessSafeKey::new);
        #[cfg(any(test, feature = "keylog"))]
        self.uses.replace(crate::keylog::KeyUses::of(key, &[0; 12]));
    }

    fn encrypt(&self, number: u64, authtext: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        let len = plaintext.len();
        let (body, room) = out[..len + TAG_LEN].split_at_mut(len);
        body.copy_from_slice(plaintext);
        let key = self.key.as_ref();
        #[cfg(any(test, feature = "keylog"))]
        self.uses.iter().for_each(|uses| uses.note(0, number));
        match key.map(|key| key.seal_in_place_separate_tag(nonce(number), Aad::from(authtext), body)) {
            Some(Ok(tag)) => room.copy_from_slice(tag.as_ref()),
            // The trait has no error: send zeros, which no peer accepts, instead of plaintext.
            _ => out[..len + TAG_LEN].fill(0),
        }
        len + TAG_LEN
    }

    fn decrypt(
        &self,
        number: u64,
        authtext: &[u8],
        ciphertext: &[u8],
        out: &mut [u8],
    ) -> Result<usize, snow::Error> {
        let key = self.key.as_ref().ok_or(snow::Error::Decrypt)?;
        let len = ciphertext.len().checked_sub(TAG_LEN).ok_or(snow::Error::Decrypt)?;
        let (body, tag) = ciphertext.split_at(len);
        let out = out.get_mut(..len).ok_or(snow::Error::Decrypt)?;
        key.open_separate_gather(nonce(number), Aad::from(authtext), body, tag, out)
            .map_err(|_| snow::Error::Decrypt)?;
        Ok(len)
    }
}

/// SHA256 of the Noise specification, section 12.5.
struct Sha256(digest::Context);

impl Default for Sha256 {
    fn default() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }
}

impl Hash for Sha256 {
    fn name(&self) -> &'static str {
        "SHA256"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        *self = Self::default();
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        let done = core::mem::take(self).0.finish();
        out[..32].copy_from_slice(done.as_ref());
    }
}
