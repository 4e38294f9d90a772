//! Refusals and their shape on the line.

use std::time::Duration;

use jumpvpn_events::Reason;
use serde_json::{Value, json};

/// What kind of refusal it is: the command line turns it into an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedKind {
    /// The engine or its policy said no; there is a reason code.
    Refused,
    /// The client may not do that.
    Permission,
    /// The request makes no sense, at all or to this kind of daemon.
    UnknownRequest,
    /// It should have worked.
    Failed,
}

impl RefusedKind {
    /// As on the line.
    pub fn as_str(self) -> &'static str {
        match self {
            RefusedKind::Refused => "refused",
            RefusedKind::Permission => "permission",
            RefusedKind::UnknownRequest => "unknown_request",
            RefusedKind::Failed => "failed",
        }
    }
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What kind of refusal it is.
    pub kind: RefusedKind,
    /// Code of the registry of reasons, where one applies.
    pub reason: Option<Reason>,
    /// When it may be done.
    pub retry_after: Option<Duration>,
    /// One sentence for a person.
    pub message: String,
}

impl Refused {
    /// The request makes no sense.
    pub fn unknown_request(message: impl Into<String>) -> Refused {
        Refused::without_reason(RefusedKind::UnknownRequest, message)
    }

    /// The client may look but not touch.
    pub fn permission() -> Refused {
        let message = "only root and the user of the daemon may change things: try it with sudo";
        Refused::without_reason(RefusedKind::Permission, message)
    }

    /// Something bounded is full, or the daemon did not answer in time.
    pub fn failed(message: impl Into<String>) -> Refused {
        Refused::without_reason(RefusedKind::Failed, message)
    }

    /// The engine said no.
    pub fn by_engine(reason: Reason, retry_after: Option<Duration>) -> Refused {
        let message = format!("{} {}", reason.meaning(), reason.action());
        Refused { kind: RefusedKind::Refused, reason: Some(reason), retry_after, message }
    }

    /// The shape on the line.
    pub fn to_json(&self) -> Value {
        let mut error = json!({ "kind": self.kind.as_str(), "message": self.message });
        if let Some(reason) = self.reason {
            error["reason"] = json!(reason.code());
        }
        if let Some(span) = self.retry_after {
            // Rounded up: who comes back after that many milliseconds must not be early.
            error["retry_after_ms"] = json!(span.as_nanos().div_ceil(1_000_000) as u64);
        }
        json!({ "schema": "jumpvpn.error/1", "error": error })
    }

    fn without_reason(kind: RefusedKind, message: impl Into<String>) -> Refused {
        Refused { kind, reason: None, retry_after: None, message: message.into() }
    }
}

#[cfg(test)]
mod tests;
