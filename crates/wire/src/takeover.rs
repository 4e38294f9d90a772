//! Takeover datagrams (TAKEOVER_INIT, TAKEOVER_RESP and its refusal) and the payloads sealed inside them.
//!
//! As with the handshake the datagrams are views over fixed arrays: the Noise state machine writes into them in
//! place. Every answer names its request by `cseq`, which stands in clear: a gateway that refuses has not looked
//! inside.

use core::fmt;
use core::ops::Range;

use crate::cursor::{Reader, Writer};
use crate::{Cid, ControlHeader, Cookie, GrantedLimits, Kind, Malformed, PathId, ResetToken, RouteToken};

#[cfg(test)]
mod tests;

/// Length of a TAKEOVER_INIT datagram, bytes.
pub const TAKEOVER_INIT_LEN: usize = 164;

/// Length of a TAKEOVER_RESP datagram that agrees, bytes.
pub const TAKEOVER_RESP_LEN: usize = 156;

/// Flag of a TAKEOVER_RESP that refuses.
const REFUSAL: u8 = 1;

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut raw = [0; 8];
    raw.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(raw)
}

/// View of a TAKEOVER_INIT: control header 28, cookie 24 (zero for none), owner epoch known 8, version known 8,
/// Noise `e` 32, payload 48, MAC 16.
#[derive(Clone, Copy)]
pub struct TakeoverInit<'a>(&'a [u8; TAKEOVER_INIT_LEN]);

impl<'a> TakeoverInit<'a> {
    /// Datagram length, bytes.
    pub const LEN: usize = TAKEOVER_INIT_LEN;
    /// Cookie or zeros.
    pub const COOKIE: Range<usize> = 28..52;
    /// Noise message 1.
    pub const NOISE: Range<usize> = 68..148;
    /// What the MAC covers, besides the gateway's public key.
    pub const MAC_INPUT: Range<usize> = 0..148;
    /// The MAC.
    pub const MAC: Range<usize> = 148..164;

    /// Checks kind, length and reserved bits.
    ///
    /// # Errors
    /// As [`Kind::of`], `Type` for another kind, `Reserved`.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Malformed> {
        crate::handshake::expect_kind(datagram, Kind::TakeoverInit)?;
        let bytes: &[u8; TAKEOVER_INIT_LEN] = datagram.try_into().map_err(|_| Malformed::Length)?;
        ControlHeader::parse(bytes)?;
        Ok(Self(bytes))
    }

    /// Writes everything before the Noise message, without a cookie.
    ///
    /// The header's kind is taken as [`Kind::TakeoverInit`], whatever it says.
    pub fn write_head(
        out: &mut [u8; TAKEOVER_INIT_LEN],
        header: &ControlHeader,
        owner_epoch: u64,
        version: u64,
    ) {
        let header = ControlHeader { kind: Kind::TakeoverInit, ..*header };
        Writer::new(&mut out[..Self::NOISE.start])
            .put(&header.encode())
            .zeros(Self::COOKIE.len())
            .u64(owner_epoch)
            .u64(version);
    }

    /// The whole datagram.
    pub fn bytes(&self) -> &'a [u8; TAKEOVER_INIT_LEN] {
        self.0
    }

    /// The control header: route token, low 16 bits of the key epoch, `cseq`.
    ///
    /// # Errors
    /// None for a view that [`parse`](Self::parse) made.
    pub fn header(&self) -> Result<ControlHeader, Malformed> {
        ControlHeader::parse(self.0)
    }

    /// The cookie; `None` when the field is zero.
    pub fn cookie(&self) -> Option<Cookie> {
        let mut out = [0; 24];
        out.copy_from_slice(&self.0[Self::COOKIE]);
        (out != [0; 24]).then_some(Cookie(out))
    }

    /// Owner epoch that the client knows: the highest it ever accepted.
    pub fn owner_epoch(&self) -> u64 {
        u64_at(self.0, 52)
    }

    /// Version that the client knows.
    pub fn version(&self) -> u64 {
        u64_at(self.0, 60)
    }

    /// Noise message 1.
    pub fn noise(&self) -> &'a [u8] {
        &self.0[Self::NOISE]
    }

    /// The MAC.
    pub fn mac(&self) -> [u8; 16] {
        let mut out = [0; 16];
        out.copy_from_slice(&self.0[Self::MAC]);
        out
    }
}

impl fmt::Debug for TakeoverInit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TakeoverInit")
            .field("owner_epoch", &self.owner_epoch())
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}

