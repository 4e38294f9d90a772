//! The live view of a cell: who owns the session, who leads the store, and a key for every fault.

use std::fmt::Write;
use std::time::{Duration, Instant};

use super::etcd;
use super::fault::{Fault, Ongoing};
use super::nemesis::Arena;
use super::plan::{self, COUNT};
use crate::gaps::Account;
use crate::live::{BOLD, GREEN, PLAIN, Pressed, RED, View, framed};
use crate::story::{Direction, Directions};

/// Over which time a drain by key spreads its moves.
const DRAIN: Duration = Duration::from_secs(1);
/// Datagrams younger than this may still be under way and are not called lost.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// What a key does to the chosen gateway, or to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Fault(Fault),
    Drain,
    Undrain,
}

/// Key, act (on gateway 0, which is replaced by the chosen one) and what the help says. A key of a fault takes it back
/// when it is there.
const KEYS: &[(u8, Act, &str)] = &[
    (b's', Act::Fault(Fault::StoreCut(0, Directions::BOTH)), "cut from the store"),
    (b'u', Act::Fault(Fault::StoreCut(0, Directions::only(Direction::Down))), "only from it"),
    (b'w', Act::Fault(Fault::StoreCut(0, Directions::only(Direction::Up))), "only towards it"),
    (b'c', Act::Fault(Fault::ClientCut(0, Directions::BOTH)), "cut from clients"),
    (b'l', Act::Fault(Fault::StoreSlow(0, Duration::from_millis(200))), "slow store"),
    (b'p', Act::Fault(Fault::GatewayPaused(0)), "stop (SIGSTOP)"),
    (b'k', Act::Fault(Fault::GatewayKilled(0)), "kill"),
    (b'd', Act::Drain, "drain"),
    (b'r', Act::Undrain, "undrain"),
    (b'L', Act::Fault(Fault::LeaderCut), "store: leader cut"),
    (b'P', Act::Fault(Fault::LeaderPaused), "leader stopped"),
    (b'K', Act::Fault(Fault::LeaderKilled), "leader killed"),
    (b'F', Act::Fault(Fault::LeaderFrozen), "its disk frozen"),
    (b'D', Act::Fault(Fault::DiskFull(0)), "a disk full"),
    (b'Q', Act::Fault(Fault::NoQuorum), "no quorum"),
];

/// A cell, looked at.
#[derive(Debug)]
pub struct CellView {
    arena: Arena,
    chosen: usize,
    ongoing: Vec<(Fault, Ongoing)>,
    owner: Option<usize>,
    leader: Option<usize>,
    session: String,
    accounts: [Account; 2],
    last: Option<(String, Instant)>,
    began: Instant,
    message: String,
}

impl CellView {
    /// Looks at it for the first time.
    #[must_use]
    pub fn new(arena: Arena) -> CellView {
        CellView {
            arena,
            chosen: 0,
            ongoing: Vec::new(),
            owner: None,
            leader: None,
            session: String::new(),
            accounts: [Account::default(); 2],
            last: None,
            began: Instant::now(),
            message: String::new(),
        }
    }

    fn act(&mut self, act: Act, what: &str) {
        let at = self.chosen;
        let Arena { cell, store, daemons, .. } = &mut self.arena;
        let done = match act {
            Act::Drain => daemons.drain(at, DRAIN),
            Act::Undrain => daemons.undrain(at),
            Act::Fault(fault) => {
                let fault = fault.at(at);
                match self.ongoing.iter().position(|(other, _)| *other == fault) {
                    Some(index) => self.ongoing.remove(index).1.end(cell, store, Some(daemons)),
                    None => fault.begin(cell, store, Some(daemons)).map(|ongoing| {
                        self.ongoing.push((fault, ongoing));
                    }),
                }
            }
        };
        self.message = done.err().map(|error| error.to_string()).unwrap_or_default();
        self.last = Some((format!("{}: {what}", plan::GATEWAYS[at]), Instant::now()));
        self.arena.streams.tcp.mark();
    }

