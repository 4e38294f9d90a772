//! The one error of every parser in this crate.

use core::fmt;

/// Why bytes are not a message. The sender is to blame; retrying the same bytes cannot help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// The bytes end before the message does.
    TooShort,
    /// The length is not one this message can have.
    Length,
    /// The upper half of byte 0 names another protocol version.
    Version,
    /// The lower half of byte 0 (or the type expected by the caller) does not fit.
    Type,
    /// A reserved bit is set.
    Reserved,
    /// The named field holds a value outside its range.
    Field(&'static str),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => f.write_str("message ends too early"),
            Self::Length => f.write_str("length does not fit the message type"),
            Self::Version => f.write_str("unknown protocol version"),
            Self::Type => f.write_str("unknown or unexpected message type"),
            Self::Reserved => f.write_str("reserved bit set"),
            Self::Field(name) => write!(f, "field `{name}` is out of range"),
        }
    }
}

impl core::error::Error for Malformed {}