/// View of a TAKEOVER_RESP that agrees: type 1, flags 1 (zero), epoch 2, `cseq` 8, Noise `e` 32, payload 112.
#[derive(Clone, Copy)]
pub struct TakeoverResp<'a>(&'a [u8; TAKEOVER_RESP_LEN]);

impl<'a> TakeoverResp<'a> {
    /// Datagram length, bytes.
    pub const LEN: usize = TAKEOVER_RESP_LEN;
    /// Noise message 2.
    pub const NOISE: Range<usize> = 12..156;

    /// Checks kind, length and flags.
    ///
    /// # Errors
    /// As [`Kind::of`], `Type` for another kind, `Length` for a refusal, `Reserved`.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Malformed> {
        crate::handshake::expect_kind(datagram, Kind::TakeoverResp)?;
        let bytes: &[u8; TAKEOVER_RESP_LEN] = datagram.try_into().map_err(|_| Malformed::Length)?;
        if bytes[1] == 0 { Ok(Self(bytes)) } else { Err(Malformed::Reserved) }
    }

    /// Writes the first twelve bytes. `epoch` is the low half of the new key epoch.
    pub fn write_head(out: &mut [u8; TAKEOVER_RESP_LEN], epoch: u16, cseq: u64) {
        Writer::new(&mut out[..Self::NOISE.start]).u8(Kind::TakeoverResp.code()).u8(0).u16(epoch).u64(cseq);
    }

    /// Low 16 bits of the new key epoch.
    pub fn epoch(&self) -> u16 {
        u16::from_le_bytes([self.0[2], self.0[3]])
    }

    /// `cseq` of the request.
    pub fn cseq(&self) -> u64 {
        u64_at(self.0, 4)
    }

    /// Noise message 2.
    pub fn noise(&self) -> &'a [u8] {
        &self.0[Self::NOISE]
    }
}

/// TAKEOVER_RESP that refuses, 50 bytes: type 1, flags 1 (bit 0 set), epoch of the request 2, `cseq` 8, reason 2,
/// stored owner epoch 8, stored version 8, retry-after 4, MAC 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakeoverRefusal {
    /// Low 16 bits of the key epoch of the request.
    pub epoch: u16,
    /// `cseq` of the request.
    pub cseq: u64,
    /// Number of the reason.
    pub reason: u16,
    /// Owner epoch in the store.
    pub owner_epoch: u64,
    /// Version in the store.
    pub version: u64,
    /// When to ask again, milliseconds; 0 leaves it to the client.
    pub retry_after_ms: u32,
    /// Over the bytes before it and the request's MAC.
    pub mac: [u8; 16],
}

impl TakeoverRefusal {
    /// Datagram length, bytes.
    pub const LEN: usize = 50;
    /// The bytes the MAC covers (besides the request's MAC).
    pub const MAC_INPUT: Range<usize> = 0..34;

    /// The datagram.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        Writer::new(&mut out)
            .u8(Kind::TakeoverResp.code())
            .u8(REFUSAL)
            .u16(self.epoch)
            .u64(self.cseq)
            .u16(self.reason)
            .u64(self.owner_epoch)
            .u64(self.version)
            .u32(self.retry_after_ms)
            .put(&self.mac);
        out
    }

    /// Reads the datagram; the MAC is the caller's to check.
    ///
    /// # Errors
    /// As [`Kind::of`], `Type` for another kind, `Length` for one that agrees, `Reserved`.
    pub fn decode(datagram: &[u8]) -> Result<Self, Malformed> {
        crate::handshake::expect_kind(datagram, Kind::TakeoverResp)?;
        let mut reader = Reader::exact(datagram, Self::LEN)?;
        reader.u8()?;
        if reader.u8()? != REFUSAL {
            return Err(Malformed::Reserved);
        }
        Ok(Self {
            epoch: reader.u16()?,
            cseq: reader.u64()?,
            reason: reader.u16()?,
            owner_epoch: reader.u64()?,
            version: reader.u64()?,
            retry_after_ms: reader.u32()?,
            mac: reader.array()?,
        })
    }
}

/// What the client says inside TAKEOVER_INIT, 32 bytes: client CID 8, path id 4, features 2, suites 2, lanes 1, zero
/// 3, random 12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TakeoverInitPayload {
    /// CID the client listens on.
    pub client_cid: Cid,
    /// Path of the first binding at the new gateway; never used before in the session.
    pub path_id: PathId,
    /// [`features`](crate::features) bits, the low 16.
    pub features: u16,
    /// Offered suites, a bit mask (bit *n* is suite *n*). The store does not keep the suite of a session.
    pub suites: u16,
    /// Transmit lanes of the session, 0 (one) to 16.
    pub lanes: u8,
    /// Makes two messages of one client differ even with a broken ephemeral.
    pub random: [u8; 12],
}

