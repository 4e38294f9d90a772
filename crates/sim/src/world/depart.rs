//! What engines send: through translators and pipes, under the eyes of the attacker.
use std::net::SocketAddr;
use std::time::Duration;

use jumpvpn_engine::{TRANSMIT_BUFFER_LEN, Transmit};
use jumpvpn_wire::Kind;

use super::{Happening, World};
use crate::client::Client;
use crate::flight::{Flight, Origin};
use crate::invariants::{BURST_LIMIT, Invariant, Verdict, ensure};
use crate::network::{Link, Mapping};
use crate::server::Committed;

/// Ports that clients behind one carrier's address share.
const SHARED_PORTS: (u16, u16) = (40_000, 12);

impl World {
    /// Looks at a client's engine and sends what it has to say.
    pub(super) fn settle_client(&mut self, index: usize) -> Verdict {
        let now = self.now;
        let mut buffer = [0; TRANSMIT_BUFFER_LEN];
        for sent in 0.. {
            let Some(transmit) = self.clients[index].poll_transmit(sent, &mut buffer, now)? else { break };
            self.send_up(index, transmit, &buffer[..transmit.len])?;
        }
        let World { clients, trace, .. } = self;
        clients[index].observe(now, trace)
    }

    /// Looks at the gateway's engine, asks the store what it wants to know, and sends what it has to say.
    pub(super) fn settle_server(&mut self) -> Verdict {
        let now = self.now;
        loop {
            let World { server, trace, .. } = self;
            server.observe(now, trace)?;
            self.check_addresses()?;
            let Some(engine) = &mut self.server.engine else { return Ok(()) };
            let Some(request) = engine.poll_ownership_request() else { break };
            if let Some(model) = &mut self.server.model {
                model.asks(&request, self.server.clock.at(now))?;
            }
            let asked = self.server.ask(&request, now, &mut self.chance);
            self.trace.line(now, || format!("store   {request:?} -> {asked:?}"));
            let Some((answer, later)) = asked else { continue };
            let incarnation = self.server.incarnation;
            match later {
                Some(at) => self.plan(at, Happening::StoreAnswer { incarnation, answer }),
                None => self.server.hear(answer, now),
            }
        }
        let mut buffer = [0; TRANSMIT_BUFFER_LEN];
        for sent in 0.. {
            let shown = self.server.clock.at(now);
            let Some(engine) = &mut self.server.engine else { return Ok(()) };
            let Some(transmit) = engine.poll_transmit(&mut buffer, shown) else { break };
            ensure(sent < BURST_LIMIT, Invariant::Memory, || "the gateway does not stop sending".to_owned())?;
            let bytes = &buffer[..transmit.len];
            if let (Some(model), Ok(kind)) = (&mut self.server.model, Kind::of(bytes))
                && kind != Kind::Data
            {
                model.sent(kind, transmit.destination, bytes, shown)?;
            }
            self.send_down(transmit, bytes)?;
        }
        if let Some(model) = &self.server.model {
            model.answered()?;
        }
        let World { server, trace, .. } = self;
        server.observe(now, trace)
    }

    /// No session is bound to an address its client never sent from, unless it came to be there by [`World::was_carried`].
    fn check_addresses(&self) -> Verdict {
        for (label, row) in &self.server.rows {
            let Committed { address, version, .. } = row.committed;
            let used = self.clients.get(row.client).is_some_and(|client| client.used.contains(&address));
            let accepted = used || self.was_carried(row.client, address, version);
            ensure(accepted, Invariant::Address, || {
                format!("{label} is bound to {address}, which is not its client's")
            })?;
        }
        Ok(())
    }

    /// A client's datagram leaves.
    pub(super) fn send_up(&mut self, index: usize, transmit: Transmit, bytes: &[u8]) -> Verdict {
        let now = self.now;
        if Kind::of(bytes).is_ok_and(|kind| kind != Kind::Data) {
            let endpoints = self.server.endpoints.len();
            self.clients[index].note_control(now, endpoints)?;
        }
        self.learn(index, bytes)?;
        let links = &self.clients[index].links;
        let Some(at) = links.iter().position(|link| link.present && link.socket == transmit.socket) else {
            // The socket is closed; the engine was or will be told.
            return Ok(());
        };
        if !links[at].carrier {
            let happening = Happening::SocketError { client: index, socket: transmit.socket };
            self.plan(now + Duration::from_micros(50), happening);
            return Ok(());
        }
        let source = self.translate(index, at, transmit.destination);
        self.clients[index].used.insert(source);
        let flight = self.flight(index, at, true, (source, transmit.destination), bytes);
        let arrivals = self.clients[index].links[at].up.carry(now, &mut self.network);
        self.launch(flight, &arrivals);
        Ok(())
    }

    /// What the model has to know of a client's HS_INIT.
    fn learn(&mut self, index: usize, bytes: &[u8]) -> Verdict {
        let (Ok(Kind::HsInit), Some(model)) = (Kind::of(bytes), &mut self.server.model) else {
            return Ok(());
        };
        let client = &self.clients[index];
        let known = model.learn(index, Client::key(index), &client.policy, &client.tap, bytes);
        ensure(known, Invariant::Keys, || {
            format!("client {index} sent an HS_INIT that its numbers do not make")
        })
    }

