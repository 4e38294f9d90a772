//! What can go wrong in a cell, and how it is put right again.
//!
//! Faults of gateways need daemons; without them (`None`) there is nobody whom they could meet.

use std::fmt;
use std::io;
use std::time::Duration;

use super::cell::Cell;
use super::daemons::Daemons;
use super::etcd::Store;
use crate::link::RadioLink;
use crate::shaper::Conditions;
use crate::story::{Direction, Directions};

/// A fault, before it is known whom it meets where that depends on who leads the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A gateway and the store do not hear each other; one way, the gateway hears (down) or is heard (up) no more.
    StoreCut(usize, Directions),
    /// A gateway and its clients do not hear each other; one way as above.
    ClientCut(usize, Directions),
    /// Each packet between a gateway and the store takes this much longer.
    StoreSlow(usize, Duration),
    /// The store's leader and everybody else do not hear each other.
    LeaderCut,
    /// The store's leader is stopped (SIGSTOP).
    LeaderPaused,
    /// The store's leader is killed, and started again in the end.
    LeaderKilled,
    /// The disk of the store's leader does not answer; where it has none of its own, the leader is stopped.
    LeaderFrozen,
    /// The disk of a member of the store is full.
    DiskFull(usize),
    /// Two members of the store are stopped: nothing can be committed.
    NoQuorum,
    /// A gateway and the store do not hear each other, and what clients send to that gateway comes this much later: it
    /// still gets packets of its session when another gateway may own it.
    Straggler(usize, Duration),
    /// The same, and clients hear nothing of that gateway, so that they leave it while it still may act.
    Forgotten(usize, Duration),
    /// A gateway is stopped (SIGSTOP).
    GatewayPaused(usize),
    /// A gateway is killed, and started again in the end.
    GatewayKilled(usize),
}

/// A fault that is happening.
#[derive(Debug)]
pub struct Ongoing {
    fault: Fault,
    /// The members of the store that it met.
    members: Vec<usize>,
}

impl Fault {
    /// Lets it happen.
    ///
    /// # Errors
    /// It cannot happen here: nobody leads, a disk is none of its own, or a gateway does not run.
    pub fn begin(self, cell: &Cell, store: &mut Store, daemons: Option<&mut Daemons>) -> io::Result<Ongoing> {
        let members = match self {
            Fault::DiskFull(member) => vec![member],
            Fault::NoQuorum => vec![0, 1],
            Fault::LeaderCut | Fault::LeaderPaused | Fault::LeaderKilled | Fault::LeaderFrozen => {
                vec![store.wait_for_leader(cell)?]
            }
            _ => Vec::new(),
        };
        if let (Fault::GatewayPaused(gateway) | Fault::GatewayKilled(gateway), Some(daemons)) =
            (self, daemons)
        {
            match self {
                Fault::GatewayPaused(_) => daemons.pause_gateway(gateway)?,
                _ => daemons.kill_gateway(gateway)?,
            }
        }
        let ongoing = Ongoing { fault: self, members };
        ongoing.apply(cell, store)?;
        Ok(ongoing)
    }

    /// The same fault, but it meets this gateway, or this member of the store, if it meets a named one.
    #[must_use]
    pub fn at(self, index: usize) -> Fault {
        match self {
            Fault::StoreCut(_, ways) => Fault::StoreCut(index, ways),
            Fault::ClientCut(_, ways) => Fault::ClientCut(index, ways),
            Fault::StoreSlow(_, delay) => Fault::StoreSlow(index, delay),
            Fault::Straggler(_, delay) => Fault::Straggler(index, delay),
            Fault::Forgotten(_, delay) => Fault::Forgotten(index, delay),
            Fault::GatewayPaused(_) => Fault::GatewayPaused(index),
            Fault::GatewayKilled(_) => Fault::GatewayKilled(index),
            Fault::DiskFull(_) => Fault::DiskFull(index),
            other => other,
        }
    }

    /// The gateway that it meets, if it meets one alone.
    #[must_use]
    pub fn gateway(self) -> Option<usize> {
        match self {
            Fault::StoreCut(gateway, _)
            | Fault::ClientCut(gateway, _)
            | Fault::StoreSlow(gateway, _)
            | Fault::Straggler(gateway, _)
            | Fault::Forgotten(gateway, _)
            | Fault::GatewayPaused(gateway)
            | Fault::GatewayKilled(gateway) => Some(gateway),
            _ => None,
        }
    }
}

