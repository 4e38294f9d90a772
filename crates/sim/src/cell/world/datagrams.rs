//! Datagrams leave and arrive, at gateways, at clients, and in the hands of somebody who sees them all.
use std::net::SocketAddr;
use std::time::Duration;

use jumpvpn_engine::{Received, Transmit};
use jumpvpn_events::{SessionLabel, Time};
use jumpvpn_wire::{ControlHeader, Kind};

use super::{Happening, World};
use crate::cell::machine::{Process, Waiting, endpoint};
use crate::cell::truth::{Pass, Seal};
use crate::client::Presence;
use crate::flight::{Flight, Origin};
use crate::invariants::{Invariant, Verdict, ensure};
use crate::network::Link;
use crate::traffic::{self, Direction};

/// Deliveries of one packet: itself, and again after each of a few jumps in its last half second.
const DELIVERY_LIMIT: u8 = 6;
/// Stands for the binding of what gateways seal: clients make a CID of their own for each.
const DOWN: u64 = u64::MAX;
/// A datagram of the attacker's takes so long.
const HEAD_START: Duration = Duration::from_micros(500);
/// Of a thousand copies so many go to another gateway than the first one did.
const ASTRAY: u32 = 300;

impl World {
    pub(super) fn arrive(&mut self, flight: Flight) -> Verdict {
        if !flight.up {
            return self.arrive_at_client(flight);
        }
        let Some(gateway) = self.gateway_at(flight.destination) else { return Ok(()) };
        let genuine = flight.origin == Origin::Genuine;
        if genuine && self.is_gap(flight.client, gateway, true) {
            return Ok(());
        }
        let mut there: Vec<usize> = (0..self.machines.len()).collect();
        there.retain(|at| self.machines[*at].gateway == gateway && self.machines[*at].process.is_some());
        // A machine and its copy have one address: somebody gets what goes there.
        let at = self.network.below(there.len());
        match there.get(at) {
            Some(at) => self.arrive_at_machine(*at, flight),
            None => Ok(()),
        }
    }

    /// Whether nothing passes between them at present.
    fn is_gap(&self, client: usize, gateway: usize, up: bool) -> bool {
        self.gaps.iter().any(|gap| {
            let way = if up { gap.up } else { gap.down };
            way && gap.gateway == gateway
                && gap.client.is_none_or(|only| only == client)
                && self.now < gap.until
        })
    }

    pub(super) fn arrive_at_machine(&mut self, at: usize, mut flight: Flight) -> Verdict {
        let now = self.now;
        match self.machines[at].presence {
            Presence::Running => {}
            Presence::Stalled => {
                self.keep_waiting(at, Waiting::Datagram(flight));
                return Ok(());
            }
            Presence::Asleep => return Ok(()),
        }
        let (kind, words) = (flight.kind(), flight.words());
        let machine = &mut self.machines[at];
        let shown = machine.clock.at(now);
        let Some(process) = &mut machine.process else { return Ok(()) };
        process.renew();
        let (source, local) = (flight.source, flight.destination.ip());
        let socket = jumpvpn_engine::SocketKey(0);
        let received = process.engine.handle_datagram(socket, source, local, &mut flight.bytes, shown);
        self.trace.line(now, || format!("gw{at} <--- {words}: {received:?}"));
        if let Received::Packet(range) = &received {
            self.packet_at_gateway(at, &flight, &flight.bytes[range.clone()])?;
        }
        let writes = self.settle_engine(at)?;
        self.judge_writes(&flight, kind, writes)?;
        self.refuse_copies(&flight, kind, &received)?;
        self.note_accepted(&flight, &received);
        Ok(())
    }

