//! Control frames inside DATA: `id 1, flags 1 (reserved), length 2, body`, one after the other.
//!
//! A plaintext is either one IP packet (first nibble 4 or 6) or a run of frames (first byte below 0x40). A frame
//! with an unknown id is skipped by its length, so that a later peer may add frames; a known frame with a set
//! reserved bit or a body of the wrong shape ends the run with an error.

use core::net::{Ipv4Addr, Ipv6Addr};

use crate::cursor::{Reader, Writer};
use crate::{Malformed, RouteToken};

mod advice;
mod list;
#[cfg(test)]
mod tests;

pub use advice::{AdvisedGateway, MAX_ADVISED, MoveAdvice};
pub use list::{LIST_MAX_LEN, LIST_PART_MAX_LEN, ListPart};

/// Frame ids stay below this value: from here on the byte could be the start of an IP packet.
const ID_LIMIT: u8 = 0x40;

mod id {
    pub(super) const PAD: u8 = 0x00;
    pub(super) const FIN: u8 = 0x01;
    pub(super) const HEARTBEAT: u8 = 0x02;
    pub(super) const HEARTBEAT_ACK: u8 = 0x03;
    pub(super) const REKEY_REQ: u8 = 0x04;
    pub(super) const REKEY_RESP: u8 = 0x05;
    pub(super) const WANT: u8 = 0x06;
    pub(super) const TOKENS: u8 = 0x07;
    pub(super) const CONFIG: u8 = 0x08;
    pub(super) const PMTU_PROBE: u8 = 0x09;
    pub(super) const PMTU_ACK: u8 = 0x0A;
    pub(super) const CLOSE: u8 = 0x0B;
    pub(super) const MOVE_ADVICE: u8 = 0x0C;
    pub(super) const REKEY_WANTED: u8 = 0x0D;
    pub(super) const LIST_WANT: u8 = 0x0E;
    pub(super) const LIST_PART: u8 = 0x0F;
}

/// Whether a plaintext is an IP packet (and not a run of frames), by its first byte.
#[inline]
pub fn is_ip_packet(plaintext: &[u8]) -> bool {
    matches!(plaintext.first().map(|byte| byte >> 4), Some(4 | 6))
}

/// What the sender of this report has received on one binding, 24 bytes: path 4, highest 8, received 8, silence 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReceiveReport {
    /// Path of the binding reported on.
    pub path_id: u32,
    /// Highest position opened: generation << 32 | packet number (lane 0).
    pub highest: u64,
    /// Datagrams opened.
    pub received: u64,
    /// Time since the last authentic datagram on the binding, microseconds (saturating).
    pub silent_us: u32,
}

impl ReceiveReport {
    const LEN: usize = 24;

    fn write(&self, writer: &mut Writer<'_>) {
        writer.u32(self.path_id).u64(self.highest).u64(self.received).u32(self.silent_us);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            path_id: reader.u32()?,
            highest: reader.u64()?,
            received: reader.u64()?,
            silent_us: reader.u32()?,
        })
    }
}

/// "Are you there", 36 bytes: sequence 4, time 8, report 24.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heartbeat {
    /// Sequence number.
    pub seq: u32,
    /// Sender's clock, microseconds; only its sender reads it.
    pub sent_us: u64,
    /// What the sender has received.
    pub report: ReceiveReport,
}

/// "I am", 44 bytes: sequence 4, echoed time 8, delay 4, generation 4, report 24.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeartbeatAck {
    /// Sequence number of the heartbeat.
    pub seq: u32,
    /// Its `sent_us`.
    pub echo_us: u64,
    /// Time between its arrival and this answer, microseconds.
    pub delay_us: u32,
    /// Highest key generation opened on this binding: confirms it to the sender of that generation.
    pub generation_seen: u32,
    /// What the sender of this answer has received.
    pub report: ReceiveReport,
}

/// Inner addresses and MTU, 28 bytes: present bits 1, IPv4 prefix 1, IPv6 prefix 1, zero 1, IPv4 4, IPv6 16, MTU 2,
/// zero 2. An absent address and its prefix are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConfigFrame {
    /// Inner IPv4 address and prefix length (0..=32).
    pub inner_v4: Option<(Ipv4Addr, u8)>,
    /// Inner IPv6 address and prefix length (0..=128).
    pub inner_v6: Option<(Ipv6Addr, u8)>,
    /// Inner MTU, bytes.
    pub mtu: u16,
}

