//! Plaintexts of REATTACH and REATTACH_RESULT: the request that moves a binding and its outcome.

use crate::cursor::{Reader, Writer};
use crate::{Cid, Malformed, ObservedAddress, PathId, Ticket, TransportClass};

#[cfg(test)]
mod tests;

/// How the client judged the path it wants, 12 bytes: loss 2, zero 2, RTT 4, age 4. For the audit log only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quality {
    /// Loss, per thousand.
    pub loss_permille: u16,
    /// Round-trip time, microseconds; 0 when unknown.
    pub rtt_us: u32,
    /// Age of the measurement, milliseconds.
    pub age_ms: u32,
}

/// REATTACH, 112 bytes: ticket 32, expected version 8, owner epoch 8, path 4, flags 1, transport 1, reason 2,
/// accepted address 20, client CID 8, client nonce 16, quality 12.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReattachPayload {
    /// As received in PATH_TICKET.
    pub ticket: Ticket,
    /// State version the client believes in.
    pub version: u64,
    /// Owner epoch the client believes in.
    pub owner_epoch: u64,
    /// The path wanted.
    pub path_id: PathId,
    /// REBIND (the address changed under the client) instead of MOVE.
    pub rebind: bool,
    /// The path was probed in advance. For the audit log only.
    pub warm: bool,
    /// Transport below the path.
    pub transport: TransportClass,
    /// Number of the reason code. For the audit log, and to tell whether the old path is given up as dead.
    pub reason: u16,
    /// The address the client saw in the ticket and accepts as its own.
    pub observed: ObservedAddress,
    /// CID the client listens on for the new binding.
    pub client_cid: Cid,
    /// Fresh bytes of the client, part of the binding key.
    pub client_nonce: [u8; 16],
    /// Quality snapshot.
    pub quality: Quality,
}

const FLAG_REBIND: u8 = 1 << 0;
const FLAG_WARM: u8 = 1 << 1;

impl ReattachPayload {
    /// Plaintext length, bytes.
    pub const LEN: usize = 112;

    /// The plaintext.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let flags = (u8::from(self.rebind) * FLAG_REBIND) | (u8::from(self.warm) * FLAG_WARM);
        let mut out = [0; Self::LEN];
        Writer::new(&mut out)
            .put(&self.ticket.0)
            .u64(self.version)
            .u64(self.owner_epoch)
            .u32(self.path_id.0)
            .u8(flags)
            .u8(self.transport.code())
            .u16(self.reason)
            .put(&self.observed.encode())
            .u64(self.client_cid.0)
            .put(&self.client_nonce)
            .u16(self.quality.loss_permille)
            .u16(0)
            .u32(self.quality.rtt_us)
            .u32(self.quality.age_ms);
        out
    }

    /// Reads the plaintext.
    ///
    /// # Errors
    /// `Length`, `Reserved`, `Field("transport")`, or the address's own.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::exact(bytes, Self::LEN)?;
        let ticket = Ticket(reader.array()?);
        let (version, owner_epoch) = (reader.u64()?, reader.u64()?);
        let path_id = PathId(reader.u32()?);
        let flags = reader.u8()?;
        if flags & !(FLAG_REBIND | FLAG_WARM) != 0 {
            return Err(Malformed::Reserved);
        }
        let transport = TransportClass::from_code(reader.u8()?)?;
        let reason = reader.u16()?;
        let observed = ObservedAddress::decode(reader.bytes(ObservedAddress::LEN)?)?;
        let client_cid = Cid(reader.u64()?);
        let client_nonce = reader.array()?;
        let loss_permille = reader.u16()?;
        reader.zeros(2)?;
        let quality = Quality { loss_permille, rtt_us: reader.u32()?, age_ms: reader.u32()? };
        let (rebind, warm) = (flags & FLAG_REBIND != 0, flags & FLAG_WARM != 0);
        Ok(Self {
            ticket,
            version,
            owner_epoch,
            path_id,
            rebind,
            warm,
            transport,
            reason,
            observed,
            client_cid,
            client_nonce,
            quality,
        })
    }
}

/// Whether a REATTACH took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ResultStatus {
    /// The binding moved; the versions are those after the commit.
    Committed = 0,
    /// Nothing changed; the versions are the current ones, for the next attempt.
    Rejected = 1,
}

/// REATTACH_RESULT, 64 bytes: `cseq` 8, status 1, reason 2, flags 1 (reserved), version 8, owner epoch 8, path 4,
/// retry-after 4, drain 2, zero 2, observed address 20, zero 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResultPayload {
    /// `cseq` of the REATTACH answered.
    pub cseq: u64,
    /// Outcome.
    pub status: ResultStatus,
    /// Number of the reason code.
    pub reason: u16,
    /// Current state version.
    pub version: u64,
    /// Current owner epoch.
    pub owner_epoch: u64,
    /// Path of the active binding after this request.
    pub path_id: PathId,
    /// Earliest moment another attempt makes sense, milliseconds from now.
    pub retry_after_ms: u32,
    /// How long the old binding still receives, milliseconds.
    pub drain_ms: u16,
    /// Where the request came from.
    pub observed: ObservedAddress,
}

impl ResultPayload {
    /// Plaintext length, bytes.
    pub const LEN: usize = 64;

    /// The plaintext.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        Writer::new(&mut out)
            .u64(self.cseq)
            .u8(self.status as u8)
            .u16(self.reason)
            .u8(0)
            .u64(self.version)
            .u64(self.owner_epoch)
            .u32(self.path_id.0)
            .u32(self.retry_after_ms)
            .u16(self.drain_ms)
            .u16(0)
            .put(&self.observed.encode());
        out
    }

    /// Reads the plaintext.
    ///
    /// # Errors
    /// `Length`, `Reserved`, `Field("status")`, or the address's own.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::exact(bytes, Self::LEN)?;
        let cseq = reader.u64()?;
        let status = match reader.u8()? {
            0 => ResultStatus::Committed,
            1 => ResultStatus::Rejected,
            _ => return Err(Malformed::Field("status")),
        };
        let reason = reader.u16()?;
        reader.zeros(1)?;
        let (version, owner_epoch) = (reader.u64()?, reader.u64()?);
        let path_id = PathId(reader.u32()?);
        let (retry_after_ms, drain_ms) = (reader.u32()?, reader.u16()?);
        reader.zeros(2)?;
        let observed = ObservedAddress::decode(reader.bytes(ObservedAddress::LEN)?)?;
        reader.zeros(4)?;
        Ok(Self { cseq, status, reason, version, owner_epoch, path_id, retry_after_ms, drain_ms, observed })
    }
}
