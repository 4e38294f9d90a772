//! What the kernel holds back by itself on a site's interface: everything that says an inner address of ours is here, unless
//! the heart of the tunnel beats ([`DeadMan`](crate::DeadMan)).
//!
//! A gateway that was killed or paused leaves its entries behind, and the kernel would go on answering for sessions that
//! others have by now: for IPv6 whether there is a route or not. The hook sees all that leaves the interface, our own
//! announcements too (`egress`, Linux 5.16).

use std::fmt::Write;

use ipnet::IpNet;

use crate::{HostError, nft};

/// Table of the packet filter, one for the machine.
const TABLE: &str = "netdev jumpvpn_site";
/// The interfaces on which anything may be said; elements vanish by themselves.
const BEATING: &str = "beating";

/// Lets nothing be said of these networks' addresses on the interface, until the first beat.
pub(super) fn close(ifname: &str, networks: &[IpNet]) -> Result<(), HostError> {
    nft::apply(&close_script(ifname, networks), "set up the packet filter of the site")
}

/// Takes it all away.
pub(super) fn remove() -> Result<(), HostError> {
    // Added because it may be gone, and what is not there cannot be deleted.
    let script = format!("add table {TABLE}\ndelete table {TABLE}\n");
    nft::apply(&script, "clear the packet filter of the site")
}

/// The set of [`BEATING`] with its table.
pub(crate) fn beating() -> String {
    format!("{TABLE} {BEATING}")
}

fn close_script(ifname: &str, networks: &[IpNet]) -> String {
    let chain = format!("{TABLE} of_{ifname}");
    let mut script = format!(
        "add table {TABLE}\ndelete table {TABLE}\nadd table {TABLE}\n\
         add set {TABLE} {BEATING} {{ type ifname; flags timeout; }}\n\
         add chain {chain} {{ type filter hook egress device \"{ifname}\" priority filter; }}\n"
    );
    for network in networks {
        // invariant: writing to a String cannot fail
        writeln!(script, "add rule {chain} {} oifname != @{BEATING} drop", says(network)).unwrap_or_default();
    }
    script
}

/// What says that an address of the network is here: ARP of either kind, and advertisements, whose target stands behind eight
/// bytes (RFC 4861 section 4.4).
fn says(network: &IpNet) -> String {
    match network {
        IpNet::V4(network) => format!("arp saddr ip {}", network.trunc()),
        IpNet::V6(network) => {
            let (mask, prefix) = (network.netmask().to_bits(), network.trunc().addr().to_bits());
            format!("icmpv6 type nd-neighbor-advert @th,64,128 & {mask:#034x} == {prefix:#034x}")
        }
    }
}
