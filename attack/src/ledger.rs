//! The account of every datagram the gateway sent: to whom, and whether it was allowed to.
//!
//! Read from the log of the gateway's access line, not from what the gateway says. To an address that the client has
//! accepted it may send what it likes. To any other address it may send one answer to each datagram that came from there,
//! of a kind that answers that kind, and not longer (`jumpvpn_wire::REPLIES`). Everything else is a finding.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use jumpvpn_lab::story::Direction;
use jumpvpn_wire::{Kind, REPLIES};

use crate::wiretap::{Origin, Seen};

/// What the log shows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// Datagrams to the gateway that the attacker put there.
    pub(crate) forged_count: usize,
    /// Answers to addresses that the client never accepted, each allowed by a request from there.
    pub(crate) replies: BTreeMap<Kind, usize>,
    /// What was not allowed, one sentence each.
    pub(crate) violations: Vec<String>,
}

/// More sentences than this say nothing new.
const VIOLATIONS_MAX: usize = 5;

/// A request that may still be answered: kind and length.
type Request = (Kind, usize);

impl Ledger {
    /// Draws up the account; `accepted` are addresses that clients accepted as their own.
    pub(crate) fn of(log: &[Seen], accepted: &BTreeSet<SocketAddr>) -> Ledger {
        let mut ledger = Ledger::default();
        let mut open: BTreeMap<SocketAddr, Vec<Request>> = BTreeMap::new();
        for Seen { direction, origin, datagram, .. } in log {
            let len = datagram.payload.len();
            let kind = Kind::from_code(datagram.first()).ok();
            if *direction == Direction::Up {
                ledger.forged_count += usize::from(*origin == Origin::Forged);
                if let Some(kind) = kind.filter(|_| !accepted.contains(&datagram.source)) {
                    open.entry(datagram.source).or_default().push((kind, len));
                }
            } else if *origin == Origin::Wire && !accepted.contains(&datagram.destination) {
                let requests = open.entry(datagram.destination).or_default();
                ledger.judge(datagram.destination, (kind, len), requests);
            }
        }
        ledger
    }

    fn judge(&mut self, to: SocketAddr, (kind, len): (Option<Kind>, usize), requests: &mut Vec<Request>) {
        let answers = |request: &Request| {
            kind.is_some_and(|kind| REPLIES.contains(&(request.0, kind))) && len <= request.1
        };
        // The request that can be answered in the fewest ways: another one may still need the other one's answer.
        let ways = |request: &Request| REPLIES.iter().filter(|(kind, _)| *kind == request.0).count();
        let candidates = requests.iter().enumerate().filter(|(_, request)| answers(request));
        let index = candidates.min_by_key(|(_, request)| ways(request)).map(|(index, _)| index);
        match (kind, index) {
            (Some(kind), Some(index)) => {
                requests.remove(index);
                *self.replies.entry(kind).or_default() += 1;
            }
            _ if self.violations.len() < VIOLATIONS_MAX => {
                let text =
                    format!("the gateway sent {kind:?} of {len} bytes to {to}, which nobody asked for");
                self.violations.push(text);
            }
            _ => {}
        }
    }

    /// All answers to addresses that no client accepted.
    pub(crate) fn reply_count(&self) -> usize {
        self.replies.values().sum()
    }
}

#[cfg(test)]
mod tests;
