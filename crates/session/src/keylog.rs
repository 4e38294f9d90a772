//! The key log of the test build: under which numbers each key has sealed, so that a judge can tell that no pair of key and
//! nonce came twice in a whole cell.
//!
//! A key is named by a hash of it and its IV. Numbers are told in advance and in blocks, so that a process that is killed
//! has told all it used; a number that does not rise is told at once, and lies in a block that was told before.
//!
//! Exists with the feature `keylog` alone, which the program that is shipped does not have.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};

#[cfg(test)]
mod tests;

/// Numbers told at once: some seconds of the laboratory's traffic, so that the log stays small.
const BLOCK: u64 = 1024;

/// A key seals under these numbers, or is about to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// First half of the hash of key and IV.
    pub key: [u8; 16],
    /// Lane, which is part of the nonce.
    pub lane: u32,
    /// First number.
    pub from: u64,
    /// Last number.
    pub to: u64,
}

type Listener = Box<dyn Fn(KeyUse) + Send + Sync>;

static LISTENER: OnceLock<Listener> = OnceLock::new();

/// Tells this listener of all keys of the process from now on. Only the first one is told.
pub fn log_keys_to(listener: Listener) {
    LISTENER.set(listener).unwrap_or_default();
}

/// What one key has been used for.
pub(crate) struct KeyUses {
    key: [u8; 16],
    /// By lane: the lowest number that was not used yet, and the lowest that was not told.
    lanes: Mutex<BTreeMap<u32, (u64, u64)>>,
}

impl KeyUses {
    pub(crate) fn of(key: &[u8; 32], iv: &[u8; 12]) -> KeyUses {
        let mut hash = Context::new(&SHA256);
        hash.update(b"jump/1 key log");
        hash.update(key);
        hash.update(iv);
        let mut name = [0; 16];
        name.copy_from_slice(&hash.finish().as_ref()[..16]);
        KeyUses { key: name, lanes: Mutex::default() }
    }

    /// Must come before the key is used.
    pub(crate) fn note(&self, lane: u32, number: u64) {
        if let (Some(told), Some(listener)) = (self.told(lane, number), LISTENER.get()) {
            listener(told);
        }
    }

    fn told(&self, lane: u32, number: u64) -> Option<KeyUse> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let (unused, untold) = lanes.entry(lane).or_default();
        let to = if number < *unused {
            number
        } else {
            *unused = number + 1;
            if number < *untold {
                return None;
            }
            *untold = number + BLOCK;
            number + BLOCK - 1
        };
        Some(KeyUse { key: self.key, lane, from: number, to })
    }
}
