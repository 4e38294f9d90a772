//! Which links can carry a path, and what changed about them. Pure: it is told, and it answers what to open and close.

use std::net::IpAddr;
use std::time::Duration;

use jumpvpn_engine::SocketKey;
use jumpvpn_engine::agent::Link;
use jumpvpn_events::{PathLabel, Reason, Time};

use crate::machine::{Interface, Loss};

/// From the first sign of something new to the look at everything: a link coming up sends a dozen messages within some
/// milliseconds, and one look behind them finds a link that is complete.
const SETTLE: Duration = Duration::from_millis(20);
/// A look without any sign, in case a message was lost in a way nobody noticed.
const SAFETY_PERIOD: Duration = Duration::from_secs(10);
/// What systemd names cellular modems (systemd.net-naming-scheme(7)); nothing else tells that bytes cost money.
const CELLULAR_PREFIX: &str = "ww";

/// Which interfaces may carry paths.
#[derive(Clone, Debug, Default)]
pub(crate) struct LinkRules {
    /// Names that may; all with a default route when empty. A listed one needs no default route.
    pub(crate) uplinks: Vec<String>,
    /// The tunnel's own interface, which never may.
    pub(crate) tunnel: String,
    /// Whether the gateway has an IPv4 endpoint.
    pub(crate) ipv4: bool,
    /// Whether the gateway has an IPv6 endpoint.
    pub(crate) ipv6: bool,
}

/// A link (of one address family) for which a socket is to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Index of the interface.
    pub(crate) index: u32,
    /// Its name.
    pub(crate) name: String,
    /// Address to bind to.
    pub(crate) local: IpAddr,
    /// MTU of the link in bytes.
    pub(crate) mtu: u32,
}

struct Held {
    key: SocketKey,
    wanted: Wanted,
}

/// The links with a socket.
pub(crate) struct LinkBook {
    rules: LinkRules,
    held: Vec<Held>,
    last_key: u32,
    look_at: Time,
}

impl LinkBook {
    pub(crate) fn new(rules: LinkRules, now: Time) -> LinkBook {
        LinkBook { rules, held: Vec::new(), last_key: 0, look_at: now }
    }

    /// When to look at all interfaces again.
    pub(crate) fn look_at(&self) -> Time {
        self.look_at
    }

    /// Something may have been added: look soon.
    pub(crate) fn handle_gain(&mut self, now: Time) {
        self.look_at = self.look_at.min(now + SETTLE);
    }

    /// Something is gone: whose sockets are to be closed, and why.
    pub(crate) fn handle_losses(&mut self, losses: &[Loss]) -> Vec<(SocketKey, Reason)> {
        let mut gone = Vec::new();
        let rules = &self.rules;
        self.held.retain(|held| {
            let reason = losses.iter().find_map(|loss| rules.reason(loss, &held.wanted));
            gone.extend(reason.map(|reason| (held.key, reason)));
            reason.is_none()
        });
        gone
    }

    /// Compares with what is there: whose sockets are to be closed and why, and what is to be opened.
    pub(crate) fn compare(
        &mut self,
        interfaces: &[Interface],
        now: Time,
    ) -> (Vec<(SocketKey, Reason)>, Vec<Wanted>) {
        self.look_at = now + SAFETY_PERIOD;
        let mut gone = Vec::new();
        let rules = &self.rules;
        self.held.retain_mut(|held| {
            let reason = rules.missing(interfaces, &mut held.wanted);
            gone.extend(reason.map(|reason| (held.key, reason)));
            reason.is_none()
        });
        let mut wanted = self.rules.usable(interfaces);
        wanted.retain(|wanted| !self.held.iter().any(|held| held.wanted.is_same_link(wanted)));
        (gone, wanted)
    }

    /// The key of the next socket. Keys are never used twice.
    pub(crate) fn next_key(&mut self) -> SocketKey {
        self.last_key += 1;
        SocketKey(self.last_key)
    }

    /// The socket for `wanted` is open.
    pub(crate) fn opened(&mut self, key: SocketKey, wanted: Wanted) {
        self.held.push(Held { key, wanted });
    }

    /// All links with a socket, as the engine wants them.
    pub(crate) fn links(&self) -> Vec<Link> {
        self.held.iter().map(Held::link).collect()
    }
}

impl LinkRules {
    /// Whether the interface may carry paths of that family.
    fn allow(&self, interface: &Interface, ipv6: bool) -> bool {
        let (routed, reachable) = match ipv6 {
            false => (interface.default_v4, self.ipv4),
            true => (interface.default_v6, self.ipv6),
        };
        let listed = self.uplinks.contains(&interface.name);
        let chosen = if self.uplinks.is_empty() { routed } else { listed };
        chosen && reachable && interface.up && !interface.loopback && interface.name != self.tunnel
    }

    /// Everything a socket should be open for.
    fn usable(&self, interfaces: &[Interface]) -> Vec<Wanted> {
        let families = interfaces.iter().flat_map(|interface| [(interface, false), (interface, true)]);
        families
            .filter(|(interface, ipv6)| self.allow(interface, *ipv6))
            .filter_map(|(interface, ipv6)| {
                let local = interface.addresses.iter().find(|address| address.is_ipv6() == ipv6)?;
                let (index, name) = (interface.index, interface.name.clone());
                Some(Wanted { index, name, local: *local, mtu: interface.mtu })
            })
            .collect()
    }

    /// Why the link is no longer usable, if it is not; takes over a changed MTU.
    fn missing(&self, interfaces: &[Interface], wanted: &mut Wanted) -> Option<Reason> {
        let found = interfaces.iter().find(|one| one.index == wanted.index && one.name == wanted.name);
        let Some(interface) = found.filter(|interface| interface.up) else { return Some(Reason::LinkDown) };
        // Another address that came in front does not matter: the socket stays where it is.
        if !interface.addresses.contains(&wanted.local) {
            return Some(Reason::AddressGone);
        }
        if !self.allow(interface, wanted.local.is_ipv6()) {
            return Some(Reason::RouteGone);
        }
        wanted.mtu = interface.mtu;
        None
    }

    /// Why the loss makes the link unusable, if it does.
    fn reason(&self, loss: &Loss, wanted: &Wanted) -> Option<Reason> {
        match *loss {
            Loss::Link { index } if index == wanted.index => Some(Reason::LinkDown),
            Loss::Address { index, address } if index == wanted.index && address == wanted.local => {
                Some(Reason::AddressGone)
            }
            // A listed uplink does not depend on the default route.
            Loss::DefaultRoute { index, ipv6 }
                if index == wanted.index && ipv6 == wanted.local.is_ipv6() && self.uplinks.is_empty() =>
            {
                Some(Reason::RouteGone)
            }
            _ => None,
        }
    }
}

impl Wanted {
    fn is_same_link(&self, other: &Wanted) -> bool {
        (self.index, self.local.is_ipv6()) == (other.index, other.local.is_ipv6())
    }
}

impl Held {
    fn link(&self) -> Link {
        let Wanted { name, local, mtu, .. } = &self.wanted;
        Link {
            socket: self.key,
            iface: PathLabel::new(name),
            local: *local,
            mtu: u16::try_from(*mtu).unwrap_or(u16::MAX),
            // Nobody ranks links by hand (yet): what the policy measures decides.
            preference: 0,
            metered: name.starts_with(CELLULAR_PREFIX),
        }
    }
}

#[cfg(test)]
mod tests;
