//! Telling the neighbours on a link that an address is to be found here now.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV6};

use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};

/// Address of an interface on an Ethernet (IEEE 802), six bytes.
pub(super) type HardwareAddress = [u8; 6];

/// How often an address is announced, a second apart: frames on a link can be lost, and a switch may need a moment. RFC 5227
/// section 2.3 and RFC 4861 section 7.2.6 have two and three.
const TIMES: u8 = 3;
/// Frames sent at once: 10,000 sessions are told within two seconds, and a link of 100 Mbit/s is busy for 30 ms of each.
const BURST: usize = 5000;
/// All nodes of a link.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Neighbours ignore a message of theirs that a router might have passed on (RFC 4861 section 7.1.2).
const HOP_LIMIT: u32 = 255;

/// Sends announcements on one interface, without ever waiting.
pub(super) struct Announcer {
    hardware: HardwareAddress,
    arp: Socket,
    /// Where frames for everybody on the link go.
    everybody: SockAddr,
    /// None on a machine without IPv6.
    icmp: Option<Socket>,
    index: u32,
    /// Addresses with the number of announcements that are still to come.
    due: VecDeque<(IpAddr, u8)>,
}

impl Announcer {
    pub fn open(index: u32, hardware: HardwareAddress) -> io::Result<Announcer> {
        let arp = Socket::new(Domain::PACKET, Type::DGRAM, None)?;
        arp.set_nonblocking(true)?;
        let icmp = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6));
        let icmp = match icmp {
            Ok(socket) => Some(socket),
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => None,
            Err(error) => return Err(error),
        };
        if let Some(socket) = &icmp {
            socket.set_nonblocking(true)?;
            socket.set_multicast_hops_v6(HOP_LIMIT)?;
            socket.set_multicast_if_v6(index)?;
            // Nobody reads what arrives; the smallest buffer there is.
            socket.set_recv_buffer_size(0)?;
        }
        Ok(Announcer { hardware, arp, everybody: everybody(index), icmp, index, due: VecDeque::new() })
    }

    /// Announces the addresses now, as far as a burst goes, and again with the next ticks.
    pub fn tell(&mut self, addresses: &BTreeSet<IpAddr>) {
        // Those that are told again begin anew, so there is one entry for an address.
        self.forget(addresses);
        let before = self.due.len();
        self.due.extend(addresses.iter().map(|address| (*address, TIMES)));
        // Only the new ones: those that wait for their next time have just been sent.
        self.due.rotate_left(before);
        self.send(addresses.len());
    }

    /// Sends what is due once more.
    pub fn tick(&mut self) {
        self.send(self.due.len());
    }

    /// Announces these no more: they are somebody else's.
    pub fn forget(&mut self, addresses: &BTreeSet<IpAddr>) {
        self.due.retain(|(due, _)| !addresses.contains(due));
    }

    fn send(&mut self, count: usize) {
        for _ in 0..count.min(BURST) {
            let Some((address, left)) = self.due.pop_front() else { return };
            let left = match self.announce(address) {
                Ok(()) => left - 1,
                // A full queue or a link that is down: the next tick tries again.
                Err(_) => left,
            };
            if left > 0 {
                self.due.push_back((address, left));
            }
        }
    }

    fn announce(&self, address: IpAddr) -> io::Result<()> {
        match (address, &self.icmp) {
            (IpAddr::V4(address), _) => {
                self.arp.send_to(&arp_announcement(self.hardware, address), &self.everybody).map(drop)
            }
            (IpAddr::V6(address), Some(socket)) => {
                let to = SocketAddrV6::new(ALL_NODES, 0, 0, self.index);
                socket.send_to(&neighbour_advertisement(self.hardware, address), &to.into()).map(drop)
            }
            (IpAddr::V6(_), None) => Ok(()),
        }
    }
}

/// An ARP request that asks for the sender's own address (RFC 5227 section 3): whoever knows the address takes the new
/// hardware address for it.
fn arp_announcement(hardware: HardwareAddress, address: Ipv4Addr) -> [u8; 28] {
    let mut frame = [0; 28];
    // Ethernet, IPv4, lengths of both addresses, request.
    frame[..8].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
    frame[8..14].copy_from_slice(&hardware);
    frame[14..18].copy_from_slice(&address.octets());
    // The target's hardware address stays zero.
    frame[24..].copy_from_slice(&address.octets());
    frame
}

/// A neighbour advertisement that nobody asked for, which overrides what neighbours know (RFC 4861 section 4.4). The kernel
/// fills in the checksum.
fn neighbour_advertisement(hardware: HardwareAddress, address: Ipv6Addr) -> [u8; 32] {
    let mut message = [0; 32];
    message[0] = 136;
    // Not a router, not solicited, override.
    message[4] = 0x20;
    message[8..24].copy_from_slice(&address.octets());
    // Target's link-layer address, one unit of eight bytes.
    message[24..26].copy_from_slice(&[2, 1]);
    message[26..].copy_from_slice(&hardware);
    message
}

/// ARP to the broadcast address of an interface, packet(7).
#[expect(unsafe_code, reason = "neither socket2 nor rustix has addresses of packet sockets")]
fn everybody(index: u32) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: sockaddr_ll is a plain structure, smaller than the storage, for which every pattern of bits is a value.
    let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ARP as u16).to_be();
    address.sll_ifindex = index as i32;
    address.sll_halen = 6;
    address.sll_addr[..6].fill(0xff);
    // SAFETY: the storage holds an address of the family it names, of exactly this length.
    unsafe { SockAddr::new(storage, size_of::<libc::sockaddr_ll>() as libc::socklen_t) }
}

#[cfg(test)]
mod tests;
