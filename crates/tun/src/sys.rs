//! The ioctls of the TUN/TAP driver (Linux `Documentation/networking/tuntap.rst`), the only unsafe code of this room.
#![allow(unsafe_code)] // ioctl(2) has no safe wrapper

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;

use libc::{c_int, c_uint};

use crate::TunError;

/// Opens the driver's clone device, non-blocking.
pub fn open(name: &str) -> Result<File, TunError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC);
    options.open("/dev/net/tun").map_err(|source| match source.raw_os_error() {
        // The node can be there without the driver behind it.
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => TunError::NotFound,
        _ => TunError::from_io("open /dev/net/tun for", name, source),
    })
}

/// Creates (with IFF_TUN_EXCL) the interface `name`, or attaches to it, with the given IFF_* flags.
pub fn attach(file: &File, name: &str, flags: c_int) -> Result<(), TunError> {
    let mut request = request_for(name)?;
    // The kernel reads the flags as an unsigned 16-bit field.
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which lives through the call.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    check(result).map_err(|source| TunError::from_io("create", name, source))
}

/// Says which super-packets (TUN_F_*) the kernel may hand over.
pub fn set_offload(file: &File, features: c_uint) -> io::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes its argument by value.
    check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(features)) })
}

/// Plugs or pulls the virtual cable.
pub fn set_carrier(file: &File, on: bool) -> io::Result<()> {
    let carrier = c_int::from(on);
    // SAFETY: TUNSETCARRIER reads one int, which lives through the call.
    check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETCARRIER, &raw const carrier) })
}

/// Sets the MTU of the interface `name` in the namespace of the calling thread.
pub fn set_mtu(name: &str, mtu: u16) -> Result<(), TunError> {
    let mut request = request_for(name)?;
    request.ifr_ifru.ifru_mtu = c_int::from(mtu);
    let set = || {
        let socket = UnixDatagram::unbound()?;
        // SAFETY: SIOCSIFMTU reads one `ifreq`, which lives through the call.
        check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFMTU, &raw const request) })
    };
    set().map_err(|source| TunError::from_io("set the MTU of", name, source))
}

/// Index of the interface `name` in the namespace of the calling thread.
pub fn index(name: &str) -> Result<u32, TunError> {
    let find = || {
        let socket = UnixDatagram::unbound()?;
        Ok(rustix::net::netdevice::name_to_index(socket.as_fd(), name)?)
    };
    find().map_err(|source| TunError::from_io("find", name, source))
}

/// A zeroed `ifreq` with the name in it; refuses what cannot be (or what the kernel would expand) as a name.
fn request_for(name: &str) -> Result<libc::ifreq, TunError> {
    let forbidden =
        |byte: u8| byte.is_ascii_whitespace() || byte.is_ascii_control() || b"/:%".contains(&byte);
    if name.is_empty()
        || name.len() >= libc::IFNAMSIZ
        || [".", ".."].contains(&name)
        || name.bytes().any(forbidden)
    {
        return Err(TunError::InvalidName { name: name.to_owned() });
    }
    // SAFETY: `ifreq` is plain data, for which all zeros is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (target, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *target = byte as libc::c_char;
    }
    Ok(request)
}

fn check(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
