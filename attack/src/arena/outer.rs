//! Outer addresses of the arena, of either family.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use jumpvpn_lab::plan::Family;
use rand_core::Rng;

/// UDP port of the gateway.
const PORT: u16 = 4747;
/// First bytes of invented IPv4 addresses: a third of the internet, 5.8 million networks of 256.
const FIRST_NETS: std::ops::Range<u8> = 11..100;
/// First words of invented IPv6 addresses: 67 million networks of /48 in the space of unicast addresses (RFC 4291).
const FIRST_WORDS: std::ops::Range<u16> = 0x2600..0x2a00;

/// Where the gateway listens (RFC 5737, TEST-NET-1; RFC 3849).
#[must_use]
pub fn gateway(family: Family) -> SocketAddr {
    SocketAddr::new(
        match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)),
            Family::V6 => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10)),
        },
        PORT,
    )
}

/// The clients' outer addresses: the shared space of carrier NATs (RFC 6598), and networks for documents (RFC 9637).
#[must_use]
pub fn clients(family: Family) -> IpNet {
    match family {
        Family::V4 => IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(100, 64, 0, 0), 10)),
        Family::V6 => IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0x3fff, 0xc, 0, 0, 0, 0, 0, 0), 32)),
    }
}

/// The stranger's own addresses (RFC 2544; RFC 9637).
#[must_use]
pub fn strangers(family: Family) -> IpNet {
    match family {
        Family::V4 => IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(198, 18, 0, 0), 15)),
        Family::V6 => IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0x3fff, 0x5, 0, 0, 0, 0, 0, 0), 32)),
    }
}

/// One end of cable `number`: 1 is the gateway's, 2 the other one.
pub fn cable_end(family: Family, number: u8, end: u8) -> IpNet {
    match family {
        Family::V4 => Ipv4Net::new_assert(Ipv4Addr::new(10, 200, number, end), 24).into(),
        Family::V6 => {
            let address = Ipv6Addr::new(0xfd00, 0x200, number.into(), 0, 0, 0, 0, end.into());
            Ipv6Net::new_assert(address, 64).into()
        }
    }
}

/// The prefix of every address.
#[must_use]
pub fn anywhere(family: Family) -> IpNet {
    match family {
        Family::V4 => Ipv4Net::default().into(),
        Family::V6 => Ipv6Net::default().into(),
    }
}

/// An address anywhere on the internet but where the gateway and its clients are.
pub fn anyone(family: Family, rng: &mut impl Rng) -> IpAddr {
    match family {
        Family::V4 => {
            let [_, b, c, d] = rng.next_u32().to_be_bytes();
            let a = FIRST_NETS.start + (rng.next_u32() % FIRST_NETS.len() as u32) as u8;
            Ipv4Addr::new(a, b, c, d).into()
        }
        Family::V6 => {
            let first = FIRST_WORDS.start + rng.next_u32() as u16 % FIRST_WORDS.len() as u16;
            within(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0).into(), 16, rng)
        }
    }
}

/// One of the stranger's own addresses.
pub fn stranger(family: Family, rng: &mut impl Rng) -> IpAddr {
    within(strangers(family).network(), strangers(family).prefix_len(), rng)
}

/// An address of the network that begins so, other than its first two.
fn within(network: IpAddr, prefix_len: u8, rng: &mut impl Rng) -> IpAddr {
    match network {
        IpAddr::V4(network) => {
            let host = rng.next_u32() & (u32::MAX >> prefix_len);
            Ipv4Addr::from(u32::from(network) | host.max(2)).into()
        }
        IpAddr::V6(network) => {
            let random = u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64());
            Ipv6Addr::from(u128::from(network) | (random & (u128::MAX >> prefix_len)).max(2)).into()
        }
    }
}

#[cfg(test)]
mod tests;
