//! The policy as the program uses it: typed values, one field per key.
//!
//! What a key means, its bounds and its names stand in [`crate::keys`]; the sets of values people choose from are in
//! `presets.rs`.

use std::time::Duration;

use crate::keys::{self, KEYS};
use crate::value::{Input, SetError, Value};
use crate::{ClassSet, presets};

/// Every rule a session follows. Build one from a preset and change single keys with [`Policy::set`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Life of a session.
    pub session: Session,
    /// When a path is in doubt.
    pub volatility: Volatility,
    /// When a session moves.
    pub switching: Switching,
    /// Which transports may be used.
    pub transport: Transport,
    /// Limits that exist for safety.
    pub security: Security,
    /// How paths are compared.
    pub path: PathCosts,
    /// How often paths are probed.
    pub probe: Probe,
}

/// Keys `session.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// A session ends after this time, whatever happens.
    pub max_lifetime: Duration,
    /// A session ends when nothing authentic was heard on any path for this long.
    pub transport_lost_ttl: Duration,
    /// Longest silence of an idle active path before a keepalive, so that NATs keep their mapping.
    pub keepalive_idle: Duration,
}

/// Keys `volatility.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volatility {
    /// Heartbeats on an active path that carries traffic.
    pub heartbeat_interval: Duration,
    /// Silence on the active path from which the session is in doubt.
    pub heartbeat_volatile: Duration,
    /// Span over which loss is measured.
    pub loss_window: Duration,
    /// Loss from which a path is in doubt, of a thousand.
    pub loss_volatile_threshold: u16,
    /// Consecutive lost heartbeats from which a path is in doubt.
    pub max_consecutive_drops: u16,
    /// Longest time in doubt before the session counts as degraded.
    pub volatile_to_degraded: Duration,
    /// Finding dead paths.
    pub detection: Detection,
}

/// Keys `volatility.detection.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detection {
    /// A path is not called silent sooner than this, however short its round trips are.
    pub min_silence: Duration,
    /// A path with traffic is called silent at the latest after this.
    pub max_silence: Duration,
    /// Pings sent to confirm a suspicion.
    pub ping_count: u16,
    /// After leaving a dead path, send again what was sent during the last round trip.
    pub replay_last_rtt: bool,
}

/// Keys `switching.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switching {
    /// Moves in any 60 seconds; never waived.
    pub max_switches_per_min: u16,
    /// Shortest time between two moves; waived only when the active path is dead.
    pub switch_cooldown: Duration,
    /// How long recovery is tried before the session counts as degraded.
    pub recovery_window: Duration,
    /// How much better a path must be, as a factor in thousandths: 1100 is 1.10.
    pub switch_improvement_factor: u32,
    /// How much better a path must be at least, whatever the factor says.
    pub min_improvement: Duration,
    /// Measurements in a row for which it must be better.
    pub improvement_samples: u16,
    /// The path just left is not used again before this is over, unless the present one is dead.
    pub no_way_back: Duration,
    /// Denied moves within `churn_window` after which the session ends.
    pub churn_denials: u16,
    /// Span over which denied moves are counted.
    pub churn_window: Duration,
    /// A session that is degraded for longer than this ends.
    pub degraded_timeout: Duration,
    /// How long a path that died and came back is held back the first time; doubles each time.
    pub flap_hold: Duration,
    /// Longest such hold. A path that stayed up for this long is trusted again.
    pub flap_hold_max: Duration,
    /// Uplink packets may leave on the new path before the move is committed.
    pub early_uplink: bool,
    /// How long the path just left still receives what is under way.
    pub retiring_max: Duration,
}

/// Keys `transport.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transport {
    /// Classes of path that may be used.
    pub allowed: ClassSet,
    /// Paths kept as candidates at the same time.
    pub max_candidate_count: u16,
}

/// Keys `security.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Security {
    /// Oldest address proof a move may rest on.
    pub reattach_proof_max_age: Duration,
    /// How many numbers behind the newest control message one may be and still be looked at.
    pub replay_window_size: u16,
    /// Post-quantum keys.
    pub pq: PostQuantum,
}

/// Whether post-quantum keys are agreed after the handshake (X25519 with ML-KEM-768).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PostQuantum {
    /// Never.
    Off,
    /// Wherever both sides can; user packets wait for it then.
    On,
    /// User packets wait for it.
    Required,
}

impl PostQuantum {
    /// The words of the configuration, in the order of the enum.
    pub const WORDS: [&'static str; 3] = ["off", "on", "required"];

    /// The word of the configuration.
    pub const fn as_str(self) -> &'static str {
        PostQuantum::WORDS[self as usize]
    }
}

/// Keys `path.*`: what is added to a path's round trip time when paths are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathCosts {
    /// For each percent of lost packets.
    pub loss_cost: Duration,
    /// For a metered path.
    pub metered_cost: Duration,
    /// For a TCP path: one lost segment holds back everything behind it.
    pub tcp_cost: Duration,
    /// For a TLS path: as TCP, and sealed twice.
    pub tls_cost: Duration,
}

/// Keys `probe.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Between probes of a standby path while the session is in use.
    pub hot_interval: Duration,
    /// Between probes of a standby path while the session is idle.
    pub idle_interval: Duration,
}

/// A value that the policy's bounds do not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfBounds {
    /// The key, as in the configuration.
    pub key: &'static str,
    /// What it is set to.
    pub value: String,
    /// What is allowed, in words.
    pub allowed: String,
}

impl std::fmt::Display for OutOfBounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} = {} is out of bounds: {}", self.key, self.value, self.allowed)
    }
}

impl std::error::Error for OutOfBounds {}

impl Policy {
    /// The preset of that name; the names are in [`crate::PRESETS`].
    pub fn by_name(name: &str) -> Option<Policy> {
        presets::by_name(name)
    }

    /// Sets one key from a value of the configuration. Checks name and type; bounds are checked by
    /// [`Policy::validate`], so that all of them can be reported at once.
    ///
    /// `name` is a name of [`KEYS`], or that name with `_ms` and an integer for durations.
    ///
    /// # Errors
    /// An unknown key (with the nearest known one) or a value of the wrong type; the policy is then unchanged.
    pub fn set(&mut self, name: &str, input: &Input<'_>) -> Result<(), SetError> {
        keys::set(self, name, input)
    }

    /// The value of one key.
    pub fn value(&self, name: &str) -> Option<Value> {
        keys::find(name).map(|key| (key.read)(self))
    }

    /// Everything in this policy that is out of bounds, in the order of the table; empty for a good policy.
    pub fn validate(&self) -> Vec<OutOfBounds> {
        let mut found: Vec<OutOfBounds> = KEYS.iter().filter_map(|key| key.check(self)).collect();
        found.extend(keys::check_relations(self));
        found
    }
}
