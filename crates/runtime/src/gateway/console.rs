//! The gateway's side of the control socket: asks every shard and adds up.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use jumpvpn_engine::gateway::Command;
use jumpvpn_events::SessionLabel;
use jumpvpn_ownership::Peer;
use jumpvpn_policy::Policy;
use jumpvpn_session::PublicKey;
use jumpvpn_wire::AdvisedGateway;
use serde_json::{Value, json};

use super::registry::RegistryDoor;
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
    /// The thread that owns the store, if it has one.
    pub(crate) registry: Option<RegistryDoor>,
    /// Where events go.
    pub(crate) telemetry: Telemetry,
}

impl Console for GatewayConsole {
    fn ask(&self, request: &Request) -> Result<Value, Refused> {
        match request {
            Request::Status => {
                let losses = self.telemetry.losses();
                let mut status = report::status(&self.look(false)?, self.store_kind, &losses);
                if let Some(look) = self.registry.as_ref().and_then(RegistryDoor::look) {
                    report::add_node(&mut status, &look);
                }
                Ok(crate::report::with_sandbox(status, &self.confined))
            }
            Request::Show { what } => self.show(*what),
            Request::Jump { .. } | Request::Pin { .. } | Request::Unpin => {
                Err(Refused::unknown_request("only an agent can do that: the paths of a session are its own"))
            }
            Request::Drain { over_s } => self.drain(Duration::from_secs(u64::from(*over_s))),
            Request::Undrain => self.undrain(),
            Request::Handoff { session, to } => self.handoff(session, to),
            Request::Events { .. } => Err(Refused::failed("events are not served here")),
        }
    }
}

fn session_count(looks: &[Look]) -> usize {
    looks.iter().flat_map(|look| look.status.sessions).map(|(_, count)| count).sum()
}

impl GatewayConsole {
    fn look(&self, sessions: bool) -> Result<Vec<Look>, Refused> {
        self.doors.iter().map(|door| door.ask(|answer| Question::Look { sessions, answer })).collect()
    }

    /// The way to the thread that owns the store: without one no other gateway can take a session.
    fn registry(&self) -> Result<&RegistryDoor, Refused> {
        let message = "this gateway is alone: sessions can only go to others with a store of kind \"etcd\"";
        self.registry.as_ref().filter(|_| self.store_kind == "etcd").ok_or_else(|| Refused::failed(message))
    }

    /// Has every shard do something; whether it was the business of one of them.
    fn command(&self, question: impl Fn(SyncSender<bool>) -> Question) -> Result<bool, Refused> {
        self.doors.iter().try_fold(false, |done, door| Ok(done | door.ask(&question)?))
    }

    fn drain(&self, span: Duration) -> Result<Value, Refused> {
        // The others are told first, so that they do not send sessions here.
        if !self.registry()?.drain(true) {
            return Err(Refused::failed("the store does not answer: try again"));
        }
        let sessions = session_count(&self.look(false)?);
        self.command(|done| Question::Command(Command::Drain { span }, done))?;
        Ok(json!({ "schema": "jumpvpn.drain/1", "ok": true, "sessions": sessions }))
    }

    fn undrain(&self) -> Result<Value, Refused> {
        self.command(|done| Question::Command(Command::Undrain, done))?;
        if !self.registry()?.drain(false) {
            return Err(Refused::failed("the store does not answer: try again"));
        }
        Ok(json!({ "schema": "jumpvpn.drain/1", "ok": true, "sessions": session_count(&self.look(false)?) }))
    }

    fn handoff(&self, session: &str, to: &str) -> Result<Value, Refused> {
        let look =
            self.registry()?.look().ok_or_else(|| Refused::failed("the store does not answer: try again"))?;
        let named = |peer: &&Peer| peer.name == to || PublicKey(peer.public).to_string() == to;
        let to = look.node.peers.iter().find(named).ok_or_else(|| {
            let known: Vec<&str> = look.node.peers.iter().map(|peer| peer.name.as_str()).collect();
            Refused::failed(format!("no gateway `{to}` is alive; there are: {}", known.join(", ")))
        })?;
        let label = session.parse::<SessionLabel>();
        let session = label.map_err(|_| Refused::failed(format!("`{session}` is no id of a session")))?;
        // Agents go to gateways of their own files alone, where the addresses stand.
        let endpoint = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into();
        let to = AdvisedGateway { public: to.public, endpoint };
        if !self.command(|done| Question::Command(Command::Handoff { session, to }, done))? {
            return Err(Refused::failed(format!("no session {session} is here")));
        }
        Ok(json!({ "schema": "jumpvpn.handoff/1", "ok": true }))
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
