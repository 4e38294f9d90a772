//! Joins the room that knows this machine with the room that pumps packets.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use ipnet::IpNet;
use jumpvpn_events::Time;
use jumpvpn_host::{
    Changed, DeadMan, FlatSite, HostError, LinkMonitor, SessionRoutes, TunnelNetwork, TunnelSpec,
};
use jumpvpn_runtime::machine::{
    Changes, Interface, LinkWatch, Loss, MachineError, TunnelHost, TunnelSettings,
};

use crate::exit::{Code, Failure};

/// The interfaces of this machine.
pub(crate) struct Links(LinkMonitor);

impl Links {
    /// Subscribes to their changes.
    pub(crate) fn new() -> Result<Links, Failure> {
        LinkMonitor::new().map(Links).map_err(|error| failure(&error))
    }

    /// All interfaces now.
    pub(crate) fn interfaces(&mut self) -> Result<Vec<Interface>, Failure> {
        self.0.snapshot().map(interfaces).map_err(|error| failure(&error))
    }
}

impl AsRawFd for Links {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl LinkWatch for Links {
    fn try_changes(&mut self) -> io::Result<Option<Changes>> {
        Ok(match self.0.try_changed()? {
            Changed::None => None,
            Changed::Overrun => Some(Changes { overrun: true, ..Changes::default() }),
            Changed::Some(changes) => {
                let losses = changes.losses.into_iter().map(loss).collect();
                Some(Changes { losses, gains: changes.gains, overrun: false })
            }
        })
    }

    fn snapshot(&mut self) -> io::Result<Vec<Interface>> {
        self.0.snapshot().map(interfaces).map_err(io::Error::other)
    }
}

fn loss(loss: jumpvpn_host::Loss) -> Loss {
    match loss {
        jumpvpn_host::Loss::LinkRemoved { index }
        | jumpvpn_host::Loss::LinkDown { index }
        | jumpvpn_host::Loss::CarrierLost { index } => Loss::Link { index },
        jumpvpn_host::Loss::AddressRemoved { index, address } => Loss::Address { index, address },
        jumpvpn_host::Loss::DefaultRouteRemoved { index, ipv6 } => Loss::DefaultRoute { index, ipv6 },
    }
}

fn interfaces(snapshot: jumpvpn_host::Snapshot) -> Vec<Interface> {
    let interface = |link: jumpvpn_host::Link| Interface {
        index: link.index,
        up: link.up,
        mtu: link.mtu,
        loopback: link.loopback,
        default_v4: link.has_default_v4(),
        default_v6: link.has_default_v6(),
        addresses: link.addresses.iter().map(IpNet::addr).collect(),
        name: link.name,
    };
    snapshot.links.into_iter().map(interface).collect()
}

/// What the tunnel puts on this machine.
pub(crate) struct Machine {
    /// Everything but the MTU and an agent's addresses, which come later. A gateway's addresses are its configured ones.
    spec: TunnelSpec,
    applied: Option<TunnelNetwork>,
    /// Routes of sessions, since the first one.
    routes: Option<SessionRoutes>,
    /// Where the neighbours are told of sessions.
    site: Option<FlatSite>,
}

impl Machine {
    /// Nothing yet, but by these rules once there is something.
    pub(crate) fn new(spec: TunnelSpec, site: Option<FlatSite>) -> Machine {
        Machine { spec, applied: None, routes: None, site }
    }

    /// The addresses that are put on the interface when these are asked for. A gateway's are the configured ones. An
    /// agent gets one per IP version, each for itself alone: what its gateway or a taken-over daemon names brings no
    /// network with it, as `allowed_ips` says what leads into the tunnel.
    fn granted(&self, asked: &[(IpAddr, u8)]) -> Result<Vec<IpNet>, String> {
        if !self.spec.addresses.is_empty() {
            let configured = self.spec.addresses.iter().map(|network| (network.addr(), network.prefix_len()));
            return if configured.eq(asked.iter().copied()) {
                Ok(self.spec.addresses.clone())
            } else {
                Err(format!("{asked:?} are not the addresses that were configured"))
            };
        }
        let mut granted: Vec<IpNet> = Vec::with_capacity(asked.len());
        for (address, _) in asked {
            if !is_one_hosts(*address) {
                return Err(format!("the gateway gave us {address}, which no host can have in a tunnel"));
            }
            if granted.iter().any(|other| other.addr().is_ipv4() == address.is_ipv4()) {
                return Err(format!("the gateway gave us {address} beside another address of its kind"));
            }
            granted.push(IpNet::from(*address));
        }
        Ok(granted)
    }

    /// Sets the routes of sessions, where others may be their owners.
    fn lead(&mut self, add: &[(IpAddr, u64)], remove: &[IpAddr]) -> Result<(), HostError> {
        // A gateway that shares its store with nobody is where its networks lead anyway.
        if !self.spec.dead_man {
            return Ok(());
        }
        let routes = match &mut self.routes {
            Some(routes) => routes,
            none => none.insert(SessionRoutes::open(&self.spec.ifname)?),
        };
        routes.set(add, remove)
    }

