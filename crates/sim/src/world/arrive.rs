//! Datagrams arrive, and what an engine makes of them is judged.
use std::net::SocketAddr;

use jumpvpn_engine::Received;
use jumpvpn_events::{Reason, SessionLabel};
use jumpvpn_wire::Kind;

use super::World;
use crate::client::{AgentFacts, Presence};
use crate::flight::{Flight, Origin};
use crate::invariants::{Breach, Invariant, Verdict, ensure};
use crate::model::{Arrival, Passed};
use crate::server::{Committed, Row, Rows};
use crate::traffic::{self, Direction};

/// Deliveries of one packet: itself, and again after each of a few jumps in its last half second.
const DELIVERY_LIMIT: u8 = 4;

impl World {
    pub(super) fn arrive(&mut self, flight: Flight) -> Verdict {
        if flight.up { self.arrive_at_server(flight) } else { self.arrive_at_client(flight) }
    }

    fn arrive_at_server(&mut self, mut flight: Flight) -> Verdict {
        if self.server.engine.is_none() {
            return Ok(());
        }
        if self.server.stalled {
            self.server.inbox.push(flight);
            return Ok(());
        }
        let Some(socket) = self.server.socket(flight.destination) else { return Ok(()) };
        let now = self.now;
        let before = self.server.rows.clone();
        *self.credit.entry(flight.source).or_default() += flight.bytes.len() as i64;
        let (kind, words) = (flight.kind(), flight.words());
        let (source, local) = (flight.source, flight.destination.ip());
        let original = flight.bytes.clone();
        let Some(engine) = &mut self.server.engine else { return Ok(()) };
        self.server.tap.clear();
        let shown = self.server.clock.at(now);
        let received = engine.handle_datagram(socket, source, local, &mut flight.bytes, shown);
        self.trace.line(now, || format!("gw <--- {words}: {received:?}"));
        self.compare(&flight, &original, &received)?;
        if let (Origin::Copy, Some(kind), false) = (flight.origin, kind, dropped(&received)) {
            self.carried.insert((flight.client, source, kind));
        }
        if let Received::Packet(range) = &received {
            self.packet_at_server(&flight, &flight.bytes[range.clone()])?;
        }
        self.settle_server()?;
        self.judge_server(&flight, kind, &received, &before)?;
        self.note_accepted(&flight, &received);
        Ok(())
    }

    /// The reference model says what the gateway had to make of it.
    fn compare(&mut self, flight: &Flight, original: &[u8], received: &Received) -> Verdict {
        let observed = match received {
            Received::Packet(_) => Ok(Passed::Packet),
            Received::Consumed => Ok(Passed::Consumed),
            Received::Dropped(reason) => Err(*reason),
        };
        let server = &mut self.server;
        let arrival = Arrival {
            source: flight.source,
            local: flight.destination.ip(),
            bytes: original,
            now: server.clock.at(self.now),
            fence: server.fence,
            tap: server.tap.clone(),
            observed,
        };
        let Some(model) = &mut server.model else { return Ok(()) };
        model
            .judge(&arrival)
            .map_err(|breach| Breach { what: format!("{}: {}", flight.words(), breach.what), ..breach })
    }

    /// Whether somebody carried all that binds a session to an address, from that address, in copies that the gateway took: question
    /// and proof; the answer in between came to the client too, or there would be no proof. Who does that is a path like any other
    /// (docs/protocol.md, 11.2).
    pub(super) fn was_carried(&self, client: usize, from: SocketAddr, version: u64) -> bool {
        let kinds = if version == 1 { [Kind::HsInit, Kind::Data] } else { [Kind::PathProbe, Kind::Reattach] };
        kinds.into_iter().all(|kind| self.carried.contains(&(client, from, kind)))
    }

    fn note_accepted(&mut self, flight: &Flight, received: &Received) {
        if flight.origin != Origin::Forged && !matches!(received, Received::Dropped(_)) {
            self.accepted[flight.id] = true;
        }
    }

    fn packet_at_server(&mut self, flight: &Flight, packet: &[u8]) -> Verdict {
        let now = self.now;
        ensure(self.server.fence.allows(self.server.clock.at(now)), Invariant::Fence, || {
            "a packet passed without a fence".to_owned()
        })?;
        let mark = traffic::read(packet);
        let right = mark.filter(|mark| {
            mark.direction == Direction::Up
                && usize::from(mark.client) == flight.client
                && flight.client < self.clients.len()
        });
        ensure(right.is_some(), Invariant::Delivery, || {
            format!("the gateway got {mark:?} from client {}", flight.client)
        })?;
        let Some(mark) = right else { return Ok(()) };
        let count = self.clients[flight.client].up.note(mark.number, now);
        self.report.packets += 1;
        ensure(count.is_some_and(|count| count <= DELIVERY_LIMIT), Invariant::Delivery, || {
            format!("{mark:?} was delivered {count:?} times")
        })
    }

