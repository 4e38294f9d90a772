//! Words to the service manager (sd_notify(3)), through a socket that is connected while the process may still do that.
//!
//! The formats are the library's. Its own call opens a socket for each word, which a confined daemon has no right to.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use sd_notify::NotifyState;

/// The service manager, if there is one.
#[derive(Debug, Default)]
pub(crate) struct NotifySocket {
    socket: Option<UnixDatagram>,
}

impl NotifySocket {
    /// Connects to whatever `NOTIFY_SOCKET` names.
    ///
    /// # Errors
    /// It names something that cannot be spoken to.
    pub(crate) fn connect() -> io::Result<NotifySocket> {
        env::var_os("NOTIFY_SOCKET")
            .map_or_else(|| Ok(NotifySocket::default()), |name| NotifySocket::at(&name))
    }

    /// A path, or a name without a file behind an `@`.
    fn at(name: &OsStr) -> io::Result<NotifySocket> {
        let address = match name.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        // A manager that does not read must not hold the daemon up.
        socket.set_nonblocking(true)?;
        Ok(NotifySocket { socket: Some(socket) })
    }

    /// Says something; what does not get through is lost.
    pub(crate) fn tell(&self, state: &NotifyState<'_>) {
        if let Some(socket) = &self.socket {
            socket.send(state.to_string().as_bytes()).ok();
        }
    }
}

#[cfg(test)]
mod tests;
