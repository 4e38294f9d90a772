//! Clients: their processes, their links, and the packets of both sides.
use std::time::Duration;

use jumpvpn_engine::agent::GatewayPeer;
use jumpvpn_engine::{SocketKey, TRANSMIT_BUFFER_LEN};

use super::{Happening, World};
use crate::cell::machine::{endpoint, key};
use crate::client::Presence;
use crate::invariants::Verdict;
use crate::traffic::{Direction, Mark, compose};
use crate::world::flows::{SILENT, pace};

impl World {
    pub(super) fn client_up(&mut self, index: usize) -> Verdict {
        let now = self.now;
        if self.clients[index].engine.is_some() {
            return Ok(());
        }
        self.trace.line(now, || format!("c{index}      starts"));
        let rng = self.chance.fork();
        let peer = |gateway: usize| GatewayPeer::of_file(key(gateway).public(), vec![endpoint(gateway)]);
        let gateways = (0..self.rules.gateways).map(peer).collect();
        let client = &mut self.clients[index];
        client.start(gateways, rng, now);
        client.tell_links(now);
        self.settle_client(index)
    }

    /// The machine of a client wakes up, or its process has a processor again.
    pub(super) fn client_wakes(&mut self, index: usize) -> Verdict {
        let now = self.now;
        let client = &mut self.clients[index];
        let before = std::mem::replace(&mut client.presence, Presence::Running);
        let shown = client.clock.at(now);
        if before == Presence::Asleep
            && let Some(engine) = &mut client.engine
        {
            engine.handle_resume(shown);
        }
        for flight in std::mem::take(&mut client.inbox) {
            self.arrive(flight)?;
        }
        self.clients[index].tell_links(now);
        self.settle_client(index)
    }

    /// A link is there again, with a new socket.
    pub(super) fn link_back(&mut self, index: usize, link: usize) -> Verdict {
        let now = self.now;
        let client = &mut self.clients[index];
        client.links[link].carrier = true;
        if !client.links[link].present {
            client.open_socket(link);
            client.links[link].present = true;
            client.unsaid.get_or_insert_default();
        }
        client.tell_links(now);
        self.settle_client(index)
    }

    /// The operating system says that a link is gone.
    pub(super) fn unplug(&mut self, index: usize, link: usize, lasts: Duration) -> Verdict {
        let now = self.now;
        let client = &mut self.clients[index];
        if !client.links[link].present {
            return Ok(());
        }
        let gone = &mut client.links[link];
        (gone.present, gone.carrier) = (false, false);
        let gone = (gone.socket, World::UNPLUGGED);
        client.unsaid.get_or_insert_default().push(gone);
        client.tell_links(now);
        self.plan(now + lasts, Happening::LinkBack { client: index, link });
        self.settle_client(index)
    }

    pub(super) fn socket_error(&mut self, index: usize, socket: SocketKey) -> Verdict {
        let client = &mut self.clients[index];
        let shown = client.clock.at(self.now);
        if let Some(engine) = client.engine.as_mut().filter(|_| client.presence == Presence::Running) {
            engine.handle_socket_error(socket, shown);
        }
        self.settle_client(index)
    }

    pub(super) fn client_timers(&mut self, index: usize) -> Verdict {
        let now = self.now;
        if !self.clients[index].fire(now) {
            return Ok(());
        }
        self.settle_client(index)?;
        self.clients[index].judge_due(now)
    }

    /// Sends what a client's engine has to say, and looks at it.
    pub(super) fn settle_client(&mut self, index: usize) -> Verdict {
        let now = self.now;
        if !self.clients[index].is_running() {
            return Ok(());
        }
        let mut buffer = [0; TRANSMIT_BUFFER_LEN];
        for sent in 0.. {
            let Some(transmit) = self.clients[index].poll_transmit(sent, &mut buffer, now)? else { break };
            self.send_up(index, transmit, &buffer[..transmit.len])?;
        }
        let World { clients, trace, .. } = self;
        clients[index].observe(now, trace)?;
        let facts = &self.clients[index].facts;
        if let Some(label) = facts.session.filter(|_| facts.epoch > 0) {
            // Clients are numbered behind all processes.
            let who = u64::MAX - index as u64;
            self.truth.stands(who, label, facts.epoch, facts.version)?;
        }
        Ok(())
    }

    /// The next packet of a flow is due.
    pub(super) fn user_packet(&mut self, index: usize, direction: Direction) -> Verdict {
        let now = self.now;
        let flow = match direction {
            Direction::Down => &mut self.clients[index].down,
            _ => &mut self.clients[index].up,
        };
        let flows = flow.spacing.is_some();
        let next = if flows { pace(flow, now, &mut self.chance) } else { SILENT };
        let number = flows.then(|| flow.next_number());
        self.plan(now + next, Happening::Traffic { client: index, direction });
        match (number, direction) {
            (None, _) => Ok(()),
            (Some(number), Direction::Down) => self.packet_down(index, number),
            (Some(number), _) => self.packet_up(index, number),
        }
    }

    fn packet_up(&mut self, index: usize, number: u64) -> Verdict {
        let client = &mut self.clients[index];
        if !client.is_running() {
            return Ok(());
        }
        let mark = Mark { client: index as u8, direction: Direction::Up, number };
        let mut buffer = compose(mark, index as u8);
        let shown = client.clock.at(self.now);
        let Some(engine) = &mut client.engine else { return Ok(()) };
        if let Ok(transmit) = engine.handle_packet(&mut buffer, shown) {
            self.send_up(index, transmit, &buffer[..transmit.len])?;
        }
        self.settle_client(index)
    }

    /// The inner network offers it to every gateway: whoever has the session passes it.
    fn packet_down(&mut self, index: usize, number: u64) -> Verdict {
        let mark = Mark { client: index as u8, direction: Direction::Down, number };
        for at in 0..self.machines.len() {
            if !self.machines[at].is_running() {
                continue;
            }
            let mut buffer = compose(mark, index as u8);
            let machine = &mut self.machines[at];
            let shown = machine.clock.at(self.now);
            let Some(process) = &mut machine.process else { continue };
            process.renew();
            if let Ok(transmit) = process.engine.handle_packet(&mut buffer, shown) {
                self.packet_passes(at, index)?;
                self.send_down(at, transmit, &buffer[..transmit.len], Some(index))?;
            }
            self.refresh_due(at);
        }
        Ok(())
    }
}
