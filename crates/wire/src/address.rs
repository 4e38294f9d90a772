//! The address a server saw, as it travels in tickets, requests, results and hints.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::Malformed;
use crate::cursor::{Reader, Writer};

#[cfg(test)]
mod tests;

/// A transport address, 20 bytes: family 1 (4 or 6), port 2, address 16 (IPv4 in the first four), zero 1.
///
/// An IPv4-mapped IPv6 address (`::ffff:a.b.c.d`, RFC 4291 section 2.5.5.2) is held as IPv4 and flow label and
/// scope are dropped, so that two sockets of different family agree about one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObservedAddress(SocketAddr);

impl ObservedAddress {
    /// Encoded length, bytes.
    pub const LEN: usize = 20;

    /// Normalises and wraps.
    pub fn new(address: SocketAddr) -> Self {
        Self(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }

    /// The normalised address.
    pub fn socket_addr(self) -> SocketAddr {
        self.0
    }

    /// The twenty bytes.
    pub fn encode(self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        let mut writer = Writer::new(&mut out);
        match self.0.ip() {
            IpAddr::V4(ip) => writer.u8(4).u16(self.0.port()).put(&ip.octets()).zeros(12),
            IpAddr::V6(ip) => writer.u8(6).u16(self.0.port()).put(&ip.octets()),
        }
        .zeros(1);
        out
    }

    /// Reads twenty bytes.
    ///
    /// # Errors
    /// `Length`; `Reserved` for set padding; `Field` for an unknown family or an IPv4-mapped IPv6 address, which
    /// would be a second spelling of an IPv4 one.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::exact(bytes, Self::LEN)?;
        let family = reader.u8()?;
        let port = reader.u16()?;
        let ip = match family {
            4 => {
                let ip = Ipv4Addr::from(reader.array::<4>()?);
                reader.zeros(12)?;
                IpAddr::V4(ip)
            }
            6 => IpAddr::V6(Ipv6Addr::from(reader.array::<16>()?)),
            _ => return Err(Malformed::Field("family")),
        };
        reader.zeros(1)?;
        if ip.to_canonical() != ip {
            return Err(Malformed::Field("address"));
        }
        Ok(Self(SocketAddr::new(ip, port)))
    }
}

impl From<SocketAddr> for ObservedAddress {
    fn from(address: SocketAddr) -> Self {
        Self::new(address)
    }
}
