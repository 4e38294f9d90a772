//! What became of a requested jump: committed, refused, or found out later.
use std::time::Duration;

use jumpvpn_events::{BindingState, EventKind, Reason, State, Time};
use jumpvpn_policy::Health;
use jumpvpn_session::Trigger;
use jumpvpn_wire::{ResultPayload, ResultStatus, TicketPayload};

use super::jump::{HOLD_MARGIN, Intent, PendingJump, TICKET_TRIES};
use super::live::{Binding, Live};
use super::path::Paths;
use super::watch::Watch;
use super::{Core, LastJump};

impl Live {
    /// REATTACH_RESULT.
    pub(super) fn handle_result(
        &mut self,
        core: &mut Core,
        paths: &mut Paths,
        result: &ResultPayload,
        now: Time,
    ) {
        let answers = self.pending.as_ref().is_some_and(|pending| pending.cseq == result.cseq);
        match result.status {
            ResultStatus::Committed if answers => self.committed(core, paths, Some(result), now),
            ResultStatus::Rejected if answers => self.rejected(core, paths, result, now),
            ResultStatus::Committed
                if self.lapsed.as_ref().is_some_and(|(lapsed, _)| lapsed.cseq == result.cseq) =>
            {
                self.adopt_lapsed(core, paths, now);
            }
            _ => self.learn_version(core, paths, result.version, now),
        }
    }

    /// The gateway has committed the pending binding: it said so, or it sends under its keys.
    pub(super) fn committed(
        &mut self,
        core: &mut Core,
        paths: &mut Paths,
        result: Option<&ResultPayload>,
        now: Time,
    ) {
        let Some(pending) = self.pending.take() else { return };
        let PendingJump { mut binding, intent, attempts, early, sent, .. } = *pending;
        binding.heard = now;
        self.version = result.map_or(self.version + 1, |result| result.version.max(self.version + 1));
        let old = std::mem::replace(&mut self.active, binding);
        let jump = LastJump {
            from: old.label,
            to: self.active.label,
            reason: intent.reason,
            detect: intent.detect,
            gap: now.since(old.heard),
            at: now,
        };
        self.settle_paths(core, paths, &old, &jump, now);
        if let Some(path) = paths.by_key_mut(self.active.path).filter(|_| attempts == 1) {
            path.rtt.update(now.since(sent));
        }
        let drain = paths.by_key(old.path).map_or(Duration::ZERO, |path| path.rtt.smoothed_or_initial() * 2);
        let drain = drain.min(core.config.policy.switching.retiring_max);
        self.retiring = Some(Box::new((old, now + drain)));
        self.transition(core, Trigger::JumpCommitted, intent.reason, now);
        self.watch = Watch::new(now);
        self.lapsed = None;
        self.end_recovery();
        self.rebind_hinted = false;
        self.want_tokens(core, paths);
        if early && attempts > 1 {
            core.resending = core.resend.as_ref().map(|ring| ring.cursor(0, sent, now));
        }
    }

    /// Events and path states of a committed jump; every ticket died with the version.
    fn settle_paths(
        &mut self,
        core: &mut Core,
        paths: &mut Paths,
        old: &Binding,
        jump: &LastJump,
        now: Time,
    ) {
        if old.path != self.active.path {
            self.set_binding(core, paths, old.path, BindingState::Draining, Reason::PathRetired, now);
            if let Some(path) = paths.by_key_mut(old.path) {
                path.left_at = Some(now);
            }
        }
        self.set_binding(core, paths, self.active.path, BindingState::Active, jump.reason, now);
        let kind = EventKind::TransportSwitch {
            old_path: jump.from,
            new_path: jump.to,
            detect: Some(jump.detect),
            gap: Some(jump.gap),
        };
        self.event(core, jump.reason, kind, now);
        self.history.record_switch(now, old.path, self.active.path);
        self.jumps += 1;
        self.last_jump = Some(*jump);
        for path in paths.iter_mut().filter(|path| path.up) {
            path.ticket = None;
            if path.health != Health::Dead {
                path.next_probe = now;
            }
        }
        if let Some(path) = paths.by_key_mut(self.active.path) {
            path.note_alive(&core.config.policy, now);
        }
    }

    fn rejected(&mut self, core: &mut Core, paths: &mut Paths, result: &ResultPayload, now: Time) {
        let Some(pending) = self.pending.take() else { return };
        let reason = Reason::from_number(result.reason).unwrap_or(Reason::Internal);
        let retry_after = Duration::from_millis(u64::from(result.retry_after_ms));
        let mut intent = pending.intent;
        core.resending = None;
        let behind = result.version > self.version;
        if behind && self.note_version(core, paths, result.version, now) {
            // Where the session stands now was decided earlier; the watch over that path judges it.
            return;
        }
        match reason {
            Reason::StaleTicket | Reason::StaleStateVersion | Reason::AtomicityFailed
                if intent.tries < TICKET_TRIES =>
            {
                intent.tries += 1;
                if let Some(path) = paths.by_key_mut(intent.to) {
                    path.ticket = None;
                }
                self.intent = Some(intent);
                self.try_reattach(core, paths, now);
            }
            Reason::RebindWait if intent.tries < TICKET_TRIES => {
                intent.tries += 1;
                intent.not_before = Some(now + retry_after.max(HOLD_MARGIN));
                self.intent = Some(intent);
            }
            _ => {
                self.refused(core, paths, intent, reason, retry_after, now);
                if behind && !self.is_jumping() && self.end.is_none() {
                    self.ask_anew(core, paths, now);
                }
            }
        }
    }

