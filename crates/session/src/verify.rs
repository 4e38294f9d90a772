//! Whether a REATTACH may move a session: rows 10 to 16 of section 7.2 as an ordered table of pure checks.
//!
//! Rows 1 to 9 (lengths, token, buckets, replay, AEAD) come before: whoever gets here holds the session's key, so
//! each refusal is explicit. Nothing here changes anything; the commit (row 17) is the caller's next step.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use jumpvpn_events::{Reason, Time};
use jumpvpn_wire::{Cid, Handle, ObservedAddress, PathId, ReattachPayload, TransportClass};

use crate::{TicketBinding, TicketKeys};

#[cfg(test)]
mod tests;

/// Where the server may send to.
#[derive(Debug, Clone, Copy)]
pub struct AddressRules<'a> {
    /// The gateway's own addresses.
    pub own: &'a [IpAddr],
    /// Loopback and link-local addresses are allowed: one machine or one link, for tests and laboratories only.
    pub allow_local: bool,
}

impl AddressRules<'_> {
    /// Whether `address` can be that of a client: not unspecified, multicast, broadcast, local or our own, and with a
    /// port.
    pub fn admit(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        let never = ip.is_unspecified() || ip.is_multicast() || address.port() == 0;
        let (local, broadcast) = match ip {
            IpAddr::V4(ip) => (ip.is_loopback() || ip.is_link_local(), ip.is_broadcast()),
            IpAddr::V6(ip) => (ip.is_loopback() || ip.is_unicast_link_local(), false),
        };
        let own = self.own.iter().any(|own| own.to_canonical() == ip);
        !never && !broadcast && (self.allow_local || !(local || own))
    }
}

/// A question put to the old address of a binding because of a REBIND probe (section 6.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RebindCheck {
    /// Path of the probe.
    pub path_id: PathId,
    /// When the question was sent.
    pub started: Time,
    /// How long the old address has to answer: max(2 × SRTT, 100 ms), at most 1 s.
    pub hold: Duration,
}

/// What the server knows about the session, as far as a move depends on it.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The session.
    pub handle: Handle,
    /// Its state version.
    pub version: u64,
    /// Its owner epoch.
    pub owner_epoch: u64,
    /// The owner's fence has passed: it may no longer act.
    pub fenced: bool,
    /// Transport classes the policy allows.
    pub allowed: &'a [TransportClass],
    /// Addresses the server may send to.
    pub addresses: AddressRules<'a>,
    /// Path of the active binding.
    pub binding_path: PathId,
    /// When something authentic last came from the active binding's address.
    pub last_heard: Time,
    /// The question to the old address, if one was put.
    pub rebind: Option<RebindCheck>,
    /// Longest life of a ticket.
    pub ticket_max_age: Duration,
}

/// The opened request and where it came from.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Its sealed content.
    pub proof: &'a ReattachPayload,
    /// Where it came from.
    pub source: SocketAddr,
    /// Where it came to.
    pub local: SocketAddr,
    /// Transport it came over.
    pub class: TransportClass,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The reason to report.
    pub reason: Reason,
    /// Earliest moment another attempt makes sense, from now.
    pub retry_after: Duration,
}

impl Refusal {
    const fn now(reason: Reason) -> Self {
        Self { reason, retry_after: Duration::ZERO }
    }
}

/// What to do with the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Move the binding; the server listens on this CID.
    Commit {
        /// CID reserved in the ticket.
        server_cid: Cid,
    },
    /// Row 10: answer with one PATH_TICKET for the address seen. The request's `cseq` is **not** used up,
    /// otherwise a copy sent from a forged address could burn it.
    AddressMismatch,
    /// Answer with a RESULT. The request's `cseq` is used up.
    Reject {
        /// The reason to report.
        reason: Reason,
        /// Earliest moment another attempt makes sense, from now.
        retry_after: Duration,
    },
}

/// Everything a check looks at.
pub struct Evidence<'a> {
    now: Time,
    record: &'a Record<'a>,
    request: &'a Request<'a>,
    tickets: &'a TicketKeys,
    budget: Result<(), (Reason, Duration)>,
}

