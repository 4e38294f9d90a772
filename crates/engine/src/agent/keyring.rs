//! The credentials that a store may hold of this session, the likeliest first: what a takeover can be asked for with.
//!
//! More than one, because a store may be a key epoch behind, and may have agreed to a takeover that nobody told us of. A gateway that
//! agrees to a claim has read in the store what we asked with: if the claim came to nothing, that is what the store has.
use jumpvpn_session::Credentials;

#[cfg(test)]
mod tests;

/// Epochs whose credentials are kept: those of two claims that nobody has proven or refused, the newest epoch, and the
/// one before it. The one that was agreed to the longest ago gives way.
const CAPACITY: usize = 4;

/// Credentials, and the owner epoch that goes with them.
pub(crate) struct Entry {
    /// Its number, for [`Keyring::push`] and [`Keyring::void`].
    pub serial: u64,
    pub credentials: Credentials,
    pub owner_epoch: u64,
}

/// The credentials kept, the likeliest first; never none.
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

    /// A claim that a gateway agreed to has a new key epoch; it was asked for with those of that number, which come next from now on.
    /// The claim's number.
    pub fn push(&mut self, base: u64, credentials: Credentials, owner_epoch: u64) -> u64 {
        if let Some(at) = self.entries.iter().position(|entry| entry.serial == base) {
            self.entries[..=at].rotate_right(1);
        }
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
        let before = self.entries[0].serial;
        self.push(before, credentials, owner_epoch);
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

    /// Those whose turn it is: the likeliest first, then on, then from the beginning.
    pub fn turn(&self, turn: usize) -> &Entry {
        &self.entries[turn % self.entries.len()]
    }
}
