//! Links came and went under a live session.
use std::time::Duration;

use jumpvpn_events::{BindingState, Reason, Time};

use super::Core;
use super::live::Live;
use super::path::{LinkChange, Paths};

impl Live {
    /// Links came and went.
    pub(super) fn handle_link_change(
        &mut self,
        core: &mut Core,
        paths: &mut Paths,
        change: &LinkChange,
        now: Time,
    ) {
        for (key, reason) in &change.lost {
            self.set_binding_gone(core, paths, *key, *reason, now);
            self.target_failed(core, paths, *key, now);
        }
        let active = change.lost.iter().find(|(key, _)| *key == self.active.path);
        if let Some((_, reason)) = active {
            self.path_died(core, paths, *reason, Duration::ZERO, now);
        }
        if change.arrived {
            self.hurry_recovery(now);
        }
        for key in &change.gained {
            if let Some(path) = paths.by_key_mut(*key) {
                path.next_probe = now;
            }
        }
    }

    /// A path that is not the binding's leaves the life cycle.
    fn set_binding_gone(&self, core: &mut Core, paths: &mut Paths, key: u32, reason: Reason, now: Time) {
        if key != self.active.path {
            self.set_binding(core, paths, key, BindingState::Gone, reason, now);
        }
    }
}
