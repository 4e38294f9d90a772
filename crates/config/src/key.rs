//! Keys as text: 32 bytes in base64, the format of `wg`.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of a key.
pub const KEY_LEN: usize = 32;

/// Longest file that can hold a key: 44 characters of base64 and a little white space. A longer one is something else.
const KEY_FILE_MAX_LEN: u64 = 128;

/// Permission bits of group and others.
const OTHERS: u32 = 0o077;

/// A private or preshared key; wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct SecretKey([u8; KEY_LEN]);

impl SecretKey {
    /// Wraps the bytes of a key.
    pub fn new(bytes: [u8; KEY_LEN]) -> SecretKey {
        SecretKey(bytes)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SecretKey(..)")
    }
}

/// Reads a key from its text.
///
/// # Errors
/// A sentence that says what is wrong; it never repeats the text.
pub fn decode(text: &str) -> Result<[u8; KEY_LEN], &'static str> {
    let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| "not base64")?);
    let key: [u8; KEY_LEN] = bytes.as_slice().try_into().map_err(|_| "not 32 bytes long")?;
    if key == [0; KEY_LEN] { Err("all zero") } else { Ok(key) }
}

/// Writes a key as text: 44 characters.
pub fn encode(key: &[u8; KEY_LEN]) -> String {
    STANDARD.encode(key)
}

/// Why a key file was refused: what is wrong, and what to do about it.
pub(crate) struct KeyFileError {
    pub(crate) message: String,
    pub(crate) hint: String,
}

/// Reads a secret key from a file that nobody but its owner may read.
pub(crate) fn read_file(path: &Path) -> Result<SecretKey, KeyFileError> {
    let shown = path.display();
    let refused = |what: &str, hint: String| KeyFileError { message: format!("{shown}: {what}"), hint };
    let make = || format!("make one with: (umask 077; jumpvpn genkey > {shown})");
    let file = File::open(path).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => make(),
            _ => "it must be readable by the user the program runs as".into(),
        };
        refused(&describe(&error), hint)
    })?;
    let facts = file.metadata().map_err(|error| refused(&describe(&error), make()))?;
    if !facts.is_file() {
        return Err(refused("not a file", make()));
    }
    let mode = facts.mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(refused(
            &format!("others than its owner may use this key (mode {mode:04o})"),
            format!("chmod 600 {shown}"),
        ));
    }
    let mut text = Zeroizing::new(String::with_capacity(KEY_FILE_MAX_LEN as usize + 1));
    file.take(KEY_FILE_MAX_LEN + 1)
        .read_to_string(&mut text)
        .map_err(|error| refused(&describe(&error), make()))?;
    if text.len() as u64 > KEY_FILE_MAX_LEN {
        return Err(refused("too long for a key", make()));
    }
    decode(&text).map(SecretKey::new).map_err(|what| refused(&format!("the key is {what}"), make()))
}

/// The cause in plain words, without the number of the operating system.
pub(crate) fn describe(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        std::io::ErrorKind::InvalidData => "not text".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
