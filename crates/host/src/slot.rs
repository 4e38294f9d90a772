//! Default routes through tunnels: a routing table and two rules each, kept apart by a slot number.
//!
//! As with `wg-quick`: everything that is not the tunnel's own traffic (told by its mark) looks up the tunnel's table,
//! but only after the main table was asked for anything better than a default route. So the machine's own networks
//! stay reachable, and its default route stays in place for the tunnel's sockets.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::routing::MAIN_TABLE;
use crate::{Family, HostError, Network, RouteSpec, RuleSpec};

/// Mark of the packets of the tunnels' own sockets (`SO_MARK`), number of the first tunnel routing table and priority
/// of its first rule: "JV" in ASCII, 19030. All tunnels share the mark: none of them carries another's datagrams.
pub const TUNNEL_MARK: u32 = 0x4a56;

/// Most tunnels with a default route on one machine. More than one is rare; the bound keeps our range of table
/// numbers and priorities small.
const SLOT_COUNT: u32 = 16;

/// The table of a slot.
fn table(slot: u32) -> u32 {
    TUNNEL_MARK + slot
}

/// The two rules of a slot: ask the main table for all but its default route, then the tunnel's table.
fn rules(slot: u32, family: Family) -> [RuleSpec; 2] {
    let priority = TUNNEL_MARK + 2 * slot;
    let main = RuleSpec {
        family,
        priority,
        table: MAIN_TABLE,
        fwmark: None,
        invert: false,
        suppress_prefixlength: Some(0),
    };
    let tunnel = RuleSpec {
        family,
        priority: priority + 1,
        table: table(slot),
        fwmark: Some(TUNNEL_MARK),
        invert: true,
        suppress_prefixlength: None,
    };
    [main, tunnel]
}

/// Puts default routes into the interface, in the first free slot.
pub fn install(network: &mut Network, index: u32, families: &[Family]) -> Result<(), HostError> {
    if families.is_empty() {
        return Ok(());
    }
    let (routes, present) = (network.routes()?, network.rules()?);
    let is_free = |slot: &u32| {
        let mine = |rule: &RuleSpec| Family::BOTH.iter().any(|family| rules(*slot, *family).contains(rule));
        !routes.iter().any(|route| route.table == table(*slot)) && !present.iter().any(mine)
    };
    let slot = (0..SLOT_COUNT).find(is_free).ok_or_else(|| {
        HostError::Invalid(format!("{SLOT_COUNT} tunnels with a default route are running already"))
    })?;
    for family in families {
        // The route first: a rule that looks up an empty table would count as dead.
        network.add_route(&RouteSpec::into_link(everything(*family), index, table(slot)))?;
        for rule in rules(slot, *family) {
            network.add_rule(&rule)?;
        }
    }
    Ok(())
}

/// Removes the rules of slots whose table is empty, because their interface is gone.
pub fn clear_dead(network: &mut Network) -> Result<(), HostError> {
    let present = network.rules()?;
    let candidates: Vec<_> = (0..SLOT_COUNT)
        .flat_map(|slot| Family::BOTH.map(|family| (slot, family)))
        .flat_map(|(slot, family)| rules(slot, family).map(|rule| (slot, rule)))
        .filter(|(_, rule)| present.contains(rule))
        .collect();
    if candidates.is_empty() {
        return Ok(());
    }
    let routes = network.routes()?;
    for (slot, rule) in candidates {
        let alive = routes
            .iter()
            .any(|route| route.table == table(slot) && Family::of(route.destination.addr()) == rule.family);
        if !alive {
            match network.delete_rule(&rule) {
                Ok(()) | Err(HostError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// The destination of a default route.
fn everything(family: Family) -> IpNet {
    match family {
        Family::V4 => Ipv4Net::default().into(),
        Family::V6 => Ipv6Net::default().into(),
    }
}
