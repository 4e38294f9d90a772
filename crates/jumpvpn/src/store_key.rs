//! The key that seals secrets in an embedded store: made with the store, never without it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use jumpvpn_config::{SecretKey, key};
use jumpvpn_runtime::SystemRandom;
use jumpvpn_session::PresharedKey;

use crate::exit::{Code, Failure};

/// The key in the file. Where neither key nor store exists yet, a new one is written first; a store whose key is missing is
/// refused, because a new key would make every session in it unreadable.
pub(crate) fn read_or_make(key_file: &Path, store: &Path) -> Result<SecretKey, Failure> {
    if !exists(key_file)? {
        if exists(store)? {
            let message = format!("{}: no such file, but {} exists", key_file.display(), store.display());
            let hint = "put the store's key back; without it, remove the store: its sessions are lost then";
            return Err(Failure::new(Code::Config, message).hint(hint));
        }
        make(key_file).map_err(|error| {
            let permission = error.kind() == io::ErrorKind::PermissionDenied;
            let code = if permission { Code::Permission } else { Code::Failed };
            Failure::new(code, format!("cannot make the store's key {}: {error}", key_file.display()))
        })?;
    }
    key::read_file(key_file).map_err(|error| Failure::new(Code::Config, error.message).hint(error.hint))
}

fn exists(path: &Path) -> Result<bool, Failure> {
    path.try_exists().map_err(|error| {
        Failure::new(Code::Permission, format!("cannot look at {}: {error}", path.display()))
    })
}

/// Writes a new key that survives a power cut: the store that is made after it could not be read without. A key that could
/// not be written whole leaves nothing behind.
fn make(key_file: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(key_file)?;
    let written = write_new(file, key_file);
    if written.is_err() {
        fs::remove_file(key_file)?;
    }
    written
}

fn write_new(mut file: File, key_file: &Path) -> io::Result<()> {
    let text = PresharedKey::generate(&mut SystemRandom).to_base64();
    writeln!(file, "{}", text.as_str())?;
    file.sync_all()?;
    let folder = key_file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;