    /// Whether these addresses can be those of a gateway's sessions. A taken-over daemon could otherwise draw the traffic
    /// of others into its tunnel.
    fn are_sessions(&self, addresses: impl IntoIterator<Item = IpAddr>) -> Result<(), String> {
        for address in addresses {
            let behind = |network: &IpNet| network.contains(&address) && network.addr() != address;
            if !(is_one_hosts(address) && self.spec.addresses.iter().any(behind)) {
                return Err(format!("{address} is no address of a session: it is in no `address` of ours"));
            }
        }
        Ok(())
    }

    /// What there is to do for a daemon that was killed, which has taken nothing away: others may have its sessions soon,
    /// so this machine answers for them no more. All else stays closed or goes with the interface.
    pub(crate) fn bereave(mut self) {
        if let Some(Err(error)) = self.site.as_mut().map(FlatSite::clear) {
            eprintln!("jumpvpn: the keeper: {error}");
        }
        std::mem::forget(self);
    }
}

impl TunnelHost for Machine {
    fn sweep(&mut self) -> Result<(), MachineError> {
        if self.spec.kill_switch {
            // What was closed by a killed process stays closed: `apply` takes over from it.
            return Ok(());
        }
        let name = &self.spec.ifname;
        TunnelNetwork::sweep(name).map_err(|error| match error {
            HostError::Exists { .. } => MachineError {
                message: format!(
                    "the interface {name} is in use by another program: stop it (`ip link show {name}`), or choose \
                     another `interface`"
                ),
                permission: false,
            },
            error => machine_error(&error),
        })
    }

    fn apply(&mut self, settings: &TunnelSettings) -> Result<Vec<String>, MachineError> {
        let addresses = match self.granted(&settings.addresses) {
            Ok(addresses) => addresses,
            Err(message) => {
                // What is in place is taken away at the end, but a kill switch stays closed as after any other failure.
                if self.spec.kill_switch {
                    std::mem::forget(self.applied.take());
                }
                return Err(MachineError { message, permission: false });
            }
        };
        let spec = TunnelSpec { addresses, mtu: u32::from(settings.mtu), ..self.spec.clone() };
        // Not dropped, which would open a kill switch for a moment: `apply` replaces what is there.
        if let Some(applied) = self.applied.take() {
            std::mem::forget(applied);
        }
        // It takes the interface's routes away, those of sessions among them.
        self.routes = None;
        // Not before now: another process may have had the interface until our store was opened.
        if let Some(site) = &mut self.site {
            site.take_over(&spec.addresses, spec.dead_man).map_err(|error| machine_error(&error))?;
        }
        let applied = TunnelNetwork::apply(&spec).map_err(|error| machine_error(&error))?;
        let of_site = self.site.as_ref().map_or(&[][..], FlatSite::warnings);
        let warnings = [applied.warnings(), of_site].concat();
        self.applied = Some(applied);
        Ok(warnings)
    }

    fn set_inner_routes(&mut self, add: &[(IpAddr, u64)], remove: &[IpAddr]) -> Result<(), MachineError> {
        let refused = |message| MachineError { message, permission: false };
        self.are_sessions(add.iter().map(|(address, _)| *address)).map_err(refused)?;
        let led = self.lead(add, remove);
        // Behind the routes, without which the kernel does not answer for IPv4.
        let told = self.site.as_mut().map_or(Ok(()), |site| {
            let added: Vec<IpAddr> = add.iter().map(|(address, _)| *address).collect();
            site.set(&added, remove)
        });
        led.and(told).map_err(|error| machine_error(&error))
    }

    fn arm_dead_man(&mut self, until: Time) -> Result<(), MachineError> {
        // The runtime's clock is that of the machine's start.
        let until = Duration::from_nanos(until.as_nanos());
        let site = self.site.as_ref().map(FlatSite::ifname);
        let armed = DeadMan::of(&self.spec.ifname).and_then(|switch| switch.on_site(site).arm(until));
        // This is called with each heartbeat, about once a second.
        if let (Ok(()), Some(site)) = (&armed, &mut self.site) {
            site.tick();
        }
        armed.map_err(|error| machine_error(&error))
    }

    fn remove(&mut self) -> Result<(), MachineError> {
        self.routes = None;
        let silent = self.site.as_mut().map_or(Ok(()), FlatSite::clear);
        let removed = self.applied.take().map_or(Ok(()), TunnelNetwork::remove);
        removed.and(silent).map_err(|error| machine_error(&error))
    }
}

/// Whether an address can be that of one host behind the tunnel.
fn is_one_hosts(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !(address.is_loopback() || address.is_multicast() || address.is_unspecified() || broadcast)
}

fn machine_error(error: &HostError) -> MachineError {
    let permission = matches!(error, HostError::PermissionDenied { .. });
    MachineError { message: error.to_string(), permission }
}

fn failure(error: &HostError) -> Failure {
    let MachineError { message, permission } = machine_error(error);
    Failure::new(if permission { Code::Permission } else { Code::Failed }, message)
}

#[cfg(test)]
mod tests;
