//! Why a store could not be opened, in words for the person who has to mend it.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why a store could not be opened. Nothing was overwritten. Trying again helps with [`OpenError::InUse`] and
/// [`OpenError::Full`] once somebody has made room; everything else needs a person.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the folder, or the file in it.
    #[error("{} is held by another process; one store is for one gateway", path.display())]
    InUse {
        /// The folder or file.
        path: PathBuf,
    },
    /// This user may not.
    #[error("{} cannot be opened: {source}", path.display())]
    Denied {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file system is mounted read-only, or the file may not be written.
    #[error("{} cannot be written: it is read-only", path.display())]
    ReadOnly {
        /// The folder or file.
        path: PathBuf,
    },
    /// No room is left on the file system, or in a quota.
    #[error("{} cannot be written: no room is left on the disk", path.display())]
    Full {
        /// The folder or file.
        path: PathBuf,
    },
    /// Other users could read or change it.
    #[error("{} is open to other users (mode {mode:03o}); its mode should be {wanted:03o}", path.display())]
    Exposed {
        /// The folder or file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What they should be.
        wanted: u32,
    },
    /// It belongs to another user.
    #[error("{} belongs to user {owner}, and this is user {user}", path.display())]
    Stranger {
        /// The folder or file.
        path: PathBuf,
        /// Number of the user it belongs to.
        owner: u32,
        /// Number of the user of this process.
        user: u32,
    },
    /// It is something else than a folder or an ordinary file.
    #[error("{} is not {wanted}", path.display())]
    WrongKind {
        /// Where something else is.
        path: PathBuf,
        /// What should be there.
        wanted: &'static str,
    },
    /// It is no database, or nothing is left of it.
    #[error("{} is not a database; move it away to begin with an empty one", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// What it holds contradicts itself, or a part of it is missing.
    #[error("{} is damaged ({detail}); move it away to begin with an empty one", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// It is the database of another program.
    #[error("{} is the database of another program (application id {id:#010x})", path.display())]
    OtherApplication {
        /// The file.
        path: PathBuf,
        /// The number by which that program marks its files.
        id: u32,
    },
    /// A later version of this program has written it.
    #[error("{} has format {found}, and this version knows formats up to {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest that is known here.
        known: u32,
    },
    /// Something else went wrong.
    #[error("{}: {source}", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl OpenError {
    /// What an error of a file means.
    pub(crate) fn of_file(path: &Path, source: io::Error) -> OpenError {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied => OpenError::Denied { path, source },
            io::ErrorKind::ReadOnlyFilesystem => OpenError::ReadOnly { path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => OpenError::Full { path },
            _ => OpenError::Io { path, source },
        }
    }

    /// What an error of the database means.
    pub(crate) fn of_database(path: &Path, error: rusqlite::Error) -> OpenError {
        let file = path.to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::InUse { path: file },
            Some(ErrorCode::DiskFull) => OpenError::Full { path: file },
            Some(ErrorCode::ReadOnly) => OpenError::ReadOnly { path: file },
            Some(ErrorCode::NotADatabase) => OpenError::NotADatabase { path: file },
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::OutOfMemory) => {
                OpenError::Io { path: file, source: io::Error::other(error) }
            }
            // Whatever else a statement of ours meets is due to what the file holds.
            _ => OpenError::Damaged { path: file, detail: error.to_string() },
        }
    }
}
