//! The rows of the table: name, type, bounds and meaning of every policy key.

use std::time::Duration;

use super::{Key, Kind, pq_from_index};
use crate::PostQuantum;
use crate::history::{DENIAL_CAPACITY, SWITCH_CAPACITY};
use crate::value::Value;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

macro_rules! duration {
    ($name:literal, $($field:ident).+, $min:expr, $max:expr, $doc:literal) => {
        Key {
            name: $name,
            kind: Kind::Duration { min: $min, max: $max },
            doc: $doc,
            read: |policy| Value::Duration(policy.$($field).+),
            write: |policy, value| if let Value::Duration(span) = value { policy.$($field).+ = span },
        }
    };
}

// A number that does not fit the field is far above every bound; the largest one that fits is, too, so the check
// of bounds still reports it.
macro_rules! count {
    ($name:literal, $($field:ident).+, $type:ty, $min:expr, $max:expr, $doc:literal) => {
        Key {
            name: $name,
            kind: Kind::Count { min: $min, max: $max },
            doc: $doc,
            read: |policy| Value::Count(u64::from(policy.$($field).+)),
            write: |policy, value| if let Value::Count(n) = value {
                policy.$($field).+ = <$type>::try_from(n).unwrap_or(<$type>::MAX)
            },
        }
    };
}

macro_rules! thousandths {
    ($name:literal, $($field:ident).+, $type:ty, $min:expr, $max:expr, $doc:literal) => {
        Key {
            name: $name,
            kind: Kind::Thousandths { min: $min, max: $max },
            doc: $doc,
            read: |policy| Value::Thousandths(u64::from(policy.$($field).+)),
            write: |policy, value| if let Value::Thousandths(n) = value {
                policy.$($field).+ = <$type>::try_from(n).unwrap_or(<$type>::MAX)
            },
        }
    };
}

macro_rules! flag {
    ($name:literal, $($field:ident).+, $doc:literal) => {
        Key {
            name: $name,
            kind: Kind::Flag,
            doc: $doc,
            read: |policy| Value::Flag(policy.$($field).+),
            write: |policy, value| if let Value::Flag(flag) = value { policy.$($field).+ = flag },
        }
    };
}

