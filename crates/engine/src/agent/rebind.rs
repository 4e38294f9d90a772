//! The active path itself appears under a new outer address, or its binding was lost.
use std::time::Duration;

use jumpvpn_events::{Reason, Time};

use super::Core;
use super::jump::{HOLD_MARGIN, Intent};
use super::live::{Live, Stage};
use super::path::{Paths, ProbeInFlight};
use super::probe::ProbeOrder;

/// A hold is at least 20 ms and at most 1 s, as on the gateway.
const HOLD_MIN: Duration = Duration::from_millis(20);
const HOLD_MAX: Duration = Duration::from_secs(1);

impl Live {
    /// REBIND_HINT: our packets of the active binding reach the gateway from another address.
    pub(super) fn handle_hint(&mut self, core: &mut Core, paths: &mut Paths, key: u32, now: Time) {
        // A newborn whose address changes is given up sooner than moved.
        let ignored = self.is_jumping() || self.watch.is_rebind_refused();
        if self.stage != Stage::Ready || key != self.active.path || ignored {
            return;
        }
        let asked = paths.by_key(key).and_then(|path| path.probe).is_some_and(|probe| probe.rebind);
        self.watch.address_changed(now);
        if !asked {
            self.send_probe(core, paths, key, ProbeOrder { urgent: true, rebind: true }, now);
        }
        self.rebind_hinted = true;
    }

    /// The active path answered a probe: with a new address it was rebound, and a binding that is not heard any
    /// more is asked for anew.
    pub(super) fn active_probed(
        &mut self,
        core: &mut Core,
        paths: &mut Paths,
        probe: ProbeInFlight,
        changed: bool,
        now: Time,
    ) {
        if self.intent.is_some_and(|intent| intent.to == self.active.path && intent.not_before.is_none()) {
            return self.try_reattach(core, paths, now);
        }
        if self.is_jumping() || self.is_denied(now) {
            return;
        }
        let to = self.active.path;
        let hinted = std::mem::take(&mut self.rebind_hinted);
        // A link that came back with a new socket is another path: on the one that was bound is nothing to rebind.
        let same = paths.by_key(to).is_some_and(|path| path.path_id == Some(self.active.path_id));
        let refused = same && self.watch.is_rebind_refused();
        let moved = probe.rebind && (changed || hinted) && !refused;
        if moved && same {
            self.watch.address_changed(now);
            let rtt = paths.by_key(to).map_or(HOLD_MIN, |path| path.rtt.smoothed_or_initial());
            let hold = (rtt * 2).clamp(HOLD_MIN, HOLD_MAX);
            let detect = now.since(self.active.heard);
            let mut intent = Intent::new(to, Reason::NatRebinding, detect, now);
            intent.rebind = true;
            intent.asked = probe.sent;
            intent.not_before = Some(probe.sent + hold + HOLD_MARGIN);
            self.start_jump(core, paths, intent, now);
        } else if moved || self.recovering_since.is_some() {
            let reason = if same { Reason::PathRecovered } else { Reason::AddressGone };
            let intent = Intent::new(to, reason, Duration::ZERO, now);
            self.start_jump(core, paths, intent, now);
        }
    }
}
