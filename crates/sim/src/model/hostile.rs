//! A client with valid keys that wants to do harm: what it could seal, made with the keys the model knows.
//!
//! Nothing made here may move a session: each request is wrong in one place, and for which one it is refused is for the
//! gateway to say and for the model to predict.
use std::net::{IpAddr, SocketAddr};

use jumpvpn_session::seal_control;
use jumpvpn_wire::{
    CONTROL_HEADER_LEN, Cid, ControlHeader, Kind, ObservedAddress, PathId, ProbeFlags, ProbePayload, Quality,
    ReattachPayload, TAG_LEN, Ticket, TransportClass,
};

use super::session::Session;
use super::{Model, NODE, TicketFacts};
use crate::dice::Dice;

/// A sealed request and where it should come from and go to.
pub(crate) struct Hostile {
    pub client: usize,
    pub source: SocketAddr,
    pub local: Option<IpAddr>,
    pub bytes: Vec<u8>,
}

/// What is wrong with a REATTACH.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Ticket,
    Version,
    Owner,
    Transport,
    Address,
    Rebind,
    Flags,
}

impl Model {
    /// Something a hostile client would send; `None` while none of them has a session.
    pub fn hostile(&self, is_hostile: impl Fn(usize) -> bool, dice: &mut Dice) -> Option<Hostile> {
        let theirs = self.sessions.values().filter(|session| is_hostile(session.client));
        let labels: Vec<_> = theirs.map(|session| session.label).collect();
        if labels.is_empty() {
            return None;
        }
        let session = self.sessions.get(&dice.pick(&labels))?;
        let (kind, plaintext, facts) = if dice.chance(300) {
            (Kind::PathProbe, probe(dice), None)
        } else {
            self.request(session, dice)?
        };
        let node = if dice.chance(30) { NODE + 1 } else { NODE };
        let header = ControlHeader {
            kind,
            token_config: self.tokens.config(),
            epoch: if dice.chance(30) { 77 } else { session.epoch.number() as u16 },
            token: self.tokens.seal(session.handle, node, &mut dice.fork()),
            cseq: session.next_cseq() + dice.below(2) as u64,
        };
        let mut bytes = header.encode().to_vec();
        bytes.extend_from_slice(&plaintext);
        bytes.resize(CONTROL_HEADER_LEN + plaintext.len() + TAG_LEN, 0);
        seal_control(&session.epoch.control.c2s, &mut bytes).ok()?;
        let source = facts.map_or(session.address, |facts| facts.observed);
        Some(Hostile { client: session.client, source, local: facts.map(|facts| facts.local), bytes })
    }

    fn request(&self, session: &Session, dice: &mut Dice) -> Option<(Kind, Vec<u8>, Option<TicketFacts>)> {
        let wrong = dice.pick(&[
            Wrong::Ticket,
            Wrong::Version,
            Wrong::Owner,
            Wrong::Transport,
            Wrong::Address,
            Wrong::Rebind,
            Wrong::Flags,
        ]);
        let fits = |facts: &TicketFacts| {
            facts.handle == session.handle && (facts.version == session.version) == (wrong != Wrong::Version)
        };
        let newest =
            self.tickets.iter().filter(|(_, facts)| fits(facts)).max_by_key(|(_, facts)| facts.issued);
        let (ticket, facts) = newest.map(|(ticket, facts)| (*ticket, *facts))?;
        let mut payload = ReattachPayload {
            ticket: Ticket(ticket),
            version: facts.version,
            owner_epoch: facts.owner_epoch,
            path_id: facts.path,
            rebind: false,
            warm: false,
            transport: TransportClass::Udp,
            reason: 101,
            observed: ObservedAddress::new(facts.observed),
            client_cid: facts.client_cid,
            client_nonce: [dice.bits() as u8; 16],
            quality: Quality::default(),
        };
        match wrong {
            Wrong::Ticket => payload.ticket.0[20] ^= 1,
            Wrong::Version => {}
            Wrong::Owner => payload.owner_epoch += 1,
            Wrong::Transport => payload.transport = TransportClass::Tcp,
            Wrong::Address => payload.observed = ObservedAddress::new(SocketAddr::from(([10, 9, 8, 7], 53))),
            // A path that is not the binding's, or a question that was never put.
            Wrong::Rebind if facts.path != session.path || session.rebind.is_none() => payload.rebind = true,
            Wrong::Rebind => payload.transport = TransportClass::Tls,
            Wrong::Flags => {}
        }
        let mut plaintext = payload.encode().to_vec();
        if wrong == Wrong::Flags {
            plaintext[52] |= 0x80;
        }
        Some((Kind::Reattach, plaintext, Some(facts)))
    }
}

fn probe(dice: &mut Dice) -> Vec<u8> {
    let probe = ProbePayload {
        nonce: [dice.bits() as u8; 8],
        path_id: PathId(900 + dice.below(4) as u32),
        flags: ProbeFlags { urgent: false, rebind: dice.chance(300), mtu: false },
        transport: dice.pick(&[TransportClass::Udp, TransportClass::Tls]),
        client_cid: Cid(dice.bits()),
        rtt_us: 0,
    };
    probe.encode().to_vec()
}
