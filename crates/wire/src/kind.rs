//! Byte 0: which message a datagram is, which lengths it may have, and which message may answer it.

use crate::{CONTROL_HEADER_LEN, DATA_OVERHEAD, MAX_DATAGRAM_LEN, Malformed, REPLY_HEADER_LEN, TAG_LEN};

#[cfg(test)]
mod tests;

/// Protocol version, the upper four bits of byte 0. There is no version negotiation, so nothing to downgrade.
pub const VERSION: u8 = 1;

/// A REBIND_HINT answers only a DATA datagram of at least this many bytes (its own length), so that the hint is
/// never longer than what caused it.
pub const REBIND_HINT_TRIGGER_LEN: usize = 68;

/// Message types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Sealed packet or control frames, both directions.
    Data = 0x10,
    /// Noise IKpsk2 message 1, client → server.
    HsInit = 0x11,
    /// Cookie demand, server → client.
    HsRetry = 0x12,
    /// Noise IKpsk2 message 2, server → client.
    HsResp = 0x13,
    /// Asks for a ticket on a path, client → server.
    PathProbe = 0x14,
    /// Ticket and observed address, server → client.
    PathTicket = 0x15,
    /// Moves the binding, client → server. One DATA datagram may follow in the same UDP payload.
    Reattach = 0x16,
    /// Outcome of a REATTACH, server → client.
    ReattachResult = 0x17,
    /// "Your packets come from another address", server → client.
    RebindHint = 0x18,
    /// Asks a gateway to go on with a session of another, client → server.
    TakeoverInit = 0x19,
    /// Agrees or refuses, server → client.
    TakeoverResp = 0x1A,
    /// Ends the session from any address, client → server.
    Close = 0x1B,
    /// Answer to CLOSE, server → client.
    CloseAck = 0x1C,
    /// "The authoritative store has no such session", server → client.
    NoSession = 0x1D,
}

impl Kind {
    /// Every kind, in the order of its code.
    pub const ALL: [Self; 14] = [
        Self::Data,
        Self::HsInit,
        Self::HsRetry,
        Self::HsResp,
        Self::PathProbe,
        Self::PathTicket,
        Self::Reattach,
        Self::ReattachResult,
        Self::RebindHint,
        Self::TakeoverInit,
        Self::TakeoverResp,
        Self::Close,
        Self::CloseAck,
        Self::NoSession,
    ];

    /// Byte 0 of the message.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The kind of a datagram, with its length checked: exact where the kind has one length.
    ///
    /// # Errors
    /// `TooShort` for no bytes at all, `Version`, `Type`, or `Length`.
    pub fn of(datagram: &[u8]) -> Result<Self, Malformed> {
        let first = *datagram.first().ok_or(Malformed::TooShort)?;
        let kind = Self::from_code(first)?;
        if kind.accepts_len(datagram.len()) { Ok(kind) } else { Err(Malformed::Length) }
    }

    /// The kind that byte 0 names.
    ///
    /// # Errors
    /// `Version` for another protocol version, `Type` for an unknown type of this one.
    pub fn from_code(code: u8) -> Result<Self, Malformed> {
        if code >> 4 != VERSION {
            return Err(Malformed::Version);
        }
        Ok(match code {
            0x10 => Self::Data,
            0x11 => Self::HsInit,
            0x12 => Self::HsRetry,
            0x13 => Self::HsResp,
            0x14 => Self::PathProbe,
            0x15 => Self::PathTicket,
            0x16 => Self::Reattach,
            0x17 => Self::ReattachResult,
            0x18 => Self::RebindHint,
            0x19 => Self::TakeoverInit,
            0x1A => Self::TakeoverResp,
            0x1B => Self::Close,
            0x1C => Self::CloseAck,
            0x1D => Self::NoSession,
            _ => return Err(Malformed::Type),
        })
    }

