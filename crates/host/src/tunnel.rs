//! Everything a tunnel puts on this machine: applied as one transaction, removed without a trace.

use ipnet::IpNet;

use crate::HostError;

/// Mark of the packets of the tunnel's own sockets (`SO_MARK`), and number of the first tunnel routing table: "JV".
pub const TUNNEL_MARK: u32 = 0x4a56;

/// What a tunnel needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TunnelSpec {
    /// Name of the interface, which exists already.
    pub ifname: String,
    /// Inner addresses.
    pub addresses: Vec<IpNet>,
    /// Largest inner packet in bytes.
    pub mtu: u32,
    /// What goes through the tunnel. A default route is installed beside the machine's own one, by policy routing.
    pub routes: Vec<IpNet>,
    /// Let nothing leave this machine but through the tunnel, also after a crash of the program.
    pub kill_switch: bool,
    /// Translate what comes out of the tunnel to the machine's own address.
    pub nat: Option<NatSpec>,
    /// Let this machine forward packets.
    pub forward: bool,
}

/// Source address translation for a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NatSpec {
    /// Inner prefixes whose packets are translated.
    pub sources: Vec<IpNet>,
    /// Outgoing interface; any but the tunnel when absent.
    pub out_interface: Option<String>,
}

/// What a tunnel has put on this machine; dropping it removes it.
pub struct TunnelNetwork {
    ifname: String,
}

impl TunnelNetwork {
    /// Puts everything in place, or nothing. Leftovers of an earlier run are removed first.
    pub fn apply(spec: &TunnelSpec) -> Result<TunnelNetwork, HostError> {
        let _ = spec;
        todo!()
    }

    /// What could not be done but is not fatal, one sentence each.
    pub fn warnings(&self) -> &[String] {
        let _ = &self.ifname;
        &[]
    }

    /// Takes everything away.
    pub fn remove(self) -> Result<(), HostError> {
        todo!()
    }

    /// Removes what an earlier run with this interface name left behind; nothing of other tunnels.
    pub fn sweep(ifname: &str) -> Result<(), HostError> {
        let _ = ifname;
        todo!()
    }
}