    fn judge_server(
        &self,
        flight: &Flight,
        kind: Option<Kind>,
        received: &Received,
        before: &Rows,
    ) -> Verdict {
        let after = &self.server.rows;
        let words = || format!("{} -> {received:?}: {before:?} -> {after:?}", flight.words());
        if let Received::Dropped(reason) = received {
            // The last of too many refused moves ends its session.
            let churned = kind == Some(Kind::Reattach) && after.len() + 1 == before.len();
            let harmless = churned || drop_is_harmless(*reason, kind, before, after);
            ensure(harmless, Invariant::DropsChangeNothing, words)?;
        }
        if flight.origin == Origin::Forged {
            let refused = matches!(received, Received::Dropped(_)) || kind == Some(Kind::HsInit);
            ensure(refused, Invariant::Forgery, words)?;
            return ensure(committed(before) == committed(after), Invariant::Forgery, words);
        }
        if flight.origin == Origin::Hostile {
            return ensure(committed(before) == committed(after), Invariant::Forgery, words);
        }
        if self.accepted[flight.id] {
            let again =
                matches!(received, Received::Packet(_)) || (kind == Some(Kind::Data) && !dropped(received));
            ensure(!again, Invariant::Replay, words)?;
            return ensure(committed(before) == committed(after), Invariant::Replay, words);
        }
        if flight.origin == Origin::Copy && !self.clients[flight.client].used.contains(&flight.source) {
            let moved = committed(after).into_iter().any(|(label, row)| {
                let carried = self.was_carried(flight.client, row.address, row.version);
                !carried && before.get(label).is_none_or(|old| old.committed != *row)
            });
            ensure(!moved, Invariant::Replay, words)?;
        }
        Ok(())
    }

    fn arrive_at_client(&mut self, mut flight: Flight) -> Verdict {
        let now = self.now;
        let (index, at) = flight.way;
        let client = &mut self.clients[index];
        let link = &client.links[at];
        let open =
            link.present && link.carrier && client.engine.is_some() && client.presence != Presence::Asleep;
        if !open || !(flight.inside || link.admits(flight.destination, flight.source, now)) {
            return Ok(());
        }
        if client.presence == Presence::Stalled {
            client.inbox.push(flight);
            return Ok(());
        }
        let before = client.facts.clone();
        let (kind, words) = (flight.kind(), flight.words());
        let (socket, source) = (link.socket, flight.source);
        let shown = client.clock.at(now);
        let Some(engine) = &mut client.engine else { return Ok(()) };
        let received = engine.handle_datagram(socket, source, &mut flight.bytes, shown);
        self.trace.line(now, || format!("c{index} <--- {words} way {:?}: {received:?}", flight.way));
        if let Received::Packet(range) = &received {
            let packet = flight.bytes[range.clone()].to_vec();
            self.packet_at_client(index, &packet)?;
        }
        self.settle_client(index)?;
        self.judge_client(&flight, kind, &received, &before)?;
        self.note_accepted(&flight, &received);
        Ok(())
    }

    fn packet_at_client(&mut self, index: usize, packet: &[u8]) -> Verdict {
        let now = self.now;
        let mark = traffic::read(packet);
        let right =
            mark.filter(|mark| mark.direction == Direction::Down && usize::from(mark.client) == index);
        ensure(right.is_some(), Invariant::Delivery, || format!("client {index} got {mark:?}"))?;
        let Some(mark) = right else { return Ok(()) };
        let count = self.clients[index].down.note(mark.number, now);
        self.report.packets += 1;
        ensure(count.is_some_and(|count| count <= DELIVERY_LIMIT), Invariant::Delivery, || {
            format!("{mark:?} was delivered {count:?} times")
        })
    }

    fn judge_client(
        &self,
        flight: &Flight,
        kind: Option<Kind>,
        received: &Received,
        before: &AgentFacts,
    ) -> Verdict {
        let after = &self.clients[flight.way.0].facts;
        let words = || {
            format!("client {}: {} -> {received:?}: {before:?} -> {after:?}", flight.way.0, flight.words())
        };
        if dropped(received) {
            return ensure(before == after, Invariant::DropsChangeNothing, words);
        }
        // What is not sealed cannot be told from its copy or a variation of it; it decides nothing.
        let unsealed = matches!(kind, Some(Kind::HsRetry | Kind::HsResp | Kind::NoSession));
        ensure(flight.origin != Origin::Forged || unsealed, Invariant::Forgery, words)?;
        let mine = kind != Some(Kind::Data) || flight.meant.is_none_or(|client| client == flight.way.0);
        ensure(mine, Invariant::Delivery, words)?;
        ensure(!self.accepted[flight.id] || kind == Some(Kind::HsRetry), Invariant::Replay, words)?;
        ensure(self.server.endpoints.contains(&flight.source), Invariant::Address, words)
    }
}

fn dropped(received: &Received) -> bool {
    matches!(received, Received::Dropped(_))
}

fn committed(rows: &Rows) -> Vec<(&SessionLabel, &Committed)> {
    rows.iter().map(|(label, row)| (label, &row.committed)).collect()
}

/// A drop changes nothing; only a datagram that was dropped for what its seal held may have told that its sender lives
/// and which keys it holds.
fn drop_is_harmless(reason: Reason, kind: Option<Kind>, before: &Rows, after: &Rows) -> bool {
    let opened =
        matches!(reason, Reason::InnerSource | Reason::InnerDestination | Reason::NotIp | Reason::PqRequired);
    let proven = kind.is_some_and(Kind::is_control);
    let same = |(label, old): (&SessionLabel, &Row)| {
        after.get(label).is_some_and(|new| {
            let keys = opened || proven || new.key_epoch == old.key_epoch;
            let state = opened || (new.state, new.step) == (old.state, old.step);
            new.committed == old.committed && keys && state
        })
    };
    before.len() == after.len() && before.iter().all(same)
}
