//! A flat site: the gateways and the machines that sessions speak with share one network, without a router in between.
//!
//! Who answers for an inner address is then a matter of neighbour discovery. The owner of a session has the kernel answer
//! for its addresses (proxy ARP, RFC 1027, and its counterpart for IPv6, RFC 4389), and tells everybody when a session
//! has come to it, so that nobody goes on sending to the gateway before it.
//!
//! Whoever announces last is believed: there is no preference by epoch as between routers. Not here: the routes into the
//! tunnel, without which the kernel does not answer for IPv4 ([`SessionRoutes`](crate::SessionRoutes)).

mod announcer;
pub(crate) mod guard;

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::NLM_F_CREATE;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkLayerType, LinkMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage,
};

use crate::netlink::Connection;
use crate::session_routes::PROTOCOL;
use crate::tunnel::check_name;
use crate::{Family, HostError, sysctl};
use announcer::{Announcer, HardwareAddress};

/// Most addresses that are answered for. The kernel keeps them in 16 chains and walks one of them for each question (Linux
/// 6.18, `PNEIGH_HASHMASK`): 10,000 sessions with both versions make that 1,250 steps. More sessions need routers.
const ANSWERED_MAX: usize = 20_000;

/// The addresses of sessions that this machine answers for on one interface. They stay when this is dropped.
pub struct FlatSite {
    connection: Connection,
    ifname: String,
    index: u32,
    announcer: Announcer,
    answered: BTreeSet<IpAddr>,
    /// Addresses that somebody else has this machine answer for.
    others: BTreeSet<IpAddr>,
    /// Kernel switches that were turned, with the value before.
    turned: Vec<(String, String)>,
    warnings: Vec<String>,
}

impl FlatSite {
    /// Opens what takes CAP_NET_RAW, in the network namespace of the calling thread; afterwards CAP_NET_ADMIN is enough.
    /// Changes nothing.
    ///
    /// # Errors
    /// `NotFound` without the interface, `Invalid` when it is no Ethernet or without the right; what else the kernel refused.
    pub fn open(ifname: &str) -> Result<FlatSite, HostError> {
        check_name(ifname)?;
        let mut connection = Connection::open()?;
        let (index, hardware) = find(&mut connection, ifname)?;
        let announcer = Announcer::open(index, hardware).map_err(|error| match error.kind() {
            std::io::ErrorKind::PermissionDenied => HostError::Invalid(format!(
                "not allowed to tell the neighbours on {ifname} of sessions: run as root or give the program CAP_NET_RAW"
            )),
            _ => HostError::io(format!("open the sockets for announcements on {ifname}"))(error),
        })?;
        Ok(FlatSite {
            connection,
            ifname: ifname.to_owned(),
            index,
            announcer,
            answered: BTreeSet::new(),
            others: BTreeSet::new(),
            turned: Vec::new(),
            warnings: Vec::new(),
        })
    }

    /// Takes the interface over for sessions in these networks: what an earlier run answered for in them is answered for no
    /// longer. With `guarded` the kernel lets nothing be said of their addresses unless the tunnel's heart beats
    /// ([`DeadMan::on_site`](crate::DeadMan::on_site)), whatever has become of this process.
    ///
    /// # Errors
    /// What the kernel or the packet filter refused.
    pub fn take_over(&mut self, networks: &[IpNet], guarded: bool) -> Result<(), HostError> {
        if guarded {
            guard::close(&self.ifname, networks)?;
        } else {
            guard::remove()?;
        }
        let (ours, others) = self.present()?;
        let within = |address: &IpAddr| networks.iter().any(|network| network.contains(address));
        self.others = others;
        self.delete(&ours.into_iter().filter(within).collect())?;
        self.turn_switches();
        Ok(())
    }

    /// Its interface.
    pub fn ifname(&self) -> &str {
        &self.ifname
    }

