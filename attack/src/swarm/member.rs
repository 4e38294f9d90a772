//! One client of the swarm: its agent, its addresses, what was asked of it and when it was done.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use jumpvpn_engine::agent::{self, Link};
use jumpvpn_engine::{Agent, SocketKey};
use jumpvpn_events::{PathLabel, Reason, Time};
use jumpvpn_lab::plan::Family;
use jumpvpn_policy::Policy;
use jumpvpn_runtime::{SystemRandom, clock};
use jumpvpn_session::{PrivateKey, PublicKey, SuiteSet};

use crate::arena::outer;

/// Links of each client.
pub const LINK_COUNT: u32 = 2;
/// UDP port of all clients on each link.
pub(super) const PORTS: [u16; LINK_COUNT as usize] = [40_000, 40_001];
/// Networks on a link, of 256 IPv4 addresses each: the shared prefix has twice as many. Neighbours in number are put into
/// different ones: a gateway under load admits 200 handshakes per second from each.
const NETWORK_COUNT: u32 = 1 << 13;

/// Bits below the network of an IPv6 client: neighbours in number have networks of /48 of their own, and share one only with
/// those that share an IPv4 one.
const NETWORK_SHIFT: u32 = 80;

/// Outer address of client `index` over `link`.
#[must_use]
pub fn address_of(family: Family, index: u32, link: u32) -> IpAddr {
    let (network, host) = (index % NETWORK_COUNT + link * NETWORK_COUNT, index / NETWORK_COUNT + 1);
    match outer::clients(family).network() {
        IpAddr::V4(first) => Ipv4Addr::from(u32::from(first) + network * 256 + host).into(),
        IpAddr::V6(first) => {
            Ipv6Addr::from(u128::from(first) | u128::from(network) << NETWORK_SHIFT | u128::from(host)).into()
        }
    }
}

/// The client with this outer address.
#[must_use]
pub fn index_of(address: IpAddr) -> Option<u32> {
    let (network, host) = match (address, outer::clients(Family::of(address)).network()) {
        (IpAddr::V4(address), IpAddr::V4(first)) => {
            let place = u32::from(address).checked_sub(u32::from(first))?;
            (place / 256, place % 256)
        }
        (IpAddr::V6(address), IpAddr::V6(first)) => {
            let place = u128::from(address).checked_sub(u128::from(first))?;
            ((place >> NETWORK_SHIFT) as u32, place as u32)
        }
        _ => return None,
    };
    Some(host.checked_sub(1)? * NETWORK_COUNT + network % NETWORK_COUNT)
}

/// A jump that is wished for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) at: Instant,
    /// Jumps committed before it was asked; none: it has not been asked yet.
    pub(super) before: Option<u32>,
}

/// See the head of this file.
pub(super) struct Member {
    pub(super) agent: Agent,
    /// The earliest entry in the swarm's timers.
    pub(super) scheduled: Time,
    pub(super) asked: Option<Asked>,
    /// From the wish to the commit of the last jump.
    pub(super) jumped_in: Option<Duration>,
    /// When it came to be.
    pub(super) began: Instant,
    /// From then to its first session that carries packets.
    pub(super) born_in: Option<Duration>,
    /// Why its last session ended.
    pub(super) ended: Option<Reason>,
    /// Inner addresses are known and packets may flow.
    pub(super) up: bool,
    /// So it was counted when it was settled last.
    pub(super) is_live: bool,
    pub(super) echo: super::Echo,
}

impl Member {
    pub(super) fn new(
        family: Family,
        index: u32,
        private: &PrivateKey,
        gateway: PublicKey,
        policy: &Policy,
    ) -> Member {
        let config = agent::Config {
            private: private.clone(),
            gateways: vec![agent::GatewayPeer::of_file(gateway, vec![outer::gateway(family)])],
            suites: SuiteSet::ALL,
            policy: policy.clone(),
        };
        let now = clock::now();
        let mut agent = Agent::new(config, Box::new(SystemRandom), now);
        let links: Vec<Link> = (0..LINK_COUNT).map(|link| link_of(family, index, link)).collect();
        agent.handle_links(&links, &[], now);
        Member {
            agent,
            scheduled: Time::MAX,
            asked: None,
            jumped_in: None,
            began: Instant::now(),
            born_in: None,
            ended: None,
            up: false,
            is_live: false,
            echo: super::Echo::default(),
        }
    }
}

fn link_of(family: Family, index: u32, link: u32) -> Link {
    Link {
        socket: SocketKey(link),
        iface: PathLabel::new(&format!("link{link}")),
        local: address_of(family, index, link),
        mtu: 1500,
        preference: 0,
        metered: false,
    }
}

#[cfg(test)]
mod tests;