    /// I6: what is forged, was accepted before, or only asks, changes no record.
    fn judge_writes(&mut self, flight: &Flight, kind: Option<Kind>, writes: u32) -> Verdict {
        let forged = flight.origin == Origin::Forged
            || (self.is_planted(Invariant::ProvenWrites) && flight.origin == Origin::Genuine);
        let again = self.accepted[flight.id].0;
        let asks = matches!(kind, Some(Kind::TakeoverInit | Kind::HsInit));
        if !(forged || again || asks) {
            return Ok(());
        }
        let words = || format!("{writes} changes because of {}", flight.words());
        self.truth.judge(Invariant::ProvenWrites, writes == 0, words)
    }

    /// What was accepted once is not accepted again, and what is forged never is.
    fn refuse_copies(&mut self, flight: &Flight, kind: Option<Kind>, received: &Received) -> Verdict {
        let words = || format!("{} -> {received:?}", flight.words());
        let passed = !matches!(received, Received::Dropped(_));
        if flight.origin == Origin::Forged {
            let asks = matches!(
                kind,
                Some(Kind::HsInit | Kind::TakeoverInit | Kind::HsRetry | Kind::HsResp | Kind::NoSession)
            );
            return ensure(!passed || asks, Invariant::Forgery, words);
        }
        let again = self.accepted[flight.id].0 && kind == Some(Kind::Data);
        ensure(!(passed && again), Invariant::Replay, words)
    }

    fn note_accepted(&mut self, flight: &Flight, received: &Received) {
        if flight.origin != Origin::Forged && !matches!(received, Received::Dropped(_)) {
            self.accepted[flight.id].0 = true;
        }
    }

    fn packet_at_gateway(&mut self, at: usize, flight: &Flight, packet: &[u8]) -> Verdict {
        let now = self.now;
        let mark = traffic::read(packet);
        let right =
            mark.filter(|mark| mark.direction == Direction::Up && usize::from(mark.client) == flight.client);
        ensure(right.is_some(), Invariant::Delivery, || {
            format!("gateway {at} got {mark:?} from client {}", flight.client)
        })?;
        let Some(mark) = right else { return Ok(()) };
        self.packet_passes(at, flight.client)?;
        self.report.packets += 1;
        let count = self.clients[flight.client].up.note(mark.number, now);
        ensure(count.is_some_and(|count| count <= DELIVERY_LIMIT), Invariant::Delivery, || {
            format!("{mark:?} was delivered {count:?} times")
        })
    }

    /// A packet of that client passes a gateway: I1, I7, I8 and I13.
    pub(super) fn packet_passes(&mut self, at: usize, client: usize) -> Verdict {
        let now = self.now;
        let machine = &self.machines[at];
        let Some(process) = &machine.process else { return Ok(()) };
        let may = process.right().allows(machine.clock.at(now));
        ensure(may, Invariant::Fence, || format!("gateway {at} passes a packet without a right"))?;
        let found = process.seats.iter().find(|(_, seat)| seat.client == client);
        let seat = found.map(|(label, seat)| (*label, seat.epoch));
        ensure(seat.is_some(), Invariant::Delivery, || {
            format!("gateway {at} passes a packet of client {client}, which it does not have")
        })?;
        let Some((label, epoch)) = seat else { return Ok(()) };
        let pass = Pass {
            who: process.node.incarnation(),
            label,
            epoch,
            frozen: self.is_frozen(at, label),
            doubtful: self.is_doubtful(at),
            wall_ms: machine.wall_ms(now),
            life: process.store_life,
        };
        self.truth.pass(&pass, now)
    }

    /// Whether that machine may be wrong about its right, or about what it has done itself.
    pub(super) fn is_doubtful(&self, at: usize) -> bool {
        let machine = &self.machines[at];
        let copied = |process: &Process| self.unnoticed.contains(&process.node.incarnation());
        self.now < machine.doubtful_until || machine.process.as_ref().is_some_and(copied)
    }

    /// Whether that session is being given away there.
    pub(super) fn is_frozen(&self, at: usize, label: SessionLabel) -> bool {
        let handle = self.truth.handle_of(label);
        let process = self.machines[at].process.as_ref();
        process.zip(handle).is_some_and(|(process, handle)| process.frozen.contains_key(&handle))
    }

