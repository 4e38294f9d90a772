//! Whether a session ever had two owners: a pure judgement over what gateways wrote down and what was seen on the wire.
//!
//! Two witnesses that know nothing of each other. The *facts* are the gateways' own: who acquired which session under which
//! owner epoch, and when. The *packets* are the kernel's: which gateway sent something for an inner address, and when. All
//! times are of one clock, because all of it happens on one machine.
//!
//! Since each step leads from one epoch to the next, linearizability of the history needs no search: epochs are counted
//! and compared. Not here: where facts and packets come from, and whether a run had enough faults to count.

pub mod keys;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use keys::KeyUse;

/// A gateway acquired a session: it was born there, or taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// When the gateway says it was, since 1970.
    pub at: Duration,
    /// Which gateway, from 0.
    pub gateway: usize,
    /// Id of the session.
    pub session: String,
    /// Its owner epoch.
    pub epoch: u64,
    /// Whether this is the session's first fact.
    pub birth: bool,
}

/// Where a gateway's packet was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// From the client, on its way to the server behind the gateways.
    Inner,
    /// User data on its way to the client.
    Outer,
}

/// A packet of the client's session left a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// When, since 1970.
    pub at: Duration,
    /// Which gateway, from 0.
    pub gateway: usize,
    /// On which side of it.
    pub side: Side,
}

/// A time in which a gateway may have failed to write down what it did: it was paused, killed, or did not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// Which gateway.
    pub gateway: usize,
    /// From when on.
    pub from: Duration,
    /// Until when.
    pub to: Duration,
}

/// Everything about one client.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// In any order.
    pub facts: Vec<Fact>,
    /// In any order.
    pub packets: Vec<Packet>,
    /// In any order.
    pub silences: Vec<Silence>,
    /// What keys sealed under, in any order; nothing where the program does not tell.
    pub key_uses: Vec<KeyUse>,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// An owner epoch was acquired more than once.
    Twice {
        /// The later fact.
        fact: Fact,
        /// Who had acquired it before.
        before: usize,
    },
    /// An owner epoch is missing, and nobody was silent when it should have come.
    Missing {
        /// The session.
        session: String,
        /// The first one that is missing.
        epoch: u64,
    },
    /// An owner epoch was acquired after a higher one, and its gateway was not silent in between.
    Backwards {
        /// The fact that came too late.
        fact: Fact,
        /// How much too late.
        late: Duration,
    },
    /// A session was born under another epoch than 1, or twice.
    Birth {
        /// The fact.
        fact: Fact,
    },
    /// A gateway sent something that never had acquired a session of the client.
    Stranger {
        /// The first such packet.
        packet: Packet,
        /// How many of them.
        count: usize,
    },
    /// A gateway sent something under an owner epoch after another had sent under a higher one.
    Stale {
        /// The first such packet.
        packet: Packet,
        /// Its owner epoch, and the higher one.
        epochs: [u64; 2],
        /// How many of them.
        count: usize,
        /// From the first packet under the higher epoch to the last of these.
        overlap: Duration,
    },
    /// A key sealed twice under one number.
    KeyReused {
        /// One of both.
        one: KeyUse,
        /// The other.
        other: KeyUse,
    },
}

/// What was judged; a run with little of it proves little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Facts.
    pub step_count: usize,
    /// Facts at another gateway than the one before.
    pub move_count: usize,
    /// Packets, by [`Side`].
    pub packet_counts: [usize; 2],
    /// Keys that have sealed something.
    pub key_count: usize,
}

/// Judges everything.
#[must_use]
pub fn judge(evidence: &Evidence) -> (Figures, Vec<Finding>) {
    let mut facts = evidence.facts.clone();
    facts.sort_by_key(|fact| fact.at);
    let mut packets = evidence.packets.clone();
    packets.sort_by_key(|packet| packet.at);
    let mut findings = judge_facts(&facts, &evidence.silences);
    for side in [Side::Inner, Side::Outer] {
        findings.extend(judge_packets(&facts, packets.iter().filter(|packet| packet.side == side)));
    }
    findings.extend(keys::judge(&evidence.key_uses));
    let count = |side| packets.iter().filter(|packet| packet.side == side).count();
    let figures = Figures {
        step_count: facts.len(),
        move_count: facts.windows(2).filter(|pair| pair[0].gateway != pair[1].gateway).count(),
        packet_counts: [count(Side::Inner), count(Side::Outer)],
        key_count: keys::count(&evidence.key_uses),
    };
    (figures, findings)
}

/// `facts` in order of time.
fn judge_facts(facts: &[Fact], silences: &[Silence]) -> Vec<Finding> {
    let mut by_session: BTreeMap<&str, Vec<&Fact>> = BTreeMap::new();
    for fact in facts {
        by_session.entry(&fact.session).or_default().push(fact);
    }
    by_session.values().flat_map(|facts| judge_session(facts, silences)).collect()
}

