//! An agent's status as JSON.

use jumpvpn_engine::agent::{LastJump, PathStatus, Status};
use jumpvpn_policy::Health;
use serde_json::{Value, json};

use super::Look;
use super::listing::ListReport;
use crate::report::{drops, millis, optional_millis, telemetry};
use crate::sync::PoisonError;
use crate::telemetry::Losses;

/// `jumpvpn.status/1` of an agent.
pub(super) fn status(look: &Look, list: Option<&ListReport>, losses: &Losses) -> Value {
    let status = &look.status;
    let mut answer = json!({
        "schema": "jumpvpn.status/1",
        "role": "agent",
        "state": status.state.as_str(),
        "session": status.session.map(|session| session.to_string()),
        "step": status.step,
        "version": status.version,
        "epoch": status.epoch,
        "key_epoch": status.key_epoch,
        "gateway": status.gateway.map(|address| address.to_string()),
        "inner": inner(status),
        "age_s": status.age.as_secs(),
        "pinned": status.pinned.map(|path| path.to_string()),
        "jumps": status.jumps,
        "last_jump": status.last_jump.as_ref().map(last_jump),
        "paths": paths(status),
        "packets": { "in": look.packets_in, "out": look.packets_out },
        "bytes": { "in": look.bytes_in, "out": look.bytes_out },
        "drops": drops(&look.drops),
        "telemetry": telemetry(losses),
    });
    if let Some(list) = list {
        answer["list"] = list.lock().unwrap_or_else(PoisonError::into_inner).clone();
    }
    answer
}

/// The rows of `show paths`.
pub(super) fn paths(status: &Status) -> Value {
    status.paths.iter().map(path).collect()
}

/// The rows of `show sessions`: the one there is, or none.
pub(super) fn sessions(status: &Status) -> Value {
    let row = |session: jumpvpn_events::SessionLabel| {
        json!({
            "session": session.to_string(),
            "state": status.state.as_str(),
            "inner": inner(status),
            "remote": status.gateway.map(|address| address.to_string()),
            "version": status.version,
            "epoch": status.epoch,
            "age_s": status.age.as_secs(),
        })
    };
    status.session.map(row).into_iter().collect()
}

fn inner(status: &Status) -> Value {
    let v4 = status.inner_v4.map(|(address, len)| format!("{address}/{len}"));
    let v6 = status.inner_v6.map(|(address, len)| format!("{address}/{len}"));
    v4.into_iter().chain(v6).collect()
}

fn last_jump(jump: &LastJump) -> Value {
    json!({
        "from": jump.from.as_str(),
        "to": jump.to.as_str(),
        "reason": jump.reason.code(),
        "detect_ms": millis(jump.detect),
        "gap_ms": millis(jump.gap),
    })
}

fn path(path: &PathStatus) -> Value {
    json!({
        "name": path.name.as_str(),
        "class": path.class,
        "iface": path.iface.as_str(),
        "local": path.local.to_string(),
        "remote": path.remote.to_string(),
        "observed": path.observed.map(|address| address.to_string()),
        "binding": path.binding.as_str(),
        "health": health(path.health),
        "up": path.up,
        "warm": path.warm,
        "rtt_ms": optional_millis(path.rtt),
        "loss": f64::from(path.loss_permille) / 1000.0,
        "mtu": path.mtu,
        "score": path.score,
        "band": path.band,
    })
}

fn health(health: Health) -> &'static str {
    match health {
        Health::Alive => "alive",
        Health::Suspect => "suspect",
        Health::Dead => "dead",
        Health::Unproven => "unproven",
    }
}
