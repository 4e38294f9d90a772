//! Where things stand in the key space, and the small values beside the session records.

use std::net::IpAddr;

use crate::{Change, Compare, Handle, Incarnation, Key, Rev, Stored, Transaction};

/// First byte of every small value but wishes.
const FORMAT: u8 = 1;

/// First byte of a wish. 1 was without the record's revision: such a wish is not granted.
const WISH_FORMAT: u8 = 2;

fn key(parts: &[&[u8]]) -> Key {
    Key::new(parts.concat())
}

pub(crate) fn cell() -> Key {
    key(&[b"meta/cell"])
}

/// Which incarnation of a node joined last.
pub(crate) fn node(node_id: [u8; 4]) -> Key {
    key(&[b"node/", &node_id])
}

pub(crate) fn heartbeats() -> Key {
    key(&[b"hb/"])
}

pub(crate) fn heartbeat(of: Incarnation) -> Key {
    key(&[b"hb/", &of.0])
}

pub(crate) fn tombstones() -> Key {
    key(&[b"dead/"])
}

pub(crate) fn tombstone(of: Incarnation) -> Key {
    key(&[b"dead/", &of.0])
}

pub(crate) fn sessions() -> Key {
    key(&[b"s/"])
}

pub(crate) fn session(handle: Handle) -> Key {
    key(&[b"s/", &handle_bytes(handle)])
}

pub(crate) fn address(address: IpAddr) -> Key {
    match address {
        IpAddr::V4(address) => key(&[b"a/", &address.octets()]),
        IpAddr::V6(address) => key(&[b"a/", &address.octets()]),
    }
}

/// What the keys of all mailboxes begin with: a store that can tell of changes there tells of wishes, and that they are granted.
pub fn mailboxes() -> Key {
    key(&[b"req/"])
}

pub(crate) fn mailbox(of: Incarnation) -> Key {
    key(&[b"req/", &of.0, b"/"])
}

pub(crate) fn request(of: Incarnation, handle: Handle) -> Key {
    key(&[b"req/", &of.0, b"/", &handle_bytes(handle)])
}

pub(crate) fn revocation(peer: &[u8; 32]) -> Key {
    key(&[b"revoke/", peer])
}

pub(crate) fn handle_bytes(handle: Handle) -> [u8; 6] {
    let [_, _, rest @ ..] = handle.number().to_be_bytes();
    rest
}

pub(crate) fn handle_from(bytes: &[u8]) -> Option<Handle> {
    let mut number = [0; 8];
    number[2..].copy_from_slice(bytes.try_into().ok().filter(|bytes: &&[u8; 6]| bytes.len() == 6)?);
    Handle::new(u64::from_be_bytes(number))
}

/// The incarnation that a key ends with, after that prefix.
pub(crate) fn incarnation_after(prefix: &Key, key: &Key) -> Option<Incarnation> {
    key.0.strip_prefix(&*prefix.0)?.try_into().ok().map(Incarnation)
}

/// Whose mailbox a request stands in, and the session it is about.
pub(crate) fn request_parts(key: &Key) -> Option<(Incarnation, Handle)> {
    let (owner, rest) = key.0.strip_prefix(b"req/")?.split_first_chunk::<16>()?;
    Some((Incarnation(*owner), handle_from(rest.strip_prefix(b"/")?)?))
}

/// The key still has that revision and that value.
pub(crate) fn unchanged(key: &Key, rev: Rev, value: &[u8]) -> Compare {
    Compare::Is { key: key.clone(), rev, value: value.into() }
}

/// Deletes what stands there, if it still does.
pub(crate) fn deletion(key: Key, stored: &Stored) -> Transaction {
    Transaction {
        compares: vec![unchanged(&key, stored.rev, &stored.value)],
        changes: vec![Change::Delete { key }],
    }
}

pub(crate) fn absent(key: Key) -> Compare {
    Compare::Absent { key }
}

pub(crate) fn present(key: Key) -> Compare {
    Compare::Present { key }
}

/// The first value of a store: which cell it keeps, and which life of the store this is.
pub(crate) fn encode_cell(cell: u16, generation: u64) -> Box<[u8]> {
    [&[FORMAT, 0][..], &cell.to_le_bytes(), &generation.to_le_bytes()].concat().into()
}

pub(crate) fn decode_cell(value: &[u8]) -> Option<(u16, u64)> {
    let value: &[u8; 12] = value.try_into().ok()?;
    let [FORMAT, 0, a, b, generation @ ..] = *value else { return None };
    Some((u16::from_le_bytes([a, b]), u64::from_le_bytes(generation)))
}

/// A sign of life.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Heartbeat {
    pub draining: bool,
    /// Sessions it holds.
    pub load: u32,
    pub counter: u64,
    pub unix_ms: u64,
    /// New for each write, so that a copy of the machine that goes on with the same memory is found out.
    pub random: [u8; 16],
    pub boot_id: [u8; 16],
    pub data_dir: [u8; 16],
    pub public: [u8; 32],
    pub name: String,
}

