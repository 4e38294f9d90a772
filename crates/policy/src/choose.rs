//! The agent's decision: stay, move, wait or give up. Pure and total; every verdict has a reason.
//!
//! The rules, in the order in which they bind:
//! 1. The limit of moves per minute is never waived.
//! 2. A dead active path is left at once for the best path that works: no cooldown, no way-back rule, no pin.
//! 3. While the active path works, a pin holds, moves keep the cooldown, the path just left and paths that flapped
//!    are not used, and moves nobody asked for may spend only half of the limit, so that the other half is left for
//!    paths that die.
//! 4. A move for mere improvement needs a clear gain, several measurements in a row.
//! 5. A person may ask for any path that is not dead, within limit and cooldown.

use std::time::Duration;

use jumpvpn_events::{Reason, Time};

use crate::rank::{Band, band, cost_us, sort_key};
use crate::{Health, PathView, Policy, SwitchHistory};

/// Why the question is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A person or a script wants the session on that path.
    Operator {
        /// The path.
        to: u32,
    },
    /// The active path is dead, for that reason.
    DeadPath(Reason),
    /// The active path works badly, for that reason.
    Degraded(Reason),
    /// Nothing is wrong; is there something better?
    Improvement,
    /// The active path itself appears under a new address.
    Rebind,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing, for that reason.
    Stay(Reason),
    /// Move.
    Switch {
        /// To that path; the active one itself for a rebinding.
        to: u32,
        /// The reason the move will carry.
        reason: Reason,
    },
    /// A move is needed or wanted, but not permitted now. After `SWITCH_RATE_LIMITED` the session is degraded.
    Deny {
        /// What forbids it.
        reason: Reason,
        /// When to ask again. Zero: time alone will not change the answer.
        retry_after: Duration,
    },
    /// A move is needed and there is nowhere to go.
    Degrade(Reason),
    /// End the session.
    Terminate(Reason),
}

/// Decides about one session.
///
/// `active` is the path that carries the session, if any; `others` are all other paths in any order (an entry with
/// the id of the active one is ignored). `pinned` is the path a person bound the session to.
///
/// The caller carries the verdict out and then tells the history: [`SwitchHistory::record_switch`] when a move was
/// committed, [`SwitchHistory::record_denial`] for a `Deny` that no person asked for.
pub fn choose(
    policy: &Policy,
    now: Time,
    active: Option<&PathView>,
    others: &[PathView],
    cause: Cause,
    history: &SwitchHistory,
    pinned: Option<u32>,
) -> Verdict {
    let question = Question { policy, now, active, others, history, pinned };
    match cause {
        Cause::Operator { to } => question.operator(to),
        Cause::Rebind => question.rebind(),
        Cause::DeadPath(reason) => question.dead(reason),
        Cause::Degraded(reason) => question.working(|active| question.degraded(active, reason)),
        Cause::Improvement => question.working(|active| question.improvement(active)),
    }
}

/// Whether so many moves were denied lately that the session has to end. Holds on both sides.
pub fn churn_exceeded(policy: &Policy, now: Time, history: &SwitchHistory) -> bool {
    let limits = &policy.switching;
    history.denials(now, limits.churn_window) >= limits.churn_denials
}

/// The path that is clearly better than the active one, if there is one that may be used.
pub(crate) fn improvement(
    policy: &Policy,
    now: Time,
    active: &PathView,
    others: &[PathView],
    history: &SwitchHistory,
) -> Option<u32> {
    let question = Question { policy, now, active: Some(active), others, history, pinned: None };
    question.best_free(active).ok().filter(|path| question.is_better(active, path)).map(|path| path.id)
}

struct Question<'a> {
    policy: &'a Policy,
    now: Time,
    active: Option<&'a PathView>,
    others: &'a [PathView],
    history: &'a SwitchHistory,
    pinned: Option<u32>,
}

impl<'a> Question<'a> {
    /// Asks `rule` about the active path if it works; if it does not, it is left, whatever was asked.
    fn working(&self, rule: impl Fn(&PathView) -> Verdict) -> Verdict {
        match self.active {
            Some(active) if active.health == Health::Dead => self.dead(Reason::PathSilent),
            Some(active) => rule(active),
            None => self.dead(Reason::NoUsablePath),
        }
    }

