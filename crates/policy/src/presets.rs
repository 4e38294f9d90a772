//! The policies people choose from by name.
//!
//! `spec-default` has the figures of the published policy model. The others start from it and say what differs
//! and why.

use std::time::Duration;

use crate::model::{Detection, PathCosts, Probe, Security, Session, Switching, Transport, Volatility};
use crate::{ClassSet, Policy, PostQuantum};

/// The names of the presets, the default one first.
pub const PRESETS: [&str; 5] = ["laptop", "vehicle", "server", "battery", "spec-default"];

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const HOUR: u64 = 3_600;

pub(crate) fn by_name(name: &str) -> Option<Policy> {
    match name {
        "laptop" => Some(Policy::laptop()),
        "vehicle" => Some(Policy::vehicle()),
        "server" => Some(Policy::server()),
        "battery" => Some(Policy::battery()),
        "spec-default" => Some(Policy::spec_default()),
        _ => None,
    }
}

impl Policy {
    /// The figures of the published policy model; where it is silent, those of docs/protocol.md.
    pub fn spec_default() -> Policy {
        Policy {
            session: Session {
                max_lifetime: secs(8 * HOUR),
                transport_lost_ttl: secs(15),
                keepalive_idle: secs(20),
            },
            volatility: Volatility {
                heartbeat_interval: ms(500),
                heartbeat_volatile: secs(2),
                loss_window: secs(2),
                loss_volatile_threshold: 200,
                max_consecutive_drops: 3,
                volatile_to_degraded: secs(4),
                detection: detection(),
            },
            switching: switching(),
            transport: Transport { allowed: ClassSet::ALL, max_candidate_count: 3 },
            security: Security {
                reattach_proof_max_age: secs(5),
                replay_window_size: 128,
                pq: PostQuantum::On,
            },
            path: PathCosts { loss_cost: ms(10), metered_cost: ms(50), tcp_cost: ms(25), tls_cost: ms(50) },
            probe: Probe { hot_interval: secs(2), idle_interval: secs(20) },
        }
    }

    /// A machine that people carry: sleeps, wakes elsewhere, has one or two radios.
    pub fn laptop() -> Policy {
        let mut policy = Policy::spec_default();
        policy.session.max_lifetime = secs(24 * HOUR);
        // A closed lid over lunch must not end the session.
        policy.session.transport_lost_ttl = secs(HOUR);
        policy.switching.degraded_timeout = secs(HOUR);
        // Two radios and a cable, each with UDP and a TCP fallback.
        policy.transport.max_candidate_count = 6;
        policy
    }

    /// Several radios in motion: paths die all the time, and that is normal.
    pub fn vehicle() -> Policy {
        let mut policy = Policy::laptop();
        policy.volatility.heartbeat_interval = ms(250);
        policy.volatility.heartbeat_volatile = secs(1);
        policy.switching.max_switches_per_min = 20;
        policy.switching.switch_cooldown = secs(1);
        // A tunnel is left after a minute or two; the radio that died there is as good as the others afterwards.
        policy.switching.flap_hold = secs(5);
        policy.switching.flap_hold_max = secs(60);
        policy.switching.recovery_window = secs(20);
        policy.transport.max_candidate_count = 8;
        // The radios are there to be used.
        policy.path.metered_cost = ms(10);
        policy.probe.hot_interval = secs(1);
        policy.probe.idle_interval = secs(5);
        policy
    }

    /// Fixed, wired, always on: moves are rare, and a wrong one costs more than a late one.
    pub fn server() -> Policy {
        let mut policy = Policy::spec_default();
        policy.session.max_lifetime = secs(7 * 24 * HOUR);
        policy.session.transport_lost_ttl = secs(10 * 60);
        policy.switching.degraded_timeout = secs(10 * 60);
        policy.switching.switch_cooldown = secs(5);
        policy.switching.switch_improvement_factor = 1_250;
        policy.switching.improvement_samples = 10;
        policy.switching.no_way_back = secs(60);
        policy.switching.flap_hold = secs(60);
        policy.switching.flap_hold_max = secs(30 * 60);
        policy.transport.max_candidate_count = 4;
        policy
    }

    /// As little radio time as possible: a path is probed when needed, so a move takes one round trip more.
    pub fn battery() -> Policy {
        let mut policy = Policy::laptop();
        policy.session.keepalive_idle = secs(25); // below the 30 s after which the shortest UDP mappings are gone
        policy.volatility.heartbeat_interval = secs(2);
        policy.volatility.heartbeat_volatile = secs(6);
        policy.volatility.loss_window = secs(10);
        policy.volatility.volatile_to_degraded = secs(10);
        policy.volatility.detection.max_silence = secs(2);
        policy.switching.recovery_window = secs(20);
        policy.switching.improvement_samples = 2; // they are 20 s apart
        policy.transport.max_candidate_count = 3;
        policy.path.metered_cost = ms(200);
        policy.probe.hot_interval = secs(20);
        policy.probe.idle_interval = secs(120);
        policy
    }
}

impl Default for Policy {
    fn default() -> Policy {
        Policy::laptop()
    }
}

fn detection() -> Detection {
    Detection {
        // A suspicion costs three pings of 80 bytes and moves nothing; only unanswered pings do. So the floor is
        // low: three packets of a call at 5 ms, or one late wake-up of a busy machine.
        min_silence: ms(15),
        // Best of the peers measured: 0.6 s.
        max_silence: ms(600),
        // With 20 % loss each way all three of three get lost by chance in 5 % of the cases, and a wrong suspicion
        // costs one probe.
        ping_count: 3,
        replay_last_rtt: true,
    }
}

fn switching() -> Switching {
    Switching {
        max_switches_per_min: 8,
        switch_cooldown: ms(1_500),
        recovery_window: secs(8),
        switch_improvement_factor: 1_100,
        min_improvement: ms(5),
        improvement_samples: 3,
        no_way_back: secs(5),
        churn_denials: 40,
        churn_window: secs(600),
        degraded_timeout: secs(60),
        flap_hold: secs(10),
        flap_hold_max: secs(300),
        early_uplink: true,
        retiring_max: secs(1),
    }
}

#[cfg(test)]
mod tests;
