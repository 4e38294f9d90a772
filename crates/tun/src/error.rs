//! Why a device could not be created, and what a person can do about it.

use std::io;

/// Failure to create or configure a TUN or TAP device.
#[derive(Debug, thiserror::Error)]
pub enum TunError {
    /// `/dev/net/tun` does not exist.
    #[error(
        "/dev/net/tun does not exist: load the kernel module with `modprobe tun`, or pass the device into the container (`--device /dev/net/tun`)"
    )]
    NotFound,
    /// The process may not create interfaces.
    #[error("not allowed to create the interface {name}: run as root or give the program CAP_NET_ADMIN")]
    PermissionDenied {
        /// Name of the interface asked for.
        name: String,
    },
    /// An interface of that name exists and is in use, or is of another kind.
    #[error(
        "the interface name {name} is taken: stop the program that owns it (`ip link show {name}`) or choose another `interface`"
    )]
    Busy {
        /// Name of the interface asked for.
        name: String,
    },
    /// The name cannot be an interface name.
    #[error("{name:?} cannot be an interface name: use 1 to 15 characters without spaces, slashes or colons")]
    InvalidName {
        /// Name of the interface asked for.
        name: String,
    },
    /// Anything else the kernel refused.
    #[error("cannot {action} the interface {name}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Name of the interface.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
}

impl TunError {
    /// Sorts what the kernel answered to `action` on the interface `name`.
    pub(crate) fn from_io(action: &'static str, name: &str, source: io::Error) -> TunError {
        let name = name.to_owned();
        match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => TunError::PermissionDenied { name },
            Some(libc::EBUSY | libc::EEXIST) => TunError::Busy { name },
            _ => TunError::Io { action, name, source },
        }
    }
}
