//! Paths of the agent: (link, endpoint of a gateway) pairs, each an object with its own socket. Those to the gateway
//! that serves the session are measured all the time; the others wait until the session needs another gateway.
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jumpvpn_events::{BindingState, PathLabel, Reason, Time};
use jumpvpn_policy::{Class, Flaps, Health, PathView, Policy};
use jumpvpn_wire::{Cid, PathId, RouteToken, Ticket};

use super::GatewayPeer;
use crate::SocketKey;
use crate::rtt::{LossWindow, RttEstimator};

/// One usable link with one of its addresses. The shell opens one UDP socket for it, bound to the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Socket bound to the link; a new key whenever the socket or the address is new.
    pub socket: SocketKey,
    /// Interface name.
    pub iface: PathLabel,
    /// Local address; only endpoints of its family are reached over it.
    pub local: IpAddr,
    /// Link MTU in bytes.
    pub mtu: u16,
    /// Operator's preference, higher is better.
    pub preference: i32,
    /// Whether bytes cost money.
    pub metered: bool,
}

/// Probes whose late answers are still taken: as many as a path usually has to leave unanswered to count as dead.
const LATE_COUNT: usize = 3;

/// When two addresses were reported for one probe, neither is used, and the path is asked again after this time.
const CONTRADICTION_PAUSE: Duration = Duration::from_millis(200);
/// Contradictory probes in a row after which a path is refused.
const CONTRADICTION_LIMIT: u32 = 3;
/// A refused path is asked again after this time: whoever stood in the way may have gone.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// A ticket that is held for a jump.
#[derive(Clone, Copy)]
pub(crate) struct HeldTicket {
    pub ticket: Ticket,
    /// Our CID that the ticket was asked for.
    pub cid: Cid,
    pub version: u64,
    pub owner_epoch: u64,
    pub observed: SocketAddr,
    pub received: Time,
}

/// A probe that waits for its ticket.
#[derive(Clone, Copy)]
pub(crate) struct ProbeInFlight {
    pub nonce: [u8; 8],
    pub sent: Time,
    pub rebind: bool,
    pub cid: Cid,
}

/// A path.
pub(crate) struct Path {
    pub key: u32,
    pub label: PathLabel,
    pub link: Link,
    pub remote: SocketAddr,
    /// Which gateway listens there, as an index of the configuration.
    pub gateway: usize,
    /// The link is usable.
    pub linked: bool,
    /// The link is usable and leads to the gateway of the session.
    pub up: bool,
    pub up_since: Time,
    pub flaps: Flaps,
    // Of the present session:
    /// Given when first probed; a path that comes back with a new socket is another path.
    pub path_id: Option<PathId>,
    pub token: Option<RouteToken>,
    /// Whether a probe under this token was answered.
    pub token_answered: bool,
    pub binding: BindingState,
    pub health: Health,
    pub rtt: RttEstimator,
    pub loss_up: LossWindow,
    pub loss_down: LossWindow,
    pub probe: Option<ProbeInFlight>,
    /// Probes that were given up or replaced; a late answer to one of them still teaches the round trip.
    late: [Option<ProbeInFlight>; LATE_COUNT],
    pub next_probe: Time,
    /// When the last probe was sent.
    pub probed: Time,
    pub probes_lost: u32,
    pub probes_sent: u64,
    pub probes_answered: u64,
    pub last_answer: Option<Time>,
    pub ticket: Option<HeldTicket>,
    /// Address the gateway saw last on this path.
    pub observed: Option<SocketAddr>,
    /// Another IP address than `observed` that was seen once.
    pub unconfirmed: Option<IpAddr>,
    /// The last answered probe and the address it was answered with.
    pub answered: Option<([u8; 8], SocketAddr)>,
    /// Probes in a row that were answered with two different addresses.
    pub contradictions: u32,
    /// The last answered probe was answered twice, with two addresses.
    pub contradicted: bool,
    pub left_at: Option<Time>,
    /// When the machine at its other end last said that nobody listens there.
    pub refused: Option<Time>,
}

impl Path {
    fn new(key: u32, link: Link, wanted: &Wanted, now: Time) -> Path {
        Path {
            key,
            label: label(&link, wanted.remote, wanted.index),
            link,
            remote: wanted.remote,
            gateway: wanted.gateway,
            linked: true,
            up: wanted.home,
            up_since: now,
            flaps: Flaps::new(),
            path_id: None,
            token: None,
            token_answered: false,
            binding: BindingState::Candidate,
            health: Health::Unproven,
            rtt: RttEstimator::default(),
            loss_up: LossWindow::default(),
            loss_down: LossWindow::default(),
            probe: None,
            late: [None; LATE_COUNT],
            next_probe: now,
            probed: Time::ZERO,
            probes_lost: 0,
            probes_sent: 0,
            probes_answered: 0,
            last_answer: None,
            ticket: None,
            observed: None,
            unconfirmed: None,
            answered: None,
            contradictions: 0,
            contradicted: false,
            left_at: None,
            refused: None,
        }
    }