impl ConfigFrame {
    fn write(&self, writer: &mut Writer<'_>) {
        let present = u8::from(self.inner_v4.is_some()) | u8::from(self.inner_v6.is_some()) << 1;
        let (v4, v4_prefix) = self.inner_v4.unwrap_or((Ipv4Addr::UNSPECIFIED, 0));
        let (v6, v6_prefix) = self.inner_v6.unwrap_or((Ipv6Addr::UNSPECIFIED, 0));
        writer.u8(present).u8(v4_prefix).u8(v6_prefix).u8(0);
        writer.put(&v4.octets()).put(&v6.octets()).u16(self.mtu).u16(0);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (present, v4_prefix, v6_prefix) = (reader.u8()?, reader.u8()?, reader.u8()?);
        reader.zeros(1)?;
        if present & !0b11 != 0 {
            return Err(Malformed::Reserved);
        }
        let (v4, v6) = (Ipv4Addr::from(reader.array::<4>()?), Ipv6Addr::from(reader.array::<16>()?));
        let mtu = reader.u16()?;
        reader.zeros(2)?;
        let inner_v4 = optional(present & 1 != 0, v4, Ipv4Addr::UNSPECIFIED, v4_prefix, 32)?;
        let inner_v6 = optional(present & 2 != 0, v6, Ipv6Addr::UNSPECIFIED, v6_prefix, 128)?;
        Ok(Self { inner_v4, inner_v6, mtu })
    }
}

fn optional<A: PartialEq>(
    present: bool,
    address: A,
    zero: A,
    prefix: u8,
    max: u8,
) -> Result<Option<(A, u8)>, Malformed> {
    match present {
        true if prefix <= max => Ok(Some((address, prefix))),
        true => Err(Malformed::Field("prefix")),
        false if prefix == 0 && address == zero => Ok(None),
        false => Err(Malformed::Reserved),
    }
}

/// Fresh route tokens: token configuration 1, zero 3, then 16 bytes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenList<'a> {
    config: u8,
    tokens: &'a [[u8; 16]],
}

impl<'a> TokenList<'a> {
    /// Tokens sealed under key `config` (0..=7; higher bits are cut).
    pub fn new(config: u8, tokens: &'a [[u8; 16]]) -> Self {
        Self { config: config & 7, tokens }
    }

    /// Which token key sealed them.
    pub fn config(&self) -> u8 {
        self.config
    }

    /// The tokens.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = RouteToken> + 'a {
        self.tokens.iter().map(|&bytes| RouteToken(bytes))
    }
}

