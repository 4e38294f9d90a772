//! Which CIDs are valid when, and that a slot given to somebody else is none of theirs any more.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng};

use super::*;

const CAPACITY: usize = 5;
const PENDING: usize = 3;

fn table() -> (Table, ChaCha20Rng) {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    (Table::new(CAPACITY, PENDING, &mut rng, Time::ZERO), rng)
}

/// Reserves the next slot for a handshake at that place.
fn reserve(table: &mut Table, rng: &mut ChaCha20Rng, place: u32) -> (u32, Cid) {
    let slot = table.vacant_slot().unwrap();
    let cid = table.mint_cid(slot, rng);
    assert_eq!(table.by_cid(cid), None, "not valid before it is reserved");
    assert!(table.reserve(cid, place));
    (slot, cid)
}

#[test]
fn a_handshake_has_its_slot_until_it_is_cancelled() {
    let (mut table, mut rng) = table();
    let (slot, cid) = reserve(&mut table, &mut rng, 7);
    assert_eq!(table.by_cid(cid), Some(CidEntry::Pending(7)));
    assert!(!table.reserve(cid, 8), "the slot is taken");
    table.cancel(cid);
    assert_eq!((table.by_cid(cid), table.vacant_slot()), (None, Some(slot)));
    table.cancel(cid);
    let (again, other) = reserve(&mut table, &mut rng, 9);
    assert_eq!(again, slot, "the slot is used again");
    assert_eq!((table.by_cid(cid), table.by_cid(other)), (None, Some(CidEntry::Pending(9))));
    table.cancel(cid);
    assert_eq!(table.by_cid(other), Some(CidEntry::Pending(9)), "who held the slot before cannot cancel it");
}

#[test]
fn there_are_slots_for_all_sessions_and_all_handshakes() {
    let (mut table, mut rng) = table();
    let held: Vec<Cid> =
        (0..CAPACITY + PENDING).map(|place| reserve(&mut table, &mut rng, place as u32).1).collect();
    assert_eq!(table.vacant_slot(), None);
    for (place, cid) in held.iter().enumerate() {
        assert_eq!(table.by_cid(*cid), Some(CidEntry::Pending(place as u32)));
    }
    table.cancel(held[2]);
    assert_eq!(table.vacant_slot(), Some(table.cids.slot(held[2])));
}

#[test]
fn roles_follow_each_other_as_in_a_rekey_and_a_jump() {
    let (mut table, mut rng) = table();
    let (slot, first) = reserve(&mut table, &mut rng, 0);
    let role = |table: &Table, cid: Cid| table.entries[slot as usize].role_of(cid);
    let next = table.mint_cid(slot, &mut rng);
    assert!(table.claim_cid(next, slot, CidRole::Next));
    assert!(!table.claim_cid(next, slot, CidRole::Retiring), "valid already");
    table.move_cid(next, CidRole::Active, 0);
    table.move_cid(first, CidRole::Previous, 0);
    assert_eq!((role(&table, next), role(&table, first)), (Some(CidRole::Active), Some(CidRole::Previous)));
    let jumped = table.mint_cid(slot, &mut rng);
    assert!(table.claim_cid(jumped, slot, CidRole::Active));
    table.release_cid(first);
    table.move_cid(next, CidRole::Retiring, 0);
    assert_eq!((role(&table, jumped), role(&table, next)), (Some(CidRole::Active), Some(CidRole::Retiring)));
    assert_eq!(role(&table, first), None);
    table.release_cid(next);
    assert_eq!(table.entries[slot as usize].cids, [jumped, NO_CID, NO_CID, NO_CID]);
}

#[test]
fn a_cid_is_claimed_for_its_own_slot_only() {
    let (mut table, mut rng) = table();
    let (one, _) = reserve(&mut table, &mut rng, 0);
    let (other, _) = reserve(&mut table, &mut rng, 1);
    let cid = table.mint_cid(one, &mut rng);
    assert!(!table.claim_cid(cid, other, CidRole::Next));
    assert!(!table.claim_cid(NO_CID, one, CidRole::Next));
    assert_eq!(table.by_cid(cid), None);
}

#[test]
fn guesses_and_the_empty_places_of_an_entry_lead_nowhere() {
    let (mut table, mut rng) = table();
    let (_, cid) = reserve(&mut table, &mut rng, 0);
    assert_eq!(table.by_cid(NO_CID), None);
    for bit in 0..64 {
        assert_eq!(table.by_cid(Cid(cid.0 ^ 1 << bit)), None, "bit {bit}");
    }
    for _ in 0..10_000 {
        assert_eq!(table.by_cid(Cid(rng.next_u64())), None);
    }
}

#[test]
fn looking_ahead_takes_anything_and_changes_nothing() {
    let (mut table, mut rng) = table();
    let (_, cid) = reserve(&mut table, &mut rng, 0);
    let cids: Vec<Cid> = (0..FORESEEN_MAX).map(|_| Cid(rng.next_u64())).chain([cid]).collect();
    table.foresee(cids.iter().rev().map(|cid| DataHeader { generation: 0, lane: 0, cid: *cid, pn: 0 }));
    table.foresee_inner(std::iter::once(IpAddr::from([10, 0, 0, 1])));
    assert_eq!(table.by_cid(cid), Some(CidEntry::Pending(0)));
}

#[test]
fn a_foreseen_datagram_is_found_in_whatever_order_it_comes() {
    let (mut table, mut rng) = table();
    let cids: Vec<Cid> = (0..4).map(|place| reserve(&mut table, &mut rng, place).1).collect();
    let found = |table: &mut Table, place: u32| {
        let entry = table.by_cid(cids[place as usize]);
        assert_eq!(entry, Some(CidEntry::Pending(place)));
        table.foreseen_at
    };
    let header = |cid: &Cid| DataHeader { generation: 0, lane: 0, cid: *cid, pn: 0 };
    table.foresee(cids[..3].iter().map(header));
    // Two of one flow, the next one, one that was passed over, one that was not announced, one of before.
    let steps = [0, 0, 1, 3, 0, 2].map(|place| found(&mut table, place));
    assert_eq!(steps, [0, 0, 1, 1, 1, 2]);
    table.cancel(cids[2]);
    assert_eq!(table.by_cid(cids[2]), None, "what was foreseen is no proof");
}

#[test]
fn a_generation_goes_where_its_cid_goes() {
    let (mut table, mut rng) = table();
    let (slot, first) = reserve(&mut table, &mut rng, 0);
    let generation = |table: &Table, role: CidRole| table.entries[slot as usize].generations[role as usize];
    let next = table.mint_cid(slot, &mut rng);
    assert!(table.claim_cid(next, slot, CidRole::Next));
    table.note_generation(slot, CidRole::Next, 7);
    assert_eq!(generation(&table, CidRole::Next), 7);
    table.move_cid(next, CidRole::Active, 7);
    table.move_cid(first, CidRole::Previous, 255);
    assert_eq!((generation(&table, CidRole::Previous), generation(&table, CidRole::Active)), (255, 7));
    let jumped = table.mint_cid(slot, &mut rng);
    assert!(table.claim_cid(jumped, slot, CidRole::Active));
    assert_eq!(generation(&table, CidRole::Active), 0, "a new CID begins at the first");
    let near: Vec<u8> = (0..=255).filter(|other| is_near(*other, 255)).collect();
    assert_eq!(near, [0, 254, 255]);
}
