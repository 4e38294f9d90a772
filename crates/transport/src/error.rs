//! What can go wrong with a socket, sorted by who is to blame and what to do.

use std::io;
use std::net::SocketAddr;

use rustix::io::Errno;

/// Failure to set up a socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another socket has the address and port.
    #[error("{local} is already in use: stop the other program or choose another port")]
    PortInUse {
        /// The address asked for.
        local: SocketAddr,
    },
    /// The process lacks a right (low port, device binding or mark).
    #[error(
        "not allowed to {action} for {local}: run as root or give the program CAP_NET_ADMIN and CAP_NET_RAW \
         (CAP_NET_BIND_SERVICE for ports below 1024)"
    )]
    NoRights {
        /// What was tried.
        action: &'static str,
        /// The address asked for.
        local: SocketAddr,
    },
    /// The device or the address does not exist (any more): a matter of the path, not of the configuration.
    #[error("cannot {action} for {local}: {source}")]
    PathGone {
        /// What was tried.
        action: &'static str,
        /// The address asked for.
        local: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// Anything else.
    #[error("cannot {action} for {local}: {source}")]
    Other {
        /// What was tried.
        action: &'static str,
        /// The address asked for.
        local: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
}

impl BindError {
    pub(crate) fn new(action: &'static str, local: SocketAddr, source: io::Error) -> BindError {
        match Errno::from_io_error(&source) {
            Some(Errno::ADDRINUSE) => BindError::PortInUse { local },
            Some(Errno::PERM | Errno::ACCESS) => BindError::NoRights { action, local },
            Some(Errno::NODEV | Errno::NXIO | Errno::ADDRNOTAVAIL) => {
                BindError::PathGone { action, local, source }
            }
            _ => BindError::Other { action, local, source },
        }
    }
}

/// Failure to send.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The socket buffer is full: wait for writability, then go on after the first `sent_len` bytes.
    #[error("the socket buffer is full")]
    WouldBlock {
        /// Bytes of the same call that were sent, a multiple of the segment length.
        sent_len: usize,
    },
    /// The device, address or route of this path is gone: leave the path.
    #[error("the path is gone: {0}")]
    PathGone(#[source] io::Error),
    /// The datagram is larger than the path's first hop allows; nothing was fragmented.
    #[error("the datagram is larger than the link allows")]
    TooBig,
    /// A firewall of this machine or the peer's host refused it.
    #[error("refused: {0}")]
    Refused(#[source] io::Error),
    /// Anything else, for example a lack of kernel memory.
    #[error("sending failed: {0}")]
    Other(#[source] io::Error),
}

impl SendError {
    /// `pinned`: whether the socket or the datagram names a device or a source address. The kernel answers EINVAL
    /// when a named source is not (any more) an address of this machine, and for a device that was removed.
    pub(crate) fn new(source: io::Error, pinned: bool) -> SendError {
        match Errno::from_io_error(&source) {
            Some(Errno::AGAIN) => SendError::WouldBlock { sent_len: 0 },
            Some(Errno::MSGSIZE) => SendError::TooBig,
            Some(Errno::INVAL) if pinned => SendError::PathGone(source),
            Some(
                Errno::NETUNREACH
                | Errno::HOSTUNREACH
                | Errno::NETDOWN
                | Errno::NODEV
                | Errno::NXIO
                | Errno::ADDRNOTAVAIL,
            ) => SendError::PathGone(source),
            Some(Errno::PERM | Errno::ACCESS | Errno::CONNREFUSED) => SendError::Refused(source),
            _ => SendError::Other(source),
        }
    }
}