/// One control frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A single zero byte: the rest of the plaintext is zero padding.
    Pad,
    /// First proof that the client holds the keys of a new session.
    Fin,
    /// Liveness question.
    Heartbeat(Heartbeat),
    /// Liveness answer.
    HeartbeatAck(HeartbeatAck),
    /// A part of the rekey request: part 1, parts 1, zero 2, body. At most two parts, `part < parts`.
    RekeyReq {
        /// Which part, from 0.
        part: u8,
        /// How many parts, 1 or 2.
        parts: u8,
        /// The part's bytes.
        body: &'a [u8],
    },
    /// Rekey response.
    RekeyResp(&'a [u8]),
    /// The client pulls: number of tokens 1, configuration (0 or 1) 1, zero 2.
    Want {
        /// How many fresh route tokens.
        tokens: u8,
        /// Whether a CONFIG frame is wanted.
        config: bool,
    },
    /// Fresh route tokens.
    Tokens(TokenList<'a>),
    /// Inner addresses and MTU.
    Config(ConfigFrame),
    /// Path MTU probe: sequence 4, datagram length 2, zero 2. Padded to that length by PAD.
    PmtuProbe {
        /// Sequence number.
        seq: u32,
        /// Length of the datagram that carries the frame, bytes.
        len: u16,
    },
    /// Answer to a path MTU probe, same shape.
    PmtuAck {
        /// Sequence number of the probe.
        seq: u32,
        /// Its length.
        len: u16,
    },
    /// End of the session: reason 2, zero 2, version 8.
    Close {
        /// Number of the reason code.
        reason: u16,
        /// Version the sender believes in.
        version: u64,
    },
    /// Graceful drain: where to go, and when.
    MoveAdvice(MoveAdvice<'a>),
    /// The gateway asks for a rekey.
    RekeyWanted,
    /// The client pulls a part of the signed list of gateways: serial 8, offset 4, zero 4.
    ListWant {
        /// The serial it has: only a list with a higher one is wanted.
        above: u64,
        /// Where the part begins.
        offset: u32,
    },
    /// A part of that list, or that there is none.
    ListPart(ListPart<'a>),
}

impl Frame<'_> {
    /// Length of id, flags and length fields, bytes.
    pub const HEADER_LEN: usize = 4;

    fn id(&self) -> u8 {
        match self {
            Self::Pad => id::PAD,
            Self::Fin => id::FIN,
            Self::Heartbeat(_) => id::HEARTBEAT,
            Self::HeartbeatAck(_) => id::HEARTBEAT_ACK,
            Self::RekeyReq { .. } => id::REKEY_REQ,
            Self::RekeyResp(_) => id::REKEY_RESP,
            Self::Want { .. } => id::WANT,
            Self::Tokens(_) => id::TOKENS,
            Self::Config(_) => id::CONFIG,
            Self::PmtuProbe { .. } => id::PMTU_PROBE,
            Self::PmtuAck { .. } => id::PMTU_ACK,
            Self::Close { .. } => id::CLOSE,
            Self::MoveAdvice(_) => id::MOVE_ADVICE,
            Self::RekeyWanted => id::REKEY_WANTED,
            Self::ListWant { .. } => id::LIST_WANT,
            Self::ListPart(_) => id::LIST_PART,
        }
    }

    /// Length on the wire, header included, bytes. 1 for [`Frame::Pad`].
    pub fn encoded_len(&self) -> usize {
        Self::HEADER_LEN
            + match self {
                Self::Pad => return 1,
                Self::Fin | Self::RekeyWanted => 0,
                Self::Heartbeat(_) => 12 + ReceiveReport::LEN,
                Self::HeartbeatAck(_) => 20 + ReceiveReport::LEN,
                Self::RekeyReq { body, .. } => 4 + body.len(),
                Self::RekeyResp(body) => body.len(),
                Self::MoveAdvice(advice) => advice.body_len(),
                Self::Want { .. } => 4,
                Self::Tokens(list) => 4 + 16 * list.tokens.len(),
                Self::Config(_) => 28,
                Self::PmtuProbe { .. } | Self::PmtuAck { .. } => 8,
                Self::Close { .. } => 12,
                Self::ListWant { .. } => 16,
                Self::ListPart(part) => part.body_len(),
            }
    }

    fn write_body(&self, writer: &mut Writer<'_>) {
        match *self {
            Self::Pad | Self::Fin | Self::RekeyWanted => {}
            Self::Heartbeat(beat) => beat.report.write(writer.u32(beat.seq).u64(beat.sent_us)),
            Self::HeartbeatAck(ack) => {
                writer.u32(ack.seq).u64(ack.echo_us).u32(ack.delay_us).u32(ack.generation_seen);
                ack.report.write(writer);
            }
            Self::RekeyReq { part, parts, body } => {
                writer.u8(part).u8(parts).u16(0).put(body);
            }
            Self::RekeyResp(body) => {
                writer.put(body);
            }
            Self::MoveAdvice(advice) => advice.write(writer),
            Self::Want { tokens, config } => {
                writer.u8(tokens).u8(u8::from(config)).u16(0);
            }
            Self::Tokens(list) => {
                writer.u8(list.config).zeros(3).put(list.tokens.as_flattened());
            }
            Self::Config(config) => config.write(writer),
            Self::PmtuProbe { seq, len } | Self::PmtuAck { seq, len } => {
                writer.u32(seq).u16(len).u16(0);
            }
            Self::Close { reason, version } => {
                writer.u16(reason).u16(0).u64(version);
            }
            Self::ListWant { above, offset } => {
                writer.u64(above).u32(offset).u32(0);
            }
            Self::ListPart(part) => part.write(writer),
        }
    }
}

/// Reads one frame after the other from a plaintext.
///
/// After the first error the iterator ends.
#[derive(Debug, Clone)]
pub struct FrameReader<'a> {
    rest: &'a [u8],
}

impl<'a> FrameReader<'a> {
    /// Over a whole DATA plaintext that is not an IP packet.
    pub fn new(plaintext: &'a [u8]) -> Self {
        Self { rest: plaintext }
    }

    fn read(&mut self) -> Result<Option<Frame<'a>>, Malformed> {
        loop {
            let Some(&first) = self.rest.first() else { return Ok(None) };
            if first == id::PAD {
                let mut padding = Reader::new(core::mem::take(&mut self.rest));
                padding.zeros(padding.rest().len())?;
                return Ok(Some(Frame::Pad));
            }
            let mut reader = Reader::new(self.rest);
            let (id, flags, len) = (reader.u8()?, reader.u8()?, reader.u16()?);
            let body = reader.bytes(usize::from(len))?;
            self.rest = reader.rest();
            if id >= ID_LIMIT {
                return Err(Malformed::Type);
            }
            if let Some(frame) = read_body(id, flags, body)? {
                return Ok(Some(frame));
            }
        }
    }
}

impl<'a> Iterator for FrameReader<'a> {
    type Item = Result<Frame<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let result = self.read().transpose();
        if matches!(result, Some(Err(_))) {
            self.rest = &[];
        }
        result
    }
}