    /// A gateway's datagram leaves. For a packet it is known whose it is.
    pub(super) fn send_down(
        &mut self,
        at: usize,
        transmit: Transmit,
        bytes: &[u8],
        of: Option<usize>,
    ) -> Verdict {
        let now = self.now;
        let machine = &self.machines[at];
        let (gateway, source) = (machine.gateway, endpoint(machine.gateway));
        let mut seal = None;
        if Kind::of(bytes) == Ok(Kind::Data) {
            let Some(process) = &machine.process else { return Ok(()) };
            let meant = process.seats.iter().find(|(_, seat)| match of {
                Some(client) => seat.client == client,
                None => seat.address == transmit.destination,
            });
            seal = meant.map(|(label, seat)| Seal { label: *label, epoch: seat.epoch });
            if let Some(Seal { label, .. }) = seal {
                let frozen = self.is_frozen(at, label);
                self.truth.judge(Invariant::FrozenIsSilent, !frozen, || {
                    format!("gateway {at} speaks in {label}")
                })?;
            }
            self.truth.sealed(DOWN, bytes)?;
        }
        let reached = |link: &Link| link.outer() == Some(transmit.destination);
        let found = self
            .clients
            .iter()
            .find_map(|client| client.links.iter().position(reached).map(|link| (client.index, link)));
        let Some((client, link)) = found else { return Ok(()) };
        let flight = self.flight((client, link), false, (source, transmit.destination), bytes, seal);
        let arrivals = if self.is_gap(client, gateway, false) {
            Vec::new()
        } else {
            self.clients[client].links[link].down.carry(now, &mut self.network)
        };
        self.launch(flight, &arrivals);
        Ok(())
    }

    fn flight(
        &mut self,
        way: (usize, usize),
        up: bool,
        (source, destination): (SocketAddr, SocketAddr),
        bytes: &[u8],
        seal: Option<Seal>,
    ) -> Flight {
        self.accepted.push((false, seal));
        Flight {
            id: self.accepted.len() - 1,
            origin: Origin::Genuine,
            up,
            client: way.0,
            meant: None,
            way,
            inside: false,
            source,
            destination,
            bytes: bytes.to_vec(),
        }
    }

    fn launch(&mut self, flight: Flight, arrivals: &[Time]) {
        let digest = self.digest(&flight.bytes);
        self.report.datagrams += 1;
        self.trace.line(self.now, || {
            let fate = if arrivals.is_empty() { " LOST" } else { "" };
            format!("     --->{fate} {} way {:?} digest {digest:016x}", flight.words(), flight.way)
        });
        self.attacker.see(&flight);
        for at in arrivals {
            self.plan(*at, Happening::Arrive(flight.clone()));
        }
    }

    /// A client's datagram leaves.
    pub(super) fn send_up(&mut self, index: usize, transmit: Transmit, bytes: &[u8]) -> Verdict {
        let now = self.now;
        let place = (index, transmit.socket.0);
        if let Some(header) = ControlHeader::parse(bytes).ok().filter(|header| header.kind == Kind::Reattach)
        {
            self.bindings.insert(place, header.cseq);
        }
        let binding = self.bindings.get(&place).copied().unwrap_or(0);
        self.truth.sealed(binding, bytes)?;
        let links = &self.clients[index].links;
        let Some(at) = links.iter().position(|link| link.present && link.socket == transmit.socket) else {
            return Ok(());
        };
        if !links[at].carrier {
            let happening = Happening::SocketError { client: index, socket: transmit.socket };
            self.plan(now + Duration::from_micros(50), happening);
            return Ok(());
        }
        // No translator: the local address is the outer one.
        let Some(source) = links[at].outer() else { return Ok(()) };
        let arrivals = self.clients[index].links[at].up.carry(now, &mut self.network);
        let flight = self.flight((index, at), true, (source, transmit.destination), bytes, None);
        self.launch(flight, &arrivals);
        Ok(())
    }

