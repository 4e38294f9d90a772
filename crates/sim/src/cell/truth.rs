//! What is true, which nobody inside the world can see, and the judgements on it: I1 to I14.
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use jumpvpn_events::{SessionLabel, Time};
use jumpvpn_ownership::{
    Change, Handle, Incarnation, MemoryStore, RecordState, SessionRecord, Transaction, WallClock,
};
use jumpvpn_wire::DataHeader;

use crate::invariants::{Breach, Invariant, Verdict, ensure};

/// A session as the store has it.
#[derive(Clone, Copy, Debug)]
struct Known {
    label: SessionLabel,
    owner: Incarnation,
    epoch: u64,
    version: u64,
    live: bool,
    /// Wall clock time in milliseconds.
    expires_ms: u64,
}

/// A packet passes a gateway.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pass {
    pub who: Incarnation,
    pub label: SessionLabel,
    pub epoch: u64,
    /// The session is being given away.
    pub frozen: bool,
    /// The gateway's clock stood still, or there is a copy of it.
    pub doubtful: bool,
    /// The gateway's wall clock.
    pub wall_ms: u64,
    /// The life of the store that the gateway believes in.
    pub life: u32,
}

/// What is kept of a packet that passed.
#[derive(Clone, Copy, Debug)]
struct Passed {
    epoch: u64,
    who: Incarnation,
    life: u32,
    at: Time,
}

/// Who sealed a datagram, and under which owner epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    pub label: SessionLabel,
    pub epoch: u64,
}

/// Everything that is known of all.
pub(crate) struct Truth {
    /// The life of the store.
    life: u32,
    granted: BTreeMap<(u32, Handle, u64), Incarnation>,
    known: BTreeMap<Handle, Known>,
    handles: BTreeMap<SessionLabel, Handle>,
    /// Handles whose session has ended.
    over: BTreeSet<Handle>,
    dead: BTreeSet<Incarnation>,
    /// The last one that began with what the store before had held some time ago, and that persons kept: it grants owner epochs once
    /// more.
    put_back: u32,
    /// The last packet of a session that passed.
    passed: BTreeMap<SessionLabel, Passed>,
    /// The highest owner epoch that each client has accepted something under, by its process.
    accepted: BTreeMap<(usize, SessionLabel), u64>,
    /// Where sessions stood when they were looked at last, by who was looked at.
    stood: BTreeMap<(u64, SessionLabel), (u64, u64)>,
    sealed: HashMap<(u64, u64, u8, u8, u32), u64>,
    /// How often each invariant was judged.
    pub checks: BTreeMap<Invariant, u64>,
    /// What was allowed only because a clock stood still, or there was a copy.
    pub pardons: u64,
    /// What this one says is turned around: shows that it can.
    pub forged: Option<Invariant>,
}

/// Wall clock time as it stands in records.
const AS_WRITTEN: WallClock = WallClock { zero_ms: 0 };

impl Truth {
    pub fn new() -> Truth {
        Truth {
            life: 1,
            put_back: 0,
            granted: BTreeMap::new(),
            known: BTreeMap::new(),
            handles: BTreeMap::new(),
            over: BTreeSet::new(),
            dead: BTreeSet::new(),
            passed: BTreeMap::new(),
            accepted: BTreeMap::new(),
            stood: BTreeMap::new(),
            sealed: HashMap::new(),
            checks: BTreeMap::new(),
            pardons: 0,
            forged: None,
        }
    }

    /// Judges, and counts it.
    pub fn judge(&mut self, invariant: Invariant, holds: bool, what: impl FnOnce() -> String) -> Verdict {
        *self.checks.entry(invariant).or_default() += 1;
        ensure(holds, invariant, what)
    }

    fn forges(&self, invariant: Invariant) -> bool {
        self.forged == Some(invariant)
    }

    /// It is another store now: what was promised of the one before is over.
    pub fn store_replaced(&mut self, life: u32) {
        self.life = life;
        self.known.clear();
        self.over.clear();
        self.dead.clear();
    }

