//! What the gateway says to the stranger: every IPv4 packet that comes in on the stranger's link, whoever it is for.

use std::io::{self, Read};
use std::net::IpAddr;

use socket2::{Domain, Protocol, Socket, Type};

use crate::arena::{Arena, GATEWAY};

/// ETH_P_IP: incoming IPv4 packets only, while ETH_P_ALL would show the flood itself.
const ETH_P_IP: u16 = 0x0800;
/// Bytes of the capture's queue, of which the kernel takes twice as many: an answer takes 768 of them, and the gateway's own limits
/// let it give a million within ten seconds. What does not fit would not be counted.
const BUFFER_LEN: usize = 512 << 20;
const UDP: u8 = 17;

/// The capture.
#[derive(Debug)]
pub struct Replies(Socket);

impl Replies {
    /// Starts it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn capture(arena: &Arena) -> io::Result<Replies> {
        let socket = arena.stranger.run(|| {
            let protocol = Protocol::from(i32::from(ETH_P_IP.to_be()));
            Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol))
        })??;
        rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER_LEN)?;
        socket.set_nonblocking(true)?;
        Ok(Replies(socket))
    }

    /// Lengths of the UDP payloads of the gateway that came since the last call.
    ///
    /// # Errors
    /// The capture failed.
    pub fn take(&self) -> io::Result<Vec<usize>> {
        let mut lengths = Vec::new();
        let mut head = [0; 64];
        loop {
            match (&self.0).read(&mut head) {
                Ok(len) => lengths.extend(payload_len(&head[..len])),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(lengths),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Length of the UDP payload of a packet from the gateway's address and port.
fn payload_len(packet: &[u8]) -> Option<usize> {
    let header_len = usize::from(packet.first()? & 0x0f) * 4;
    let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    let udp = packet.get(header_len..header_len + 8)?;
    let ours = packet.get(9) == Some(&UDP)
        && IpAddr::from(source) == GATEWAY.ip()
        && u16::from_be_bytes([udp[0], udp[1]]) == GATEWAY.port();
    ours.then(|| usize::from(u16::from_be_bytes([udp[4], udp[5]])) - 8)
}