    /// The path becomes one of the session's, or ceases to be one.
    fn enter(&mut self, up: bool, now: Time) {
        if up && !self.up {
            self.up_since = now;
            self.next_probe = now;
        }
        self.up = up;
        self.health = Health::Unproven;
        self.ticket = None;
        self.probe = None;
        self.probes_lost = 0;
    }

    /// Forgets everything that belonged to a session.
    pub fn reset(&mut self) {
        self.path_id = None;
        self.token = None;
        self.binding = BindingState::Candidate;
        self.health = Health::Unproven;
        self.probe = None;
        self.late = [None; LATE_COUNT];
        self.probes_lost = 0;
        self.ticket = None;
        self.observed = None;
        self.unconfirmed = None;
        self.refused = None;
        self.answered = None;
        self.contradictions = 0;
        self.left_at = None;
    }

    /// Whether a jump onto this path needs no further round trip.
    pub fn is_warm(&self, version: u64, owner_epoch: u64, max_age: Duration, now: Time) -> bool {
        self.warm_ticket(version, owner_epoch, max_age, now).is_some()
    }

    /// The ticket for a jump now, if it is valid for this version and young enough to arrive in time.
    pub fn warm_ticket(
        &self,
        version: u64,
        owner_epoch: u64,
        max_age: Duration,
        now: Time,
    ) -> Option<HeldTicket> {
        // The gateway counts from the moment of issue, one way earlier, and the request needs one way more.
        let age_limit = max_age.saturating_sub(self.rtt.smoothed_or_initial());
        self.ticket.filter(|held| {
            held.version == version && held.owner_epoch == owner_epoch && now.since(held.received) < age_limit
        })
    }

    /// The gateway named an address that we do not agree to. The path is asked again a few times, then refused.
    pub fn note_contradiction(&mut self, now: Time) {
        self.contradictions += 1;
        self.next_probe = now + CONTRADICTION_PAUSE;
        if self.contradictions >= CONTRADICTION_LIMIT {
            self.health = Health::Dead;
            self.next_probe = now + REFUSED_PAUSE;
        }
    }

    /// Whether we agree to be reached at the address that the gateway saw. Somebody who forwards copies of our packets
    /// would put his own there. An interface with a public address has no NAT before it, so nothing else is accepted
    /// there; another IP address than before has to be seen twice in a row. Ports change with every rebinding.
    pub fn accepts(&mut self, observed: SocketAddr) -> bool {
        if is_public(self.link.local) && observed.ip() != self.link.local {
            return false;
        }
        let known = self.observed.is_none_or(|before| before.ip() == observed.ip());
        let confirmed = self.unconfirmed == Some(observed.ip());
        self.unconfirmed = (!known && !confirmed).then_some(observed.ip());
        known || confirmed
    }

    /// Loss in the worse direction, thousandths.
    pub fn loss_permille(&self) -> u16 {
        self.loss_up.permille().max(self.loss_down.permille())
    }

    /// A probe leaves.
    pub fn note_probe_sent(&mut self, probe: ProbeInFlight) {
        self.give_up_probe();
        self.probed = probe.sent;
        self.probe = Some(probe);
        self.probes_sent += 1;
    }

    /// Waits for the present probe no longer. Without late answers a path that has become slower than its
    /// timeout would count as dead for good.
    pub fn give_up_probe(&mut self) {
        if let Some(probe) = self.probe.take() {
            self.late.rotate_right(1);
            self.late[0] = Some(probe);
        }
    }

    /// The probe that this nonce answers.
    pub fn take_probe(&mut self, nonce: [u8; 8]) -> Option<ProbeInFlight> {
        let answers = |probe: &mut ProbeInFlight| probe.nonce == nonce;
        let found = self.probe.take_if(answers);
        found.or_else(|| self.late.iter_mut().find_map(|late| late.take_if(answers)))
    }

