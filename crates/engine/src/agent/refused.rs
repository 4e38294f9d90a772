//! The gateway's machine says that nobody listens there any more (ICMP, port unreachable): its process has ended.
//!
//! Whoever is on the way can say so, too. So it counts only beside silence, which is noticed without it, and all it does is to ask another
//! gateway at once instead of after a while. The own one is asked on meanwhile; whoever takes the session needs its owner's consent or its
//! tombstone, and the limit of moves holds.

use std::net::IpAddr;
use std::time::Duration;

use jumpvpn_events::{Reason, Time};

use super::live::{Live, Stage};
use super::path::Paths;
use super::takeover::Cause;
use super::{Agent, Core, Phase};
use crate::SocketKey;

/// So long a refusal counts. Linux sends six in a row, then one in a second (`icmp_ratelimit`).
const FRESH: Duration = Duration::from_secs(2);

impl Agent {
    /// The machine `by` says that it has nobody for a datagram that went over this socket. A hint, which anybody may have forged.
    pub fn handle_refused(&mut self, socket: SocketKey, by: IpAddr, now: Time) {
        for path in self.paths.of_socket(socket).filter(|path| path.remote.ip() == by) {
            path.refused = Some(now);
        }
        if let Phase::Live(live) = &mut self.phase {
            live.heed_refusal(&mut self.core, &self.paths, now);
        }
        self.settle(now);
    }
}

impl Live {
    /// Asks another gateway, if the own one is silent and its machine says why.
    pub(super) fn heed_refusal(&mut self, core: &mut Core, paths: &Paths, now: Time) {
        if self.stage != Stage::Ready || self.takeover.is_some() || !self.is_in_doubt() {
            return;
        }
        let refused = paths.by_key(self.active.path).and_then(|path| path.refused);
        let since = refused.is_some_and(|at| at > self.active.heard && now.since(at) < FRESH);
        if !since || core.config.gateways.len() < 2 {
            return;
        }
        let reason = Reason::GatewaySilent;
        self.abandon_jump(core, reason, now);
        if self.recovering_since.is_none() {
            self.lose_gateway(core, reason, now);
        }
        self.start_takeover(core, paths, Cause::Refused, now);
    }
}
