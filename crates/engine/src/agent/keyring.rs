//! The credentials that a store may hold of this session, newest first: what a takeover can be asked for with.
//!
//! More than one, because a store may be a key epoch behind, and may have agreed to a takeover that nobody told us of.
use jumpvpn_session::Credentials;

#[cfg(test)]
mod tests;

/// Epochs whose credentials are kept: those of two claims that nobody has proven or refused, the newest epoch, and the
/// one before it. The oldest one gives way.
const CAPACITY: usize = 4;

/// Credentials, and the owner epoch that goes with them.
pub(crate) struct Entry {
    serial: u64,
    pub credentials: Credentials,
    pub owner_epoch: u64,
}

/// The credentials kept, newest first; never none.
pub(crate) struct Keyring {
    entries: Vec<Entry>,
    next_serial: u64,
}

impl Keyring {
    /// With those of a birth, or of a takeover that was proven.
    pub fn new(credentials: Credentials, owner_epoch: u64) -> Keyring {
        let entries = vec![Entry { serial: 0, credentials, owner_epoch }];
        Keyring { entries, next_serial: 1 }
    }

    /// A claim has a new key epoch. Its number, for [`Keyring::void`].
    pub fn push(&mut self, credentials: Credentials, owner_epoch: u64) -> u64 {
        let serial = self.next_serial;
        self.next_serial += 1;
        self.entries.truncate(CAPACITY - 1);
        self.entries.insert(0, Entry { serial, credentials, owner_epoch });
        serial
    }

    /// What was claimed under this number was refused: no store has it.
    pub fn void(&mut self, serial: u64) {
        if self.entries.len() > 1 {
            self.entries.retain(|entry| entry.serial != serial);
        }
    }

    /// A rekey has a new epoch: of those before it the store keeps one.
    pub fn rekeyed(&mut self, credentials: Credentials, owner_epoch: u64) {
        self.entries.truncate(1);
        self.push(credentials, owner_epoch);
    }

    /// The store names an owner epoch for the credentials of key epoch `n`. Whether that is news.
    pub fn raise(&mut self, n: u32, owner_epoch: u64) -> bool {
        let known = |entry: &&mut Entry| entry.credentials.n() == n && entry.owner_epoch < owner_epoch;
        self.entries.iter_mut().filter(known).map(|entry| entry.owner_epoch = owner_epoch).count() > 0
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Those whose turn it is: the newest first, then on, then from the beginning.
    pub fn turn(&self, turn: usize) -> &Entry {
        &self.entries[turn % self.entries.len()]
    }
}
