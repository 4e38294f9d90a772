//! Host routes of sessions: which inner addresses this gateway serves, told to the kernel and so to routing daemons.
//!
//! Each is a route to one address straight into the tunnel, with protocol 201 and the session's owner epoch as its metric.
//! A routing daemon learns them from the kernel and announces them with a preference that grows with the metric, so that
//! every router sends packets to the newest owner, whatever an older one still announces (`packaging/bird`).
//!
//! For the kernel of the gateway itself a *smaller* metric is the better one, so there is never more than one route to an
//! address here, but for the moment in which a new one has been added and the old one is not yet removed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{RouteMessage, RouteProtocol};

use crate::netlink::Connection;
use crate::routing::{MAIN_TABLE, push_routes};
use crate::tunnel::check_name;
use crate::{Family, HostError, Network, RouteSpec};

/// Tells our routes from those of others (`rtm_protocol`): a number that neither the kernel's `rtnetlink.h` nor
/// iproute2's `rt_protos` gives to anybody.
pub(crate) const PROTOCOL: RouteProtocol = RouteProtocol::Other(201);

/// The host routes of one tunnel. They stay when this is dropped, and vanish with the interface.
pub struct SessionRoutes {
    connection: Connection,
    index: u32,
    /// Metric by address: what the kernel was told.
    installed: BTreeMap<IpAddr, u32>,
}

impl SessionRoutes {
    /// Takes over an interface, in the network namespace of the calling thread: routes that an earlier run left there are
    /// removed.
    ///
    /// # Errors
    /// `NotFound` without the interface; what else the kernel refused.
    pub fn open(ifname: &str) -> Result<SessionRoutes, HostError> {
        check_name(ifname)?;
        let mut network = Network::open()?;
        let index = network.link_index(ifname)?;
        let mut routes = SessionRoutes { connection: network.connection, index, installed: BTreeMap::new() };
        let leftovers = routes.leftovers()?;
        routes.delete(&leftovers)?;
        Ok(routes)
    }

    /// Leads packets for each added address into the tunnel, under the owner epoch beside it, and no longer those for each
    /// removed one. What is so already stays so; an address whose epoch changed is reachable all the time.
    ///
    /// An epoch becomes the metric; one beyond 32 bits counts as 4294967295 (a session that changes its owner each second
    /// gets there after 136 years).
    ///
    /// # Errors
    /// `Invalid` for epoch 0, which no session has and which the kernel would take for "no metric" (in IPv6: 1024); then
    /// nothing is done. Otherwise the first thing that the kernel refused, after everything was tried.
    pub fn set(&mut self, add: &[(IpAddr, u64)], remove: &[IpAddr]) -> Result<(), HostError> {
        if let Some((address, _)) = add.iter().find(|(_, epoch)| *epoch == 0) {
            return Err(HostError::Invalid(format!(
                "no session has the owner epoch 0, not even {address}'s"
            )));
        }
        let wanted: BTreeMap<IpAddr, u32> = add
            .iter()
            .map(|(address, epoch)| (*address, u32::try_from(*epoch).unwrap_or(u32::MAX)))
            .collect();
        let remove: BTreeSet<&IpAddr> = remove.iter().collect();
        let outdated: Vec<(IpAddr, u32)> = self
            .installed
            .iter()
            .filter(|(address, metric)| match wanted.get(address) {
                Some(wanted) => wanted != *metric,
                None => remove.contains(address),
            })
            .map(|(address, metric)| (*address, *metric))
            .collect();
        let added = self.add(wanted);
        let removed = self.delete(&outdated);
        added.and(removed)
    }

    /// Removes them all.
    ///
    /// # Errors
    /// The first thing that the kernel refused, after everything was tried.
    pub fn clear(&mut self) -> Result<(), HostError> {
        let all: Vec<(IpAddr, u32)> =
            self.installed.iter().map(|(address, metric)| (*address, *metric)).collect();
        self.delete(&all)
    }

    fn add(&mut self, wanted: BTreeMap<IpAddr, u32>) -> Result<(), HostError> {
        let wanted: Vec<(IpAddr, u32)> = wanted.into_iter().collect();
        let change = |(address, metric): &(IpAddr, u32)| {
            // Replacing what has the same metric: the same request twice is no error.
            (RouteNetlinkMessage::NewRoute(self.message(*address, *metric)), NLM_F_CREATE | NLM_F_REPLACE)
        };
        let changes = wanted.iter().map(change).collect();
        let action = |at: usize| format!("lead {} into the tunnel", wanted[at].0);
        let outcomes = self.connection.request_all(changes, action);
        let mut result = Ok(());
        for ((address, metric), outcome) in wanted.iter().zip(outcomes) {
            match outcome {
                Ok(()) => _ = self.installed.insert(*address, *metric),
                Err(error) => result = result.and(Err(error)),
            }
        }
        result
    }

    fn delete(&mut self, unwanted: &[(IpAddr, u32)]) -> Result<(), HostError> {
        let change = |(address, metric): &(IpAddr, u32)| {
            (RouteNetlinkMessage::DelRoute(self.message(*address, *metric)), 0)
        };
        let changes = unwanted.iter().map(change).collect();
        let action = |at: usize| format!("lead {} into the tunnel no longer", unwanted[at].0);
        let outcomes = self.connection.request_all(changes, action);
        let mut result = Ok(());
        for ((address, metric), outcome) in unwanted.iter().zip(outcomes) {
            match outcome {
                // Gone is gone: setting the interface down removes routes, too.
                Ok(()) | Err(HostError::NotFound { .. }) => {
                    if self.installed.get(address) == Some(metric) {
                        self.installed.remove(address);
                    }
                }
                Err(error) => result = result.and(Err(error)),
            }
        }
        result
    }

    fn message(&self, address: IpAddr, metric: u32) -> RouteMessage {
        let route = RouteSpec::into_link(IpNet::from(address), self.index, MAIN_TABLE);
        let mut message = RouteSpec { metric: Some(metric), ..route }.message();
        message.header.protocol = PROTOCOL;
        message
    }

    /// Our routes into the interface, of whichever run.
    fn leftovers(&mut self) -> Result<Vec<(IpAddr, u32)>, HostError> {
        let mut found = Vec::new();
        for family in Family::BOTH {
            let mut request = RouteMessage::default();
            request.header.address_family = family.into();
            let answer = self
                .connection
                .dump(&RouteNetlinkMessage::GetRoute(request), "list the routes of sessions")?;
            for message in &answer {
                if let RouteNetlinkMessage::NewRoute(message) = message
                    && message.header.protocol == PROTOCOL
                {
                    push_routes(message, &mut found);
                }
            }
        }
        found.retain(|route| route.oif == Some(self.index) && route.table == MAIN_TABLE);
        Ok(found.iter().map(|route| (route.destination.addr(), route.effective_metric())).collect())
    }
}