/// Of one session, in order of time.
fn judge_session(facts: &[&Fact], silences: &[Silence]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut owners: BTreeMap<u64, &Fact> = BTreeMap::new();
    for (index, fact) in facts.iter().enumerate() {
        if fact.birth && (fact.epoch != 1 || index > 0) {
            findings.push(Finding::Birth { fact: (*fact).clone() });
        }
        if let Some(before) = owners.get(&fact.epoch) {
            findings.push(Finding::Twice { fact: (*fact).clone(), before: before.gateway });
            continue;
        }
        // The highest epoch that was there before this one.
        if let Some((_, higher)) = owners.range(fact.epoch..).next_back() {
            let paused =
                |silence: &Silence| silence.gateway == fact.gateway && silence.overlaps(higher.at, fact.at);
            if !silences.iter().any(paused) {
                findings.push(Finding::Backwards { fact: (*fact).clone(), late: fact.at - higher.at });
            }
        }
        owners.insert(fact.epoch, fact);
    }
    let in_order: Vec<_> = owners.values().collect();
    for pair in in_order.windows(2).filter(|pair| pair[1].epoch > pair[0].epoch + 1) {
        if !silences.iter().any(|silence| silence.overlaps(pair[0].at, pair[1].at)) {
            findings.push(Finding::Missing { session: pair[0].session.clone(), epoch: pair[0].epoch + 1 });
        }
    }
    findings
}

impl Silence {
    fn overlaps(&self, from: Duration, to: Duration) -> bool {
        self.from <= to && from <= self.to
    }
}

/// Both in order of time.
fn judge_packets<'a>(facts: &[Fact], packets: impl Iterator<Item = &'a Packet>) -> Vec<Finding> {
    // A session that was born later is newer whatever its epoch is.
    let mut births: BTreeMap<&str, usize> = BTreeMap::new();
    for fact in facts {
        let count = births.len();
        births.entry(&fact.session).or_insert(count);
    }
    let mut to_come = facts.iter().peekable();
    // What each gateway acquired last.
    let mut held: BTreeMap<usize, (usize, u64)> = BTreeMap::new();
    // The newest right that was used, and since when.
    let mut newest: Option<((usize, u64), Duration)> = None;
    let mut findings: Vec<Finding> = Vec::new();
    for packet in packets {
        while let Some(fact) = to_come.next_if(|fact| fact.at <= packet.at) {
            held.insert(fact.gateway, (births[fact.session.as_str()], fact.epoch));
        }
        let right = held.get(&packet.gateway).copied();
        match (right, newest) {
            (None, _) => push_stranger(&mut findings, packet),
            (Some(right), Some((higher, since))) if right < higher => {
                push_stale(&mut findings, packet, [right.1, higher.1], packet.at - since);
            }
            (Some(right), Some((higher, _))) if right == higher => {}
            (Some(right), _) => newest = Some((right, packet.at)),
        }
    }
    findings
}

/// All of one gateway are one finding.
fn push_stranger(findings: &mut Vec<Finding>, stray: &Packet) {
    for finding in &mut *findings {
        match finding {
            Finding::Stranger { packet, count } if packet.gateway == stray.gateway => return *count += 1,
            _ => {}
        }
    }
    findings.push(Finding::Stranger { packet: *stray, count: 1 });
}

/// All of one gateway beside one newer owner are one finding.
fn push_stale(findings: &mut Vec<Finding>, stray: &Packet, pair: [u64; 2], now: Duration) {
    for finding in &mut *findings {
        match finding {
            Finding::Stale { packet, epochs, count, overlap }
                if packet.gateway == stray.gateway && *epochs == pair =>
            {
                (*count, *overlap) = (*count + 1, now);
                return;
            }
            _ => {}
        }
    }
    findings.push(Finding::Stale { packet: *stray, epochs: pair, count: 1, overlap: now });
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |session: &str| session.get(..8).unwrap_or(session).to_owned();
        match self {
            Finding::Twice { fact, before } => write!(
                out,
                "owner epoch {} of session {} was acquired by gateway{} and by gateway{}",
                fact.epoch,
                short(&fact.session),
                before + 1,
                fact.gateway + 1
            ),
            Finding::Missing { session, epoch } => {
                write!(out, "nobody acquired owner epoch {epoch} of session {}", short(session))
            }
            Finding::Backwards { fact, late } => write!(
                out,
                "gateway{} acquired owner epoch {} of session {} {late:?} after a higher one",
                fact.gateway + 1,
                fact.epoch,
                short(&fact.session)
            ),
            Finding::Birth { fact } => write!(
                out,
                "session {} was born at gateway{} under owner epoch {}, or not for the first time",
                short(&fact.session),
                fact.gateway + 1,
                fact.epoch
            ),
            Finding::Stranger { packet, count } => write!(
                out,
                "gateway{} sent {count} packet(s) without ever having owned a session ({:?} side, from {:?} on)",
                packet.gateway + 1,
                packet.side,
                packet.at
            ),
            Finding::Stale { packet, epochs: [epoch, higher], count, overlap } => write!(
                out,
                "gateway{} sent {count} packet(s) under owner epoch {epoch} after one of {higher} had been sent \
                 ({:?} side, for {overlap:?})",
                packet.gateway + 1,
                packet.side
            ),
            Finding::KeyReused { one, other } => {
                write!(out, "a key sealed twice under one number: {one} and {other}")
            }
        }
    }
}

#[cfg(test)]
mod tests;
