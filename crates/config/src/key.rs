//! Keys as text: 32 bytes in base64, the format of `wg`.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of a key.
pub const KEY_LEN: usize = 32;

/// Longest file that can hold a key: 44 characters of base64 and a little white space. A longer one is something else.
const KEY_FILE_MAX_LEN: u64 = 128;

/// Permission bits of group and others.
const OTHERS: u32 = 0o077;

/// A path that begins with this starts at the folder that a service manager passes secrets in (systemd.exec(5),
/// `LoadCredential=`).
pub(crate) const CREDENTIALS: &str = "$CREDENTIALS_DIRECTORY/";

/// The group may read a file of that folder: the kernel shows there what the service manager grants to the service's
/// user by an access control list. Nobody else can enter the folder.
const CREDENTIAL_MODE: u32 = 0o040;

fn credentials_folder() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

/// The file that a path with [`CREDENTIALS`] stands for.
pub(crate) fn credential(text: &str) -> Result<PathBuf, String> {
    let name = text.strip_prefix(CREDENTIALS).unwrap_or(text);
    match credentials_folder() {
        _ if name.is_empty() || name.contains('/') => Err(format!("`{text}` does not name a credential")),
        Some(folder) => Ok(folder.join(name)),
        None => {
            Err(format!("`{text}` can be read by a service alone: it is the service manager that passes it"))
        }
    }
}

/// A private or preshared key; wiped when dropped, never printed. It stays where it is in the heap: a value that is
/// moved leaves its bytes behind on the stack, where nobody wipes them.
#[derive(PartialEq, Eq)]
pub struct SecretKey(Box<[u8; KEY_LEN]>);

impl SecretKey {
    /// Copies the bytes of a key.
    pub fn new(bytes: &[u8; KEY_LEN]) -> SecretKey {
        let mut key = SecretKey(Box::new([0; KEY_LEN]));
        key.0.copy_from_slice(bytes);
        key
    }

    fn from_text(text: &str) -> Result<SecretKey, &'static str> {
        let mut key = SecretKey::new(&[0; KEY_LEN]);
        decode_into(text, &mut key.0).map(|()| key)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}

impl Clone for SecretKey {
    fn clone(&self) -> SecretKey {
        SecretKey::new(&self.0)
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for SecretKey {}

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
    let mut key = [0; KEY_LEN];
    decode_into(text, &mut key).map(|()| key)
}

fn decode_into(text: &str, key: &mut [u8; KEY_LEN]) -> Result<(), &'static str> {
    let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| "not base64")?);
    let bytes: &[u8; KEY_LEN] = bytes.as_slice().try_into().map_err(|_| "not 32 bytes long")?;
    if *bytes == [0; KEY_LEN] {
        return Err("all zero");
    }
    key.copy_from_slice(bytes);
    Ok(())
}

/// Reads a public key from its text.
///
/// # Errors
/// A sentence that says what is wrong.
pub(crate) fn public(text: &str) -> Result<[u8; KEY_LEN], String> {
    decode(text).map_err(|what| format!("this public key is {what}"))
}

/// Writes a key as text: 44 characters.
pub fn encode(key: &[u8; KEY_LEN]) -> String {
    STANDARD.encode(key)
}

/// Why a key file was refused: what is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFileError {
    /// What is wrong, with the path.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// Reads a secret key from a file that nobody but its owner may read.
///
/// # Errors
/// There is no such file, others may read it, or it holds no key.
pub fn read_file(path: &Path) -> Result<SecretKey, KeyFileError> {
    let shown = path.display();
    let refused = |what: &str, hint: String| KeyFileError { message: format!("{shown}: {what}"), hint };
    let make = || format!("make one with: (umask 077; jumpvpn genkey > {shown})");
    let unreadable = |error: std::io::Error| {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => make(),
            _ => "it must be readable by the user the program runs as".into(),
        };
        refused(&describe(&error), hint)
    };
    // Looked at before it is opened: to open a FIFO waits for somebody who writes to it.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(refused("not a file", make()));
    }
    let file = File::open(path).map_err(unreadable)?;
    let facts = file.metadata().map_err(|error| refused(&describe(&error), make()))?;
    if !facts.is_file() {
        return Err(refused("not a file", make()));
    }
    let mode = facts.mode() & 0o7777;
    let passed = path.parent().is_some_and(|folder| credentials_folder().as_deref() == Some(folder));
    if mode & OTHERS & !(if passed { CREDENTIAL_MODE } else { 0 }) != 0 {
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
    SecretKey::from_text(&text).map_err(|what| refused(&format!("the key is {what}"), make()))
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
