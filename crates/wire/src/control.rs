//! Plaintexts of PATH_PROBE, PATH_TICKET, REBIND_HINT, CLOSE and CLOSE_ACK, and the unsealed NO_SESSION.

use crate::cursor::{Reader, Writer};
use crate::{Cid, Kind, Malformed, ObservedAddress, PathId, ResetToken, Ticket, TransportClass};

#[cfg(test)]
mod tests;

/// Why a probe is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProbeFlags {
    /// The active path is in doubt; a REATTACH follows as soon as the ticket is here.
    pub urgent: bool,
    /// Same socket, changed address: the old address must be asked first.
    pub rebind: bool,
    /// Padded to measure the path MTU.
    pub mtu: bool,
}

impl ProbeFlags {
    fn encode(self) -> u16 {
        u16::from(self.urgent) | u16::from(self.rebind) << 1 | u16::from(self.mtu) << 2
    }

    fn decode(bits: u16) -> Result<Self, Malformed> {
        if bits & !0b111 != 0 {
            return Err(Malformed::Reserved);
        }
        Ok(Self { urgent: bits & 1 != 0, rebind: bits & 2 != 0, mtu: bits & 4 != 0 })
    }
}

/// PATH_PROBE, 80 bytes: nonce 8, path 4, flags 2, transport 1, reserved 1, client CID 8, RTT 4, zero 52.
/// Padding for an MTU probe follows and is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbePayload {
    /// Echoed by the ticket.
    pub nonce: [u8; 8],
    /// The path probed.
    pub path_id: PathId,
    /// Why.
    pub flags: ProbeFlags,
    /// Transport below the path.
    pub transport: TransportClass,
    /// CID the client will listen on for this path.
    pub client_cid: Cid,
    /// Last round-trip time on this path, microseconds; 0 when unknown.
    pub rtt_us: u32,
}

impl ProbePayload {
    /// Plaintext length without MTU padding, bytes. A probe is at least as long as the ticket that answers it.
    pub const LEN: usize = 80;

    /// The plaintext without MTU padding.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        Writer::new(&mut out)
            .put(&self.nonce)
            .u32(self.path_id.0)
            .u16(self.flags.encode())
            .u8(self.transport.code())
            .u8(0)
            .u64(self.client_cid.0)
            .u32(self.rtt_us);
        out
    }

    /// Reads the plaintext; bytes after the first 80 are padding.
    ///
    /// # Errors
    /// `TooShort`, `Reserved`, `Field("transport")`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let nonce = reader.array()?;
        let path_id = PathId(reader.u32()?);
        let flags = ProbeFlags::decode(reader.u16()?)?;
        let transport = TransportClass::from_code(reader.u8()?)?;
        reader.zeros(1)?;
        let (client_cid, rtt_us) = (Cid(reader.u64()?), reader.u32()?);
        reader.zeros(52)?;
        Ok(Self { nonce, path_id, flags, transport, client_cid, rtt_us })
    }
}

/// PATH_TICKET, 88 bytes: nonce 8, path 4, version 8, owner epoch 8, observed address 20, ticket 32, received
/// length 2, flags 2, retry-after 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TicketPayload {
    /// Nonce of the probe answered; for a mismatch the first eight bytes of the REATTACH's nonce.
    pub nonce: [u8; 8],
    /// Path of the request.
    pub path_id: PathId,
    /// Version the ticket is good for.
    pub version: u64,
    /// Owner epoch the ticket is good for.
    pub owner_epoch: u64,
    /// Where the server saw the request come from.
    pub observed: ObservedAddress,
    /// To be carried back in a REATTACH.
    pub ticket: Ticket,
    /// Length of the request as received, bytes: the path carries datagrams of this size.
    pub received_len: u16,
    /// This ticket answers a REATTACH whose source was not the address inside its proof.
    pub mismatch: bool,
    /// Earliest moment a REATTACH can succeed, milliseconds from now; 0 for at once.
    pub retry_after_ms: u32,
}

impl TicketPayload {
    /// Plaintext length, bytes.
    pub const LEN: usize = 88;

