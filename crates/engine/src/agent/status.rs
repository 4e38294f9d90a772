//! What an agent tells of itself, read from the structs the data path uses.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use jumpvpn_events::{BindingState, PathLabel, SessionLabel, State, Time};
use jumpvpn_policy::{Health, Policy, rank};
use jumpvpn_session::PublicKey;

use super::{Agent, LastJump, Phase};

/// A snapshot of the agent.
#[derive(Clone, Debug)]
pub struct Status {
    /// State of the session's machine; BIRTH while there is no session.
    pub state: State,
    /// The session.
    pub session: Option<SessionLabel>,
    /// Steps of our machine.
    pub step: u64,
    /// Committed version.
    pub version: u64,
    /// Owner epoch.
    pub epoch: u64,
    /// Key epoch.
    pub key_epoch: u32,
    /// Where the gateway is reached now.
    pub gateway: Option<SocketAddr>,
    /// The gateway that serves the session, or is asked for one.
    pub gateway_key: PublicKey,
    /// Inner IPv4 address and prefix length.
    pub inner_v4: Option<(Ipv4Addr, u8)>,
    /// Inner IPv6 address and prefix length.
    pub inner_v6: Option<(Ipv6Addr, u8)>,
    /// Age of the session.
    pub age: Duration,
    /// Committed jumps.
    pub jumps: u32,
    /// The last of them.
    pub last_jump: Option<LastJump>,
    /// Name of the pinned path.
    pub pinned: Option<PathLabel>,
    /// Every path to that gateway.
    pub paths: Vec<PathStatus>,
}

/// One path.
#[derive(Clone, Debug)]
pub struct PathStatus {
    /// Name.
    pub name: PathLabel,
    /// Interface.
    pub iface: PathLabel,
    /// Transport class.
    pub class: &'static str,
    /// Local address.
    pub local: IpAddr,
    /// Gateway endpoint.
    pub remote: SocketAddr,
    /// Our outer address as the gateway saw it.
    pub observed: Option<SocketAddr>,
    /// Whether the link is usable.
    pub up: bool,
    /// Place in the binding life cycle.
    pub binding: BindingState,
    /// Whether it answers.
    pub health: Health,
    /// Whether a jump onto it needs no further round trip.
    pub warm: bool,
    /// Smoothed round trip.
    pub rtt: Option<Duration>,
    /// Loss in thousandths.
    pub loss_permille: u16,
    /// Link MTU, bytes.
    pub mtu: u16,
    /// Points of the policy, higher is better.
    pub score: u16,
    /// The policy's band.
    pub band: &'static str,
}

impl Agent {
    /// A snapshot.
    pub fn status(&self, now: Time) -> Status {
        let live = match &self.phase {
            Phase::Live(live) => Some(live),
            _ => None,
        };
        let label = |key: u32| self.paths.by_key(key).map(|path| path.label);
        Status {
            state: self.state(),
            session: self.session(),
            step: live.map_or(0, |live| live.machine.step()),
            version: live.map_or(0, |live| live.version),
            epoch: live.map_or(0, |live| live.told_epoch),
            key_epoch: live.map_or(0, |live| live.epoch.n),
            gateway: live.and_then(|live| self.paths.by_key(live.active.path)).map(|path| path.remote),
            gateway_key: self.core.config.gateways[self.paths.home()].public,
            inner_v4: live.and_then(|live| live.inner_v4),
            inner_v6: live.and_then(|live| live.inner_v6),
            age: live.map_or(Duration::ZERO, |live| now.since(live.born)),
            jumps: live.map_or(0, |live| live.jumps),
            last_jump: live.and_then(|live| live.last_jump),
            pinned: live.and_then(|live| live.pinned).and_then(label),
            paths: self.path_rows(now),
        }
    }

    fn path_rows(&self, now: Time) -> Vec<PathStatus> {
        let (version, epoch, age) = match &self.phase {
            Phase::Live(live) => (live.version, live.epoch.owner_epoch, live.limits.ticket_age),
            _ => (0, 0, Duration::ZERO),
        };
        let policy = &self.core.config.policy;
        let home = self.paths.home();
        let paths: Vec<_> = self.paths.iter().filter(|path| path.gateway == home).collect();
        let views: Vec<_> = paths.iter().map(|path| path.view(version, epoch, age, now)).collect();
        let ranks = rank(policy, now, &views);
        let row = |path: &super::path::Path| {
            let place = ranks.iter().find(|rank| rank.id == path.key);
            PathStatus {
                name: path.label,
                iface: path.link.iface,
                class: "udp",
                local: path.link.local,
                remote: path.remote,
                observed: path.observed,
                up: path.up,
                binding: if path.up { path.binding } else { BindingState::Gone },
                health: if path.up { path.health } else { Health::Dead },
                warm: path.is_warm(version, epoch, age, now),
                rtt: path.rtt.smoothed(),
                loss_permille: path.loss_permille(),
                mtu: path.link.mtu,
                score: place.map_or(0, |rank| rank.score),
                band: place.map_or("", |rank| rank.band.as_str()),
            }
        };
        paths.into_iter().map(row).collect()
    }

    /// The policy in force.
    pub fn policy(&self) -> &Policy {
        &self.core.config.policy
    }
}