impl Heartbeat {
    /// Whether it lives on that run of a machine, in that data directory: one process at a time does.
    pub fn is_from(&self, boot_id: [u8; 16], data_dir: [u8; 16]) -> bool {
        (self.boot_id, self.data_dir) == (boot_id, data_dir)
    }

    pub fn encode(&self) -> Box<[u8]> {
        let name = self.name.as_bytes();
        let name_len = name.len().min(255);
        let mut out = vec![FORMAT, u8::from(self.draining), name_len as u8, 0];
        out.extend(self.load.to_le_bytes());
        out.extend(self.counter.to_le_bytes());
        out.extend(self.unix_ms.to_le_bytes());
        out.extend(self.random);
        out.extend(self.boot_id);
        out.extend(self.data_dir);
        out.extend(self.public);
        out.extend(&name[..name_len]);
        out.into()
    }

    pub fn decode(value: &[u8]) -> Option<Heartbeat> {
        let (head, rest) = value.split_first_chunk::<4>()?;
        let [FORMAT, draining @ 0..=1, name_len, 0] = *head else { return None };
        let (load, rest) = rest.split_first_chunk()?;
        let (counter, rest) = rest.split_first_chunk()?;
        let (unix_ms, rest) = rest.split_first_chunk()?;
        let (random, rest) = rest.split_first_chunk()?;
        let (boot_id, rest) = rest.split_first_chunk()?;
        let (data_dir, rest) = rest.split_first_chunk()?;
        let (public, name) = rest.split_first_chunk()?;
        (name.len() == usize::from(name_len)).then(|| Heartbeat {
            draining: draining == 1,
            load: u32::from_le_bytes(*load),
            counter: u64::from_le_bytes(*counter),
            unix_ms: u64::from_le_bytes(*unix_ms),
            random: *random,
            boot_id: *boot_id,
            data_dir: *data_dir,
            public: *public,
            name: String::from_utf8_lossy(name).into_owned(),
        })
    }
}

/// What stands in a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Wish {
    /// Who asks.
    pub by: Incarnation,
    /// Revision of the record that whoever asks has seen. About any other one nothing is wished.
    pub of: Rev,
    pub kind: WishKind,
    pub unix_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum WishKind {
    /// Give the session to who asks.
    Handoff,
    /// End the session.
    Supersede,
    /// The owner keeps it, for the reason of that number.
    Declined(u16),
}

impl Wish {
    pub fn encode(&self) -> Box<[u8]> {
        let (kind, reason) = match self.kind {
            WishKind::Handoff => (1, 0),
            WishKind::Supersede => (2, 0),
            WishKind::Declined(reason) => (3, reason),
        };
        let mut out = vec![WISH_FORMAT, kind];
        out.extend(reason.to_le_bytes());
        out.extend(self.unix_ms.to_le_bytes());
        out.extend(self.of.0.to_le_bytes());
        out.extend(self.by.0);
        out.into()
    }

    pub fn decode(value: &[u8]) -> Option<Wish> {
        let value: &[u8; 36] = value.try_into().ok()?;
        let (head, rest) = value.split_first_chunk::<4>()?;
        let (unix_ms, rest) = rest.split_first_chunk()?;
        let (of, by) = rest.split_first_chunk()?;
        let kind = match *head {
            [WISH_FORMAT, 1, 0, 0] => WishKind::Handoff,
            [WISH_FORMAT, 2, 0, 0] => WishKind::Supersede,
            [WISH_FORMAT, 3, a, b] => WishKind::Declined(u16::from_le_bytes([a, b])),
            _ => return None,
        };
        let (of, unix_ms) = (Rev(u64::from_le_bytes(*of)), u64::from_le_bytes(*unix_ms));
        Some(Wish { by: Incarnation(by.try_into().ok()?), of, kind, unix_ms })
    }
}

/// The tombstone of an incarnation, which holds only if it has not shown a sign of life since that heartbeat.
pub(crate) fn burial(of: Incarnation, by: Incarnation, beat: &Stored, unix_ms: u64) -> Transaction {
    let (heartbeat, tombstone) = (heartbeat(of), tombstone(of));
    let value = encode_tombstone(by, unix_ms);
    Transaction {
        compares: vec![unchanged(&heartbeat, beat.rev, &beat.value), absent(tombstone.clone())],
        changes: vec![Change::Put { key: tombstone, value }, Change::Delete { key: heartbeat }],
    }
}

/// What a tombstone says: who wrote it, and when. For people; that it is there is all that counts.
pub(crate) fn encode_tombstone(by: Incarnation, unix_ms: u64) -> Box<[u8]> {
    [&[FORMAT][..], &unix_ms.to_le_bytes(), &by.0].concat().into()
}