    fn dead(&self, reason: Reason) -> Verdict {
        let usable = |path: &&PathView| band(self.policy, self.now, path) <= Band::Suspect;
        let urgency = |path: &&PathView| {
            let (band, preference, cost, cold, id) = sort_key(self.policy, self.now, path);
            (self.pinned != Some(id), band, cold, preference, cost, id)
        };
        match self.candidates().filter(usable).min_by_key(urgency) {
            Some(path) => self.within_limit(path.id, reason),
            None if self.candidates().next().is_none() => Verdict::Degrade(Reason::NoCandidate),
            None => Verdict::Degrade(Reason::NoUsablePath),
        }
    }

    fn rebind(&self) -> Verdict {
        match self.active {
            Some(active) => self.within_limit(active.id, Reason::NatRebinding),
            None => Verdict::Stay(Reason::NoUsablePath),
        }
    }

    fn degraded(&self, active: &PathView, reason: Reason) -> Verdict {
        if let Some(verdict) = self.pin(active) {
            return verdict;
        }
        let path = match self.best_free(active) {
            Ok(path) if self.is_better(active, path) => path,
            Ok(_) => return Verdict::Stay(Reason::NotBetter),
            Err(obstacle) => return Verdict::Stay(obstacle),
        };
        match self.obstacle() {
            Some((reason, retry_after)) => self.deny(reason, retry_after),
            None => Verdict::Switch { to: path.id, reason },
        }
    }

    fn improvement(&self, active: &PathView) -> Verdict {
        if let Some(verdict) = self.pin(active) {
            return verdict;
        }
        let path = match self.best_free(active) {
            Ok(path) if self.is_better(active, path) => path,
            Ok(_) => return Verdict::Stay(Reason::NotBetter),
            Err(obstacle) => return Verdict::Stay(obstacle),
        };
        if self.history.streak(path.id) < self.policy.switching.improvement_samples {
            return Verdict::Stay(Reason::NotBetter);
        }
        self.optional(path.id, Reason::BetterPath)
    }

    fn operator(&self, to: u32) -> Verdict {
        let never = |reason| Verdict::Deny { reason, retry_after: Duration::ZERO };
        if self.active.is_some_and(|active| active.id == to) {
            return never(Reason::AlreadyActive);
        }
        let Some(path) = self.others.iter().find(|path| path.id == to) else {
            return never(Reason::UnknownPath);
        };
        if self.active_works() && self.pinned.is_some_and(|pinned| pinned != to) {
            return never(Reason::Pinned);
        }
        match band(self.policy, self.now, path) {
            Band::Forbidden => return never(Reason::TransportNotAllowed),
            Band::Dead => return never(Reason::PathUnusable),
            Band::Good | Band::Lossy | Band::Held | Band::Suspect | Band::Unproven => {}
        }
        let limits = &self.policy.switching;
        let budget = self.history.wait_for_budget(self.now, limits.max_switches_per_min);
        let cooldown = self.history.wait_for_cooldown(self.now, limits.switch_cooldown);
        if !budget.is_zero() {
            Verdict::Deny { reason: Reason::SwitchRateLimited, retry_after: budget.max(cooldown) }
        } else if self.active_works() && !cooldown.is_zero() {
            Verdict::Deny { reason: Reason::SwitchCooldown, retry_after: cooldown }
        } else {
            Verdict::Switch { to, reason: Reason::OperatorJump }
        }
    }

    /// What a pin makes of a session whose active path works; `None` if there is no pin to follow.
    fn pin(&self, active: &PathView) -> Option<Verdict> {
        let pinned = self.pinned?;
        if pinned == active.id {
            return Some(Verdict::Stay(Reason::Pinned));
        }
        // The pinned path died earlier. It is gone back to as soon as it can be trusted.
        let path = self.others.iter().find(|path| path.id == pinned)?;
        match band(self.policy, self.now, path) {
            Band::Good | Band::Lossy if self.just_left(path) => Some(Verdict::Stay(Reason::NoWayBack)),
            Band::Good | Band::Lossy => Some(self.optional(pinned, Reason::Pinned)),
            _ => None,
        }
    }