    /// Persons will keep what the store of this life was put back to.
    pub fn store_kept(&mut self) {
        self.put_back = self.life;
    }

    /// Whether the store says that it will never act again.
    pub fn is_dead(&self, who: Incarnation) -> bool {
        self.dead.contains(&who)
    }

    /// The handle of a session, once the store has heard of it.
    pub fn handle_of(&self, label: SessionLabel) -> Option<Handle> {
        self.handles.get(&label).copied()
    }

    /// Whether the store has a session as given to somebody else than `me`.
    pub fn is_given_away(&self, handle: Handle, me: Incarnation) -> bool {
        self.known.get(&handle).is_some_and(|known| known.owner != me)
    }

    /// A transaction of `by` was committed, and the store is this now.
    pub fn committed(&mut self, by: Incarnation, transaction: &Transaction, store: &MemoryStore) -> Verdict {
        let mut sessions = false;
        for change in &transaction.changes {
            let key = &*change.key().0;
            sessions |= key.starts_with(b"s/") || key.starts_with(b"a/");
            match change {
                Change::Put { value, .. } if key.starts_with(b"s/") => self.record_put(by, value)?,
                Change::Put { .. } => self.small_put(key)?,
                Change::Delete { .. } => {}
            }
        }
        if sessions { self.one_holder(store) } else { Ok(()) }
    }

    fn small_put(&mut self, key: &[u8]) -> Verdict {
        let incarnation =
            |prefix: &[u8]| key.strip_prefix(prefix).and_then(|rest| rest.try_into().ok()).map(Incarnation);
        if let Some(who) = incarnation(b"hb/") {
            let dead = self.is_dead(who);
            return self
                .judge(Invariant::DeadIsSilent, !dead, || format!("a heartbeat of {who:?}, which is dead"));
        }
        self.dead.extend(incarnation(b"dead/"));
        Ok(())
    }

    fn record_put(&mut self, by: Incarnation, value: &[u8]) -> Verdict {
        let decoded = SessionRecord::decode(value, AS_WRITTEN);
        let Ok((_, record)) = decoded else {
            return Err(Breach { invariant: Invariant::Internal, what: "a record that is none".into() });
        };
        let (handle, label) = (record.handle, SessionLabel(record.sid));
        let words = || format!("{by:?} writes {label}: {record:?}");
        let buried = self.is_dead(by);
        self.judge(Invariant::DeadIsSilent, !buried, words)?;
        let owner = *self.granted.entry((self.life, handle, record.owner_epoch)).or_insert(record.owner);
        self.judge(Invariant::OneGrant, owner == record.owner, words)?;
        let before = self.known.get(&handle).copied();
        let higher = before
            .is_none_or(|before| (record.owner_epoch, record.version) >= (before.epoch, before.version));
        self.judge(Invariant::NoStepBack, higher, || format!("{} after {before:?}", words()))?;
        let live = record.state == RecordState::Live;
        let over = self.over.contains(&handle);
        self.judge(Invariant::OverIsOver, !(live && over), words)?;
        if !live {
            self.over.insert(handle);
        }
        let expires_ms = record.expires.as_millis();
        let (owner, epoch, version) = (record.owner, record.owner_epoch, record.version);
        let known = Known { label, owner, epoch, version, live, expires_ms };
        self.known.insert(handle, known);
        self.handles.insert(label, handle);
        Ok(())
    }

    fn one_holder(&mut self, store: &MemoryStore) -> Verdict {
        let mut holders: BTreeMap<IpAddr, Handle> = BTreeMap::new();
        for (_, stored) in store.entries().filter(|(key, _)| key.0.starts_with(b"s/")) {
            let Ok((_, record)) = SessionRecord::decode(&stored.value, AS_WRITTEN) else { continue };
            if record.state != RecordState::Live {
                continue;
            }
            for address in record.addresses() {
                let other = holders.insert(address, record.handle);
                self.judge(Invariant::OneHolder, other.is_none(), || {
                    format!("{address} belongs to {:?} and {other:?}", record.handle)
                })?;
            }
        }
        Ok(())
    }