    /// Shortest datagram of this kind, bytes.
    pub const fn min_len(self) -> usize {
        match self {
            Self::Data => DATA_OVERHEAD,
            Self::HsInit => crate::HsInit::LEN,
            Self::HsRetry => crate::HsRetry::LEN,
            Self::HsResp => crate::HsResp::LEN,
            Self::PathProbe => CONTROL_HEADER_LEN + crate::ProbePayload::LEN + TAG_LEN,
            Self::PathTicket => REPLY_HEADER_LEN + crate::TicketPayload::LEN + TAG_LEN,
            Self::Reattach => CONTROL_HEADER_LEN + crate::ReattachPayload::LEN + TAG_LEN,
            Self::ReattachResult => REPLY_HEADER_LEN + crate::ResultPayload::LEN + TAG_LEN,
            Self::RebindHint => REPLY_HEADER_LEN + crate::HintPayload::LEN + TAG_LEN,
            Self::TakeoverInit => crate::TakeoverInit::LEN,
            Self::TakeoverResp => crate::TakeoverRefusal::LEN,
            Self::Close => CONTROL_HEADER_LEN + crate::ClosePayload::LEN + TAG_LEN,
            Self::CloseAck => REPLY_HEADER_LEN + crate::CloseAckPayload::LEN + TAG_LEN,
            Self::NoSession => crate::NoSession::LEN,
        }
    }

    /// Whether a datagram of this kind may have this length.
    pub const fn accepts_len(self, len: usize) -> bool {
        let min = self.min_len();
        match self {
            Self::Data | Self::PathProbe => len >= min && len <= MAX_DATAGRAM_LEN,
            // Alone, or followed by one whole DATA datagram.
            Self::Reattach => len == min || (len >= min + DATA_OVERHEAD && len <= min + MAX_DATAGRAM_LEN),
            // A refusal, or the end of a Noise exchange.
            Self::TakeoverResp => len == min || len == crate::TakeoverResp::LEN,
            _ => len == min,
        }
    }

    /// Whether the client sends this kind with a [`ControlHeader`](crate::ControlHeader).
    pub const fn is_control(self) -> bool {
        matches!(self, Self::PathProbe | Self::Reattach | Self::TakeoverInit | Self::Close)
    }

    /// Whether the server sends this kind with a [`ReplyHeader`](crate::ReplyHeader).
    pub const fn is_reply(self) -> bool {
        matches!(self, Self::PathTicket | Self::ReattachResult | Self::RebindHint | Self::CloseAck)
    }
}

/// Every (request, reply) pair that may go to an address which is not proven yet. No reply is longer than the
/// shortest request that may cause it: amplification factor 1, where QUIC allows 3 (RFC 9000 section 8.1).
/// For DATA the shortest request is [`REBIND_HINT_TRIGGER_LEN`].
pub const REPLIES: &[(Kind, Kind)] = &[
    (Kind::HsInit, Kind::HsRetry),
    (Kind::HsInit, Kind::HsResp),
    (Kind::PathProbe, Kind::PathTicket),
    (Kind::Reattach, Kind::PathTicket),
    (Kind::Reattach, Kind::ReattachResult),
    (Kind::Data, Kind::RebindHint),
    (Kind::Close, Kind::CloseAck),
    (Kind::PathProbe, Kind::NoSession),
    (Kind::Reattach, Kind::NoSession),
    (Kind::Close, Kind::NoSession),
    (Kind::TakeoverInit, Kind::HsRetry),
    (Kind::TakeoverInit, Kind::TakeoverResp),
    (Kind::TakeoverInit, Kind::NoSession),
];

/// Class of the transport below a path, as it is bound into tickets and requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum TransportClass {
    /// Datagrams over UDP.
    Udp = 1,
    /// Length-framed datagrams over TCP.
    Tcp = 2,
    /// Length-framed datagrams inside TLS 1.3.
    Tls = 3,
}

impl TransportClass {
    /// The byte on the wire.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// From the byte on the wire.
    ///
    /// # Errors
    /// `Field("transport")` for an unknown class.
    pub const fn from_code(code: u8) -> Result<Self, Malformed> {
        match code {
            1 => Ok(Self::Udp),
            2 => Ok(Self::Tcp),
            3 => Ok(Self::Tls),
            _ => Err(Malformed::Field("transport")),
        }
    }
}
