//! The three headers: DATA, client → server control, server → client control.
//!
//! Each header is the associated data of the AEAD that seals what follows it, whole.

use crate::cursor::{Reader, Writer};
use crate::{CONTROL_HEADER_LEN, Cid, DATA_HEADER_LEN, Kind, Malformed, REPLY_HEADER_LEN, RouteToken};

#[cfg(test)]
mod tests;

/// Most lanes a DATA sender may use; the lane field has four bits.
pub const MAX_LANES: u8 = 16;

/// Header of a DATA datagram, 16 bytes: type 1, generation 1, lane 2, receiver's CID 8, packet number 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataHeader {
    /// Low eight bits of the sender's key generation.
    pub generation: u8,
    /// Transmit queue, below [`MAX_LANES`].
    pub lane: u8,
    /// Names binding and key epoch at the receiver.
    pub cid: Cid,
    /// Packet number within (binding, direction, generation, lane).
    pub pn: u32,
}

impl DataHeader {
    /// Header length, bytes.
    pub const LEN: usize = DATA_HEADER_LEN;

    /// Reads the first 16 bytes; what follows is not looked at.
    ///
    /// # Errors
    /// `TooShort`, `Version`, `Type`, or `Reserved` for a bit above the lane.
    #[inline]
    pub fn parse(datagram: &[u8]) -> Result<Self, Malformed> {
        let bytes = datagram.first_chunk::<DATA_HEADER_LEN>().ok_or(Malformed::TooShort)?;
        let [kind, generation, lane, reserved, c0, c1, c2, c3, c4, c5, c6, c7, p0, p1, p2, p3] = *bytes;
        if kind != Kind::Data.code() {
            return Err(Kind::from_code(kind).err().unwrap_or(Malformed::Type));
        }
        if reserved != 0 || lane >= MAX_LANES {
            return Err(Malformed::Reserved);
        }
        let cid = Cid(u64::from_le_bytes([c0, c1, c2, c3, c4, c5, c6, c7]));
        Ok(Self { generation, lane, cid, pn: u32::from_le_bytes([p0, p1, p2, p3]) })
    }

    /// Writes the header. A lane of [`MAX_LANES`] or more is cut to its four bits.
    #[inline]
    pub fn write(&self, out: &mut [u8; DATA_HEADER_LEN]) {
        let [c0, c1, c2, c3, c4, c5, c6, c7] = self.cid.0.to_le_bytes();
        let [p0, p1, p2, p3] = self.pn.to_le_bytes();
        let lane = self.lane & (MAX_LANES - 1);
        *out = [Kind::Data.code(), self.generation, lane, 0, c0, c1, c2, c3, c4, c5, c6, c7, p0, p1, p2, p3];
    }
}

/// Header of PATH_PROBE, REATTACH, TAKEOVER_INIT and CLOSE, 28 bytes: type 1, token configuration (3 bits) ‖ flags (5 bits,
/// reserved) 1, epoch 2, route token 16, `cseq` 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlHeader {
    /// One of the four kinds above.
    pub kind: Kind,
    /// Which token key sealed `token`, 0..=7.
    pub token_config: u8,
    /// Low 16 bits of the key epoch.
    pub epoch: u16,
    /// Leads to the session.
    pub token: RouteToken,
    /// Sequence number of the client's control messages; also the AEAD nonce.
    pub cseq: u64,
}

impl ControlHeader {
    /// Header length, bytes.
    pub const LEN: usize = CONTROL_HEADER_LEN;

    /// Reads the first 28 bytes; what follows is not looked at.
    ///
    /// # Errors
    /// `TooShort`, `Version`, `Type` (also for a message without this header), `Reserved`.
    pub fn parse(datagram: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(datagram);
        let kind = Kind::from_code(reader.u8()?)?;
        if !kind.is_control() {
            return Err(Malformed::Type);
        }
        let flags = reader.u8()?;
        if flags & 0b1_1111 != 0 {
            return Err(Malformed::Reserved);
        }
        let epoch = reader.u16()?;
        let token = RouteToken(reader.array()?);
        Ok(Self { kind, token_config: flags >> 5, epoch, token, cseq: reader.u64()? })
    }

    /// The header's bytes. A token configuration above 7 is cut to its three bits.
    pub fn encode(&self) -> [u8; CONTROL_HEADER_LEN] {
        let mut out = [0; CONTROL_HEADER_LEN];
        Writer::new(&mut out)
            .u8(self.kind.code())
            .u8(self.token_config << 5)
            .u16(self.epoch)
            .put(&self.token.0)
            .u64(self.cseq);
        out
    }
}

/// Header of PATH_TICKET, REATTACH_RESULT, REBIND_HINT and CLOSE_ACK, 20 bytes: type 1, flags 1 (reserved),
/// epoch 2, client CID 8, `sseq` 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyHeader {
    /// One of the four kinds above.
    pub kind: Kind,
    /// Low 16 bits of the key epoch.
    pub epoch: u16,
    /// The client's CID on this path.
    pub cid: Cid,
    /// Sequence number of the server's control messages; also the AEAD nonce.
    pub sseq: u64,
}

impl ReplyHeader {
    /// Header length, bytes.
    pub const LEN: usize = REPLY_HEADER_LEN;

    /// Reads the first 20 bytes; what follows is not looked at.
    ///
    /// # Errors
    /// `TooShort`, `Version`, `Type` (also for a message without this header), `Reserved`.
    pub fn parse(datagram: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(datagram);
        let kind = Kind::from_code(reader.u8()?)?;
        if !kind.is_reply() {
            return Err(Malformed::Type);
        }
        reader.zeros(1)?;
        Ok(Self { kind, epoch: reader.u16()?, cid: Cid(reader.u64()?), sseq: reader.u64()? })
    }

    /// The header's bytes.
    pub fn encode(&self) -> [u8; REPLY_HEADER_LEN] {
        let mut out = [0; REPLY_HEADER_LEN];
        Writer::new(&mut out).u8(self.kind.code()).u8(0).u16(self.epoch).u64(self.cid.0).u64(self.sseq);
        out
    }
}