    /// A packet passes a gateway.
    pub fn pass(&mut self, pass: &Pass, now: Time) -> Verdict {
        let words = || format!("{pass:?}");
        self.judge(Invariant::FrozenIsSilent, !pass.frozen, words)?;
        let known = self.handle_of(pass.label).and_then(|handle| self.known.get(&handle)).copied();
        if let Some(known) = known.filter(|known| known.label == pass.label) {
            let expires_ms = if self.forges(Invariant::OverIsOver) { 0 } else { known.expires_ms };
            // Records have milliseconds.
            let right = known.live && pass.wall_ms <= expires_ms;
            // A doubtful gateway may not have heard that somebody else has ended it.
            let pardoned = pass.doubtful && !right && !self.forges(Invariant::OverIsOver);
            self.pardons += u64::from(pardoned);
            self.judge(Invariant::OverIsOver, right || pardoned, || format!("{} of {known:?}", words()))?;
        }
        let buried = self.is_dead(pass.who);
        let last = self.passed.get(&pass.label).copied();
        let first = last.is_none_or(|last| {
            let again = last.life < self.put_back && pass.life >= self.put_back;
            again || pass.epoch > last.epoch || (pass.epoch == last.epoch && pass.who == last.who)
        });
        if pass.doubtful && (buried || !first) {
            self.pardons += 1;
            return Ok(());
        }
        self.judge(Invariant::DeadIsSilent, !buried, words)?;
        self.judge(Invariant::OneServes, first, || {
            format!("{} after {:?}", words(), last.map(|last| (last.epoch, last.who, last.at)))
        })?;
        let Pass { epoch, who, life, .. } = *pass;
        self.passed.insert(pass.label, Passed { epoch, who, life, at: now });
        Ok(())
    }

    /// More than one gateway may pass data of a session at this instant, or not: `may` are those that may.
    pub fn may_pass(&mut self, may: &[(SessionLabel, Incarnation)]) -> Verdict {
        let mut owners: BTreeMap<SessionLabel, Incarnation> = BTreeMap::new();
        for (label, who) in may {
            let other = owners.insert(*label, *who);
            self.judge(Invariant::OneServes, other.is_none(), || {
                format!("{label} may be served by {who:?} and {other:?}")
            })?;
        }
        Ok(())
    }

    /// Somebody who is looked at has a session at that place.
    pub fn stands(&mut self, who: u64, label: SessionLabel, epoch: u64, version: u64) -> Verdict {
        let before = self.stood.insert((who, label), (epoch, version));
        self.judge(Invariant::NoStepBack, before.is_none_or(|before| (epoch, version) >= before), || {
            format!("{label} is at {:?} and was at {before:?}", (epoch, version))
        })
    }

    /// A client opens what was sealed so.
    pub fn opened(&mut self, client: usize, seal: Seal) -> Verdict {
        let highest = self.accepted.get(&(client, seal.label)).copied().unwrap_or(0);
        let epoch = if self.forges(Invariant::NoOldEpoch) { highest.saturating_sub(1) } else { seal.epoch };
        self.judge(Invariant::NoOldEpoch, epoch >= highest, || {
            format!("client {client} accepts {seal:?} after epoch {highest}")
        })?;
        self.accepted.insert((client, seal.label), highest.max(seal.epoch));
        Ok(())
    }

    /// A datagram leaves whoever sealed it. Its CID and the request that made its `binding` stand for the key: those differ for each
    /// binding, direction and key epoch.
    pub fn sealed(&mut self, binding: u64, bytes: &[u8]) -> Verdict {
        let Ok(header) = DataHeader::parse(bytes) else { return Ok(()) };
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let hash = hasher.finish();
        let number = if self.forges(Invariant::NonceOnce) { 0 } else { header.pn };
        let place = (binding, header.cid.0, header.generation, header.lane, number);
        let before = *self.sealed.entry(place).or_insert(hash);
        self.judge(Invariant::NonceOnce, hash == before, || format!("two packets are {header:?}"))
    }
}
