//! Who sent what: an ear in each gateway's node, behind its packet filter, with the kernel's own time of each packet.
//!
//! It hears what leaves towards the router from the client's inner address, and DATA datagrams that leave towards the
//! internet. Packets that the gateway's kernel refused to forward are not heard, and those that the router will refuse are.

use std::io;
use std::mem::MaybeUninit;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::time::Timespec;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::cell::Cell;
use super::judge::{Packet, Side};
use super::plan::{self, COUNT};
use crate::clock;
use crate::namespace::Node;
use crate::tunnel::unix_now;

/// All packets: only who asks for all is shown those that leave (packet(7)).
const ETH_P_ALL: u16 = 0x0003;
/// Kind of a packet that leaves (`sll_pkttype`).
const PACKET_OUTGOING: u8 = 4;
/// Room for packets that were not read yet: some seconds of all the lab's traffic.
const BUFFER_LEN: usize = 16 << 20;
/// Enough of a packet: an IPv4 header with all its options, a UDP header and one byte.
const HEAD_LEN: usize = 60 + 8 + 1;
/// A look at whether it is over.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// First byte of a DATA datagram (docs/protocol.md section 3).
const DATA: u8 = 0x10;
/// Protocol number of UDP.
const UDP: u8 = 17;

/// Ears in all gateways, listening until this is dropped.
#[derive(Debug)]
pub struct Witness {
    heard: Arc<Mutex<Vec<Packet>>>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Witness {
    /// Listens for packets of the client with this inner address, whose gateways listen on UDP port `port`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn listen(cell: &Cell, client: Ipv4Addr, port: u16) -> io::Result<Witness> {
        let mut witness = Witness { heard: Arc::default(), over: Arc::default(), threads: Vec::new() };
        for gateway in 0..COUNT {
            let ear = Ear::open(&cell.gateways[gateway])?;
            let (heard, over) = (Arc::clone(&witness.heard), Arc::clone(&witness.over));
            let thread = thread::Builder::new().name(format!("ear-{}", gateway + 1));
            let listen = move || {
                while let Some((at, interface, head)) = ear.next(&over) {
                    if let Some(side) = side_of(ear.interfaces, interface, &head, client, port) {
                        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                        heard.push(Packet { at, gateway, side });
                    }
                }
            };
            witness.threads.push(thread.spawn(listen)?);
        }
        Ok(witness)
    }

    /// What was heard so far.
    #[must_use]
    pub fn heard(&self) -> Vec<Packet> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        self.threads.drain(..).for_each(|thread| _ = thread.join());
    }
}

struct Ear {
    socket: Socket,
    /// Index of the interface towards the router, and of the one towards the internet.
    interfaces: [u32; 2],
}

impl Ear {
    fn open(node: &Node) -> io::Result<Ear> {
        node.run(|| {
            let protocol = Protocol::from(i32::from(ETH_P_ALL.to_be()));
            let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol))?;
            // As root past the limit of ordinary users, elsewhere as far as it goes.
            socket.set_recv_buffer_size(BUFFER_LEN)?;
            socket.set_nonblocking(true)?;
            // The first question of a socket turns its stamps on, and has no answer.
            stamp(&socket).ok();
            let mut network = jumpvpn_host::Network::open().map_err(io::Error::other)?;
            let mut index = |name: &str| network.link_index(name).map_err(io::Error::other);
            Ok(Ear {
                socket,
                interfaces: [index(plan::LAN_INTERFACE)?, index(plan::OUTER[0].isp_interface)?],
            })
        })?
    }

    /// The next packet that leaves: when, through which interface, and its beginning. Nothing when it is over.
    fn next(&self, over: &AtomicBool) -> Option<(Duration, u32, Vec<u8>)> {
        let mut buffer = [MaybeUninit::uninit(); HEAD_LEN];
        loop {
            match self.socket.recv_from(&mut buffer) {
                Ok((len, from)) => {
                    let (interface, kind) = link_of(&from);
                    if kind == PACKET_OUTGOING {
                        // The kernel stamps what leaves once somebody listens; what was first may come without.
                        let at = stamp(&self.socket).unwrap_or_else(|_| unix_now());
                        return Some((at, interface, bytes_of(&buffer[..len.min(HEAD_LEN)])));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if over.load(Ordering::Acquire) {
                        return None;
                    }
                    clock::wait_readable(self.socket.as_fd(), Some(Instant::now() + LOOK_AGAIN));
                }
                // An interface that goes down says so once.
                Err(_) => {}
            }
        }
    }
}

#[expect(unsafe_code, reason = "socket2 hands out what the kernel wrote as uninitialised")]
fn bytes_of(buffer: &[MaybeUninit<u8>]) -> Vec<u8> {
    // SAFETY: the caller passes no more than what `recv_from` said it had written.
    buffer.iter().map(|byte| unsafe { byte.assume_init() }).collect()
}

/// Index of the interface, and kind, of the packet that came from this address.
#[expect(unsafe_code, reason = "socket2 knows no addresses of links")]
fn link_of(address: &SockAddr) -> (u32, u8) {
    if (address.len() as usize) < std::mem::offset_of!(libc::sockaddr_ll, sll_addr) {
        return (0, 0);
    }
    // SAFETY: a SockAddr has room for any address and is aligned for it; the kernel filled in all fields that are read
    // here, as the length says.
    let link = unsafe { &*address.as_ptr().cast::<libc::sockaddr_ll>() };
    (link.sll_ifindex.unsigned_abs(), link.sll_pkttype)
}

/// When the kernel saw the packet that was read last (SIOCGSTAMPNS, socket(7)), since 1970.
#[expect(unsafe_code, reason = "rustix has no such call of its own")]
fn stamp(socket: &Socket) -> io::Result<Duration> {
    const SIOCGSTAMPNS: rustix::ioctl::Opcode = 0x8907;
    // SAFETY: this request writes a timespec of the kernel's `long` and nothing else.
    let time = unsafe {
        let getter = rustix::ioctl::Getter::<SIOCGSTAMPNS, Timespec>::new();
        rustix::ioctl::ioctl(socket, getter)
    }?;
    Ok(Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0)))
}

/// On which side of the gateway a packet of the client's session left it; nothing if it is none.
fn side_of(
    [lan, outer]: [u32; 2],
    interface: u32,
    packet: &[u8],
    client: Ipv4Addr,
    port: u16,
) -> Option<Side> {
    let first = *packet.first()?;
    if first >> 4 != 4 {
        return None;
    }
    let header_len = usize::from(first & 0x0f) * 4;
    if interface == lan && packet.get(12..16)? == client.octets() {
        return Some(Side::Inner);
    }
    let payload = packet.get(header_len..)?;
    let is_data = packet[9] == UDP && payload.get(..2)? == port.to_be_bytes() && *payload.get(8)? == DATA;
    (interface == outer && is_data).then_some(Side::Outer)
}
