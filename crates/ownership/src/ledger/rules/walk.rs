//! Random walks: many requests, right and wrong, held against a model that is too simple to be wrong.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Client, handle, record};
use crate::conformance::Dice;
use crate::{Answer, Expected, RecordState, Rev, SessionRecord};

/// Places in the store of a walk: fewer than the handles in use, so that it gets full.
pub(super) const ROOM: usize = 8;

/// Handles in use.
const HANDLES: u64 = 12;

const STEPS: u32 = 400;

/// A walk of that seed.
pub(super) fn random(client: &mut Client, seed: u64) {
    let mut dice = Dice::new(seed);
    let mut model: BTreeMap<u16, (Rev, SessionRecord)> = BTreeMap::new();
    let mut last_rev = Rev(0);
    for _ in 0..STEPS {
        let number = dice.roll(HANDLES) as u16;
        let known = model.get(&number).cloned();
        let Some((answer, new)) = step(client, &mut dice, number, known.as_ref()) else { continue };
        if let Answer::Committed { rev, .. } = answer {
            assert!(rev > last_rev, "{rev:?} after {last_rev:?}");
            last_rev = rev;
            assert!(known.is_none_or(|(_, old)| old.state == RecordState::Live), "a dead session changed");
            model.insert(number, (rev, new));
            forget_tombstone(client, &mut model);
        }
        check(client, &model);
    }
}

/// A full store gives one tombstone up for a live session, and never anything else.
fn forget_tombstone(client: &mut Client, model: &mut BTreeMap<u16, (Rev, SessionRecord)>) {
    if model.len() <= ROOM {
        return;
    }
    let mut gone = model.keys().copied().filter(|number| client.read(handle(*number)).is_none());
    let number = gone.next().expect("a record made room");
    assert_eq!(gone.next(), None, "more than one record made room");
    let (_, record) = model.remove(&number).expect("it is in the model");
    assert_ne!(record.state, RecordState::Live, "a live session made room");
}

/// One request, with the record there must be if it is committed.
fn step(
    client: &mut Client,
    dice: &mut Dice,
    number: u16,
    known: Option<&(Rev, SessionRecord)>,
) -> Option<(Answer, SessionRecord)> {
    let stale = dice.roll(3) == 0;
    if known.is_none() || dice.roll(4) == 0 {
        // Sometimes with the address of another session.
        let inner_v4 = record(dice.roll(HANDLES) as u16).inner_v4;
        let new = SessionRecord { inner_v4, ..record(number) };
        return Some((client.create(&new), new));
    }
    let (rev, old) = known?;
    let rev = if stale { Rev(rev.0.wrapping_sub(1)) } else { *rev };
    let expected = Expected { rev, epoch: old.owner_epoch, version: old.version };
    if dice.roll(5) == 0 {
        let answer = client.terminate(expected, handle(number));
        let state = RecordState::Terminated { reason_number: jumpvpn_events::Reason::OwnerClosed.number() };
        let new = SessionRecord { state, version: old.version + 1, ..old.clone() };
        assert!(!stale || !matches!(answer, Answer::Committed { .. }), "a stale termination was committed");
        return Some((answer, new));
    }
    let (owner_epoch, version) = (old.owner_epoch + dice.roll(2), old.version + dice.roll(2));
    let new = SessionRecord { owner_epoch, version, state: RecordState::Live, ..old.clone() };
    let answer = client.update(expected, &new);
    assert!(!stale || !matches!(answer, Answer::Committed { .. }), "a stale update was committed");
    Some((answer, new))
}

/// The store holds what was committed, and no inner address twice.
fn check(client: &mut Client, model: &BTreeMap<u16, (Rev, SessionRecord)>) {
    let mut holders: BTreeMap<IpAddr, u16> = BTreeMap::new();
    assert!(model.len() <= ROOM, "more records than places");
    for (number, entry) in model {
        assert_eq!(client.read(handle(*number)).as_ref(), Some(entry));
        let live = entry.1.state == RecordState::Live;
        for address in entry.1.addresses().filter(|_| live) {
            assert_eq!(holders.insert(address, *number), None, "{address} belongs to two sessions");
        }
    }
}
