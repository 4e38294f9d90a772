//! The socket file: made with the right mode from the first moment, taken over from the dead, left to the living.

use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, fchmod};
use rustix::net::{
    AddressFamily, Shutdown, SocketAddrUnix, SocketFlags, SocketType, bind, listen, shutdown, socket_with,
};

/// Read and write for owner and group: connecting to a socket needs the right to write.
const SOCKET_MODE: u32 = 0o660;
/// Connections waiting for accept(2). More than there may be clients would only wait to be refused.
const BACKLOG: i32 = 16;

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A daemon serves this socket.
    #[error("another daemon is already running on {}: stop it first, or choose another `control_socket`", path.display())]
    AlreadyRunning {
        /// Its socket.
        path: PathBuf,
    },
    /// Something that is no socket has the name.
    #[error("{} exists and is not a socket: remove it, or choose another `control_socket`", path.display())]
    NotASocket {
        /// What is in the way.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {action} the control socket {}: {source}; check that the directory exists and is writable", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
}

impl SocketError {
    /// Whether the process lacks a right.
    pub fn is_permission(&self) -> bool {
        matches!(self, SocketError::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied)
    }
}

/// A bound socket and its file.
pub(super) struct BoundSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of our file, so that a successor's file is not removed.
    identity: (u64, u64),
    closed: AtomicBool,
}

impl BoundSocket {
    pub(super) fn bind(path: &Path) -> Result<BoundSocket, SocketError> {
        clear_the_way(path)?;
        let failed = |action| {
            let path = path.to_owned();
            move |source: io::Error| SocketError::Io { path, action, source }
        };
        let listener = bind_with_mode(path).map_err(failed("make"))?;
        let metadata = std::fs::symlink_metadata(path).map_err(failed("find"))?;
        let identity = (metadata.dev(), metadata.ino());
        Ok(BoundSocket { listener, path: path.to_owned(), identity, closed: AtomicBool::new(false) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The next client; nothing once the socket is closed.
    pub(super) fn accept(&self) -> io::Result<Option<UnixStream>> {
        let result = self.listener.accept();
        if self.closed.load(Ordering::Acquire) {
            return Ok(None);
        }
        result.map(|(stream, _)| Some(stream))
    }

    /// Removes the file and wakes up whoever waits in `accept`.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let ours = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity);
        if ours {
            // It may be gone already; there is nothing else to do about it at the end.
            std::fs::remove_file(&self.path).ok();
        }
        shutdown(&self.listener, Shutdown::Both).ok();
    }
}

/// Removes the socket of a dead process.
fn clear_the_way(path: &Path) -> Result<(), SocketError> {
    let failed = |action| move |source| SocketError::Io { path: path.to_owned(), action, source };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at")(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(SocketError::NotASocket { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        // Nobody listens: the file was left behind.
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed("replace"))
        }
        // Removed just now.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        // A full backlog (WouldBlock) is a living daemon as well.
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(failed("ask")(error)),
        _ => Err(SocketError::AlreadyRunning { path: path.to_owned() }),
    }
}

/// The mode is set before the file exists: bind(2) gives the file the mode of the socket, less the umask, so nobody can
/// connect too early. The umask is undone afterwards.
fn bind_with_mode(path: &Path) -> io::Result<UnixListener> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    let mode = Mode::from_raw_mode(SOCKET_MODE);
    fchmod(&socket, mode)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::fs::chmod(path, mode)?;
    listen(&socket, BACKLOG)?;
    Ok(socket.into())
}
