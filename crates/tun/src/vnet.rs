//! The header in front of each packet exchanged with the driver (`struct virtio_net_hdr`, Linux
//! `include/uapi/linux/virtio_net.h`), in the machine's byte order.

/// Length of the header in bytes, the driver's default.
pub const VNET_LEN: usize = 10;

const F_NEEDS_CSUM: u8 = 1;
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
/// Comes with a TCP type when the packet bears congestion marks; does not matter to us.
const GSO_ECN: u8 = 0x80;

/// How the packet behind the header is to be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gso {
    /// It is an ordinary packet.
    None,
    /// TCP segments.
    Tcp,
    /// UDP datagrams.
    Udp,
}

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VnetHeader {
    /// The transport checksum is incomplete: it covers only the pseudo-header so far.
    pub partial_checksum: bool,
    /// How the packet is to be cut.
    pub gso: Gso,
    /// Bytes of IP and transport header; a hint only when read.
    pub header_len: u16,
    /// Payload bytes of each segment.
    pub segment_len: u16,
    /// Where the transport header begins.
    pub checksum_start: u16,
    /// Where the checksum field is, from there.
    pub checksum_offset: u16,
}

impl VnetHeader {
    /// The header of an ordinary packet.
    pub const PLAIN: VnetHeader = VnetHeader {
        partial_checksum: false,
        gso: Gso::None,
        header_len: 0,
        segment_len: 0,
        checksum_start: 0,
        checksum_offset: 0,
    };

    /// Reads the header; none when the type is one that was never asked for.
    pub fn decode(bytes: [u8; VNET_LEN]) -> Option<VnetHeader> {
        let [flags, kind, fields @ ..] = bytes;
        let gso = match kind & !GSO_ECN {
            GSO_NONE => Gso::None,
            GSO_TCPV4 | GSO_TCPV6 => Gso::Tcp,
            GSO_UDP_L4 => Gso::Udp,
            _ => return None,
        };
        let field = |index: usize| u16::from_ne_bytes([fields[2 * index], fields[2 * index + 1]]);
        Some(VnetHeader {
            partial_checksum: flags & F_NEEDS_CSUM != 0,
            gso,
            header_len: field(0),
            segment_len: field(1),
            checksum_start: field(2),
            checksum_offset: field(3),
        })
    }

    /// Writes the header of a packet of that IP version.
    pub fn encode(&self, ipv6: bool) -> [u8; VNET_LEN] {
        let kind = match (self.gso, ipv6) {
            (Gso::None, _) => GSO_NONE,
            (Gso::Tcp, false) => GSO_TCPV4,
            (Gso::Tcp, true) => GSO_TCPV6,
            (Gso::Udp, _) => GSO_UDP_L4,
        };
        let mut bytes = [0; VNET_LEN];
        bytes[0] = if self.partial_checksum { F_NEEDS_CSUM } else { 0 };
        bytes[1] = kind;
        let fields = [self.header_len, self.segment_len, self.checksum_start, self.checksum_offset];
        for (target, field) in bytes[2..].as_chunks_mut().0.iter_mut().zip(fields) {
            *target = field.to_ne_bytes();
        }
        bytes
    }
}