    fn draw(&self, out: &mut String) -> std::fmt::Result {
        let seconds = self.began.elapsed().as_secs();
        writeln!(
            out,
            "{BOLD}Jumping VPN cell{PLAIN}   {}   {:02}:{:02}\n",
            self.session,
            seconds / 60,
            seconds % 60
        )?;
        writeln!(out, "  laptop ── internet ─┬─ gateway1 ─┬─ router ── server")?;
        writeln!(out, "                      ├─ gateway2 ─┤")?;
        writeln!(out, "                      └─ gateway3 ─┘   store: etcd1, etcd2, etcd3\n")?;
        for index in 0..COUNT {
            let mark = if index == self.chosen { ">" } else { " " };
            let owns = if self.owner == Some(index) { "owns the session" } else { "" };
            let leads = if self.leader == Some(index) { "leads" } else { "" };
            writeln!(
                out,
                "{mark} {} {:<9} {GREEN}{owns:<18}{PLAIN} {:<6} {GREEN}{leads}{PLAIN}",
                index + 1,
                plan::GATEWAYS[index],
                plan::MEMBERS[index],
            )?;
        }
        writeln!(out)?;
        for (fault, _) in &self.ongoing {
            writeln!(out, "  {RED}{fault}{PLAIN}")?;
        }
        let ms = |duration: Duration| format!("{:.1} ms", duration.as_secs_f64() * 1e3);
        let [up, down] = self.accounts;
        writeln!(out, "\n    stream                      up          down")?;
        writeln!(out, "    UDP lost          {:>12}  {:>12}", up.lost_count, down.lost_count)?;
        writeln!(out, "        longest gap   {:>12}  {:>12}  since the last key", ms(up.gap), ms(down.gap))?;
        let [tcp_up, tcp_down] = Direction::ALL.map(|direction| self.arena.streams.tcp.right_len(direction));
        writeln!(out, "    TCP right bytes   {tcp_up:>12}  {tcp_down:>12}")?;
        match &self.last {
            Some((what, at)) => {
                writeln!(out, "\n  last: {BOLD}{what}{PLAIN}, {:.1} s ago", at.elapsed().as_secs_f64())?
            }
            None => writeln!(out, "\n  nothing has happened yet")?,
        }
        writeln!(out, "  {RED}{}{PLAIN}\n", self.message)?;
        write!(out, "  {BOLD}1 2 3{PLAIN} choose")?;
        for (index, (key, _, what)) in KEYS.iter().enumerate() {
            let separator = if index % 5 == 4 { "\n  " } else { "   " };
            write!(out, "{separator}{BOLD}{}{PLAIN} {what}", char::from(*key))?;
        }
        writeln!(out, "   {BOLD}q{PLAIN} quit")
    }
}

impl View for CellView {
    fn look(&mut self) {
        self.owner = self.arena.daemons.owner();
        // Who leads is told by whoever answers at once; one that is stopped would hold up the picture.
        let statuses = (0..COUNT).map(|index| etcd::status_soon(&self.arena.cell.core, index).ok());
        self.leader = statuses
            .enumerate()
            .find_map(|(index, status)| status.filter(|status| status.id == status.leader).map(|_| index));
        if let Ok(status) = self.arena.daemons.status() {
            let id = status.session.as_deref().map_or("no session", |id| id.get(..8).unwrap_or(id));
            self.session =
                format!("session {id} {}   owner epoch {}", status.state, status.epoch.unwrap_or(0));
        }
        let now = Instant::now();
        let since = self.last.as_ref().map_or(self.began, |(_, at)| *at);
        let settled = now.checked_sub(UNDER_WAY).unwrap_or(now);
        self.accounts = Direction::ALL.map(|direction| {
            let record = self.arena.streams.udp.record(direction);
            Account { lost_count: record.account(since, settled).lost_count, ..record.account(since, now) }
        });
    }

    fn picture(&self, width: usize) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        self.draw(&mut text).ok();
        framed(&text, width)
    }

    fn handle_key(&mut self, key: u8) -> Option<Pressed> {
        match key {
            // Ctrl-D leaves as well, as it leaves a shell.
            b'q' | 4 => return Some(Pressed::Quit),
            b'1'..=b'3' => self.chosen = usize::from(key - b'1'),
            key => {
                let (_, act, what) = KEYS.iter().find(|(known, ..)| *known == key)?;
                self.act(*act, what);
            }
        }
        Some(Pressed::Done)
    }
}