/// One row of the table.
pub struct Check {
    /// Row number in section 7.2.
    pub row: u8,
    /// The reason it refuses with; rows 15 and 16 have further ones.
    pub reason: Reason,
    run: fn(&Evidence<'_>) -> Result<(), Refusal>,
}

/// The checks in the order in which they run.
pub const CHECKS: &[Check] = &[
    Check { row: 10, reason: Reason::AddressMismatch, run: source_is_the_accepted_address },
    Check { row: 11, reason: Reason::StaleTicket, run: ticket_is_ours },
    Check { row: 12, reason: Reason::NotOwner, run: owner_may_act },
    Check { row: 13, reason: Reason::StaleStateVersion, run: version_is_current },
    Check { row: 14, reason: Reason::InvalidTransportCandidate, run: candidate_is_allowed },
    Check { row: 15, reason: Reason::OldPathAlive, run: old_path_is_silent },
    Check { row: 16, reason: Reason::SwitchRateLimited, run: budget_is_left },
];

/// Decides. `budget` is the verdict of the switch policy (cool-down, per-minute cap), computed by the caller.
pub fn verify(
    now: Time,
    record: &Record<'_>,
    request: &Request<'_>,
    tickets: &TicketKeys,
    budget: Result<(), (Reason, Duration)>,
) -> Decision {
    decide(CHECKS.iter(), &Evidence { now, record, request, tickets, budget })
}

fn decide<'c>(checks: impl Iterator<Item = &'c Check>, evidence: &Evidence<'_>) -> Decision {
    for check in checks {
        if let Err(refusal) = (check.run)(evidence) {
            return match refusal.reason {
                Reason::AddressMismatch => Decision::AddressMismatch,
                reason => Decision::Reject { reason, retry_after: refusal.retry_after },
            };
        }
    }
    Decision::Commit { server_cid: evidence.request.proof.ticket.server_cid() }
}

/// The client has seen this very address in a sealed ticket and accepted it.
fn source_is_the_accepted_address(evidence: &Evidence<'_>) -> Result<(), Refusal> {
    let request = evidence.request;
    if ObservedAddress::new(request.source) == request.proof.observed {
        Ok(())
    } else {
        Err(Refusal::now(Reason::AddressMismatch))
    }
}

/// Issued by this process, lately, for exactly this source, path, version and owner epoch.
fn ticket_is_ours(evidence: &Evidence<'_>) -> Result<(), Refusal> {
    let (record, request) = (evidence.record, evidence.request);
    let binding = TicketBinding {
        handle: record.handle,
        owner_epoch: request.proof.owner_epoch,
        version: request.proof.version,
        path_id: request.proof.path_id,
        class: request.class,
        observed: request.source,
        local: request.local,
        client_cid: request.proof.client_cid,
    };
    let checked =
        evidence.tickets.check(evidence.now, &binding, &request.proof.ticket, record.ticket_max_age);
    checked.map(|_| ()).map_err(Refusal::now)
}

fn owner_may_act(evidence: &Evidence<'_>) -> Result<(), Refusal> {
    let record = evidence.record;
    if !record.fenced && evidence.request.proof.owner_epoch == record.owner_epoch {
        Ok(())
    } else {
        Err(Refusal::now(Reason::NotOwner))
    }
}

fn version_is_current(evidence: &Evidence<'_>) -> Result<(), Refusal> {
    if evidence.request.proof.version == evidence.record.version {
        Ok(())
    } else {
        Err(Refusal::now(Reason::StaleStateVersion))
    }
}

fn candidate_is_allowed(evidence: &Evidence<'_>) -> Result<(), Refusal> {
    let (record, request) = (evidence.record, evidence.request);
    let proof = request.proof;
    let allowed = record.allowed.contains(&request.class)
        && proof.transport == request.class
        && (!proof.rebind || proof.path_id == record.binding_path)
        && record.addresses.admit(request.source);
    if allowed { Ok(()) } else { Err(Refusal::now(Reason::InvalidTransportCandidate)) }
}

/// Request forgery by spoofed migration (RFC 9000 sections 21.5.4 and 21.5.6): never send to addresses that no
/// client can have.
/// For a REBIND the old address is asked first and wins (the enhanced check of RFC 9853).
fn old_path_is_silent(evidence: &Evidence<'_>) -> Result<(), Refusal> {
    let record = evidence.record;
    if !evidence.request.proof.rebind {
        return Ok(());
    }
    let Some(check) = record.rebind.filter(|check| check.path_id == evidence.request.proof.path_id) else {
        return Err(Refusal::now(Reason::RebindWait));
    };
    if record.last_heard > check.started {
        return Err(Refusal::now(Reason::OldPathAlive));
    }
    let retry_after = (check.started + check.hold).since(evidence.now);
    if retry_after.is_zero() { Ok(()) } else { Err(Refusal { reason: Reason::RebindWait, retry_after }) }
}

fn budget_is_left(evidence: &Evidence<'_>) -> Result<(), Refusal> {
    evidence.budget.map_err(|(reason, retry_after)| Refusal { reason, retry_after })
}
