//! The agent's side of the control socket.

use std::sync::Arc;
use std::time::Duration;

use jumpvpn_engine::agent::Command;
use jumpvpn_policy::Policy;
use serde_json::{Value, json};

use super::listing::ListReport;
use super::{Look, Question, report};
use crate::control::{Console, Refused, Request, Subject};
use crate::door::Door;
use crate::settling::Settling;
use crate::telemetry::Telemetry;

/// How long an answer waits for the machine: setting routes and packet filters takes some tens of milliseconds.
const SETTLE_LIMIT: Duration = Duration::from_secs(2);

/// Answers requests about one agent.
pub(crate) struct AgentConsole {
    pub(crate) door: Door<Question>,
    /// Settings of the tunnel that are not yet on the machine.
    pub(crate) settling: Arc<Settling>,
    /// What the process has given up.
    pub(crate) confined: Value,
    /// The policy in force, which does not change while the agent runs.
    pub(crate) policy: Policy,
    /// The gateways as `show peers` tells them.
    pub(crate) gateways: Vec<Value>,
    /// What is known of lists of gateways, where some are believed.
    pub(crate) list: Option<ListReport>,
    /// Where events go.
    pub(crate) telemetry: Telemetry,
}

impl Console for AgentConsole {
    fn ask(&self, request: &Request) -> Result<Value, Refused> {
        match request {
            Request::Status => {
                let losses = self.telemetry.losses();
                let status = self.look().map(|look| report::status(&look, self.list.as_ref(), &losses));
                status.map(|status| crate::report::with_sandbox(status, &self.confined))
            }
            Request::Show { what } => self.show(*what),
            Request::Jump { to } => self.command(Command::Jump { to: to.clone() }, "jumpvpn.jump/1"),
            Request::Pin { path } => self.command(Command::Pin { path: path.clone() }, "jumpvpn.pin/1"),
            Request::Unpin => self.command(Command::Unpin, "jumpvpn.pin/1"),
            Request::Drain { .. } | Request::Undrain | Request::Handoff { .. } => Err(
                Refused::unknown_request("only a gateway can do that: an agent has one session and keeps it"),
            ),
            Request::Events { .. } => Err(Refused::failed("events are not served here")),
        }
    }
}

impl AgentConsole {
    fn look(&self) -> Result<Look, Refused> {
        let look = self.door.ask(Question::Look)?;
        self.settling.wait(SETTLE_LIMIT);
        Ok(look)
    }

    fn show(&self, what: Subject) -> Result<Value, Refused> {
        let look = self.look()?;
        let schema = if what == Subject::All { "show" } else { what.as_str() };
        let mut shown = json!({ "schema": format!("jumpvpn.{schema}/1"), "role": "agent" });
        for subject in [Subject::Paths, Subject::Sessions, Subject::Policy, Subject::Peers] {
            if what == Subject::All || what == subject {
                shown[subject.as_str()] = match subject {
                    Subject::Paths => report::paths(&look.status),
                    Subject::Sessions => report::sessions(&look.status),
                    Subject::Policy => crate::report::policy(&self.policy),
                    Subject::Peers | Subject::All => json!(self.gateways),
                };
            }
        }
        Ok(shown)
    }

    fn command(&self, command: Command, schema: &str) -> Result<Value, Refused> {
        let outcome = self.door.ask(|answer| Question::Command(command, answer))?;
        outcome.map_err(|refusal| Refused::by_engine(refusal.reason, refusal.retry_after))?;
        Ok(json!({ "schema": schema, "ok": true }))
    }
}