    fn refused(
        &mut self,
        core: &mut Core,
        paths: &mut Paths,
        intent: Intent,
        reason: Reason,
        retry_after: Duration,
        now: Time,
    ) {
        self.transition(core, Trigger::JumpRefused, reason, now);
        let limited = matches!(
            reason,
            Reason::SwitchCooldown | Reason::SwitchRateLimited | Reason::SwitchBudget | Reason::RateLimited
        );
        // Who asks for the path it is on has lost its binding, however well the path answers.
        let works = intent.to != self.active.path
            && paths.by_key(self.active.path).is_some_and(|path| path.up && path.health == Health::Alive);
        if limited && !works {
            self.denied(core, reason, retry_after, now);
            return self.start_recovery(core, paths, reason, now);
        }
        if !limited
            && !intent.rebind
            && let Some(path) = paths.by_key_mut(intent.to)
        {
            path.note_dead(&core.config.policy, now);
            path.next_probe = now + Duration::from_secs(1);
        }
        self.after_refusal(core, paths, intent.reason, now);
        if intent.rebind {
            self.doubt_refused_rebind(core, paths, intent.asked, now);
        }
    }

    /// The gateway is ahead: a request that we had given up was committed after all. Where its keys are gone, our
    /// binding is not the gateway's any more, and we ask for it anew.
    pub(super) fn learn_version(&mut self, core: &mut Core, paths: &mut Paths, version: u64, now: Time) {
        if version <= self.version || self.pending.is_some() {
            return;
        }
        if !self.note_version(core, paths, version, now) && self.intent.is_none() {
            self.ask_anew(core, paths, now);
        }
    }

    /// Catches up with the gateway: each version is evented once. Whether the request given up last explains it.
    pub(super) fn note_version(
        &mut self,
        core: &mut Core,
        paths: &mut Paths,
        version: u64,
        now: Time,
    ) -> bool {
        if version == self.version + 1 && self.lapsed.is_some() {
            self.adopt_lapsed(core, paths, now);
            return true;
        }
        while self.version < version {
            self.version += 1;
            let path = self.active.label;
            let kind = EventKind::TransportSwitch { old_path: path, new_path: path, detect: None, gap: None };
            self.event(core, Reason::StaleStateVersion, kind, now);
        }
        for path in paths.iter_mut() {
            path.ticket = path.ticket.filter(|held| held.version == version);
        }
        false
    }

    fn ask_anew(&mut self, core: &mut Core, paths: &mut Paths, now: Time) {
        let mut intent = Intent::new(self.active.path, Reason::StaleStateVersion, Duration::ZERO, now);
        intent.tries = 1;
        self.start_jump(core, paths, intent, now);
    }

    /// The gateway saw our request come from another address than it names. It may be a copy that somebody was
    /// quicker with, so the request stays; only when it brings no result is the path asked anew.
    pub(super) fn handle_mismatch(&mut self, ticket: &TicketPayload) -> Result<(), Reason> {
        let pending = self.pending.as_mut().filter(|pending| pending.binding.path_id == ticket.path_id);
        pending.ok_or(Reason::StaleTicket)?.mismatched = true;
        Ok(())
    }

    /// Neither the request nor a copy of it was committed: our address has changed since the ticket was issued.
    pub(super) fn ask_again_after_mismatch(&mut self, core: &mut Core, paths: &mut Paths, now: Time) {
        let Some(pending) = self.pending.take() else { return };
        let mut intent = pending.intent;
        intent.tries += 1;
        self.keep_lapsed(Some(pending), now);
        self.intent = Some(intent);
        if intent.tries > TICKET_TRIES {
            return self.target_failed(core, paths, intent.to, now);
        }
        if let Some(path) = paths.by_key_mut(intent.to) {
            path.ticket = None;
        }
        self.try_reattach(core, paths, now);
    }

    /// The request that was given up last was committed after all.
    pub(super) fn adopt_lapsed(&mut self, core: &mut Core, paths: &mut Paths, now: Time) {
        if self.pending.is_some() {
            return;
        }
        let Some((lapsed, _)) = self.lapsed.take() else { return };
        self.intent = None;
        if self.state() != State::Recovering {
            self.transition(core, Trigger::JumpStarted, lapsed.intent.reason, now);
        }
        self.pending = Some(lapsed);
        self.committed(core, paths, None, now);
    }
}
