//! Names that travel inside events: fixed size, so that an event never touches the heap.

use std::fmt;
use std::str::FromStr;

/// The session's id as it appears in events. Displayed as 32 lowercase hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionLabel(pub [u8; 16]);

impl fmt::Display for SessionLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Text that is not 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotALabel;

impl FromStr for SessionLabel {
    type Err = NotALabel;

    /// As it is displayed.
    fn from_str(text: &str) -> Result<SessionLabel, NotALabel> {
        let plain = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| plain);
        number.map(|number| SessionLabel(number.to_be_bytes())).ok_or(NotALabel)
    }
}

impl fmt::Debug for SessionLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The name of a path, for example `wlan0/udp4`: at most [`PathLabel::MAX_LEN`] bytes of UTF-8, no heap.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathLabel {
    len: u8,
    bytes: [u8; PathLabel::MAX_LEN],
}

impl PathLabel {
    /// An interface name (15 bytes, `IFNAMSIZ` - 1), a slash and the class with its address family fit, and the
    /// label is 24 bytes in all.
    pub const MAX_LEN: usize = 23;

    /// The label of `name`, cut at the last character boundary that fits. Never fails.
    pub fn new(name: &str) -> PathLabel {
        let mut len = name.len().min(PathLabel::MAX_LEN);
        while !name.is_char_boundary(len) {
            len -= 1;
        }
        let mut bytes = [0; PathLabel::MAX_LEN];
        bytes[..len].copy_from_slice(&name.as_bytes()[..len]);
        PathLabel { len: len as u8, bytes }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        // invariant: `new` copies whole characters of a str; the fallback is never taken.
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl From<&str> for PathLabel {
    fn from(name: &str) -> PathLabel {
        PathLabel::new(name)
    }
}

impl fmt::Display for PathLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for PathLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests;
