//! Handshake datagrams (HS_INIT, HS_RETRY, HS_RESP) and the payloads sealed inside them.
//!
//! The datagrams are views over fixed arrays: the Noise state machine writes into them in place.

use core::fmt;
use core::net::Ipv4Addr;
use core::ops::Range;

use crate::cursor::{Reader, Writer};
use crate::{Cid, GrantedLimits, Kind, Malformed, ResetToken, RouteToken};

#[cfg(test)]
mod tests;

/// Length of an HS_INIT datagram, bytes.
pub const HS_INIT_LEN: usize = 196;

/// Length of an HS_RESP datagram, bytes.
pub const HS_RESP_LEN: usize = 164;

/// Feature bits of [`InitPayload`] and [`RespPayload`]. Unknown bits are ignored by the receiver.
pub mod features {
    /// The sender can do the hybrid post-quantum rekey.
    pub const PQ: u32 = 1 << 0;
    /// The sender's policy lets no user packet flow in epoch 0.
    pub const PQ_REQUIRED: u32 = 1 << 1;
}

/// Address cookie: server time 8 ‖ MAC 16. Opaque to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cookie(pub [u8; 24]);

pub(crate) fn expect_kind(datagram: &[u8], kind: Kind) -> Result<(), Malformed> {
    if Kind::of(datagram)? == kind { Ok(()) } else { Err(Malformed::Type) }
}

fn cid_at(bytes: &[u8], at: usize) -> Cid {
    let mut raw = [0; 8];
    raw.copy_from_slice(&bytes[at..at + 8]);
    Cid(u64::from_le_bytes(raw))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// View of an HS_INIT: type 1, flags 1, suites 2, client CID 8, Noise `e` 32, Noise `s` 48, payload 64, `mac1`
/// 16, cookie 24 (zero for none).
#[derive(Clone, Copy)]
pub struct HsInit<'a>(&'a [u8; HS_INIT_LEN]);

impl<'a> HsInit<'a> {
    /// Datagram length, bytes.
    pub const LEN: usize = HS_INIT_LEN;
    /// The bytes that enter the Noise prologue.
    pub const HEAD: Range<usize> = 0..12;
    /// Noise message 1.
    pub const NOISE: Range<usize> = 12..156;
    /// Client's ephemeral public key, the start of the Noise message.
    pub const EPHEMERAL: Range<usize> = 12..44;
    /// What `mac1` covers.
    pub const MAC1_INPUT: Range<usize> = 0..156;
    /// `mac1`.
    pub const MAC1: Range<usize> = 156..172;
    /// Cookie or zeros.
    pub const COOKIE: Range<usize> = 172..196;

    /// Checks kind, length and reserved bits.
    ///
    /// # Errors
    /// As [`Kind::of`], `Type` for another kind, `Reserved`.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Malformed> {
        expect_kind(datagram, Kind::HsInit)?;
        let bytes: &[u8; HS_INIT_LEN] = datagram.try_into().map_err(|_| Malformed::Length)?;
        if bytes[1] != 0 { Err(Malformed::Reserved) } else { Ok(Self(bytes)) }
    }

    /// Writes the first twelve bytes and clears the cookie.
    pub fn write_head(out: &mut [u8; HS_INIT_LEN], suites: u16, client_cid: Cid) {
        Writer::new(&mut out[Self::HEAD]).u8(Kind::HsInit.code()).u8(0).u16(suites).u64(client_cid.0);
        out[Self::COOKIE].fill(0);
    }

    /// The whole datagram.
    pub fn bytes(&self) -> &'a [u8; HS_INIT_LEN] {
        self.0
    }

    /// Offered suites, a bit mask (bit *n* is suite *n*).
    pub fn suites(&self) -> u16 {
        u16_at(self.0, 2)
    }

    /// CID the client listens on.
    pub fn client_cid(&self) -> Cid {
        cid_at(self.0, 4)
    }

    /// Client's ephemeral public key.
    pub fn ephemeral(&self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(&self.0[Self::EPHEMERAL]);
        out
    }

    /// `mac1`.
    pub fn mac1(&self) -> [u8; 16] {
        let mut out = [0; 16];
        out.copy_from_slice(&self.0[Self::MAC1]);
        out
    }

    /// The cookie; `None` when the field is zero.
    pub fn cookie(&self) -> Option<Cookie> {
        let mut out = [0; 24];
        out.copy_from_slice(&self.0[Self::COOKIE]);
        (out != [0; 24]).then_some(Cookie(out))
    }
}