    /// What could not be done but is not fatal, one sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Answers for each added address from now on, and tells the neighbours; answers for each removed one no longer. An
    /// address that is answered for already is announced again.
    ///
    /// # Errors
    /// `Exists` for an address that somebody else has this machine answer for, `Invalid` beyond 20,000; otherwise the first
    /// thing that the kernel refused. All else is done all the same. An announcement that could not be sent is sent
    /// with [`FlatSite::tick`].
    pub fn set(&mut self, add: &[IpAddr], remove: &[IpAddr]) -> Result<(), HostError> {
        let room = ANSWERED_MAX.saturating_sub(self.answered.len());
        let (known, new): (BTreeSet<IpAddr>, BTreeSet<IpAddr>) =
            add.iter().copied().partition(|address| self.answered.contains(address));
        let free = new.iter().copied().filter(|address| !self.others.contains(address));
        let wanted: BTreeSet<IpAddr> = known.iter().copied().chain(free.take(room)).collect();
        let refused = self.refusal(known.len() + new.len() - wanted.len(), &new);
        let unwanted = |address: &IpAddr| self.answered.contains(address) && !wanted.contains(address);
        let gone: BTreeSet<IpAddr> = remove.iter().copied().filter(unwanted).collect();
        let removed = self.delete(&gone);
        let added = self.answer_for(&wanted);
        self.announcer.tell(&wanted.intersection(&self.answered).copied().collect());
        self.announcer.forget(&gone);
        added.and(removed).and(refused)
    }

    /// Why so many of the new addresses are not answered for.
    fn refusal(&self, count: usize, new: &BTreeSet<IpAddr>) -> Result<(), HostError> {
        if count == 0 {
            return Ok(());
        }
        match new.intersection(&self.others).next() {
            Some(address) => {
                Err(HostError::Exists { action: format!("answer for {address} on {}", self.ifname) })
            }
            None => Err(HostError::Invalid(format!(
                "{count} addresses are not answered for on {}: a flat site is for {ANSWERED_MAX}, use routers",
                self.ifname
            ))),
        }
    }

    /// Repeats announcements whose time has come. To be called about once a second.
    pub fn tick(&mut self) {
        self.announcer.tick();
    }

    /// Answers for nobody any more, and turns the kernel's switches back.
    ///
    /// # Errors
    /// The first thing that the kernel refused, after everything was tried.
    pub fn clear(&mut self) -> Result<(), HostError> {
        let all = self.answered.clone();
        self.announcer.forget(&all);
        let removed = self.delete(&all);
        let turned_back = self.turned.drain(..).map(|(key, before)| sysctl::set(&key, &before));
        let removed = turned_back.collect::<Vec<_>>().into_iter().fold(removed, Result::and);
        removed.and(guard::remove())
    }

    fn answer_for(&mut self, addresses: &BTreeSet<IpAddr>) -> Result<(), HostError> {
        let addresses: Vec<IpAddr> = addresses.iter().copied().collect();
        let change = |address: &IpAddr| {
            let message = RouteNetlinkMessage::NewNeighbour(self.message(*address));
            (message, NLM_F_CREATE)
        };
        let changes = addresses.iter().map(change).collect();
        let action = |at: usize| format!("answer for {} on the site's interface", addresses[at]);
        let outcomes = self.connection.request_all(changes, action);
        let mut result = Ok(());
        for (address, outcome) in addresses.iter().zip(outcomes) {
            match outcome {
                Ok(()) => _ = self.answered.insert(*address),
                Err(error) => result = result.and(Err(error)),
            }
        }
        result
    }

    fn delete(&mut self, addresses: &BTreeSet<IpAddr>) -> Result<(), HostError> {
        let addresses: Vec<IpAddr> = addresses.iter().copied().collect();
        let change = |address: &IpAddr| (RouteNetlinkMessage::DelNeighbour(self.message(*address)), 0);
        let changes = addresses.iter().map(change).collect();
        let action = |at: usize| format!("answer for {} no longer", addresses[at]);
        let outcomes = self.connection.request_all(changes, action);
        let mut result = Ok(());
        for (address, outcome) in addresses.iter().zip(outcomes) {
            match outcome {
                Ok(()) | Err(HostError::NotFound { .. }) => _ = self.answered.remove(address),
                Err(error) => result = result.and(Err(error)),
            }
        }
        result
    }

