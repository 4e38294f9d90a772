//! A gateway's status as JSON, summed over its shards.

use jumpvpn_engine::gateway::SessionRow;
use jumpvpn_events::{DropCounters, State};
use jumpvpn_ownership::Standing;
use serde_json::{Map, Value, json};

use super::Look;
use super::registry::Look as RegistryLook;
use crate::report::{drops, millis, optional_millis, telemetry};
use crate::telemetry::Losses;

/// `jumpvpn.status/1` of a gateway.
pub(super) fn status(looks: &[Look], store_kind: &str, losses: &Losses) -> Value {
    let mut all_drops = DropCounters::default();
    looks.iter().for_each(|look| all_drops.merge(&look.drops));
    let sum = |figure: fn(&Look) -> u64| looks.iter().map(figure).sum::<u64>();
    json!({
        "schema": "jumpvpn.status/1",
        "role": "gateway",
        "sessions": by_state(looks),
        "shards": looks.len(),
        "drops": drops(&all_drops),
        "telemetry": telemetry(losses),
        "limits": {
            "sessions_max": looks.iter().map(|look| look.status.capacity).sum::<usize>(),
            "handshakes_pending": looks.iter().map(|look| look.status.pending).sum::<usize>(),
        },
        "store": {
            "kind": store_kind,
            "healthy": looks.iter().all(|look| look.may_act),
            "lease": looks.first().map(|look| look.fence.epoch),
        },
        "packets": { "in": sum(|look| look.packets_in), "out": sum(|look| look.packets_out) },
        "bytes": { "in": sum(|look| look.bytes_in), "out": sum(|look| look.bytes_out) },
    })
}

/// Adds what the ownership node knows to a status.
pub(super) fn add_node(status: &mut Value, RegistryLook { node, trouble }: &RegistryLook) {
    let standing = match node.standing {
        Standing::Joining => "joining",
        Standing::SameName => "same_name",
        Standing::CellFull => "cell_full",
        Standing::Member => "member",
        Standing::Fenced => "fenced",
        Standing::Stopping | Standing::Stopped => "stopping",
        Standing::Foreign => "foreign",
        Standing::Lost(_) => "lost",
    };
    let store = &mut status["store"];
    store["standing"] = json!(standing);
    store["incarnation"] = json!(format!("{:?}", node.incarnation));
    store["trouble"] = json!(trouble);
    store["draining"] = json!(node.draining);
    store["sessions"] = json!(node.held_count);
    store["pending"] = json!(node.pending_count);
    store["generation"] = json!(node.store_generation);
    store["peers"] = node
        .peers
        .iter()
        .map(|peer| json!({ "node": peer.name, "sessions": peer.load, "draining": peer.draining }))
        .collect();
    let counts = &node.counts;
    store["counts"] = json!({
        "heartbeats": counts.heartbeats,
        "unknown": counts.unknown,
        "fenced": counts.fenced,
        "burials": counts.burials,
        "swept": counts.swept,
        "reconciled": counts.reconciled,
        "unreadable": counts.unreadable,
    });
}

/// The rows of `show sessions`.
pub(super) fn sessions(looks: &[Look]) -> Value {
    looks.iter().flat_map(|look| &look.sessions).map(session).collect()
}

/// Whether there are more sessions than rows.
pub(super) fn is_truncated(looks: &[Look]) -> bool {
    let count = |look: &Look| look.status.sessions.iter().map(|(_, count)| count).sum::<usize>();
    looks.iter().any(|look| count(look) > look.sessions.len())
}

/// The rows of `show peers`, each with its number of sessions.
pub(super) fn peers(peers: &[Value], looks: &[Look]) -> Value {
    let rows = || looks.iter().flat_map(|look| &look.sessions);
    let row = |peer: &Value| {
        let mut row = peer.clone();
        let name = peer["name"].as_str().unwrap_or_default();
        row["sessions"] = json!(rows().filter(|session| session.peer == name).count());
        row
    };
    peers.iter().map(row).collect()
}

fn by_state(looks: &[Look]) -> Map<String, Value> {
    let count = |state: State| {
        let of_state = looks.iter().flat_map(|look| look.status.sessions).filter(|(one, _)| *one == state);
        of_state.map(|(_, count)| count).sum::<usize>()
    };
    State::ALL.into_iter().map(|state| (state.as_str().to_owned(), json!(count(state)))).collect()
}

fn session(row: &SessionRow) -> Value {
    json!({
        "session": row.session.to_string(),
        "peer": row.peer,
        "state": row.state.as_str(),
        "step": row.step,
        "version": row.version,
        "epoch": row.epoch,
        "key_epoch": row.key_epoch,
        "inner": row.inner.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "remote": row.address.to_string(),
        "path": row.path_id,
        "class": row.class,
        "rtt_ms": optional_millis(row.rtt),
        "silent_ms": millis(row.silent),
        "age_s": row.age.as_secs(),
        "jumps": row.switches,
    })
}