    /// The best path that may be used without need, or what stands in the way of having one.
    fn best_free(&self, active: &PathView) -> Result<&'a PathView, Reason> {
        let good = |path: &&PathView| band(self.policy, self.now, path) == Band::Good;
        let free = self.candidates().filter(good).filter(|path| !self.just_left(path));
        if let Some(best) = free.min_by_key(|path| sort_key(self.policy, self.now, path)) {
            return Ok(best);
        }
        if self.candidates().filter(good).any(|path| self.is_better(active, path)) {
            return Err(Reason::NoWayBack);
        }
        if self.candidates().any(|path| band(self.policy, self.now, path) == Band::Held) {
            return Err(Reason::Flapping);
        }
        if self.candidates().next().is_none() { Err(Reason::NoCandidate) } else { Err(Reason::NotBetter) }
    }

    /// Whether a path of band [`Band::Good`] is worth leaving the active one for.
    fn is_better(&self, active: &PathView, path: &PathView) -> bool {
        // A hold is about going to a path, not about being on one.
        let active = PathView { held_until: None, ..*active };
        if band(self.policy, self.now, &active) != Band::Good {
            return true;
        }
        if path.preference != active.preference {
            return path.preference > active.preference;
        }
        let (now_us, then_us) = (cost_us(self.policy, &active), cost_us(self.policy, path));
        let limits = &self.policy.switching;
        let factor = u128::from(limits.switch_improvement_factor);
        let gain = Duration::from_micros(now_us.saturating_sub(then_us));
        u128::from(now_us) * 1_000 >= u128::from(then_us) * factor && gain >= limits.min_improvement
    }

    fn just_left(&self, path: &PathView) -> bool {
        let recent = |at: Time| self.now.since(at) < self.policy.switching.no_way_back;
        let by_history = self.history.last_left().is_some_and(|(id, at)| id == path.id && recent(at));
        by_history || path.left_at.is_some_and(recent)
    }

    /// A move that nobody asked for and that can wait: an obstacle is no denial.
    fn optional(&self, to: u32, reason: Reason) -> Verdict {
        match self.obstacle() {
            Some((obstacle, _)) => Verdict::Stay(obstacle),
            None => Verdict::Switch { to, reason },
        }
    }

    /// What forbids a move away from a path that works.
    fn obstacle(&self) -> Option<(Reason, Duration)> {
        let limits = &self.policy.switching;
        let limit = limits.max_switches_per_min;
        let cooldown = self.history.wait_for_cooldown(self.now, limits.switch_cooldown);
        let wait = self.history.wait_for_budget(self.now, limit);
        if !wait.is_zero() {
            return Some((Reason::SwitchRateLimited, wait.max(cooldown)));
        }
        let wait = self.history.wait_for_budget(self.now, limit.div_ceil(2));
        if !wait.is_zero() {
            return Some((Reason::SwitchBudget, wait.max(cooldown)));
        }
        (!cooldown.is_zero()).then_some((Reason::SwitchCooldown, cooldown))
    }

    /// A move that cannot wait: only the limit per minute stands above it.
    fn within_limit(&self, to: u32, reason: Reason) -> Verdict {
        let wait = self.history.wait_for_budget(self.now, self.policy.switching.max_switches_per_min);
        if wait.is_zero() {
            Verdict::Switch { to, reason }
        } else {
            self.deny(Reason::SwitchRateLimited, wait)
        }
    }

    fn deny(&self, reason: Reason, retry_after: Duration) -> Verdict {
        if churn_exceeded(self.policy, self.now, self.history) {
            return Verdict::Terminate(Reason::ChurnLimit);
        }
        Verdict::Deny { reason, retry_after }
    }

    fn active_works(&self) -> bool {
        self.active.is_some_and(|active| active.health != Health::Dead)
    }

    fn candidates(&self) -> impl Iterator<Item = &'a PathView> + use<'a> {
        let active = self.active.map(|active| active.id);
        self.others.iter().filter(move |path| Some(path.id) != active)
    }
}

#[cfg(test)]
mod tests;
