//! SipHash-1-3 with a key drawn at start, for tables whose keys an outsider can choose: nobody can aim at one
//! bucket, and no operating-system randomness is needed.
use std::hash::BuildHasher;

use rand_core::CryptoRng;
use siphasher::sip::SipHasher13;

/// Key of the hash.
#[derive(Clone, Copy)]
pub struct KeyedState(u64, u64);

impl KeyedState {
    /// Draws a key.
    pub fn new(rng: &mut dyn CryptoRng) -> KeyedState {
        KeyedState(rng.next_u64(), rng.next_u64())
    }
}

impl BuildHasher for KeyedState {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

/// Hash map over [`KeyedState`]. Its order of iteration is never used.
pub type KeyedMap<K, V> = std::collections::HashMap<K, V, KeyedState>;
