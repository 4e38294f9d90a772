//! What the gateway says to the stranger: every IP packet that comes in on the stranger's link, whoever it is for.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

use jumpvpn_lab::plan::Family;

use crate::arena::{Arena, outer};

/// ETH_P_IP and ETH_P_IPV6: incoming packets of one family only, while ETH_P_ALL would show the flood itself.
const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
/// Bytes of the capture's queue, of which the kernel takes twice as many: an answer takes 768 of them, and the gateway's own limits
/// let it give a million within ten seconds. What does not fit would not be counted.
const BUFFER_LEN: usize = 512 << 20;
const UDP: u8 = 17;

/// The capture.
#[derive(Debug)]
pub struct Replies {
    socket: Socket,
    gateway: SocketAddr,
}

impl Replies {
    /// Starts it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn capture(arena: &Arena) -> io::Result<Replies> {
        let socket = arena.stranger.run(|| {
            let ether_type = if arena.family == Family::V4 { ETH_P_IP } else { ETH_P_IPV6 };
            let protocol = Protocol::from(i32::from(ether_type.to_be()));
            Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol))
        })??;
        rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER_LEN)?;
        socket.set_nonblocking(true)?;
        Ok(Replies { socket, gateway: outer::gateway(arena.family) })
    }

    /// Lengths of the UDP payloads of the gateway that came since the last call.
    ///
    /// # Errors
    /// The capture failed.
    pub fn take(&self) -> io::Result<Vec<usize>> {
        let mut lengths = Vec::new();
        let mut head = [0; 64];
        loop {
            match (&self.socket).read(&mut head) {
                Ok(len) => lengths.extend(payload_len(&head[..len], self.gateway)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(lengths),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Length of the UDP payload of a packet from the gateway's address and port.
fn payload_len(packet: &[u8], gateway: SocketAddr) -> Option<usize> {
    let (protocol, source, header_len) = match gateway.ip() {
        IpAddr::V4(_) => {
            let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
            (packet.get(9), IpAddr::from(source), usize::from(packet.first()? & 0x0f) * 4)
        }
        IpAddr::V6(_) => {
            let source: [u8; 16] = packet.get(8..24)?.try_into().ok()?;
            (packet.get(6), IpAddr::from(source), 40)
        }
    };
    let udp = packet.get(header_len..header_len + 8)?;
    let port = u16::from_be_bytes([udp[0], udp[1]]);
    let ours = protocol == Some(&UDP) && SocketAddr::new(source, port) == gateway;
    ours.then(|| usize::from(u16::from_be_bytes([udp[4], udp[5]])) - 8)
}
