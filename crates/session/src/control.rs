//! Sealing and opening control messages in place (section 4.1): AAD = the whole header, nonce = the sequence
//! number in the header.

use core::fmt;
use core::ops::Range;

use jumpvpn_wire::{
    CONTROL_HEADER_LEN, ControlHeader, Kind, Malformed, REPLY_HEADER_LEN, ReplyHeader, TAG_LEN,
};

use crate::AeadKey;

#[cfg(test)]
mod tests;

/// Why a control message was not sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlError {
    /// Not a sealed control message, or cut short.
    Malformed(Malformed),
    /// The AEAD refused.
    Seal,
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::Seal => f.write_str("control message is not authentic"),
        }
    }
}

impl core::error::Error for ControlError {}

impl From<Malformed> for ControlError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// Length of the header and the sequence number in it.
fn header(datagram: &[u8]) -> Result<(usize, u64), Malformed> {
    let kind = Kind::from_code(*datagram.first().ok_or(Malformed::TooShort)?)?;
    let (len, seq) = if kind.is_control() {
        (CONTROL_HEADER_LEN, ControlHeader::parse(datagram)?.cseq)
    } else {
        (REPLY_HEADER_LEN, ReplyHeader::parse(datagram)?.sseq)
    };
    if datagram.len() < len + TAG_LEN { Err(Malformed::TooShort) } else { Ok((len, seq)) }
}

/// Seals `[header][payload][16 tag]` in place. The header (of either direction) must already be written; its
/// sequence number is the nonce and must never be used twice under one key.
///
/// # Errors
/// `Malformed` when the buffer does not start with a control header; the caller is to blame.
pub fn seal_control(key: &AeadKey, datagram: &mut [u8]) -> Result<(), ControlError> {
    let (len, seq) = header(datagram)?;
    let (head, body) = datagram.split_at_mut(len);
    key.seal(0, seq, head, body).map_err(|_| ControlError::Seal)
}

/// Opens a control message of either direction in place and tells where its payload lies. The datagram must be
/// the message alone: cut a DATA datagram that follows a REATTACH off first.
///
/// # Errors
/// `Malformed`, or `Seal` when the message is not authentic; the content is then unspecified.
pub fn open_control(key: &AeadKey, datagram: &mut [u8]) -> Result<Range<usize>, ControlError> {
    let (len, seq) = header(datagram)?;
    let end = datagram.len() - TAG_LEN;
    let (head, body) = datagram.split_at_mut(len);
    key.open(0, seq, head, body).map_err(|_| ControlError::Seal)?;
    Ok(len..end)
}
