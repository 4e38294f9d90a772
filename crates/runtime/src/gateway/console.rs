//! The gateway's side of the control socket: asks every shard and adds up.

use jumpvpn_policy::Policy;
use serde_json::{Value, json};

use super::{Look, Question, report};
use crate::control::{Console, Refused, Request, Subject};
use crate::door::Door;
use crate::telemetry::Telemetry;

/// Answers requests about one gateway.
pub(crate) struct GatewayConsole {
    /// One per shard.
    pub(crate) doors: Vec<Door<Question>>,
    /// What the process has given up.
    pub(crate) confined: Value,
    /// The policy in force, which does not change while the gateway runs.
    pub(crate) policy: Policy,
    /// The peers as `show peers` tells them, without their sessions.
    pub(crate) peers: Vec<Value>,
    /// Kind of the store.
    pub(crate) store_kind: &'static str,
    /// Where events go.
    pub(crate) telemetry: Telemetry,
}

impl Console for GatewayConsole {
    fn ask(&self, request: &Request) -> Result<Value, Refused> {
        match request {
            Request::Status => {
                let losses = self.telemetry.losses();
                let status = report::status(&self.look(false)?, self.store_kind, &losses);
                Ok(crate::report::with_sandbox(status, &self.confined))
            }
            Request::Show { what } => self.show(*what),
            Request::Jump { .. } | Request::Pin { .. } | Request::Unpin => {
                Err(Refused::unknown_request("only an agent can do that: the paths of a session are its own"))
            }
            Request::Events { .. } => Err(Refused::failed("events are not served here")),
        }
    }
}

impl GatewayConsole {
    fn look(&self, sessions: bool) -> Result<Vec<Look>, Refused> {
        self.doors.iter().map(|door| door.ask(|answer| Question::Look { sessions, answer })).collect()
    }

    fn show(&self, what: Subject) -> Result<Value, Refused> {
        let looks = self.look(true)?;
        let schema = if what == Subject::All { "show" } else { what.as_str() };
        let mut shown = json!({ "schema": format!("jumpvpn.{schema}/1"), "role": "gateway" });
        for subject in [Subject::Paths, Subject::Sessions, Subject::Policy, Subject::Peers] {
            if what == Subject::All || what == subject {
                shown[subject.as_str()] = match subject {
                    Subject::Paths => json!([]),
                    Subject::Sessions => report::sessions(&looks),
                    Subject::Policy => crate::report::policy(&self.policy),
                    Subject::Peers | Subject::All => report::peers(&self.peers, &looks),
                };
            }
        }
        if what == Subject::Sessions || what == Subject::All {
            shown["truncated"] = json!(report::is_truncated(&looks));
        }
        Ok(shown)
    }
}