/// HS_RETRY: type 1, flags 1, zero 2, client CID 8 (or the `cseq` of a TAKEOVER_INIT), cookie 24, MAC 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HsRetry {
    /// CID of the request; when it answers a TAKEOVER_INIT, that message's `cseq`.
    pub client_cid: Cid,
    /// To be put into the request.
    pub cookie: Cookie,
    /// Over the bytes before it and the request's `mac1`, or the MAC of the TAKEOVER_INIT.
    pub mac: [u8; 16],
}

impl HsRetry {
    /// Datagram length, bytes.
    pub const LEN: usize = 52;
    /// The bytes the MAC covers (besides the request's own MAC).
    pub const MAC_INPUT: Range<usize> = 0..36;

    /// Checks kind, length and reserved bits; the MAC is the caller's to check.
    ///
    /// # Errors
    /// As [`Kind::of`], `Type` for another kind, `Reserved`.
    pub fn decode(datagram: &[u8]) -> Result<Self, Malformed> {
        expect_kind(datagram, Kind::HsRetry)?;
        let mut reader = Reader::exact(datagram, Self::LEN)?;
        reader.u8()?;
        reader.zeros(3)?;
        Ok(Self { client_cid: Cid(reader.u64()?), cookie: Cookie(reader.array()?), mac: reader.array()? })
    }

    /// The datagram.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        Writer::new(&mut out)
            .u8(Kind::HsRetry.code())
            .zeros(3)
            .u64(self.client_cid.0)
            .put(&self.cookie.0)
            .put(&self.mac);
        out
    }
}

/// View of an HS_RESP: type 1, flags 1, suite 2, client CID 8, server CID 8, Noise `e` 32, payload 112.
#[derive(Clone, Copy)]
pub struct HsResp<'a>(&'a [u8; HS_RESP_LEN]);

impl<'a> HsResp<'a> {
    /// Datagram length, bytes.
    pub const LEN: usize = HS_RESP_LEN;
    /// The clear header. Its suite and server CID are repeated in the sealed payload, which decides.
    pub const HEAD: Range<usize> = 0..20;
    /// Noise message 2.
    pub const NOISE: Range<usize> = 20..164;

    /// Checks kind, length and reserved bits.
    ///
    /// # Errors
    /// As [`Kind::of`], `Type` for another kind, `Reserved`.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Malformed> {
        expect_kind(datagram, Kind::HsResp)?;
        let bytes: &[u8; HS_RESP_LEN] = datagram.try_into().map_err(|_| Malformed::Length)?;
        if bytes[1] != 0 { Err(Malformed::Reserved) } else { Ok(Self(bytes)) }
    }

    /// Writes the first twenty bytes.
    pub fn write_head(out: &mut [u8; HS_RESP_LEN], suite: u16, client_cid: Cid, server_cid: Cid) {
        Writer::new(&mut out[Self::HEAD])
            .u8(Kind::HsResp.code())
            .u8(0)
            .u16(suite)
            .u64(client_cid.0)
            .u64(server_cid.0);
    }

    /// Number of the chosen suite.
    pub fn suite(&self) -> u16 {
        u16_at(self.0, 2)
    }

    /// CID of the request.
    pub fn client_cid(&self) -> Cid {
        cid_at(self.0, 4)
    }

    /// CID the server will listen on.
    pub fn server_cid(&self) -> Cid {
        cid_at(self.0, 12)
    }

    /// Noise message 2.
    pub fn noise(&self) -> &'a [u8] {
        &self.0[Self::NOISE]
    }
}

/// What the client says inside HS_INIT, 48 bytes: features 4, policy 2, lanes 1, zero 1, lifetime 4, random 16,
/// zero 20.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InitPayload {
    /// [`features`] bits.
    pub features: u32,
    /// Policy the client asks for; the gateway may refuse it.
    pub policy: u16,
    /// Transmit lanes the client wishes, 0 (one) to 16.
    pub lanes: u8,
    /// Wanted lifetime of the session, seconds; 0 leaves it to the gateway.
    pub lifetime_s: u32,
    /// Makes two messages of one client differ even with a broken ephemeral.
    pub random: [u8; 16],
}

