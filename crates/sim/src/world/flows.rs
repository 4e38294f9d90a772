//! User packets enter on both sides.
use std::time::Duration;

use jumpvpn_events::State;

use super::{Happening, World};
use crate::invariants::{Invariant, Verdict, ensure};
use crate::server::Row;
use crate::traffic::{Direction, Flow, Mark, compose};

/// How often a flow without traffic is looked at again.
pub(crate) const SILENT: Duration = Duration::from_secs(1);
/// A flow runs for at least and at most so long before it pauses.
const RUN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(20));

impl World {
    /// The next packet of a flow is due.
    pub(super) fn user_packet(&mut self, client: usize, direction: Direction) -> Verdict {
        let now = self.now;
        let flow = match direction {
            Direction::Down => &mut self.clients[client].down,
            _ => &mut self.clients[client].up,
        };
        let flows = flow.spacing.is_some();
        let next = now + pace(flow, now, &mut self.chance);
        self.plan(next, Happening::Traffic { client, direction });
        if !flows {
            return Ok(());
        }
        match direction {
            Direction::Down => self.packet_down(client),
            _ => self.packet_up(client),
        }
    }

    fn packet_up(&mut self, index: usize) -> Verdict {
        let now = self.now;
        let rogue = self.chance.chance(self.clients[index].rogue);
        let client = &mut self.clients[index];
        if !client.is_running() {
            return Ok(());
        }
        let number = client.up.next_number();
        let direction = if rogue { Direction::Rogue } else { Direction::Up };
        let claimed = if rogue { index as u8 + 100 } else { index as u8 };
        let mut buffer = compose(Mark { client: index as u8, direction, number }, claimed);
        let state = client.facts.state;
        let shown = client.clock.at(now);
        let Some(engine) = &mut client.engine else { return Ok(()) };
        let Ok(transmit) = engine.handle_packet(&mut buffer, shown) else { return Ok(()) };
        let alive = !matches!(state, State::Birth | State::Terminated);
        ensure(alive, Invariant::Absorbing, || format!("client {index} sends packets in {state}"))?;
        self.send_up(index, transmit, &buffer[..transmit.len])?;
        self.settle_client(index)
    }

    fn packet_down(&mut self, index: usize) -> Verdict {
        let now = self.now;
        if !self.server.is_running() {
            return Ok(());
        }
        let number = self.clients[index].down.next_number();
        let mark = Mark { client: index as u8, direction: Direction::Down, number };
        let mut buffer = compose(mark, index as u8);
        let shown = self.server.clock.at(now);
        let Some(engine) = &mut self.server.engine else { return Ok(()) };
        let Ok(transmit) = engine.handle_packet(&mut buffer, shown) else { return Ok(()) };
        let right = |row: &Row| row.client == index && row.committed.address == transmit.destination;
        ensure(self.server.rows.values().any(right), Invariant::Delivery, || {
            format!("a packet for client {index} is sent to {}: {:?}", transmit.destination, self.server.rows)
        })?;
        self.send_down(transmit, &buffer[..transmit.len])
    }
}

/// When a flow goes on: its spacing, a little uneven, or a pause.
pub(crate) fn pace(flow: &mut Flow, now: jumpvpn_events::Time, dice: &mut crate::dice::Dice) -> Duration {
    let Some(spacing) = flow.spacing else { return SILENT };
    if now >= flow.flows_until {
        let pause =
            if flow.pause.is_zero() { Duration::ZERO } else { dice.span(flow.pause / 4, flow.pause * 2) };
        flow.flows_until = now + pause + dice.scale(RUN.0, RUN.1);
        return pause + spacing;
    }
    spacing.mul_f64(0.5 + dice.below(1000) as f64 / 1000.0)
}