impl Ongoing {
    fn apply(&self, cell: &Cell, store: &mut Store) -> io::Result<()> {
        match self.fault {
            Fault::StoreCut(gateway, directions) => cut(&cell.store[gateway], directions),
            Fault::ClientCut(gateway, directions) => cut(&cell.outer[gateway], directions),
            Fault::StoreSlow(gateway, delay) => slow(&cell.store[gateway], &Direction::ALL, delay),
            Fault::Straggler(gateway, delay) => {
                cut(&cell.store[gateway], Directions::BOTH);
                slow(&cell.outer[gateway], &[Direction::Up], delay);
            }
            Fault::Forgotten(gateway, delay) => {
                cut(&cell.store[gateway], Directions::BOTH);
                slow(&cell.outer[gateway], &[Direction::Up], delay);
                cut(&cell.outer[gateway], Directions::only(Direction::Down));
            }
            _ => {}
        }
        for member in self.members.iter().copied() {
            match self.fault {
                Fault::LeaderCut => cut(&cell.member[member], Directions::BOTH),
                Fault::LeaderPaused | Fault::NoQuorum => store.pause(member)?,
                Fault::LeaderKilled => store.kill(member)?,
                Fault::LeaderFrozen if store.disk(member).why_shared().is_some() => store.pause(member)?,
                Fault::LeaderFrozen => store.disk(member).freeze()?,
                Fault::DiskFull(_) => store.disk(member).fill()?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Puts it right. Whoever was cut off or stopped finds its own way back afterwards.
    ///
    /// # Errors
    /// A member of the store or a gateway cannot be started again.
    pub fn end(self, cell: &Cell, store: &mut Store, daemons: Option<&mut Daemons>) -> io::Result<()> {
        match (self.fault, daemons) {
            (Fault::GatewayPaused(gateway), Some(daemons)) => daemons.resume_gateway(gateway)?,
            (Fault::GatewayKilled(gateway), Some(daemons)) => daemons.start_gateway(cell, gateway)?,
            _ => {}
        }
        match self.fault {
            Fault::StoreCut(gateway, _) | Fault::StoreSlow(gateway, _) => calm(&cell.store[gateway]),
            Fault::ClientCut(gateway, _) => calm(&cell.outer[gateway]),
            Fault::Straggler(gateway, _) | Fault::Forgotten(gateway, _) => {
                calm(&cell.store[gateway]);
                calm(&cell.outer[gateway]);
            }
            _ => {}
        }
        for member in self.members {
            store.disk(member).thaw();
            store.disk(member).make_room()?;
            store.resume(member)?;
            calm(&cell.member[member]);
            // Whether it was killed, or ended by itself because it could not write.
            if !store.is_running(member)? {
                store.start_member(cell, member)?;
            }
        }
        Ok(())
    }
}

fn cut(line: &RadioLink, directions: Directions) {
    set_cut(line, directions, true);
}

/// Cuts a line, or mends it, one way or both.
pub(super) fn set_cut(line: &RadioLink, directions: Directions, black_hole: bool) {
    for direction in Direction::ALL.into_iter().filter(|one| directions.includes(*one)) {
        let conditions = line.conditions(direction);
        line.set_conditions(direction, Conditions { black_hole, ..conditions });
    }
}

fn slow(line: &RadioLink, directions: &[Direction], delay: Duration) {
    for direction in directions {
        let direction = *direction;
        line.set_conditions(direction, Conditions { delay, ..line.conditions(direction) });
    }
}

fn calm(line: &RadioLink) {
    Direction::ALL.into_iter().for_each(|direction| line.set_conditions(direction, Default::default()));
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = |directions: &Directions| match (
            directions.includes(Direction::Up),
            directions.includes(Direction::Down),
        ) {
            (true, false) => ", towards it",
            (false, true) => ", from it",
            _ => "",
        };
        match self {
            Fault::StoreCut(gateway, ways) => {
                write!(out, "gateway{} cut from the store{}", gateway + 1, way(ways))
            }
            Fault::ClientCut(gateway, ways) => {
                write!(out, "gateway{} cut from clients{}", gateway + 1, way(ways))
            }
            Fault::StoreSlow(gateway, delay) => {
                write!(out, "the store {delay:?} away from gateway{}", gateway + 1)
            }
            Fault::LeaderCut => write!(out, "the store's leader cut off"),
            Fault::LeaderPaused => write!(out, "the store's leader stopped"),
            Fault::LeaderKilled => write!(out, "the store's leader killed"),
            Fault::LeaderFrozen => write!(out, "the disk of the store's leader frozen"),
            Fault::DiskFull(member) => write!(out, "the disk of etcd{} full", member + 1),
            Fault::NoQuorum => write!(out, "two members of the store stopped"),
            Fault::Straggler(gateway, delay) => {
                write!(out, "gateway{} cut from the store, and clients {delay:?} late", gateway + 1)
            }
            Fault::Forgotten(gateway, delay) => write!(
                out,
                "gateway{} cut from the store, clients {delay:?} late and deaf to it",
                gateway + 1
            ),
            Fault::GatewayPaused(gateway) => write!(out, "gateway{} stopped", gateway + 1),
            Fault::GatewayKilled(gateway) => write!(out, "gateway{} killed", gateway + 1),
        }
    }
}
