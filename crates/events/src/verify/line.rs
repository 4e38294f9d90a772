//! One line of an event file, read far enough for the proof.

use serde_json::{Map, Value};

use crate::{BindingState, State};

/// What every line has.
pub(super) struct Line {
    pub seq: u64,
    pub name: String,
    pub session: Option<String>,
    pub step: u64,
    pub epoch: u64,
    pub version: u64,
    pub detail: Detail,
}

/// What the proof needs of the kinds it looks at.
pub(super) enum Detail {
    StateChange { from: State, to: State },
    Birth,
    Switch,
    Takeover,
    Release,
    Termination { committed: bool },
    PathState { path: String, binding: BindingState },
    TelemetryGap { first_seq: u64, last_seq: u64 },
    Other,
}

impl Detail {
    /// Whether it commits a fact.
    pub fn is_commit(&self) -> bool {
        matches!(
            self,
            Detail::Birth | Detail::Switch | Detail::Takeover | Detail::Termination { committed: true }
        )
    }
}

impl Line {
    /// Reads a line; the error says what is missing.
    pub fn parse(text: &str) -> Result<Line, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
        let map = value.as_object().ok_or("not a JSON object")?;
        for key in ["ts", "reason", "gateway"] {
            word(map, key)?;
        }
        let name = word(map, "event")?;
        let session = match map.get("session") {
            Some(Value::Null) => None,
            _ => Some(word(map, "session")?),
        };
        Ok(Line {
            seq: number(map, "seq")?,
            detail: detail(map, &name)?,
            name,
            session,
            step: number(map, "step")?,
            epoch: number(map, "epoch")?,
            version: number(map, "version")?,
        })
    }
}

fn detail(map: &Map<String, Value>, name: &str) -> Result<Detail, String> {
    Ok(match name {
        "STATE_CHANGE" => Detail::StateChange { from: state(map, "from")?, to: state(map, "to")? },
        "SESSION_BIRTH" => Detail::Birth,
        "TRANSPORT_SWITCH" => Detail::Switch,
        "TAKEOVER" => Detail::Takeover,
        "RELEASE" => Detail::Release,
        "TERMINATION" => {
            let committed = map.get("committed").and_then(Value::as_bool).ok_or("no boolean `committed`")?;
            Detail::Termination { committed }
        }
        "PATH_STATE" => {
            let binding = word(map, "binding")?;
            let binding = BindingState::from_name(&binding).ok_or(format!("unknown binding {binding}"))?;
            Detail::PathState { path: word(map, "path")?, binding }
        }
        "TELEMETRY_GAP" => {
            Detail::TelemetryGap { first_seq: number(map, "first_seq")?, last_seq: number(map, "last_seq")? }
        }
        _ => Detail::Other,
    })
}

fn state(map: &Map<String, Value>, key: &str) -> Result<State, String> {
    let name = word(map, key)?;
    State::from_name(&name).ok_or(format!("unknown state {name}"))
}

fn word(map: &Map<String, Value>, key: &str) -> Result<String, String> {
    map.get(key).and_then(Value::as_str).map(str::to_owned).ok_or(format!("no string `{key}`"))
}

fn number(map: &Map<String, Value>, key: &str) -> Result<u64, String> {
    map.get(key).and_then(Value::as_u64).ok_or(format!("no whole number `{key}`"))
}
