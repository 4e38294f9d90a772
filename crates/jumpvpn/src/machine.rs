//! Joins the room that knows this machine with the room that pumps packets.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, RawFd};

use ipnet::IpNet;
use jumpvpn_host::{Changed, HostError, LinkMonitor, TunnelNetwork, TunnelSpec};
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
}

impl Machine {
    /// Nothing yet, but by these rules once there is something.
    pub(crate) fn new(spec: TunnelSpec) -> Machine {
        Machine { spec, applied: None }
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
        let applied = TunnelNetwork::apply(&spec).map_err(|error| machine_error(&error))?;
        let warnings = applied.warnings().to_vec();
        self.applied = Some(applied);
        Ok(warnings)
    }

    fn remove(&mut self) -> Result<(), MachineError> {
        let removed = self.applied.take().map_or(Ok(()), TunnelNetwork::remove);
        removed.map_err(|error| machine_error(&error))
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
