//! ML-KEM-768 (FIPS 203) with its randomness as an argument: key pair and encapsulation.
//!
//! The provider's safe interface draws both seeds itself. Then one part of a session would not be a function of its
//! arguments, and a simulated world could not be replayed byte for byte. The provider has both operations with a seed,
//! in C alone; this room is the call to them and nothing else (docs/decisions/0020). Decapsulation needs no
//! randomness and is deliberately not here: the safe interface has it.
#![allow(unsafe_code)]

use std::ptr;

use aws_lc_sys::{
    EVP_PKEY, EVP_PKEY_CTX, EVP_PKEY_CTX_free, EVP_PKEY_CTX_kem_set_params, EVP_PKEY_CTX_new,
    EVP_PKEY_CTX_new_id, EVP_PKEY_KEM, EVP_PKEY_encapsulate_deterministic, EVP_PKEY_free,
    EVP_PKEY_get_raw_private_key, EVP_PKEY_get_raw_public_key, EVP_PKEY_kem_new_raw_public_key,
    EVP_PKEY_keygen_deterministic, EVP_PKEY_keygen_init, NID_MLKEM768,
};
use zeroize::Zeroizing;

#[cfg(test)]
mod tests;

/// Bytes of an encapsulation key (FIPS 203, table 3).
pub const PUBLIC_LEN: usize = 1184;
/// Bytes of a decapsulation key in its expanded form (FIPS 203, table 3).
pub const PRIVATE_LEN: usize = 2400;
/// Bytes of a ciphertext (FIPS 203, table 3).
pub const CIPHERTEXT_LEN: usize = 1088;
/// Bytes of a shared secret (FIPS 203, table 3).
pub const SECRET_LEN: usize = 32;
/// Random bytes a key pair is made of: `d ‖ z` (FIPS 203, algorithm 16).
pub const KEY_SEED_LEN: usize = 64;
/// Random bytes an encapsulation is made of: `m` (FIPS 203, algorithm 17).
pub const ENCAPSULATION_SEED_LEN: usize = 32;

/// A key pair. The private part is erased on drop.
pub struct KeyPair {
    /// Decapsulation key, expanded, [`PRIVATE_LEN`] bytes.
    pub private: Zeroizing<Vec<u8>>,
    /// Encapsulation key.
    pub public: [u8; PUBLIC_LEN],
}

/// A ciphertext and the secret it carries. The secret is erased on drop.
pub struct Encapsulated {
    /// For the holder of the decapsulation key.
    pub ciphertext: [u8; CIPHERTEXT_LEN],
    /// What both sides hold then.
    pub secret: Zeroizing<[u8; SECRET_LEN]>,
}

/// The key pair of that seed; `None` when the provider refuses (out of memory, self-test failed).
pub fn generate(seed: &[u8; KEY_SEED_LEN]) -> Option<KeyPair> {
    // SAFETY: no pointer goes in but a null engine, which the function allows; the context is owned from here on.
    let context = Context::new(unsafe { EVP_PKEY_CTX_new_id(EVP_PKEY_KEM, ptr::null_mut()) })?;
    // SAFETY: the context is alive and was made for KEMs, which is what both calls ask for.
    let ready = unsafe {
        EVP_PKEY_CTX_kem_set_params(context.0, NID_MLKEM768) == 1 && EVP_PKEY_keygen_init(context.0) == 1
    };
    if !ready {
        return None;
    }
    let mut made: *mut EVP_PKEY = ptr::null_mut();
    let mut seed_len = seed.len();
    // SAFETY: `seed` is readable for `seed_len` bytes, `made` is null, so that a new key is allotted, owned below.
    let done = unsafe { EVP_PKEY_keygen_deterministic(context.0, &mut made, seed.as_ptr(), &mut seed_len) };
    let key = Key::new(made)?;
    let mut pair = KeyPair { private: Zeroizing::new(vec![0; PRIVATE_LEN]), public: [0; PUBLIC_LEN] };
    let (mut private_len, mut public_len) = (PRIVATE_LEN, PUBLIC_LEN);
    // SAFETY: the key is alive; each buffer is writable for the length that goes with it, which the calls check.
    let read = unsafe {
        EVP_PKEY_get_raw_private_key(key.0, pair.private.as_mut_ptr(), &mut private_len) == 1
            && EVP_PKEY_get_raw_public_key(key.0, pair.public.as_mut_ptr(), &mut public_len) == 1
    };
    let whole = done == 1 && read && (private_len, public_len) == (PRIVATE_LEN, PUBLIC_LEN);
    whole.then_some(pair)
}

/// A fresh secret for the holder of `public`, made of `seed`, which nobody may ever see or use again; `None` for bytes
/// that are no key (FIPS 203, section 7.2).
pub fn encapsulate(public: &[u8; PUBLIC_LEN], seed: &[u8; ENCAPSULATION_SEED_LEN]) -> Option<Encapsulated> {
    // SAFETY: `public` is readable for its length, which the call checks; the key is owned from here on.
    let key = unsafe { EVP_PKEY_kem_new_raw_public_key(NID_MLKEM768, public.as_ptr(), PUBLIC_LEN) };
    let key = Key::new(key)?;
    // SAFETY: the key is alive; the context takes a reference of its own to it.
    let context = Context::new(unsafe { EVP_PKEY_CTX_new(key.0, ptr::null_mut()) })?;
    let mut out = Encapsulated { ciphertext: [0; CIPHERTEXT_LEN], secret: Zeroizing::new([0; SECRET_LEN]) };
    let (mut ciphertext_len, mut secret_len, mut seed_len) = (CIPHERTEXT_LEN, SECRET_LEN, seed.len());
    // SAFETY: context alive; both buffers are writable and the seed readable for the lengths that go with them, and
    // the call refuses lengths that are too short.
    let done = unsafe {
        EVP_PKEY_encapsulate_deterministic(
            context.0,
            out.ciphertext.as_mut_ptr(),
            &mut ciphertext_len,
            out.secret.as_mut_ptr(),
            &mut secret_len,
            seed.as_ptr(),
            &mut seed_len,
        )
    };
    (done == 1 && (ciphertext_len, secret_len) == (CIPHERTEXT_LEN, SECRET_LEN)).then_some(out)
}

/// An owned key of the provider; never null.
struct Key(*mut EVP_PKEY);

impl Key {
    fn new(key: *mut EVP_PKEY) -> Option<Key> {
        (!key.is_null()).then_some(Key(key))
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: the only owner gives it back once; the provider erases it.
        unsafe { EVP_PKEY_free(self.0) }
    }
}

/// An owned context of the provider; never null.
struct Context(*mut EVP_PKEY_CTX);

impl Context {
    fn new(context: *mut EVP_PKEY_CTX) -> Option<Context> {
        (!context.is_null()).then_some(Context(context))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the only owner gives it back once.
        unsafe { EVP_PKEY_CTX_free(self.0) }
    }
}
