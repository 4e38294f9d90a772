//! Asking a daemon over its control socket: one line of JSON each way.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::story::Action;

/// A daemon answers from memory; one that needs longer than this is stuck.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The part of `status --json` that the lab looks at.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Status {
    /// State of the session.
    #[serde(default)]
    pub state: String,
    /// Id of the session, once there is one.
    #[serde(default)]
    pub session: Option<String>,
    /// Committed version.
    #[serde(default)]
    pub version: Option<u64>,
    /// Owner epoch.
    #[serde(default)]
    pub epoch: Option<u64>,
    /// Bindings moved so far.
    #[serde(default)]
    pub jumps: Option<u64>,
    /// The last of them.
    #[serde(default)]
    pub last_jump: Option<LastJump>,
    /// All paths.
    #[serde(default)]
    pub paths: Vec<PathStatus>,
}

/// The last jump, as the agent tells it.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct LastJump {
    /// Path that was left.
    #[serde(default)]
    pub from: Option<String>,
    /// Path that was taken.
    #[serde(default)]
    pub to: Option<String>,
    /// Code of the reason.
    #[serde(default)]
    pub reason: Option<String>,
    /// From the last sign of life of the old path to the decision.
    #[serde(default)]
    pub detect_ms: Option<f64>,
}

/// One path.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct PathStatus {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// The laptop's interface.
    #[serde(default)]
    pub iface: Option<String>,
    /// CANDIDATE, VALIDATED, ACTIVE, DRAINING.
    #[serde(default)]
    pub binding: String,
    /// Smoothed round-trip time.
    #[serde(default)]
    pub rtt_ms: Option<f64>,
    /// Share of lost datagrams.
    #[serde(default)]
    pub loss: Option<f64>,
}

impl PathStatus {
    fn is(&self, binding: &str) -> bool {
        self.binding.eq_ignore_ascii_case(binding)
    }

    /// Whether the path runs over this interface of the laptop.
    #[must_use]
    pub fn runs_over(&self, interface: &str) -> bool {
        self.iface.as_deref() == Some(interface)
    }
}

impl Status {
    /// The session's current path.
    #[must_use]
    pub fn active(&self) -> Option<&PathStatus> {
        self.paths.iter().find(|path| path.is("active"))
    }

    /// Whether the session is attached and could move at once to any of these interfaces.
    #[must_use]
    pub fn is_warm(&self, interfaces: &[&str]) -> bool {
        let ready = |interface: &&str| {
            let usable = |path: &PathStatus| path.is("validated") || path.is("active");
            self.paths.iter().any(|path| path.runs_over(interface) && usable(path))
        };
        self.state.eq_ignore_ascii_case("attached") && self.active().is_some() && interfaces.iter().all(ready)
    }
}

/// One session, as the gateway tells it: all that an attack could have changed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SessionRow {
    /// Its id.
    pub session: String,
    /// Name of its peer.
    pub peer: String,
    /// State of the gateway's side.
    pub state: String,
    /// Steps of the gateway's side.
    pub step: u64,
    /// Committed version.
    pub version: u64,
    /// Owner epoch.
    pub epoch: u64,
    /// Key epoch.
    pub key_epoch: u32,
    /// Inner addresses.
    pub inner: Vec<String>,
    /// Where the binding sends.
    pub remote: String,
    /// The client's number of the bound path.
    pub path: u32,
    /// Transport class of the bound path.
    pub class: String,
    /// Committed moves.
    pub jumps: u32,
}

/// Asks a gateway for its sessions.
pub(crate) fn sessions(socket: &Path) -> io::Result<Vec<SessionRow>> {
    #[derive(Deserialize)]
    struct Shown {
        sessions: Vec<SessionRow>,
    }
    ask::<Shown>(socket, &json!({"request": "show", "what": "sessions"})).map(|shown| shown.sessions)
}

/// Asks a gateway what it has dropped.
pub(super) fn drops(socket: &Path) -> io::Result<BTreeMap<String, u64>> {
    #[derive(Deserialize)]
    struct Shown {
        drops: BTreeMap<String, u64>,
    }
    ask::<Shown>(socket, &json!({"request": "status"})).map(|shown| shown.drops)
}

/// Asks for the status.
pub(crate) fn status(socket: &Path) -> io::Result<Status> {
    ask(socket, &json!({"request": "status"}))
}

/// Asks the agent to do what `action` says; actions of the network are refused.
pub(super) fn steer(socket: &Path, action: &Action) -> io::Result<()> {
    let request = match action {
        Action::Jump(uplink) => json!({"request": "jump", "to": uplink.interface()}),
        Action::Pin(uplink) => json!({"request": "pin", "path": uplink.interface()}),
        Action::Unpin => json!({"request": "unpin"}),
        other => {
            return Err(io::Error::new(io::ErrorKind::Unsupported, format!("{other} is for the network")));
        }
    };
    ask::<Value>(socket, &request).map(|_| ())
}

pub(crate) fn ask<T: DeserializeOwned>(socket: &Path, request: &Value) -> io::Result<T> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(format!("{request}\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let reply: Value = serde_json::from_str(&line)?;
    if let Some(error) = reply.get("error") {
        let of = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        return Err(io::Error::other(format!("{} {}", of("reason"), of("message")).trim().to_owned()));
    }
    Ok(serde_json::from_value(reply)?)
}