impl InitPayload {
    /// Plaintext length, bytes.
    pub const LEN: usize = 48;

    /// The plaintext.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        Writer::new(&mut out)
            .u32(self.features)
            .u16(self.policy)
            .u8(self.lanes)
            .u8(0)
            .u32(self.lifetime_s)
            .put(&self.random);
        out
    }

    /// Reads the plaintext.
    ///
    /// # Errors
    /// `Length`, `Reserved`, `Field("lanes")`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::exact(bytes, Self::LEN)?;
        let (features, policy, lanes) = (reader.u32()?, reader.u16()?, reader.u8()?);
        reader.zeros(1)?;
        let (lifetime_s, random) = (reader.u32()?, reader.array()?);
        reader.zeros(20)?;
        if lanes > crate::MAX_LANES {
            return Err(Malformed::Field("lanes"));
        }
        Ok(Self { features, policy, lanes, lifetime_s, random })
    }
}

/// What the gateway says inside HS_RESP, 96 bytes: features 4, owner epoch 8, owner salt 16, lifetime 4, idle
/// limit 4, switches 2, cool-down 2, ticket age 2, node 2, route token 16, reset token 16, inner IPv4 4, MTU 2,
/// suite 2, server CID 8, token configuration 1, zero 3.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RespPayload {
    /// [`features`] bits.
    pub features: u32,
    /// Owner epoch at birth.
    pub owner_epoch: u64,
    /// Owner's salt, part of every server → client and binding key.
    pub owner_salt: [u8; 16],
    /// What the session may do, and for how long.
    pub limits: GrantedLimits,
    /// Gateway node inside its cluster.
    pub node_id: u16,
    /// First route token.
    pub token: RouteToken,
    /// Expected in a genuine NO_SESSION.
    pub reset_token: ResetToken,
    /// Inner address; unspecified when CONFIG will bring it.
    pub inner_v4: Ipv4Addr,
    /// Inner MTU, bytes.
    pub mtu: u16,
    /// Number of the chosen suite, as authenticated.
    pub suite: u16,
    /// Server CID, as authenticated.
    pub server_cid: Cid,
    /// Which token key sealed `token`, 0..=7.
    pub token_config: u8,
}

impl RespPayload {
    /// Plaintext length, bytes.
    pub const LEN: usize = 96;

    /// The plaintext.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        let mut writer = Writer::new(&mut out);
        writer.u32(self.features).u64(self.owner_epoch).put(&self.owner_salt);
        self.limits.write(&mut writer);
        writer
            .u16(self.node_id)
            .put(&self.token.0)
            .put(&self.reset_token.0)
            .put(&self.inner_v4.octets())
            .u16(self.mtu)
            .u16(self.suite)
            .u64(self.server_cid.0)
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
            limits: GrantedLimits::read(&mut reader)?,
            node_id: reader.u16()?,
            token: RouteToken(reader.array()?),
            reset_token: ResetToken(reader.array()?),
            inner_v4: Ipv4Addr::from(reader.array::<4>()?),
            mtu: reader.u16()?,
            suite: reader.u16()?,
            server_cid: Cid(reader.u64()?),
            token_config: reader.u8()?,
        };
        reader.zeros(3)?;
        if payload.token_config > 7 {
            return Err(Malformed::Field("token_config"));
        }
        Ok(payload)
    }
}

impl fmt::Debug for RespPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RespPayload")
            .field("features", &self.features)
            .field("owner_epoch", &self.owner_epoch)
            .field("node_id", &self.node_id)
            .field("inner_v4", &self.inner_v4)
            .field("mtu", &self.mtu)
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

impl Default for RespPayload {
    fn default() -> Self {
        Self {
            features: 0,
            owner_epoch: 0,
            owner_salt: [0; 16],
            limits: GrantedLimits::default(),
            node_id: 0,
            token: RouteToken([0; 16]),
            reset_token: ResetToken([0; 16]),
            inner_v4: Ipv4Addr::UNSPECIFIED,
            mtu: 0,
            suite: 0,
            server_cid: Cid(0),
            token_config: 0,
        }
    }
}