impl TakeoverInitPayload {
    /// Plaintext length, bytes.
    pub const LEN: usize = 32;

    /// The plaintext.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        Writer::new(&mut out)
            .u64(self.client_cid.0)
            .u32(self.path_id.0)
            .u16(self.features)
            .u16(self.suites)
            .u8(self.lanes)
            .zeros(3)
            .put(&self.random);
        out
    }

    /// Reads the plaintext.
    ///
    /// # Errors
    /// `Length`, `Reserved`, `Field("lanes")`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::exact(bytes, Self::LEN)?;
        let (client_cid, path_id) = (Cid(reader.u64()?), PathId(reader.u32()?));
        let (features, suites) = (reader.u16()?, reader.u16()?);
        let lanes = reader.u8()?;
        reader.zeros(3)?;
        if lanes > crate::MAX_LANES {
            return Err(Malformed::Field("lanes"));
        }
        Ok(Self { client_cid, path_id, features, suites, lanes, random: reader.array()? })
    }
}

/// What the gateway says inside TAKEOVER_RESP, 96 bytes: features 4, owner epoch 8, owner salt 16, version 8,
/// server CID 8, lifetime 4, idle limit 4, switches 2, cool-down 2, ticket age 2, MTU 2, route token 16, reset token
/// 16, suite 2, token configuration 1, zero 1.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TakeoverRespPayload {
    /// [`features`](crate::features) bits.
    pub features: u32,
    /// Owner epoch from now on.
    pub owner_epoch: u64,
    /// New owner's salt, part of every server → client and binding key.
    pub owner_salt: [u8; 16],
    /// Version that the takeover commits.
    pub version: u64,
    /// CID the server will listen on.
    pub server_cid: Cid,
    /// What the session may do, and for how long.
    pub limits: GrantedLimits,
    /// Inner MTU, bytes.
    pub mtu: u16,
    /// First route token of the new owner.
    pub token: RouteToken,
    /// Expected in a genuine NO_SESSION from now on.
    pub reset_token: ResetToken,
    /// Number of the chosen suite.
    pub suite: u16,
    /// Which token key sealed `token`, 0..=7.
    pub token_config: u8,
}

impl TakeoverRespPayload {
    /// Plaintext length, bytes.
    pub const LEN: usize = 96;

    /// The plaintext.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        let mut writer = Writer::new(&mut out);
        writer
            .u32(self.features)
            .u64(self.owner_epoch)
            .put(&self.owner_salt)
            .u64(self.version)
            .u64(self.server_cid.0);
        self.limits.write(&mut writer);
        writer
            .u16(self.mtu)
            .put(&self.token.0)
            .put(&self.reset_token.0)
            .u16(self.suite)
            .u8(self.token_config);
        out
    }

    /// Reads the plaintext.
    ///
    /// # Errors
    /// `Length`, `Reserved`, `Field("token_config")`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::exact(bytes, Self::LEN)?;
        let payload = Self {
            features: reader.u32()?,
            owner_epoch: reader.u64()?,
            owner_salt: reader.array()?,
            version: reader.u64()?,
            server_cid: Cid(reader.u64()?),
            limits: GrantedLimits::read(&mut reader)?,
            mtu: reader.u16()?,
            token: RouteToken(reader.array()?),
            reset_token: ResetToken(reader.array()?),
            suite: reader.u16()?,
            token_config: reader.u8()?,
        };
        reader.zeros(1)?;
        if payload.token_config > 7 {
            return Err(Malformed::Field("token_config"));
        }
        Ok(payload)
    }
}

impl fmt::Debug for TakeoverRespPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TakeoverRespPayload")
            .field("features", &self.features)
            .field("owner_epoch", &self.owner_epoch)
            .field("version", &self.version)
            .field("mtu", &self.mtu)
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

impl Default for TakeoverRespPayload {
    fn default() -> Self {
        Self {
            features: 0,
            owner_epoch: 0,
            owner_salt: [0; 16],
            version: 0,
            server_cid: Cid(0),
            limits: GrantedLimits::default(),
            mtu: 0,
            token: RouteToken([0; 16]),
            reset_token: ResetToken([0; 16]),
            suite: 0,
            token_config: 0,
        }
    }
}
