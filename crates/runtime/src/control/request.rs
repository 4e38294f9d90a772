//! Requests as they stand on the line.

use serde::Deserialize;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "request", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// The state of everything on one screen.
    Status,
    /// Details of one subject.
    Show {
        /// Which.
        what: Subject,
    },
    /// Move the session to another path now.
    Jump {
        /// The path's name or interface; the best other one when absent.
        #[serde(default)]
        to: Option<String>,
    },
    /// Stay on a path as long as it lives.
    Pin {
        /// The path's name or interface.
        path: String,
    },
    /// Choose paths freely again.
    Unpin,
    /// Send a gateway's sessions to the others of its cell.
    Drain {
        /// Over how many seconds their moves are spread.
        over_s: u32,
    },
    /// Take sessions again.
    Undrain,
    /// Send one session to another gateway.
    Handoff {
        /// The session's id, as in `show sessions`.
        session: String,
        /// Public key of the gateway, or its node name.
        to: String,
    },
    /// Events: the last ones, or all from now on.
    Events {
        /// Whether the stream goes on.
        follow: bool,
    },
}

/// What `show` can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// Paths of an agent.
    Paths,
    /// Sessions.
    Sessions,
    /// The policy in force.
    Policy,
    /// Peers a gateway knows, or the gateway of an agent.
    Peers,
    /// All of these.
    All,
}

impl Subject {
    /// As in the request.
    pub fn as_str(self) -> &'static str {
        match self {
            Subject::Paths => "paths",
            Subject::Sessions => "sessions",
            Subject::Policy => "policy",
            Subject::Peers => "peers",
            Subject::All => "all",
        }
    }
}

impl Request {
    /// Reads one line.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(line: &[u8]) -> Result<Request, String> {
        serde_json::from_slice(line).map_err(|error| format!("not a request: {error}"))
    }

    /// Whether it changes anything, which not everybody who may read may do.
    pub fn changes(&self) -> bool {
        match self {
            Request::Status | Request::Show { .. } | Request::Events { .. } => false,
            Request::Jump { .. }
            | Request::Pin { .. }
            | Request::Unpin
            | Request::Drain { .. }
            | Request::Undrain
            | Request::Handoff { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests;