    /// A probe was not answered in time.
    pub fn note_probe_lost(&mut self, policy: &Policy, now: Time) {
        self.give_up_probe();
        self.probes_lost += 1;
        if self.probes_lost >= u32::from(policy.volatility.max_consecutive_drops)
            && self.health != Health::Dead
        {
            if self.health == Health::Alive {
                self.flaps.record_down(policy, now);
            }
            self.health = Health::Dead;
            self.ticket = None;
        } else if self.health == Health::Alive && self.probes_lost > 1 {
            self.health = Health::Suspect;
        }
    }

    /// The path answered.
    pub fn note_alive(&mut self, policy: &Policy, now: Time) {
        self.probes_lost = 0;
        self.last_answer = Some(now);
        if self.health != Health::Alive {
            self.flaps.record_up(policy, now);
            self.health = Health::Alive;
        }
    }

    /// The path does not work any more.
    pub fn note_dead(&mut self, policy: &Policy, now: Time) {
        if self.health != Health::Dead {
            self.flaps.record_down(policy, now);
        }
        self.health = Health::Dead;
        self.ticket = None;
        self.probe = None;
    }

    /// What the policy sees.
    pub fn view(&self, version: u64, owner_epoch: u64, max_age: Duration, now: Time) -> PathView {
        PathView {
            health: if self.up { self.health } else { Health::Dead },
            warm: self.is_warm(version, owner_epoch, max_age, now),
            rtt: self.rtt.smoothed(),
            loss_permille: self.loss_permille(),
            preference: self.link.preference,
            metered: self.link.metered,
            up_since: self.up_since,
            flap_count: self.flaps.count(),
            left_at: self.left_at,
            held_until: self.flaps.held_until(),
            ..PathView::new(self.key, Class::Udp, now)
        }
    }
}

/// Most paths kept; links that went away longest ago give way first: four links to each gateway of the largest cell. A machine
/// has a few links, and most gateways one endpoint.
const PATH_CAPACITY: usize = 256;

/// All paths, in the order in which they appeared.
#[derive(Default)]
pub(crate) struct Paths {
    all: Vec<Path>,
    next_key: u32,
    /// The gateway of the session, or of the handshake.
    home: usize,
}

/// An endpoint that a link leads to.
struct Wanted {
    remote: SocketAddr,
    /// Its place among the endpoints of all gateways.
    index: usize,
    gateway: usize,
    home: bool,
    /// Whether its gateway is one of the agent's own file.
    pinned: bool,
}

/// What a new snapshot of links changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkChange {
    /// Paths that went away, with the reason.
    pub lost: Vec<(u32, Reason)>,
    /// Paths that are new or came back.
    pub gained: Vec<u32>,
    /// Any gateway may be reached in a way in which it was not.
    pub arrived: bool,
}

impl Paths {
    /// Takes a snapshot of usable links in.
    pub fn handle_links(
        &mut self,
        links: &[Link],
        gone: &[(SocketKey, Reason)],
        gateways: &[GatewayPeer],
        policy: &Policy,
        now: Time,
    ) -> LinkChange {
        let mut change = LinkChange::default();
        for path in &mut self.all {
            let present = links.iter().any(|link| link.socket == path.link.socket);
            if present || !path.linked {
                continue;
            }
            path.linked = false;
            if path.up {
                let named = gone.iter().find(|(socket, _)| *socket == path.link.socket);
                path.up = false;
                path.note_dead(policy, now);
                change.lost.push((path.key, named.map_or(Reason::LinkDown, |(_, reason)| *reason)));
            }
        }
        let wanted = self.wanted(gateways);
        // The session's own gateway first, over all links, then those of the file: there may be more ways than places.
        let mut groups: Vec<&[Wanted]> = wanted.chunk_by(|one, next| one.gateway == next.gateway).collect();
        groups.sort_by_key(|group| (!group[0].home, !group[0].pinned));
        for (group, link) in groups.iter().flat_map(|group| links.iter().map(move |link| (group, link))) {
            for wanted in group.iter().filter(|wanted| wanted.remote.is_ipv4() == link.local.is_ipv4()) {
                self.admit(link, wanted, now, &mut change);
            }
        }
        change
    }

    /// The endpoints of all gateways, each once: an answer is told by the address it comes from.
    fn wanted(&self, gateways: &[GatewayPeer]) -> Vec<Wanted> {
        let mut wanted: Vec<Wanted> = Vec::new();
        for (gateway, peer) in gateways.iter().enumerate() {
            for &remote in &peer.endpoints {
                if !wanted.iter().any(|known| known.remote == remote) {
                    let index = wanted.len();
                    let (home, pinned) = (gateway == self.home, peer.until.is_none());
                    wanted.push(Wanted { remote, index, gateway, home, pinned });
                }
            }
        }
        wanted
    }