/// `None` for an unknown id.
fn read_body(id: u8, flags: u8, body: &[u8]) -> Result<Option<Frame<'_>>, Malformed> {
    if id > id::LIST_PART {
        return Ok(None);
    }
    if flags != 0 {
        return Err(Malformed::Reserved);
    }
    let mut reader = Reader::new(body);
    let frame = match id {
        id::FIN => Frame::Fin,
        id::HEARTBEAT => Frame::Heartbeat(Heartbeat {
            seq: reader.u32()?,
            sent_us: reader.u64()?,
            report: ReceiveReport::read(&mut reader)?,
        }),
        id::HEARTBEAT_ACK => Frame::HeartbeatAck(HeartbeatAck {
            seq: reader.u32()?,
            echo_us: reader.u64()?,
            delay_us: reader.u32()?,
            generation_seen: reader.u32()?,
            report: ReceiveReport::read(&mut reader)?,
        }),
        id::REKEY_REQ => read_rekey_part(&mut reader)?,
        id::REKEY_RESP => Frame::RekeyResp(reader.bytes(body.len())?),
        id::WANT => read_want(&mut reader)?,
        id::TOKENS => read_tokens(&mut reader)?,
        id::CONFIG => Frame::Config(ConfigFrame::read(&mut reader)?),
        id::PMTU_PROBE | id::PMTU_ACK => {
            let (seq, len) = (reader.u32()?, reader.u16()?);
            reader.zeros(2)?;
            if id == id::PMTU_PROBE { Frame::PmtuProbe { seq, len } } else { Frame::PmtuAck { seq, len } }
        }
        id::CLOSE => {
            let reason = reader.u16()?;
            reader.zeros(2)?;
            Frame::Close { reason, version: reader.u64()? }
        }
        id::MOVE_ADVICE => Frame::MoveAdvice(MoveAdvice::read(&mut reader)?),
        id::REKEY_WANTED => Frame::RekeyWanted,
        id::LIST_WANT => {
            let (above, offset) = (reader.u64()?, reader.u32()?);
            reader.zeros(4)?;
            Frame::ListWant { above, offset }
        }
        _ => Frame::ListPart(ListPart::read(&mut reader)?),
    };
    if reader.rest().is_empty() { Ok(Some(frame)) } else { Err(Malformed::Length) }
}

fn read_rekey_part<'a>(reader: &mut Reader<'a>) -> Result<Frame<'a>, Malformed> {
    let (part, parts) = (reader.u8()?, reader.u8()?);
    reader.zeros(2)?;
    if !(1..=2).contains(&parts) || part >= parts {
        return Err(Malformed::Field("part"));
    }
    Ok(Frame::RekeyReq { part, parts, body: reader.bytes(reader.rest().len())? })
}

fn read_want<'a>(reader: &mut Reader<'a>) -> Result<Frame<'a>, Malformed> {
    let (tokens, config) = (reader.u8()?, reader.u8()?);
    reader.zeros(2)?;
    if config > 1 {
        return Err(Malformed::Field("config"));
    }
    Ok(Frame::Want { tokens, config: config == 1 })
}

fn read_tokens<'a>(reader: &mut Reader<'a>) -> Result<Frame<'a>, Malformed> {
    let config = reader.u8()?;
    reader.zeros(3)?;
    if config > 7 {
        return Err(Malformed::Field("token_config"));
    }
    let (tokens, rest) = reader.bytes(reader.rest().len())?.as_chunks::<16>();
    if rest.is_empty() { Ok(Frame::Tokens(TokenList { config, tokens })) } else { Err(Malformed::Length) }
}

/// Puts frames one after the other into a plaintext buffer.
#[derive(Debug)]
pub struct FrameWriter<'a> {
    buffer: &'a mut [u8],
    len: usize,
}

impl<'a> FrameWriter<'a> {
    /// Starts at the front of the buffer.
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }

    /// Appends a frame; `false`, and no change, when it does not fit or its body is longer than 65 535 bytes.
    #[must_use]
    pub fn push(&mut self, frame: &Frame<'_>) -> bool {
        let len = frame.encoded_len();
        let Some(out) = self.buffer.get_mut(self.len..).and_then(|rest| rest.get_mut(..len)) else {
            return false;
        };
        if matches!(frame, Frame::Pad) {
            out.fill(0);
        } else {
            let Ok(body_len) = u16::try_from(len - Frame::HEADER_LEN) else { return false };
            let mut writer = Writer::new(out);
            writer.u8(frame.id()).u8(0).u16(body_len);
            frame.write_body(&mut writer);
        }
        self.len += len;
        true
    }

    /// Fills the plaintext with padding up to `len` bytes; `false`, and no change, when the buffer is shorter or
    /// the plaintext already longer.
    #[must_use]
    pub fn pad_to(&mut self, len: usize) -> bool {
        match self.buffer.get_mut(self.len..len) {
            Some(rest) => {
                rest.fill(0);
                self.len = len;
                true
            }
            None => false,
        }
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}
