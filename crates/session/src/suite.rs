//! Data suites and their choice (section 5.5).

use aws_lc_rs::aead::{AES_256_GCM, Algorithm, CHACHA20_POLY1305};

#[cfg(test)]
mod tests;

/// An AEAD for control and data. Both have 32-byte keys, 12-byte nonces and 16-byte tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Suite {
    /// RFC 8439. Fast everywhere.
    ChaCha20Poly1305 = 1,
    /// NIST SP 800-38D. Faster where the processor has AES instructions.
    Aes256Gcm = 2,
}

/// Failed openings a session may see under one suite (RFC 9001 section 6.6 and appendix B; section 10.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForgeryLimits {
    /// From here on the session must rekey.
    pub soft: u64,
    /// From here on the session must end.
    pub hard: u64,
}

impl Suite {
    /// Number on the wire.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// From the number on the wire.
    pub const fn from_number(number: u16) -> Option<Self> {
        match number {
            1 => Some(Self::ChaCha20Poly1305),
            2 => Some(Self::Aes256Gcm),
            _ => None,
        }
    }

    /// How many failed openings are too many.
    pub const fn forgery_limits(self) -> ForgeryLimits {
        match self {
            Self::ChaCha20Poly1305 => ForgeryLimits { soft: 1 << 35, hard: 1 << 36 },
            Self::Aes256Gcm => ForgeryLimits { soft: 1 << 50, hard: 1 << 52 },
        }
    }

    pub(crate) fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            Self::Aes256Gcm => &AES_256_GCM,
        }
    }
}

/// A set of suites: bit *n* stands for suite number *n*.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuiteSet(u16);

impl SuiteSet {
    /// Every suite of this version. A machine without AES instructions should offer
    /// [`Suite::ChaCha20Poly1305`] alone.
    pub const ALL: Self = Self::of(&[Suite::ChaCha20Poly1305, Suite::Aes256Gcm]);

    /// The given suites.
    pub const fn of(suites: &[Suite]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < suites.len() {
            bits |= 1 << suites[index].number();
            index += 1;
        }
        Self(bits)
    }

    /// The mask on the wire.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// From the mask on the wire. Unknown suites stay in the set and are never chosen.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// Whether the suite is in the set.
    pub const fn contains(self, suite: Suite) -> bool {
        self.0 & 1 << suite.number() != 0
    }

    /// The suite both sets have; with several, AES-256-GCM, because whoever offers it has it in hardware.
    pub fn choose(offer: Self, ours: Self) -> Option<Suite> {
        [Suite::Aes256Gcm, Suite::ChaCha20Poly1305]
            .into_iter()
            .find(|&suite| offer.contains(suite) && ours.contains(suite))
    }
}