    /// The plaintext.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        Writer::new(&mut out)
            .put(&self.nonce)
            .u32(self.path_id.0)
            .u64(self.version)
            .u64(self.owner_epoch)
            .put(&self.observed.encode())
            .put(&self.ticket.0)
            .u16(self.received_len)
            .u16(u16::from(self.mismatch))
            .u32(self.retry_after_ms);
        out
    }

    /// Reads the plaintext.
    ///
    /// # Errors
    /// `Length`, `Reserved`, or the observed address's own.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::exact(bytes, Self::LEN)?;
        Ok(Self {
            nonce: reader.array()?,
            path_id: PathId(reader.u32()?),
            version: reader.u64()?,
            owner_epoch: reader.u64()?,
            observed: ObservedAddress::decode(reader.bytes(ObservedAddress::LEN)?)?,
            ticket: Ticket(reader.array()?),
            received_len: reader.u16()?,
            mismatch: flag(reader.u16()?)?,
            retry_after_ms: reader.u32()?,
        })
    }
}

fn flag(bits: u16) -> Result<bool, Malformed> {
    match bits {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed::Reserved),
    }
}

/// REBIND_HINT, 32 bytes: observed address 20, path 4, flags 2 (reserved), zero 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HintPayload {
    /// Where DATA of the active binding came from.
    pub observed: ObservedAddress,
    /// Path of the active binding.
    pub path_id: PathId,
}

impl HintPayload {
    /// Plaintext length, bytes.
    pub const LEN: usize = 32;

    /// The plaintext.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        Writer::new(&mut out).put(&self.observed.encode()).u32(self.path_id.0);
        out
    }

    /// Reads the plaintext.
    ///
    /// # Errors
    /// `Length`, `Reserved`, or the observed address's own.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::exact(bytes, Self::LEN)?;
        let observed = ObservedAddress::decode(reader.bytes(ObservedAddress::LEN)?)?;
        let path_id = PathId(reader.u32()?);
        reader.zeros(8)?;
        Ok(Self { observed, path_id })
    }
}

/// CLOSE, 16 bytes: reason 2, version 8, zero 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosePayload {
    /// Number of the reason code.
    pub reason: u16,
    /// Version the client believes in.
    pub version: u64,
}

impl ClosePayload {
    /// Plaintext length, bytes.
    pub const LEN: usize = 16;

    /// The plaintext.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        Writer::new(&mut out).u16(self.reason).u64(self.version);
        out
    }

    /// Reads the plaintext.
    ///
    /// # Errors
    /// `Length`, `Reserved`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::exact(bytes, Self::LEN)?;
        let payload = Self { reason: reader.u16()?, version: reader.u64()? };
        reader.zeros(6)?;
        Ok(payload)
    }
}

/// CLOSE_ACK, 8 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseAckPayload {
    /// `cseq` of the CLOSE answered.
    pub cseq: u64,
}

impl CloseAckPayload {
    /// Plaintext length, bytes.
    pub const LEN: usize = 8;

    /// The plaintext.
    pub fn encode(&self) -> [u8; Self::LEN] {
        self.cseq.to_le_bytes()
    }

    /// Reads the plaintext.
    ///
    /// # Errors
    /// `Length`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Ok(Self { cseq: Reader::exact(bytes, Self::LEN)?.u64()? })
    }
}

/// NO_SESSION, a whole datagram in clear, 36 bytes: type 1, flags 1 (bit 0 orphaned), zero 2, client CID 8, `cseq`
/// 8, proof 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSession {
    /// Client CID of the request; zero when the request did not show one.
    pub client_cid: Cid,
    /// `cseq` of the request.
    pub cseq: u64,
    /// The session is alive and nobody serves it: the client may ask this gateway to take it over.
    pub orphaned: bool,
    /// Shows that the sender holds the cluster's reset key: the session's reset token, or, when it is orphaned and
    /// so lives on, a value made of the token for this `cseq` alone.
    pub reset_token: ResetToken,
}

impl NoSession {
    /// Datagram length, bytes.
    pub const LEN: usize = 36;

    /// The datagram.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        Writer::new(&mut out)
            .u8(Kind::NoSession.code())
            .u8(u8::from(self.orphaned))
            .zeros(2)
            .u64(self.client_cid.0)
            .u64(self.cseq)
            .put(&self.reset_token.0);
        out
    }

    /// Reads the datagram.
    ///
    /// # Errors
    /// As [`Kind::of`], `Type` for another kind, `Reserved`.
    pub fn decode(datagram: &[u8]) -> Result<Self, Malformed> {
        if Kind::of(datagram)? != Kind::NoSession {
            return Err(Malformed::Type);
        }
        let mut reader = Reader::new(&datagram[1..]);
        let flags = reader.u8()?;
        reader.zeros(2)?;
        if flags > 1 {
            return Err(Malformed::Reserved);
        }
        Ok(Self {
            client_cid: Cid(reader.u64()?),
            cseq: reader.u64()?,
            orphaned: flags == 1,
            reset_token: ResetToken(reader.array()?),
        })
    }
}