    fn arrive_at_client(&mut self, mut flight: Flight) -> Verdict {
        let now = self.now;
        let (index, at) = flight.way;
        let client = &mut self.clients[index];
        let link = &client.links[at];
        let open = link.present
            && link.carrier
            && client.engine.is_some()
            && client.presence != Presence::Asleep
            && (flight.inside || link.admits(flight.destination, flight.source, now));
        if !open {
            return Ok(());
        }
        if client.presence == Presence::Stalled {
            client.inbox.push(flight);
            return Ok(());
        }
        let (kind, words) = (flight.kind(), flight.words());
        let (socket, source) = (link.socket, flight.source);
        let shown = client.clock.at(now);
        let Some(engine) = &mut client.engine else { return Ok(()) };
        let received = engine.handle_datagram(socket, source, &mut flight.bytes, shown);
        self.trace.line(now, || format!("c{index} <--- {words} way {:?}: {received:?}", flight.way));
        self.refuse_copies(&flight, kind, &received)?;
        if let Received::Packet(range) = &received {
            self.packet_at_client(index, &flight.bytes[range.clone()])?;
        }
        let opened = kind == Some(Kind::Data) && !matches!(received, Received::Dropped(_));
        if let Some(seal) = self.accepted[flight.id].1.filter(|_| opened) {
            self.truth.opened(index, seal)?;
        }
        self.note_accepted(&flight, &received);
        self.settle_client(index)
    }

    fn packet_at_client(&mut self, index: usize, packet: &[u8]) -> Verdict {
        let mark = traffic::read(packet);
        let right =
            mark.filter(|mark| mark.direction == Direction::Down && usize::from(mark.client) == index);
        ensure(right.is_some(), Invariant::Delivery, || format!("client {index} got {mark:?}"))?;
        let Some(mark) = right else { return Ok(()) };
        self.report.packets += 1;
        let count = self.clients[index].down.note(mark.number, self.now);
        ensure(count.is_some(), Invariant::Delivery, || format!("{mark:?} was never sent"))
    }

    /// One blow of the attacker's, and when the next one falls.
    pub(super) fn strike(&mut self, spacing: Duration, until: Time) -> Verdict {
        if self.now >= until {
            return Ok(());
        }
        let links = || self.clients.iter().flat_map(|client| &client.links);
        let others: Vec<SocketAddr> = links().filter_map(Link::outer).collect();
        let ways: Vec<(usize, usize)> = self
            .clients
            .iter()
            .flat_map(|client| (0..client.links.len()).map(|link| (client.index, link)))
            .collect();
        if let Some(flight) = self.attacker.strike(&others, &ways) {
            self.inject(flight, HEAD_START);
        }
        let pause = self.attacker.dice.span(spacing / 2, spacing * 2);
        self.plan(self.now + pause, Happening::Strike { spacing, until });
        Ok(())
    }

    /// Everything that was kept once more.
    pub(super) fn replay_all(&mut self, shuffled: bool) {
        let elsewhere = self.attacker.dice.chance(500);
        for (number, flight) in self.attacker.capture(shuffled, elsewhere).into_iter().enumerate() {
            self.inject(flight, HEAD_START * number as u32);
        }
    }

    fn inject(&mut self, mut flight: Flight, after: Duration) {
        let dice = &mut self.attacker.dice;
        if flight.up && dice.chance(ASTRAY) {
            flight.destination = endpoint(dice.below(self.rules.gateways));
        }
        self.report.attacks += 1;
        if let Some(kind) = flight.kind() {
            self.report.note(format!("attack {kind:?}"), 1);
        }
        self.digest(&flight.bytes);
        self.plan(self.now + after, Happening::Arrive(flight));
    }
}