/// Every key, in the order of the documentation.
pub static KEYS: &[Key] = &[
    duration!(
        "session.max_lifetime",
        session.max_lifetime,
        secs(1),
        secs(30 * DAY),
        "A session ends after this time, whatever happens. A new one starts by itself."
    ),
    duration!(
        "session.transport_lost_ttl",
        session.transport_lost_ttl,
        secs(1),
        secs(DAY),
        "A session ends when nothing authentic was heard on any path for this long."
    ),
    duration!(
        "session.keepalive_idle",
        session.keepalive_idle,
        secs(1),
        secs(10 * MINUTE),
        "Longest silence of an idle active path before a keepalive. NATs forget UDP mappings after 30 s and more."
    ),
    duration!(
        "volatility.heartbeat_interval",
        volatility.heartbeat_interval,
        ms(50),
        secs(MINUTE),
        "Between heartbeats on an active path that carries traffic."
    ),
    duration!(
        "volatility.heartbeat_volatile",
        volatility.heartbeat_volatile,
        ms(100),
        secs(5 * MINUTE),
        "Silence on the active path from which the session is in doubt about it."
    ),
    duration!(
        "volatility.loss_window",
        volatility.loss_window,
        ms(200),
        secs(MINUTE),
        "Span over which the loss of a path is measured."
    ),
    thousandths!(
        "volatility.loss_volatile_threshold",
        volatility.loss_volatile_threshold,
        u16,
        1,
        1_000,
        "Share of lost packets within the window above which a path is in doubt; 0.2 is 20 %."
    ),
    count!(
        "volatility.max_consecutive_drops",
        volatility.max_consecutive_drops,
        u16,
        1,
        100,
        "Consecutive unanswered heartbeats from which a path is in doubt."
    ),
    duration!(
        "volatility.volatile_to_degraded",
        volatility.volatile_to_degraded,
        ms(100),
        secs(10 * MINUTE),
        "Longest time in doubt before the session counts as degraded."
    ),
    duration!(
        "volatility.detection.min_silence",
        volatility.detection.min_silence,
        ms(5),
        secs(10),
        "A path is not called silent sooner than this, however short its round trips are."
    ),
    duration!(
        "volatility.detection.max_silence",
        volatility.detection.max_silence,
        ms(50),
        secs(MINUTE),
        "A path with traffic under way is called silent at the latest after this."
    ),
    count!(
        "volatility.detection.ping_count",
        volatility.detection.ping_count,
        u16,
        1,
        10,
        "Pings that must all stay unanswered before a silent path counts as dead."
    ),
    flag!(
        "volatility.detection.replay_last_rtt",
        volatility.detection.replay_last_rtt,
        "After leaving a dead path, send once more what was sent during its last round trip. Inner protocols may then see duplicates."
    ),
    count!(
        "switching.max_switches_per_min",
        switching.max_switches_per_min,
        u16,
        0,
        SWITCH_CAPACITY as u64,
        "Moves in any 60 seconds. Never waived: beyond it the session is degraded. Moves that can wait use half of it at most. 0 forbids all moves."
    ),
    duration!(
        "switching.switch_cooldown",
        switching.switch_cooldown,
        ms(0),
        secs(5 * MINUTE),
        "Shortest time between two moves. Waived only when the active path is dead."
    ),
    duration!(
        "switching.recovery_window",
        switching.recovery_window,
        ms(500),
        secs(10 * MINUTE),
        "How long it is tried to bring the session onto a path before it counts as degraded."
    ),
    thousandths!(
        "switching.switch_improvement_factor",
        switching.switch_improvement_factor,
        u32,
        1_000,
        100_000,
        "How much better another path must be for a move without need: 1.1 is 10 % better."
    ),
    duration!(
        "switching.min_improvement",
        switching.min_improvement,
        ms(0),
        secs(10),
        "How much better it must be at least. Keeps two fast paths from trading places over a millisecond."
    ),
    count!(
        "switching.improvement_samples",
        switching.improvement_samples,
        u16,
        1,
        100,
        "For how many measurements in a row it must be better."
    ),
    duration!(
        "switching.no_way_back",
        switching.no_way_back,
        ms(0),
        secs(10 * MINUTE),
        "The path just left is not used again before this is over, unless the active one is dead."
    ),
    count!(
        "switching.churn_denials",
        switching.churn_denials,
        u16,
        1,
        DENIAL_CAPACITY as u64,
        "Denied moves within `churn_window` after which the session ends. Denials within five seconds count once."
    ),
    duration!(
        "switching.churn_window",
        switching.churn_window,
        secs(10),
        secs(HOUR),
        "Span over which denied moves are counted."
    ),
    duration!(
        "switching.degraded_timeout",
        switching.degraded_timeout,
        secs(1),
        secs(DAY),
        "A session that is degraded for longer than this ends."
    ),
    duration!(
        "switching.flap_hold",
        switching.flap_hold,
        ms(0),
        secs(10 * MINUTE),
        "How long a path that died must have been back before it is used without need. Doubles with each further death."
    ),
    duration!(
        "switching.flap_hold_max",
        switching.flap_hold_max,
        ms(0),
        secs(HOUR),
        "Longest such hold. A path that stayed up for this long is trusted again."
    ),
    flag!(
        "switching.early_uplink",
        switching.early_uplink,
        "Packets may leave on the new path while the move is still being committed. Saves a round trip; an observer of both networks can then link the two."
    ),
    duration!(
        "switching.retiring_max",
        switching.retiring_max,
        ms(0),
        secs(10),
        "How long the path just left still receives what is under way; 0 is strict."
    ),
    Key {
        name: "transport.allowed",
        kind: Kind::Classes,
        doc: "Classes of path that may be used.",
        read: |policy| Value::Classes(policy.transport.allowed),
        write: |policy, value| {
            if let Value::Classes(set) = value {
                policy.transport.allowed = set;
            }
        },
    },
    count!(
        "transport.max_candidate_count",
        transport.max_candidate_count,
        u16,
        1,
        16,
        "Paths kept as candidates beside the active one."
    ),
    duration!(
        "security.reattach_proof_max_age",
        security.reattach_proof_max_age,
        ms(500),
        secs(MINUTE),
        "Oldest address proof a move may rest on."
    ),
    count!(
        "security.replay_window_size",
        security.replay_window_size,
        u16,
        32,
        128,
        "How many numbers behind the newest control message one may be and still be looked at. (The window of data packets is fixed: 8192.)"
    ),
    Key {
        name: "security.pq",
        kind: Kind::Word(&PostQuantum::WORDS),
        doc: "Post-quantum keys (X25519 with ML-KEM-768) after the handshake: off, on, or required before any user packet.",
        read: |policy| Value::Word(policy.security.pq as usize, &PostQuantum::WORDS),
        write: |policy, value| {
            if let Value::Word(index, _) = value {
                policy.security.pq = pq_from_index(index);
            }
        },
    },
    duration!(
        "path.loss_cost",
        path.loss_cost,
        ms(0),
        secs(1),
        "Added to the round trip time of a path for each percent of lost packets, when paths are compared."
    ),
    duration!("path.metered_cost", path.metered_cost, ms(0), secs(10), "Added for a metered path."),
    duration!(
        "path.tcp_cost",
        path.tcp_cost,
        ms(0),
        secs(10),
        "Added for a TCP path: one lost segment holds back everything behind it."
    ),
    duration!(
        "path.tls_cost",
        path.tls_cost,
        ms(0),
        secs(10),
        "Added for a TLS path: as TCP, and everything is sealed twice."
    ),
    duration!(
        "probe.hot_interval",
        probe.hot_interval,
        ms(200),
        secs(10 * MINUTE),
        "Between probes of a standby path while the session is in use. A path probed more often than `security.reattach_proof_max_age` is warm."
    ),
    duration!(
        "probe.idle_interval",
        probe.idle_interval,
        ms(200),
        secs(HOUR),
        "Between probes of a standby path while the session is idle."
    ),
];
