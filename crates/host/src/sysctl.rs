//! Kernel switches under /proc/sys.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::HostError;

/// A switch that a tunnel turns, and that is turned back when no tunnel needs it any more.
///
/// What the value was before is kept in the packet filter's table (see [`firewall`](crate::firewall)), as the name of
/// a set whose elements are the tunnels that need the switch: it survives a killed program and is shared by all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// Forward IPv4 packets.
    Ipv4Forward,
    /// Forward IPv6 packets.
    Ipv6Forward,
    /// Accept a packet from any address that some route leads to, not only over the interface of the best route
    /// (RFC 3704 section 2.4): answers over the second uplink would be dropped otherwise.
    LooseReversePath,
}

impl Switch {
    /// All switches.
    pub const ALL: [Switch; 3] = [Switch::Ipv4Forward, Switch::Ipv6Forward, Switch::LooseReversePath];

    /// Name under /proc/sys.
    pub fn key(self) -> &'static str {
        match self {
            Switch::Ipv4Forward => "net/ipv4/ip_forward",
            Switch::Ipv6Forward => "net/ipv6/conf/all/forwarding",
            Switch::LooseReversePath => "net/ipv4/conf/all/rp_filter",
        }
    }

    /// The value a tunnel wants.
    pub fn wanted(self) -> &'static str {
        match self {
            Switch::Ipv4Forward | Switch::Ipv6Forward => "1",
            Switch::LooseReversePath => "2",
        }
    }

    /// Beginning of the name of the set that remembers the value before, which follows.
    pub fn set_prefix(self) -> &'static str {
        match self {
            Switch::Ipv4Forward => "ipv4_forward_was_",
            Switch::Ipv6Forward => "ipv6_forward_was_",
            Switch::LooseReversePath => "reverse_path_was_",
        }
    }

    /// Whether the machine already behaves as wanted.
    pub fn is_satisfied(self) -> io::Result<bool> {
        match self {
            Switch::LooseReversePath => Ok(!any_strict_reverse_path()?),
            _ => Ok(read(self.key())? == self.wanted()),
        }
    }
}

/// Reads a value, without the line end.
pub fn read(key: &str) -> io::Result<String> {
    Ok(fs::read_to_string(path(key))?.trim().to_owned())
}

/// Writes a value, unless it is there already (containers often have /proc/sys read-only).
pub fn write(key: &str, value: &str) -> io::Result<()> {
    if read(key)? == value { Ok(()) } else { fs::write(path(key), value) }
}

/// Like [`write`], with an error that names the switch.
pub fn set(key: &str, value: &str) -> Result<(), HostError> {
    write(key, value).map_err(HostError::io(format!("set /proc/sys/{key} to {value}")))
}

/// Whether any interface, present or future, drops what the best route does not lead back to.
///
/// An interface uses the larger of its own value and that of `all`: 0 is off, 1 strict, 2 loose.
fn any_strict_reverse_path() -> io::Result<bool> {
    let directory = "net/ipv4/conf";
    let all = read(&format!("{directory}/all/rp_filter"))?;
    if all == "2" {
        return Ok(false);
    }
    for entry in fs::read_dir(path(directory))? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        // An interface may vanish between the listing and the reading.
        let value = read(&format!("{directory}/{name}/rp_filter")).unwrap_or_default();
        if name != "lo" && (value == "1" || (value == "0" && all == "1")) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn path(key: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(key)
}
