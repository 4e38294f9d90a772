//! Troubles begin and end.
use std::time::Duration;

use jumpvpn_engine::SocketKey;
use jumpvpn_engine::agent::{Command, GatewayPeer};
use jumpvpn_engine::gateway::Command as GatewayCommand;
use jumpvpn_events::{Reason, Time};
use jumpvpn_ownership::Answer;

use super::attack::Interception;
use super::{Happening, World};
use crate::client::{Client, Presence};
use crate::fault::{Fault, Order};
use crate::invariants::Verdict;
use crate::network::{Link, Pipe, Quality};
use crate::scenario::local_address;
use crate::server::{Server, StoreTrouble};

/// User packets after all trouble: one each 40 ms.
const CALM_SPACING: Duration = Duration::from_millis(40);

impl World {
    pub(super) fn trouble(&mut self, fault: Fault) -> Verdict {
        let now = self.now;
        self.trace.line(now, || format!("*** {fault:?}"));
        self.report.note(format!("fault {}", fault.name()), 1);
        match fault {
            Fault::LinkDown { client, link, notice, lasts, reason, moved } => {
                self.link_down(client, link, (notice, lasts), reason, moved);
            }
            Fault::Black { client, link, up, down, lasts } => {
                self.blacken(client, link, (up, down), now + lasts)
            }
            Fault::Blackout { client, lasts } => {
                for link in 0..self.clients[client].links.len() {
                    self.blacken(client, link, (true, true), now + lasts);
                }
            }
            Fault::Poor { client, link, up, down, quality, lasts } => {
                self.worsen(client, link, (up, down), quality, now + lasts);
            }
            Fault::Rebind { client, link } => {
                if let Some(nat) = &mut self.clients[client].links[link].nat {
                    nat.mapping = None;
                }
            }
            Fault::Flap { client, link, silent, dead, alive, times } => {
                self.flap(client, link, silent, (dead, alive), times);
            }
            Fault::GatewayRestart { polite, lasts, keep, minutes } => {
                (self.server.keep, self.server.minutes) = (keep, minutes);
                return self.restart_gateway(polite, lasts);
            }
            Fault::ClientRestart { client, polite, lasts } => {
                return self.restart_client(client, polite, lasts);
            }
            Fault::Suspend { client, lasts, moved } => self.suspend(client, lasts, moved),
            Fault::StallClient { client, lasts } => self.stall_client(client, lasts),
            Fault::StallGateway { lasts } => self.stall_gateway(lasts),
            Fault::FenceLoss { lasts } => return self.lose_fence(lasts),
            Fault::StoreTrouble { delay, unknown, silent, conflict, lasts } => {
                let until = now + lasts;
                self.server.trouble = Some(StoreTrouble { delay, unknown, silent, conflict, until });
            }
            Fault::Order { client, order } => return self.order(client, order),
            Fault::GatewayClose { client } => return self.close_at_gateway(client),
            Fault::Attack { spacing, lasts } => {
                self.plan(now, Happening::Strike { spacing, until: now + lasts });
            }
            Fault::Intercept { share, hold, lasts } => {
                self.interception = Some(Interception { share, hold, until: now + lasts });
            }
            Fault::ReplayAll { shuffled, foreign } => self.replay_all(shuffled, foreign),
            Fault::ClockJump { who, by } => return self.jump_clock(who, by),
        }
        Ok(())
    }

    fn link_down(
        &mut self,
        client: usize,
        link: usize,
        spans: (Duration, Duration),
        reason: Reason,
        moved: bool,
    ) {
        let now = self.now;
        let down = &mut self.clients[client].links[link];
        down.carrier = false;
        let socket = down.socket;
        self.plan(now + spans.0, Happening::LinkNotice { client, socket, reason });
        self.plan(now + spans.1, Happening::LinkBack { client, link, moved });
    }

    pub(super) fn link_notice(&mut self, index: usize, socket: SocketKey, reason: Reason) -> Verdict {
        let now = self.now;
        let client = &mut self.clients[index];
        let found =
            client.links.iter_mut().find(|link| link.socket == socket && link.present && !link.carrier);
        let Some(link) = found else { return Ok(()) };
        link.present = false;
        self.trace.line(now, || format!("c{index}      told: {} is gone, {reason}", client.links.len()));
        client.unsaid.get_or_insert_default().push((socket, reason));
        client.tell_links(now);
        self.settle_client(index)
    }

    pub(super) fn link_back(&mut self, index: usize, link: usize, moved: bool) -> Verdict {
        let now = self.now;
        self.clients[index].links[link].carrier = true;
        if !self.clients[index].links[link].present {
            self.renew(index, link, moved);
        }
        self.clients[index].tell_links(now);
        self.settle_client(index)
    }

    /// A link appears with a new socket, and with a new address if it has moved.
    fn renew(&mut self, index: usize, at: usize, moved: bool) {
        let client = &mut self.clients[index];
        let gone = client.links[at].present.then(|| (client.links[at].socket, Reason::AddressGone));
        client.open_socket(at);
        let link = &mut client.links[at];
        link.present = true;
        if moved {
            let host = 2 + self.chance.below(200) as u8;
            link.local = local_address(index, at, host, link.nat.is_some());
        }
        client.unsaid.get_or_insert_default().extend(gone);
    }

