//! Pieces of JSON that agents and gateways have in common.

use std::time::Duration;

use jumpvpn_events::DropCounters;
use jumpvpn_policy::Policy;
use jumpvpn_policy::keys::KEYS;
use serde_json::{Value, json};

use crate::telemetry::{Losses, SinkLosses};

/// Milliseconds with three decimals.
pub(crate) fn millis(span: Duration) -> Value {
    json!(span.as_micros() as f64 / 1e3)
}

/// As [`millis`]; `null` for what is not known.
pub(crate) fn optional_millis(span: Option<Duration>) -> Value {
    span.map_or(Value::Null, millis)
}

/// Counts by reason code, without zeros.
pub(crate) fn drops(drops: &DropCounters) -> Value {
    Value::Object(drops.iter().map(|(reason, count)| (reason.code().to_owned(), json!(count))).collect())
}

/// What is lost of the events, by outlet.
pub(crate) fn telemetry(losses: &Losses) -> Value {
    let sink = |sink: SinkLosses| json!({ "dropped": sink.dropped, "stuck": sink.stuck });
    json!({
        "queue": { "dropped": losses.queue },
        "file": losses.file.map(sink),
        "log": sink(losses.log),
        "followers": sink(losses.followers),
    })
}

/// A status with what the process has given up.
pub(crate) fn with_sandbox(mut status: Value, confined: &Value) -> Value {
    status["sandbox"] = confined.clone();
    status
}

/// Every key of the policy with its value as text.
pub(crate) fn policy(policy: &Policy) -> Value {
    let entry = |key: &jumpvpn_policy::keys::Key| (key.name.to_owned(), json!(key.value(policy).to_string()));
    Value::Object(KEYS.iter().map(entry).collect())
}
