//! The inner addresses of the peers: which are taken, and the lowest free one for a peer that names none.
//!
//! Chosen addresses depend on the file alone, so that a peer keeps its address when the gateway restarts.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// How many addresses are tried for one peer: more than there can be peers in a file, fewer than an IPv6 network has.
const TRIES_MAX: u128 = 1 << 20;

/// Addresses given out in the gateway's networks.
pub(crate) struct Pool {
    networks: Vec<IpNet>,
    taken: BTreeMap<IpAddr, String>,
    /// For each network: below this step nothing is free. Addresses are taken and never given back.
    first_steps: Vec<u128>,
}

impl Pool {
    /// A pool over `networks`, in which only the gateway's own addresses are taken.
    pub(crate) fn new(networks: &[IpNet]) -> Pool {
        let taken = networks.iter().map(|network| (network.addr(), "the gateway".to_owned())).collect();
        Pool { networks: networks.to_vec(), taken, first_steps: vec![0; networks.len()] }
    }

    /// Gives `address` to `peer`.
    pub(crate) fn take(&mut self, address: IpAddr, peer: &str) -> Result<(), String> {
        let Some(network) = self.networks.iter().find(|network| network.contains(&address)) else {
            // Without networks their own error has been noted already.
            return if self.networks.is_empty() { Ok(()) } else { Err(self.outside(address)) };
        };
        usable(network, address)?;
        match self.taken.insert(address, format!("peer {peer}")) {
            Some(owner) => Err(format!("{address} belongs to {owner} already")),
            None => Ok(()),
        }
    }

    fn outside(&self, address: IpAddr) -> String {
        let networks: Vec<String> = self.networks.iter().map(|network| network.trunc().to_string()).collect();
        format!("{address} is outside of the gateway's networks ({})", networks.join(", "))
    }

    /// The lowest free address of each network, given to `peer`.
    pub(crate) fn allot(&mut self, peer: &str) -> Result<Vec<IpAddr>, String> {
        let mut given = Vec::new();
        for (index, network) in self.networks.clone().iter().enumerate() {
            let (step, address) = self
                .lowest_free(network, self.first_steps[index])
                .ok_or_else(|| format!("no address is left for peer {peer} in {}", network.trunc()))?;
            self.first_steps[index] = step + 1;
            self.take(address, peer)?;
            given.push(address);
        }
        Ok(given)
    }

    fn lowest_free(&self, network: &IpNet, first_step: u128) -> Option<(u128, IpAddr)> {
        (first_step..first_step + TRIES_MAX)
            .map_while(|step| nth(network, step).map(|address| (step, address)))
            .find(|(_, address)| !self.taken.contains_key(address) && usable(network, *address).is_ok())
    }
}

/// Refuses the addresses that stand for the network itself (subnet-router anycast in IPv6, RFC 4291 section 2.6.1) and,
/// in IPv4, for everyone in it. Networks of two addresses have neither (RFC 3021, RFC 6164).
pub(crate) fn usable(network: &IpNet, address: IpAddr) -> Result<(), String> {
    let pair = network.max_prefix_len() - network.prefix_len() <= 1;
    if !pair && address == network.network() {
        return Err(format!("{address} stands for the whole network {}", network.trunc()));
    }
    if !pair && address.is_ipv4() && address == network.broadcast() {
        return Err(format!("{address} is the broadcast address of {}", network.trunc()));
    }
    Ok(())
}

/// The address `step` above the network's own, while it is inside.
fn nth(network: &IpNet, step: u128) -> Option<IpAddr> {
    let address = match network.network() {
        IpAddr::V4(base) => {
            let step = u32::try_from(step).ok()?;
            IpAddr::V4(Ipv4Addr::from_bits(base.to_bits().checked_add(step)?))
        }
        IpAddr::V6(base) => IpAddr::V6(Ipv6Addr::from_bits(base.to_bits().checked_add(step)?)),
    };
    network.contains(&address).then_some(address)
}

#[cfg(test)]
mod tests;
