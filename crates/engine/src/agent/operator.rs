//! What a person may ask of a live session.
use std::time::Duration;

use jumpvpn_events::{Reason, Time};
use jumpvpn_policy::{Cause, Verdict, choose, rank};

use super::jump::Intent;
use super::live::{Live, Stage};
use super::path::Paths;
use super::{Core, Refusal};

impl Live {
    /// A person wants the session elsewhere.
    pub(super) fn operator_jump(
        &mut self,
        core: &mut Core,
        paths: &mut Paths,
        to: Option<&str>,
        now: Time,
    ) -> Result<(), Refusal> {
        let refuse = |reason| Refusal { reason, retry_after: None };
        if self.stage != Stage::Ready || self.is_jumping() {
            return Err(refuse(Reason::NotAttached));
        }
        let (active, others) = self.views(paths, now);
        let policy = &core.config.policy;
        let to = match to {
            Some(name) => paths.by_name(name).ok_or(refuse(Reason::UnknownPath))?,
            None => {
                rank(policy, now, &others).first().map(|best| best.id).ok_or(refuse(Reason::NoCandidate))?
            }
        };
        match choose(
            policy,
            now,
            active.as_ref(),
            &others,
            Cause::Operator { to },
            &self.history,
            self.pinned,
        ) {
            Verdict::Switch { to, reason } => {
                let intent = Intent::new(to, reason, Duration::ZERO, now);
                self.start_jump(core, paths, intent, now);
                Ok(())
            }
            Verdict::Deny { reason, retry_after } => {
                Err(Refusal { reason, retry_after: (!retry_after.is_zero()).then_some(retry_after) })
            }
            Verdict::Stay(reason) | Verdict::Degrade(reason) | Verdict::Terminate(reason) => {
                Err(refuse(reason))
            }
        }
    }

    /// A person binds the session to a path.
    pub(super) fn pin(
        &mut self,
        core: &mut Core,
        paths: &mut Paths,
        name: &str,
        now: Time,
    ) -> Result<(), Refusal> {
        let unknown = Refusal { reason: Reason::UnknownPath, retry_after: None };
        let key = paths.by_name(name).ok_or(unknown)?;
        self.pinned = None;
        if key != self.active.path {
            self.operator_jump(core, paths, Some(name), now)?;
        }
        self.pinned = Some(key);
        Ok(())
    }
}