    pub(super) fn socket_error(&mut self, index: usize, socket: SocketKey) -> Verdict {
        let now = self.now;
        let client = &mut self.clients[index];
        if !client.is_running() {
            return Ok(());
        }
        let shown = client.clock.at(now);
        if let Some(engine) = &mut client.engine {
            engine.handle_socket_error(socket, shown);
        }
        self.trace.line(now, || format!("c{index}      cannot send on {socket:?}"));
        self.settle_client(index)
    }

    fn blacken(&mut self, client: usize, link: usize, (up, down): (bool, bool), until: Time) {
        for pipe in affected(&mut self.clients[client].links[link], up, down) {
            pipe.black_until = pipe.black_until.max(until);
        }
    }

    fn worsen(
        &mut self,
        client: usize,
        link: usize,
        (up, down): (bool, bool),
        quality: Quality,
        until: Time,
    ) {
        for pipe in affected(&mut self.clients[client].links[link], up, down) {
            pipe.trouble = Some((quality, until));
        }
    }

    /// Plans the whole flapping.
    fn flap(
        &mut self,
        client: usize,
        link: usize,
        silent: bool,
        (dead, alive): (Duration, Duration),
        times: u32,
    ) {
        for turn in 0..times {
            let fault = if silent {
                Fault::Black { client, link, up: true, down: true, lasts: dead }
            } else {
                let notice = Duration::from_millis(5);
                Fault::LinkDown { client, link, notice, lasts: dead, reason: Reason::LinkDown, moved: false }
            };
            self.plan(self.now + (dead + alive) * turn, Happening::Trouble(fault));
        }
    }

    fn restart_gateway(&mut self, polite: bool, lasts: Duration) -> Verdict {
        let now = self.now;
        if !self.server.is_running() {
            return Ok(());
        }
        if polite {
            let shown = self.server.clock.at(now);
            if let Some(engine) = &mut self.server.engine {
                engine.handle_command(GatewayCommand::CloseAll { reason: Reason::Shutdown }, shown);
            }
            self.settle_server()?;
        }
        self.note_gateway();
        self.server.stop();
        self.plan(now + lasts, Happening::GatewayUp);
        Ok(())
    }

    pub(super) fn gateway_up(&mut self) -> Verdict {
        if self.server.engine.is_some() {
            return Ok(());
        }
        let rng = self.chance.fork();
        self.carried.clear();
        self.trace.line(self.now, || "gw      starts".to_owned());
        self.server.start(rng, self.now)?;
        self.settle_server()
    }

    fn restart_client(&mut self, index: usize, polite: bool, lasts: Duration) -> Verdict {
        let now = self.now;
        let client = &mut self.clients[index];
        if !client.is_running() {
            return Ok(());
        }
        if polite {
            client.leaving = true;
            let shown = client.clock.at(now);
            if let Some(engine) = &mut client.engine {
                // A refusal only says that there was no session to end.
                engine.handle_command(Command::Close, shown).ok();
            }
            self.settle_client(index)?;
        }
        self.clients[index].stop();
        self.plan(now + lasts, Happening::ClientUp { client: index });
        Ok(())
    }

    pub(super) fn client_up(&mut self, index: usize) -> Verdict {
        let now = self.now;
        if self.clients[index].engine.is_some() {
            return Ok(());
        }
        let rng = self.chance.fork();
        self.trace.line(now, || format!("c{index}      starts"));
        let client = &mut self.clients[index];
        let gateway = GatewayPeer::of_file(Server::key().public(), self.server.endpoints.clone());
        client.start(vec![gateway], rng, now);
        client.tell_links(now);
        self.settle_client(index)
    }

    fn suspend(&mut self, index: usize, lasts: Duration, moved: bool) {
        if !self.clients[index].is_running() {
            return;
        }
        self.clients[index].presence = Presence::Asleep;
        self.plan(self.now + lasts, Happening::ClientWakes { client: index, moved });
    }

    pub(super) fn client_wakes(&mut self, index: usize, moved: bool) -> Verdict {
        let now = self.now;
        if !self.is_asleep(index) {
            return Ok(());
        }
        self.trace.line(now, || format!("c{index}      wakes"));
        self.clients[index].presence = Presence::Running;
        let shown = self.clients[index].clock.at(now);
        if let Some(engine) = &mut self.clients[index].engine {
            engine.handle_resume(shown);
        }
        self.settle_client(index)?;
        for link in 0..self.clients[index].links.len() {
            if moved && self.clients[index].links[link].present && self.chance.chance(700) {
                self.renew(index, link, true);
            }
        }
        self.clients[index].tell_links(now);
        self.settle_client(index)
    }

    fn stall_client(&mut self, index: usize, lasts: Duration) {
        if !self.clients[index].is_running() {
            return;
        }
        self.clients[index].presence = Presence::Stalled;
        self.plan(self.now + lasts, Happening::StallOver { client: index });
    }

