//! What an attack could have changed, at one moment: sessions on both sides, memory, events.

use std::fmt;
use std::io;

use jumpvpn_lab::tunnel::{SessionRow, Tunnel};

/// Both sides at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Every session of the gateway, by id.
    pub(crate) sessions: Vec<SessionRow>,
    /// What the agent says of its own.
    pub(crate) agent: Agent,
}

/// The agent's side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Agent {
    pub(crate) state: String,
    pub(crate) session: Option<String>,
    pub(crate) version: Option<u64>,
    pub(crate) epoch: Option<u64>,
    pub(crate) path: Option<String>,
    pub(crate) jumps: Option<u64>,
}

impl Snapshot {
    /// Asks both sides.
    ///
    /// # Errors
    /// One of them cannot be asked.
    pub(crate) fn of(tunnel: &Tunnel) -> io::Result<Snapshot> {
        let mut sessions = tunnel.sessions()?;
        sessions.sort_by(|one, other| one.session.cmp(&other.session));
        let status = tunnel.status()?;
        let path = status.active().map(|path| path.name.clone());
        let agent = Agent {
            state: status.state,
            session: status.session,
            version: status.version,
            epoch: status.epoch,
            path,
            jumps: status.jumps,
        };
        Ok(Snapshot { sessions, agent })
    }

    /// The row of a peer, if it has a session.
    pub(crate) fn session_of(&self, peer: &str) -> Option<&SessionRow> {
        self.sessions.iter().find(|row| row.peer == peer)
    }

    /// One word per field that differs from `before`, none when both are identical.
    pub(crate) fn changes_since(&self, before: &Snapshot) -> Vec<String> {
        let mut changes = Vec::new();
        let mut note = |what: &str, old: &dyn fmt::Debug, new: &dyn fmt::Debug| {
            let (old, new) = (format!("{old:?}"), format!("{new:?}"));
            if old != new {
                changes.push(format!("{what}: {old} became {new}"));
            }
        };
        note("agent", &before.agent, &self.agent);
        note("number of sessions", &before.sessions.len(), &self.sessions.len());
        for old in &before.sessions {
            let new = self.sessions.iter().find(|row| row.session == old.session);
            note(&format!("session of {}", old.peer), &Some(old), &new);
        }
        changes
    }
}