    /// The gateway's datagram leaves.
    pub(super) fn send_down(&mut self, transmit: Transmit, bytes: &[u8]) -> Verdict {
        let now = self.now;
        self.judge_reply(transmit.destination, bytes)?;
        let Some(source) = self.server.endpoint(transmit.socket) else { return Ok(()) };
        let reached = |link: &Link| link.outer() == Some(transmit.destination);
        let found = self
            .clients
            .iter()
            .find_map(|client| client.links.iter().position(reached).map(|link| (client.index, link)));
        let Some((client, link)) = found else {
            self.cookie_for_attacker(transmit.destination, bytes);
            self.trace.line(now, || format!("gw ---> {} nobody", transmit.destination));
            return Ok(());
        };
        let mut flight = self.flight(client, link, false, (source, transmit.destination), bytes);
        let mut bound = self.server.rows.values().filter(|row| row.committed.address == transmit.destination);
        flight.meant = bound.next().map(|row| row.client).filter(|_| bound.next().is_none());
        let arrivals = self.clients[client].links[link].down.carry(now, &mut self.network);
        self.launch(flight, &arrivals);
        Ok(())
    }

    fn flight(
        &mut self,
        client: usize,
        link: usize,
        up: bool,
        ends: (SocketAddr, SocketAddr),
        bytes: &[u8],
    ) -> Flight {
        self.accepted.push(false);
        Flight {
            id: self.accepted.len() - 1,
            origin: Origin::Genuine,
            up,
            client,
            meant: None,
            way: (client, link),
            inside: false,
            source: ends.0,
            destination: ends.1,
            bytes: bytes.to_vec(),
        }
    }

    fn launch(&mut self, flight: Flight, arrivals: &[jumpvpn_events::Time]) {
        let digest = self.digest(&flight.bytes);
        self.trace.line(self.now, || {
            let who = if flight.up { format!("c{}", flight.client) } else { "gw".to_owned() };
            let fate = if arrivals.is_empty() { " LOST" } else { "" };
            format!("{who} --->{fate} {} way {:?} bytes {digest:016x}", flight.words(), flight.way)
        });
        self.attacker.see(&flight);
        if !self.intercept(&flight) {
            return;
        }
        for at in arrivals {
            self.plan(*at, Happening::Arrive(flight.clone()));
        }
    }

    /// The outer address a datagram of this link leaves with.
    fn translate(&mut self, client: usize, link: usize, peer: SocketAddr) -> SocketAddr {
        let now = self.now;
        let (socket, plain) = {
            let link = &self.clients[client].links[link];
            (link.socket, SocketAddr::new(link.local, link.local_port()))
        };
        let Some(outer) = self.clients[client].links[link].nat.as_ref().map(|nat| nat.outer) else {
            return plain;
        };
        let served = self.clients[client].links[link].nat.as_ref().is_some_and(|nat| nat.serves(socket, now));
        let fresh = (!served).then(|| self.free_port(SocketAddr::from((outer, 0))));
        let Some(nat) = &mut self.clients[client].links[link].nat else { return plain };
        if let Some(port) = fresh {
            nat.mapping = Some(Mapping { socket, port, peers: Default::default(), used: now });
        }
        match &mut nat.mapping {
            Some(mapping) => {
                mapping.used = now;
                mapping.peers.insert(peer);
                SocketAddr::from((outer, mapping.port))
            }
            None => plain,
        }
    }

    /// A port of that outer address that no translator uses now.
    fn free_port(&mut self, outer: SocketAddr) -> u16 {
        let taken: Vec<SocketAddr> =
            self.clients.iter().flat_map(|client| &client.links).filter_map(Link::outer).collect();
        loop {
            let port = SHARED_PORTS.0 + self.network.below(usize::from(SHARED_PORTS.1)) as u16;
            if !taken.contains(&SocketAddr::new(outer.ip(), port)) {
                return port;
            }
        }
    }

    /// Packets go to bound addresses only, everything else answers something that came from there.
    fn judge_reply(&mut self, destination: SocketAddr, bytes: &[u8]) -> Verdict {
        let kind = Kind::of(bytes).ok();
        let rows = self.server.rows.values().chain(self.server.rows_before.values());
        let bound = rows.clone().any(|row| row.committed.address == destination);
        if kind == Some(Kind::Data) {
            ensure(bound, Invariant::Address, || {
                format!("a packet to {destination}, where nobody is bound")
            })?;
            let may_act = self.server.fence.allows(self.server.clock.at(self.now));
            return ensure(may_act, Invariant::Fence, || {
                format!("a packet to {destination} without a fence")
            });
        }
        let credit = self.credit.entry(destination).or_default();
        *credit -= bytes.len() as i64;
        let left = *credit;
        ensure(left >= 0, Invariant::Amplification, || {
            format!("{kind:?} of {} bytes to {destination}: {} more than came from there", bytes.len(), -left)
        })
    }
}