    pub(super) fn stall_over(&mut self, index: usize) -> Verdict {
        let client = &mut self.clients[index];
        if client.presence != Presence::Stalled {
            return Ok(());
        }
        client.presence = Presence::Running;
        for flight in std::mem::take(&mut client.inbox) {
            self.arrive(flight)?;
        }
        self.clients[index].tell_links(self.now);
        self.settle_client(index)
    }

    fn stall_gateway(&mut self, lasts: Duration) {
        if self.server.is_running() {
            self.server.stalled = true;
            self.plan(self.now + lasts, Happening::GatewayStallOver);
        }
    }

    pub(super) fn gateway_stall_over(&mut self) -> Verdict {
        if !self.server.stalled {
            return Ok(());
        }
        self.server.stalled = false;
        for flight in std::mem::take(&mut self.server.inbox) {
            self.arrive(flight)?;
        }
        self.settle_server()
    }

    fn lose_fence(&mut self, lasts: Duration) -> Verdict {
        // Sometimes at once, sometimes the last renewal runs out.
        let left = if self.chance.chance(500) {
            Duration::ZERO
        } else {
            self.chance.span(Duration::ZERO, lasts / 2)
        };
        self.server.fence.valid_until = self.server.clock.at(self.now) + left;
        self.server.tell_fence();
        self.plan(self.now + lasts, Happening::FenceBack);
        self.settle_server()
    }

    pub(super) fn fence_back(&mut self) -> Verdict {
        self.trace.line(self.now, || "gw      fence is back".to_owned());
        self.server.fence.valid_until = Time::MAX;
        self.server.tell_fence();
        self.settle_server()
    }

    pub(super) fn store_answer(&mut self, incarnation: u64, answer: Answer) -> Verdict {
        let now = self.now;
        if incarnation != self.server.incarnation || self.server.engine.is_none() {
            return Ok(());
        }
        if self.server.stalled {
            self.plan(now + Duration::from_millis(1), Happening::StoreAnswer { incarnation, answer });
            return Ok(());
        }
        self.trace.line(now, || format!("gw <--- store {answer:?}"));
        self.server.hear(answer, now);
        self.settle_server()
    }

    /// A clock jumps ahead: nobody has slept, and nobody is told.
    fn jump_clock(&mut self, who: Option<usize>, by: Duration) -> Verdict {
        match who {
            Some(client) => {
                self.clients[client].clock.jump(by);
                self.settle_client(client)
            }
            None => {
                self.server.clock.jump(by);
                self.settle_server()
            }
        }
    }

    fn order(&mut self, index: usize, order: Order) -> Verdict {
        let now = self.now;
        let client = &mut self.clients[index];
        if !client.is_running() {
            return Ok(());
        }
        let name = |link: usize| client.links[link].iface.to_string();
        let command = match order {
            Order::Jump => Command::Jump { to: None },
            Order::JumpTo(link) => Command::Jump { to: Some(name(link)) },
            Order::Pin(link) => Command::Pin { path: name(link) },
            Order::Unpin => Command::Unpin,
        };
        let shown = client.clock.at(now);
        let Some(engine) = &mut client.engine else { return Ok(()) };
        let outcome = engine.handle_command(command, shown);
        self.trace.line(now, || format!("c{index}      {order:?}: {outcome:?}"));
        self.settle_client(index)
    }

    fn close_at_gateway(&mut self, index: usize) -> Verdict {
        let now = self.now;
        let session = self.server.rows.iter().find(|(_, row)| row.client == index).map(|(label, _)| *label);
        let (Some(session), true) = (session, self.server.is_running()) else { return Ok(()) };
        let shown = self.server.clock.at(now);
        if let Some(engine) = &mut self.server.engine {
            engine.handle_command(GatewayCommand::Close { session, reason: Reason::OwnerClosed }, shown);
        }
        self.settle_server()
    }

    /// All trouble is over: links carry, processes run, everybody talks.
    pub(super) fn calm_down(&mut self) -> Verdict {
        let now = self.now;
        self.calm = true;
        self.trace.line(now, || "*** all trouble is over".to_owned());
        self.server.trouble = None;
        self.interception = None;
        self.gateway_stall_over()?;
        self.gateway_up()?;
        self.fence_back()?;
        for index in 0..self.clients.len() {
            self.stall_over(index)?;
            self.client_wakes(index, false)?;
            self.client_up(index)?;
            for link in 0..self.clients[index].links.len() {
                self.clients[index].links[link].heal();
                self.link_back(index, link, false)?;
            }
            talk(&mut self.clients[index]);
        }
        Ok(())
    }
}

fn talk(client: &mut Client) {
    client.rogue = 0;
    for flow in [&mut client.up, &mut client.down] {
        flow.spacing = Some(CALM_SPACING);
        flow.pause = Duration::ZERO;
    }
}

fn affected(link: &mut Link, up: bool, down: bool) -> impl Iterator<Item = &mut Pipe> {
    let Link { up: upward, down: downward, .. } = link;
    [up.then_some(upward), down.then_some(downward)].into_iter().flatten()
}
