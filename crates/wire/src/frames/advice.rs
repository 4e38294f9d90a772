//! MOVE_ADVICE: a gateway that is about to stop names others, and how its sessions should spread over time.

use crate::cursor::{Reader, Writer};
use crate::{Malformed, ObservedAddress};

/// Most gateways in one MOVE_ADVICE: as many as a client can try one after the other within its patience.
pub const MAX_ADVISED: usize = 4;

/// A gateway that could go on with the session, 52 bytes: static public key 32, address 20.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdvisedGateway {
    /// Its static public key: the name under which a client knows it.
    pub public: [u8; 32],
    /// Where it listens.
    pub endpoint: ObservedAddress,
}

impl AdvisedGateway {
    /// Encoded length, bytes.
    pub const LEN: usize = 32 + ObservedAddress::LEN;

    /// The entry's bytes.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        Writer::new(&mut out).put(&self.public).put(&self.endpoint.encode());
        out
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// As [`ObservedAddress::decode`].
    pub fn decode(entry: &[u8; Self::LEN]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(entry);
        let public = reader.array()?;
        Ok(Self { public, endpoint: ObservedAddress::decode(reader.rest())? })
    }
}

/// MOVE_ADVICE, 12 bytes and 52 for each gateway: reason 2, window 4, deadline 4, zero 2, then the entries. At most
/// [`MAX_ADVISED`] of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MoveAdvice<'a> {
    /// Number of the reason.
    pub reason: u16,
    /// Over which time the clients should spread their moves, milliseconds from the arrival.
    pub window_ms: u32,
    /// When the sender stops serving, milliseconds from the arrival.
    pub deadline_ms: u32,
    entries: &'a [[u8; AdvisedGateway::LEN]],
}

impl<'a> MoveAdvice<'a> {
    const HEAD_LEN: usize = 12;

    /// Advice to go to one of the gateways of `entries` (made by [`AdvisedGateway::encode`]), best first; those
    /// beyond [`MAX_ADVISED`] are left out.
    pub fn new(
        reason: u16,
        window_ms: u32,
        deadline_ms: u32,
        entries: &'a [[u8; AdvisedGateway::LEN]],
    ) -> Self {
        let entries = &entries[..entries.len().min(MAX_ADVISED)];
        Self { reason, window_ms, deadline_ms, entries }
    }

    /// The gateways, best first.
    pub fn gateways(&self) -> impl Iterator<Item = AdvisedGateway> + 'a {
        self.entries.iter().filter_map(|entry| AdvisedGateway::decode(entry).ok())
    }

    pub(super) fn body_len(&self) -> usize {
        Self::HEAD_LEN + self.entries.as_flattened().len()
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        writer.u16(self.reason).u32(self.window_ms).u32(self.deadline_ms).u16(0);
        writer.put(self.entries.as_flattened());
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let (reason, window_ms, deadline_ms) = (reader.u16()?, reader.u32()?, reader.u32()?);
        reader.zeros(2)?;
        let (entries, rest) = reader.bytes(reader.rest().len())?.as_chunks();
        if !rest.is_empty() || entries.len() > MAX_ADVISED {
            return Err(Malformed::Length);
        }
        entries.iter().try_for_each(|entry| AdvisedGateway::decode(entry).map(drop))?;
        Ok(Self { reason, window_ms, deadline_ms, entries })
    }
}
