//! This machine, as far as a tunnel needs it: links and addresses, routes and rules, firewall, and the sleep of the
//! machine.
//!
//! [`LinkMonitor`] tells what changed, [`Network`] changes single things and waits for the kernel's acknowledgement,
//! [`TunnelNetwork`] puts everything a tunnel needs on the machine as one transaction and takes it away again.
//! Everything is synchronous. Not here: packets, sockets of paths, and any decision about paths.

pub mod clock;
mod dead_man;
mod debounce;
mod error;
mod firewall;
mod flat_site;
mod lock;
mod monitor;
mod netlink;
mod network;
mod nft;
mod routing;
mod session_routes;
mod slot;
mod snapshot;
pub mod suspend;
mod sysctl;
mod tunnel;

pub use dead_man::DeadMan;
pub use debounce::{ADDITION_DELAY, Debounce};
pub use error::HostError;
pub use flat_site::FlatSite;
pub use monitor::{Changed, Changes, LinkMonitor, Loss};
pub use network::{Family, Network};
pub use routing::{RouteSpec, RuleSpec};
pub use session_routes::SessionRoutes;
pub use slot::TUNNEL_MARK;
pub use snapshot::{DefaultRoute, Link, Snapshot};
pub use tunnel::{NatSpec, TunnelNetwork, TunnelSpec};

/// What the fuzzer reaches into: messages of the kernel, without a socket.
#[cfg(feature = "fuzzing")]
pub mod fuzzing {
    use netlink_packet_core::NetlinkPayload;

    /// Takes a netlink datagram in as if the kernel had sent it: as answers to every dump, and as the explanation of an
    /// error. Answers what the links then look like, and how many messages were understood and how many not.
    pub fn netlink(bytes: &[u8]) -> (crate::Snapshot, usize, usize) {
        let (messages, strange_count) = crate::netlink::take_apart(bytes);
        let understood_count = messages.len();
        let mut inner = Vec::new();
        let mut routes = Vec::new();
        for message in messages {
            match message.payload {
                NetlinkPayload::InnerMessage(message) => {
                    if let netlink_packet_route::RouteNetlinkMessage::NewRoute(route) = &message {
                        crate::routing::push_routes(route, &mut routes);
                    }
                    inner.push(message);
                }
                NetlinkPayload::Error(error) => _ = crate::netlink::explanation(&error.header),
                _ => {}
            }
        }
        (crate::Snapshot::assemble(&inner, &inner, &routes), understood_count, strange_count)
    }
}