    fn admit(&mut self, link: &Link, wanted: &Wanted, now: Time, change: &mut LinkChange) {
        let name = label(link, wanted.remote, wanted.index);
        let key = match self.all.iter_mut().find(|path| path.label == name) {
            Some(path) if path.linked && path.link.socket == link.socket => {
                path.link = link.clone();
                return;
            }
            Some(path) => {
                path.link = link.clone();
                // Another network should not see the same token.
                path.path_id = None;
                path.token = None;
                path.linked = true;
                path.enter(wanted.home, now);
                path.key
            }
            None => {
                if self.all.len() == PATH_CAPACITY && !self.forget_one() {
                    return;
                }
                self.next_key += 1;
                self.all.push(Path::new(self.next_key, link.clone(), wanted, now));
                self.next_key
            }
        };
        change.arrived = true;
        if wanted.home {
            change.gained.push(key);
        }
    }

    fn forget_one(&mut self) -> bool {
        let oldest = self
            .all
            .iter()
            .enumerate()
            .filter(|(_, path)| !path.linked)
            .min_by_key(|(_, path)| path.up_since);
        match oldest.map(|(at, _)| at) {
            Some(at) => {
                self.all.remove(at);
                true
            }
            None => false,
        }
    }

    /// The gateway of the session, or of the handshake, as an index of the configuration.
    pub fn home(&self) -> usize {
        self.home
    }

    /// From now on paths to this gateway are the session's, and no others.
    pub fn set_home(&mut self, gateway: usize, now: Time) {
        if self.home == gateway {
            return;
        }
        self.home = gateway;
        for path in &mut self.all {
            path.enter(path.linked && path.gateway == gateway, now);
        }
    }

    /// Paths over which a gateway may be asked, whether it serves the session or not.
    pub fn to_gateway(&self, gateway: usize) -> impl Iterator<Item = &Path> {
        self.all.iter().filter(move |path| path.linked && path.gateway == gateway)
    }

    /// The session begins at its gateway on the path `first`: what the one before learned is forgotten.
    pub fn begin_session(&mut self, first: u32, path_id: PathId, token: RouteToken) {
        for path in &mut self.all {
            path.reset();
            if path.key == first {
                path.path_id = Some(path_id);
                path.token = Some(token);
            }
        }
    }

    /// The path with this key.
    pub fn by_key(&self, key: u32) -> Option<&Path> {
        self.all.iter().find(|path| path.key == key)
    }

    /// The path with this key.
    pub fn by_key_mut(&mut self, key: u32) -> Option<&mut Path> {
        self.all.iter_mut().find(|path| path.key == key)
    }

    /// The path a person means: its name, or its interface when that has one path only.
    pub fn by_name(&self, name: &str) -> Option<u32> {
        let exact = self.all.iter().find(|path| path.label.as_str() == name);
        let mut of_iface = self.all.iter().filter(|path| path.up && path.link.iface.as_str() == name);
        let by_iface = of_iface.next().filter(|_| of_iface.next().is_none());
        exact.or(by_iface).map(|path| path.key)
    }

    /// Paths over this socket.
    pub fn of_socket(&mut self, socket: SocketKey) -> impl Iterator<Item = &mut Path> {
        self.all.iter_mut().filter(move |path| path.up && path.link.socket == socket)
    }

    /// The path over this socket to this remote.
    pub fn by_socket(&self, socket: SocketKey, remote: SocketAddr) -> Option<&Path> {
        self.all.iter().find(|path| path.link.socket == socket && path.remote == remote)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Path> {
        self.all.iter()
    }

    /// All of them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Path> {
        self.all.iter_mut()
    }
}

/// Whether the address is one of the public Internet: IPv4 outside of RFC 1918, RFC 6598 (carrier NAT), loopback and
/// link-local; IPv6 out of 2000::/3.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let carrier = a == 100 && (64..128).contains(&b);
            !(v4.is_private() || carrier || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified())
        }
        IpAddr::V6(v6) => v6.segments()[0] & 0xe000 == 0x2000,
    }
}

/// Name of a path: interface, class and family; and the endpoint's number, unless it is the first of all. In hex, because 15 bytes of an
/// interface leave room for two digits, and 64 gateways have 256 endpoints.
fn label(link: &Link, remote: SocketAddr, index: usize) -> PathLabel {
    let family = if remote.is_ipv4() { 4 } else { 6 };
    let suffix = if index == 0 { String::new() } else { format!(".{index:x}") };
    PathLabel::new(&format!("{}/udp{family}{suffix}", link.iface))
}
