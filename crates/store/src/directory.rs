//! The folder a store keeps its files in: one process holds it, nobody else sees into it, and a copy of it is another one.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::OpenError;

#[cfg(test)]
mod tests;

/// Mode of the folder: what it holds opens sessions.
const FOLDER_MODE: u32 = 0o700;

/// Mode of every file in it.
const FILE_MODE: u32 = 0o600;

/// The file whose lock says who holds the folder. It stays empty.
const LOCK: &str = "lock";

/// The file with the folder's identity.
const IDENTITY: &str = "identity";

/// Where the kernel names the present run of the machine: a random number, made anew at each start.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Where a process runs and keeps its state.
///
/// Who finds both numbers of another incarnation equal to its own, and holds the folder, knows that the other's process
/// is gone: the folder's lock is held by one process of this run of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Identity of the folder. A copy of the folder has another one.
    pub data_dir_id: [u8; 16],
    /// Identity of this run of the machine.
    pub boot_id: [u8; 16],
}

/// The folder, held by this process for as long as the value lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    place: Place,
    /// Closing it would let go of the folder.
    lock: File,
}

impl DataDir {
    /// Takes hold of a folder, and makes it if only its last component is missing. `fresh` are random bytes: the identity of
    /// a folder that has none yet, or that is a copy.
    ///
    /// A child process that was forked while the value lived, and has not executed another program since, keeps the hold.
    ///
    /// # Errors
    /// Another process holds it; it cannot be read or written, belongs to another user, or is open to others.
    pub fn open(path: &Path, fresh: [u8; 16]) -> Result<DataDir, OpenError> {
        make_folder(path)?;
        let lock = hold(path)?;
        let data_dir_id = identity(path, &lock, fresh)?;
        let place = Place { data_dir_id, boot_id: boot_id()? };
        Ok(DataDir { path: path.to_owned(), place, lock })
    }

    /// Keeps hold of the folder until this process has ended, even when the value is gone: as long as any thread could act in
    /// the name of whoever holds it.
    ///
    /// # Errors
    /// Too many files are open.
    pub fn hold_until_exit(&self) -> Result<(), OpenError> {
        let second =
            self.lock.try_clone().map_err(|error| OpenError::of_file(&self.path.join(LOCK), error))?;
        // The lock is that of the open file; the kernel closes the last descriptor of it.
        std::mem::forget(second);
        Ok(())
    }

    /// Where this process is.
    pub const fn place(&self) -> Place {
        self.place
    }

    /// A file in the folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What a small file of the folder holds; nothing if there is none.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, OpenError> {
        read_small(&self.file(name))
    }

    /// Puts a small file in the folder, durably, as a whole or not at all.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<(), OpenError> {
        write_small(&self.path, name, content)
    }
}

/// Looks at a file without following links; `None` if there is none.
///
/// # Errors
/// It is no ordinary file, belongs to another user, or is open to others.
pub(crate) fn inspect(path: &Path) -> Result<Option<Metadata>, OpenError> {
    let found = match path.symlink_metadata() {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(OpenError::of_file(path, error)),
    };
    if !found.is_file() {
        return Err(OpenError::WrongKind { path: path.to_owned(), wanted: "an ordinary file" });
    }
    check_private(path, &found, FILE_MODE)?;
    Ok(Some(found))
}

/// How files of the folder are opened for reading and writing, and made.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(FILE_MODE);
    options
}

fn make_folder(path: &Path) -> Result<(), OpenError> {
    let failed = |error| OpenError::of_file(path, error);
    match DirBuilder::new().mode(FOLDER_MODE).create(path) {
        Ok(()) => {
            sync_names(path)?;
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        // A read-only file system says so before it looks whether the folder is there.
        Err(_) if path.is_dir() => {}
        Err(error) => return Err(failed(error)),
    }
    let found = path.metadata().map_err(failed)?;
    if !found.is_dir() {
        return Err(OpenError::WrongKind { path: path.to_owned(), wanted: "a folder" });
    }
    check_private(path, &found, FOLDER_MODE)
}

fn check_private(path: &Path, found: &Metadata, wanted: u32) -> Result<(), OpenError> {
    let (owner, user) = (found.uid(), rustix::process::geteuid().as_raw());
    if owner != user {
        return Err(OpenError::Stranger { path: path.to_owned(), owner, user });
    }
    let mode = found.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(OpenError::Exposed { path: path.to_owned(), mode, wanted });
    }
    Ok(())
}

/// The lock file, locked.
fn hold(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join(LOCK);
    inspect(&path)?;
    let lock = private()
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| OpenError::of_file(&path, error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(OpenError::of_file(&path, error)),
    }
}

/// The folder's identity: random bytes beside the place of the lock file on its disk. Where the lock file lies elsewhere than
/// the bytes say, they came here in a copy (or the lock file was removed under the feet of its holder), and the folder gets new ones.
fn identity(folder: &Path, lock: &File, fresh: [u8; 16]) -> Result<[u8; 16], OpenError> {
    let path = folder.join(IDENTITY);
    let found = lock.metadata().map_err(|error| OpenError::of_file(&path, error))?;
    let mut place = [0; 16];
    place[..8].copy_from_slice(&found.dev().to_be_bytes());
    place[8..].copy_from_slice(&found.ino().to_be_bytes());
    let known = read_small(&path)?;
    if let Some((id, was)) = known.as_deref().and_then(<[u8]>::split_first_chunk::<16>)
        && was == place
    {
        return Ok(*id);
    }
    write_small(folder, IDENTITY, &[fresh, place].concat())?;
    Ok(fresh)
}

fn boot_id() -> Result<[u8; 16], OpenError> {
    let path = Path::new(BOOT_ID);
    let text = std::fs::read_to_string(path).map_err(|error| OpenError::of_file(path, error))?;
    let digits: String = text.trim().chars().filter(|digit| *digit != '-').collect();
    let strange = || OpenError::of_file(path, io::Error::other("it holds no UUID"));
    u128::from_str_radix(&digits, 16).map(u128::to_be_bytes).map_err(|_| strange())
}

/// More than any small file here has; one that is longer is not ours.
const SMALL: u64 = 4096;

fn read_small(path: &Path) -> Result<Option<Vec<u8>>, OpenError> {
    if inspect(path)?.is_none() {
        return Ok(None);
    }
    let mut content = Vec::new();
    let read = File::open(path).and_then(|file| file.take(SMALL).read_to_end(&mut content));
    read.map_err(|error| OpenError::of_file(path, error))?;
    Ok(Some(content))
}

fn write_small(folder: &Path, name: &str, content: &[u8]) -> Result<(), OpenError> {
    let new = folder.join(format!("{name}.new"));
    let failed = |error| OpenError::of_file(&new, error);
    let mut file = private().create(true).truncate(true).open(&new).map_err(failed)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&new, folder.join(name)).map_err(failed)?;
    sync_folder(folder)
}

/// Makes names beside `path`, and its own, durable: they lie in its parent.
pub(crate) fn sync_names(path: &Path) -> Result<(), OpenError> {
    sync_folder(path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new(".")))
}

fn sync_folder(folder: &Path) -> Result<(), OpenError> {
    File::open(folder).and_then(|open| open.sync_all()).map_err(|error| OpenError::of_file(folder, error))
}
