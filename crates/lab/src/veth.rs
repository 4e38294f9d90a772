//! What the lab asks of the kernel over rtnetlink by itself, because the program has no use for it: cables between nodes (pairs of
//! virtual Ethernet interfaces), and whole prefixes that belong to one.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use ipnet::Ipv6Net;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkInfo, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// Room for the kernel's acknowledgement, which echoes the request: a few hundred bytes.
const REPLY_LEN: usize = 4096;
/// The routing table of what is the node itself (RT_TABLE_LOCAL).
const LOCAL_TABLE: u8 = 255;
/// The loopback: it is every node's first interface.
const LOOPBACK: u32 = 1;

/// Makes `name` in the network namespace of the calling thread, and its other end, `peer_name`, in `peer_namespace`.
///
/// # Errors
/// What the kernel said.
pub fn connect(name: &str, peer_name: &str, peer_namespace: &File) -> io::Result<()> {
    let mut peer = LinkMessage::default();
    peer.attributes.push(LinkAttribute::IfName(peer_name.to_owned()));
    peer.attributes.push(LinkAttribute::NetNsFd(peer_namespace.as_raw_fd()));
    let mut link = LinkMessage::default();
    link.attributes.push(LinkAttribute::IfName(name.to_owned()));
    link.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Veth),
        LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
    ]));
    request(RouteNetlinkMessage::NewLink(link)).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot connect {name} and {peer_name}: {error}"))
    })
}

/// Makes every address of `prefix` the calling thread's node's own. An IPv4 address with a short prefix on the loopback does
/// as much.
///
/// # Errors
/// What the kernel said.
pub fn own(prefix: Ipv6Net) -> io::Result<()> {
    let mut route = RouteMessage::default();
    route.header.address_family = AddressFamily::Inet6;
    route.header.destination_prefix_length = prefix.prefix_len();
    route.header.table = LOCAL_TABLE;
    route.header.kind = RouteType::Local;
    route.attributes = vec![
        RouteAttribute::Destination(RouteAddress::Inet6(prefix.network())),
        RouteAttribute::Oif(LOOPBACK),
    ];
    request(RouteNetlinkMessage::NewRoute(route))
        .map_err(|error| io::Error::new(error.kind(), format!("cannot make {prefix} local: {error}")))
}

fn request(message: RouteNetlinkMessage) -> io::Result<()> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
    let mut reply = Vec::with_capacity(REPLY_LEN);
    socket.recv_from(&mut reply, 0)?;
    let reply = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&reply)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
    match reply.payload {
        NetlinkPayload::Error(error) if error.code.is_some() => Err(error.to_io()),
        _ => Ok(()),
    }
}