    fn message(&self, address: IpAddr) -> NeighbourMessage {
        let mut message = NeighbourMessage::default();
        message.header.family = Family::of(address).into();
        message.header.ifindex = self.index;
        message.header.flags = NeighbourFlags::Proxy;
        let destination = match address {
            IpAddr::V4(address) => NeighbourAddress::Inet(address),
            IpAddr::V6(address) => NeighbourAddress::Inet6(address),
        };
        message.attributes =
            vec![NeighbourAttribute::Destination(destination), NeighbourAttribute::Protocol(PROTOCOL)];
        message
    }

    /// What this machine answers for on the interface: at the word of an earlier run, and at somebody else's.
    fn present(&mut self) -> Result<(BTreeSet<IpAddr>, BTreeSet<IpAddr>), HostError> {
        let (mut found, mut others) = (BTreeSet::new(), BTreeSet::new());
        for family in Family::BOTH {
            let mut request = NeighbourMessage::default();
            request.header.family = family.into();
            request.header.flags = NeighbourFlags::Proxy;
            let answer = self
                .connection
                .dump(&RouteNetlinkMessage::GetNeighbour(request), "list what this machine answers for")?;
            for message in answer {
                let RouteNetlinkMessage::NewNeighbour(message) = message else { continue };
                if message.header.ifindex != self.index
                    || !message.header.flags.contains(NeighbourFlags::Proxy)
                {
                    continue;
                }
                let ours = message.attributes.contains(&NeighbourAttribute::Protocol(PROTOCOL));
                let addresses = message.attributes.iter().filter_map(|attribute| match attribute {
                    NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => {
                        Some(IpAddr::V4(*address))
                    }
                    NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => {
                        Some(IpAddr::V6(*address))
                    }
                    _ => None,
                });
                if ours { found.extend(addresses) } else { others.extend(addresses) }
            }
        }
        Ok((found, others))
    }

    /// IPv6 answers for others only where it is told to. And whoever answers for others waits up to 0.8 s first, so that
    /// the address's own machine is faster; here that machine is behind us.
    fn turn_switches(&mut self) {
        let ifname = &self.ifname;
        for (key, wanted) in [
            (format!("net/ipv6/conf/{ifname}/proxy_ndp"), "1"),
            (format!("net/ipv4/neigh/{ifname}/proxy_delay"), "0"),
            (format!("net/ipv6/neigh/{ifname}/proxy_delay"), "0"),
        ] {
            let turned = sysctl::read(&key).and_then(|before| {
                let changed = (before != wanted).then(|| (key.clone(), before));
                sysctl::write(&key, wanted).map(|()| changed)
            });
            match turned {
                Ok(changed) => self.turned.extend(changed),
                // Without IPv6 there is nothing to answer for in it.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    let name = key.replace('/', ".");
                    self.warnings.push(format!("cannot set {name} to {wanted}, do it yourself: {error}"));
                }
            }
        }
    }
}

/// Number and hardware address of an Ethernet interface.
fn find(connection: &mut Connection, ifname: &str) -> Result<(u32, HardwareAddress), HostError> {
    let links = connection
        .dump(&RouteNetlinkMessage::GetLink(LinkMessage::default()), "list the network interfaces")?;
    let named = links.into_iter().find_map(|message| match message {
        RouteNetlinkMessage::NewLink(link)
            if link.attributes.contains(&LinkAttribute::IfName(ifname.to_owned())) =>
        {
            Some(link)
        }
        _ => None,
    });
    let link = named.ok_or_else(|| HostError::NotFound {
        action: format!("find the interface {ifname}"),
        source: rustix::io::Errno::NODEV.into(),
    })?;
    let ethernet = link.header.link_layer_type == LinkLayerType::Ether;
    let hardware = link.attributes.iter().filter(|_| ethernet).find_map(|attribute| match attribute {
        LinkAttribute::Address(bytes) => HardwareAddress::try_from(bytes.as_slice()).ok(),
        _ => None,
    });
    let no_ethernet = || {
        HostError::Invalid(format!("{ifname} has no Ethernet address: neighbours cannot be told anything"))
    };
    hardware.map(|hardware| (link.header.index, hardware)).ok_or_else(no_ethernet)
}
