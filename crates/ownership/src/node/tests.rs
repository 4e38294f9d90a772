//! Tests of the node.

use std::time::Duration;

use super::*;
use crate::{Burial, Deceased, MemoryStore, Moves, OwnershipStore, RecordState, Request, Verdict};

mod births;
mod cell;
mod mail;

use cell::{Cell, config, session};

const MINUTE: Duration = Duration::from_secs(60);

fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn is_committed(answer: &Answer) -> bool {
    matches!(answer, Answer::Committed { .. })
}

fn refusal(answer: &Answer) -> Option<Reason> {
    match answer {
        Answer::Refused { reason, .. } => Some(*reason),
        _ => None,
    }
}

/// What the table of the design promises: one write per heartbeat and gateway, none for a session that nothing happens to.
#[test]
fn a_steady_session_costs_no_write() {
    let mut cell = Cell::new(2);
    assert!(is_committed(&cell.create(0, &session(1))));
    cell.writes.clear();
    cell.run(MINUTE);
    let writes: Vec<(&str, u64)> = cell.writes.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
    assert_eq!(writes, [("hb", 2 * 60)], "one per second and gateway");
}

#[test]
fn a_crashed_owner_is_buried_after_its_time_and_not_before() {
    let mut cell = Cell::new(3);
    let handle = session(1).handle;
    cell.create(0, &session(1));
    cell.crash(0);
    let crashed = cell.now;
    let early = cell.take(1, handle);
    assert_eq!(refusal(&early), Some(Reason::OwnerAlive), "{early:?}");
    let owner = cell.members[0].node.incarnation();
    let buried = |cell: &Cell| cell.members[1].node.dead.contains_key(&owner);
    assert!(cell.run_until(crashed + secs(30), buried));
    let waited = cell.now.since(crashed);
    assert!(
        waited >= Profile::DEFAULT.death - secs(1) && waited <= Profile::DEFAULT.death + secs(2),
        "{waited:?}"
    );
    assert!(is_committed(&cell.take(1, handle)));
    let (_, record, owner) = cell.read(2, handle);
    assert_eq!((record.owner_epoch, record.moved, owner), (2, true, Owner::Alive));
    assert_eq!(cell.read(1, handle).2, Owner::Me);
}

#[test]
fn an_owner_that_is_cut_off_stops_before_another_one_begins() {
    let mut cell = Cell::new(2);
    let handle = session(1).handle;
    cell.create(0, &session(1));
    cell.members[0].cut = true;
    let cut = cell.now;
    let fenced = |cell: &Cell| cell.members[0].asks.contains(&Ask::Fenced);
    assert!(cell.run_until(cut + secs(30), fenced));
    let stopped = cell.now.since(cut);
    assert!(stopped <= Profile::DEFAULT.lease && stopped >= Profile::DEFAULT.lease - secs(1), "{stopped:?}");
    assert!(cell.members[0].serving.is_empty());
    let former = cell.members[0].node.incarnation();
    assert!(cell.run_until(cut + secs(30), |cell| cell.members[1].node.dead.contains_key(&former)));
    assert!(is_committed(&cell.take(1, handle)));
    cell.members[0].cut = false;
    cell.run(secs(5));
    assert_eq!(cell.members[0].node.status().standing, Standing::Member, "it joins again");
    assert_ne!(cell.members[0].node.incarnation(), former);
    assert_eq!(cell.members[0].node.fence().epoch, 2);
    assert_eq!(cell.read(0, handle).2, Owner::Alive);
}

/// A gateway that can write but hears nothing must not keep others waiting: it stops beating when it stops serving.
#[test]
fn a_deaf_owner_stops_its_heart() {
    let mut cell = Cell::new(2);
    cell.create(0, &session(1));
    cell.members[0].deaf = true;
    let former = cell.members[0].node.incarnation();
    let since = cell.now;
    assert!(cell.run_until(since + secs(30), |cell| cell.members[0].asks.contains(&Ask::Fenced)));
    // Its own tombstone gets through: nobody has to wait for D.
    cell.run(secs(1));
    let tombstone = Operation::Read(keys::tombstone(former));
    assert!(matches!(cell.store.apply(&tombstone), Outcome::Found(Some(_))));
    assert!(is_committed(&cell.take(1, session(1).handle)));
}

#[test]
fn a_live_owner_gives_a_session_away() {
    let mut cell = Cell::new(2);
    let handle = session(1).handle;
    cell.create(0, &session(1));
    let begin = cell.now;
    assert!(is_committed(&cell.take(1, handle)));
    assert!(cell.now.since(begin) < Duration::from_millis(500), "{:?}", cell.now.since(begin));
    assert!(!cell.members[0].serving.contains(&handle));
    assert_eq!(cell.members[0].node.status().held_count, 0);
    let (_, record, owner) = cell.read(1, handle);
    assert_eq!((owner, record.owner_epoch, record.version, record.key_epoch), (Owner::Me, 2, 2, 1));
    assert!(record.moved);
    // And back.
    assert!(is_committed(&cell.take(0, handle)));
    assert_eq!(cell.read(0, handle).1.owner_epoch, 3);
    cell.run(secs(20));
    assert_eq!(wish_count(&cell), 0, "mailboxes are empty");
}

fn wish_count(cell: &Cell) -> usize {
    cell.store.entries().filter(|(key, _)| key.0.starts_with(b"req/")).count()
}

/// What a store that tells of changes is for: wish, list, release, look and write, with 1 ms for each way.
#[test]
fn a_handoff_over_a_store_that_tells_of_changes_takes_five_exchanges() {
    let mut cell = Cell::new(3);
    cell.watched = true;
    cell.create(0, &session(1));
    let (rev, seen, _) = cell.read(1, session(1).handle);
    let begin = cell.now;
    let id = cell.ask_to_take(1, (rev, seen));
    assert!(is_committed(&cell.answer(1, id)));
    // The hint takes the place of the answer's way where somebody else waits for the change.
    let taken = cell.now.since(begin);
    assert!(taken <= Duration::from_millis(10), "{taken:?}");
    assert_eq!(wish_count(&cell), 0);
}

/// The hint that counts comes while something else is being looked at: it must not be forgotten.
#[test]
fn a_hint_during_a_look_leads_to_another_one() {
    let mut cell = Cell::new(2);
    cell.watched = true;
    cell.create(0, &session(1));
    let (rev, seen, _) = cell.read(1, session(1).handle);
    let begin = cell.now;
    let id = cell.ask_to_take(1, (rev, seen));
    assert!(cell.run_until(begin + secs(1), |cell| cell.members[1].node.jobs.due().is_some()), "it waits");
    cell.hint(1, Hint::Anything);
    assert!(is_committed(&cell.answer(1, id)));
    assert!(cell.now.since(begin) < RETRY, "{:?}", cell.now.since(begin));
}

/// Between the look and the wish the session has gone elsewhere. Nobody gives it away later because of that wish.
#[test]
fn a_wish_about_a_record_that_has_changed_is_withdrawn() {
    let mut cell = Cell::new(3);
    let handle = session(1).handle;
    cell.create(0, &session(1));
    let (rev, seen, _) = cell.read(1, handle);
    assert!(is_committed(&cell.take(2, handle)));
    let id = cell.ask_to_take(1, (rev, seen));
    assert!(matches!(cell.answer(1, id), Answer::Conflict { owner: Some(Owner::Alive), .. }));
    cell.run(secs(1));
    assert_eq!(wish_count(&cell), 0);
    assert!(is_committed(&cell.take(0, handle)));
    cell.run(secs(2));
    assert_eq!(cell.read(0, handle).2, Owner::Me, "it stays where it went back to");
}

/// Whenever the others look: its last heartbeat is seen soon, and the time that is waited begins then.
#[test]
fn a_death_is_declared_soon_after_it_may_be() {
    let profile = config("gw1", 1).profile;
    for offset in (0..1_000).step_by(90) {
        let mut cell = Cell::new(1);
        cell.run(Duration::from_millis(offset));
        cell.add(config("gw2", 2));
        cell.run(secs(4));
        // Right after a heartbeat, which is the worst moment.
        let former = cell.members[0].node.counts.heartbeats;
        assert!(cell.run_until(cell.now + secs(2), |cell| cell.members[0].node.counts.heartbeats > former));
        cell.crash(0);
        let (died, tombstone) = (cell.now, keys::tombstone(cell.members[0].node.incarnation()));
        let is_declared = |cell: &Cell| cell.store.entries().any(|(key, _)| *key == tombstone);
        assert!(cell.run_until(died + secs(30), is_declared));
        let (waited, most) = (cell.now.since(died), profile.death + profile.heartbeat / 4);
        // A look and the tombstone take some ways of 1 ms.
        assert!(waited <= most + Duration::from_millis(10), "{waited:?} after {offset} ms");
    }
}

/// The others still take the owner for alive when its client comes.
#[test]
fn an_owner_that_has_just_gone_is_not_asked_for_long() {
    let mut cell = Cell::new(2);
    let handle = session(1).handle;
    cell.create(0, &session(1));
    let (rev, seen, _) = cell.read(1, handle);
    let now = cell.now;
    cell.members[0].node.stop(now);
    cell.hint(0, Hint::Anything);
    cell.run(Duration::from_millis(10));
    let begin = cell.now;
    let id = cell.ask_to_take(1, (rev, seen));
    assert!(is_committed(&cell.answer(1, id)));
    assert!(cell.now.since(begin) <= Duration::from_millis(10), "{:?}", cell.now.since(begin));
}

#[test]
fn a_live_owner_may_decline_or_say_nothing() {
    let mut cell = Cell::new(2);
    let handle = session(1).handle;
    cell.create(0, &session(1));
    cell.members[0].generous = false;
    let declined = cell.take(1, handle);
    assert_eq!(refusal(&declined), Some(Reason::SwitchCooldown), "the owner's reason arrives: {declined:?}");
    assert_eq!(cell.read(0, handle).2, Owner::Me);
    cell.members[0].crashed = true;
    let begin = cell.now;
    assert_eq!(refusal(&cell.take(1, handle)), Some(Reason::OwnerAlive));
    assert!(cell.now.since(begin) < secs(3));
    cell.run(secs(1));
    assert_eq!(wish_count(&cell), 0, "the wish is withdrawn");
}

/// The transfer is lost on its way back: the owner stays frozen until it knows.
#[test]
fn a_release_that_is_not_confirmed_is_repeated() {
    let mut cell = Cell::new(2);
    let handle = session(1).handle;
    cell.create(0, &session(1));
    let (rev, seen, _) = cell.read(1, handle);
    let id = cell.ask_to_take(1, (rev, seen));
    assert!(cell.run_until(cell.now + secs(1), |cell| {
        cell.members[0].asks.iter().any(|ask| matches!(ask, Ask::Release { .. }))
    }));
    cell.members[0].deaf = true;
    assert!(is_committed(&cell.answer(1, id)), "the other side sees it in the record");
    assert!(cell.members[0].node.held.contains_key(&handle), "the owner does not know yet");
    cell.members[0].deaf = false;
    cell.run(secs(2));
    assert!(!cell.members[0].node.held.contains_key(&handle));
    assert!(is_committed(cell.members[0].answers.last().unwrap()), "it is where it was to go");
}

#[test]
fn a_restart_on_the_same_machine_does_not_wait() {
    let mut cell = Cell::new(2);
    let handle = session(1).handle;
    cell.create(0, &session(1));
    cell.crash(0);
    cell.restart(0, config("gw1", 1));
    let begin = cell.now;
    let joined = |cell: &Cell| cell.members[0].node.status().standing == Standing::Member;
    assert!(cell.run_until(begin + secs(30), joined));
    assert!(cell.now.since(begin) < Duration::from_millis(100), "{:?}", cell.now.since(begin));
    assert_eq!(cell.read(0, handle).2, Owner::Dead, "its former self is dead");
    assert!(is_committed(&cell.take(0, handle)));
}

/// Whoever has seen its process end says so, and a client that was waiting for it at another gateway waits no longer.
#[test]
fn a_take_that_waits_for_its_owner_goes_on_when_somebody_buries_it() {
    let mut cell = Cell::new(2);
    let handle = session(1).handle;
    cell.create(0, &session(1));
    cell.crash(0);
    let (rev, seen, _) = cell.read(1, handle);
    let id = cell.ask_to_take(1, (rev, seen));
    cell.run(Duration::from_millis(700));
    assert!(!cell.members[1].answers.iter().any(|answer| answer.id() == id), "it waits for the owner");
    let dead = config("gw1", 1);
    let of = Deceased { node_id: dead.node_id, boot_id: dead.boot_id, data_dir: dead.data_dir };
    let mut burial = Burial::new(of, dead.clock, cell.now);
    let verdict = std::iter::repeat_with(|| burial.advance(cell.store.apply(&burial.operation())).unwrap());
    let verdict = verdict.flatten().next();
    assert_eq!(verdict, Some(Verdict::Buried(cell.members[0].node.incarnation())));
    let begin = cell.now;
    assert!(is_committed(&cell.answer(1, id)));
    assert!(cell.now.since(begin) <= 2 * RETRY, "{:?}", cell.now.since(begin));
    assert_eq!(cell.members[1].node.status().counts.burials, 0, "it was not missed, it was known");
    assert_eq!(cell.read(1, handle).2, Owner::Me);
}

#[test]
fn a_restart_elsewhere_waits_until_the_former_self_is_dead() {
    let mut cell = Cell::new(2);
    cell.create(0, &session(1));
    cell.crash(0);
    cell.restart(0, NodeConfig { boot_id: [99; 16], ..config("gw1", 1) });
    let begin = cell.now;
    let joined = |cell: &Cell| cell.members[0].node.status().standing == Standing::Member;
    assert!(cell.run_until(begin + secs(30), joined));
    let waited = cell.now.since(begin);
    assert!(waited > secs(5) && waited < secs(9), "{waited:?}");
}

#[test]
fn a_second_node_with_the_same_id_does_not_join() {
    let mut cell = Cell::new(1);
    let second = cell.add(NodeConfig { data_dir: [99; 16], ..config("gw1", 1) });
    cell.run(MINUTE);
    assert_eq!(cell.members[second].node.status().standing, Standing::SameName);
    assert_eq!(cell.members[0].node.status().standing, Standing::Member);
    assert!(!cell.members[second].node.fence().allows(cell.now));
    cell.stop(0);
    cell.run(secs(5));
    assert_eq!(cell.members[0].node.status().standing, Standing::Stopped);
    assert_eq!(cell.members[second].node.status().standing, Standing::Member, "it takes the place");
}

#[test]
fn a_copy_of_a_machine_is_found_out() {
    let mut cell = Cell::new(1);
    let twin = cell.members[0].node.clone();
    let copy = cell.add(config("unused", 9));
    cell.members[copy].node = twin;
    cell.members[copy].node.rng = crate::ledger::Seeded(77);
    cell.run(secs(5));
    let seen = cell.members.iter().filter(|member| member.node.status().clone_seen).count();
    assert_eq!(seen, 1, "who was slower is told, and stops");
}

#[test]
fn a_store_that_was_replaced_is_refused() {
    let mut cell = Cell::new(1);
    let generation = cell.members[0].node.status().store_generation;
    assert!(generation.is_some());
    let known = NodeConfig { store_generation: generation, ..config("gw2", 2) };
    let right = cell.add(known.clone());
    let foreign_cell = cell.add(NodeConfig { cell: 8, ..config("gw3", 3) });
    let other = cell.add(NodeConfig { store_generation: Some(1), ..config("gw4", 4) });
    cell.run(secs(1));
    assert_eq!(cell.members[right].node.status().standing, Standing::Member);
    for stranger in [foreign_cell, other] {
        assert_eq!(cell.members[stranger].node.status().standing, Standing::Foreign);
    }
    cell.store = MemoryStore::new();
    let emptied = cell.add(NodeConfig { node_id: [5; 4], ..known });
    cell.run(secs(1));
    assert_eq!(cell.members[emptied].node.status().standing, Standing::Foreign, "it is empty now");
}

#[test]
fn a_store_that_is_lost_ends_everything() {
    let mut cell = Cell::new(1);
    cell.create(0, &session(1));
    let now = cell.now;
    let node = &mut cell.members[0].node;
    node.handle_request(Request::Read { id: RequestId(9_999), handle: session(1).handle }, now);
    let (ticket, _) = node.poll_operation().unwrap();
    node.handle_outcome(ticket, Outcome::Lost(StoreError::Foreign), now);
    assert_eq!(node.poll_ask(), Some(Ask::Fenced));
    assert_eq!(node.poll_answer().as_ref().and_then(refusal), Some(Reason::FenceExpired));
    assert!(!node.fence().allows(now));
    node.handle_timeout(now + MINUTE);
    assert_eq!(node.poll_operation(), None, "it is not asked again");
    assert_eq!(node.status().standing, Standing::Lost(StoreError::Foreign));
}

#[test]
fn orphans_end_when_nobody_claims_them() {
    let mut cell = Cell::new(3);
    cell.create(0, &session(1));
    cell.create(0, &session(2));
    cell.crash(0);
    cell.run(secs(20));
    assert!(is_committed(&cell.take(1, session(1).handle)), "one is claimed");
    cell.run(secs(240));
    let (_, record, _) = cell.read(1, session(2).handle);
    assert!(matches!(record.state, RecordState::Terminated { .. }), "the other one is not");
    assert_eq!(cell.read(1, session(1).handle).1.state, RecordState::Live);
    let swept: u64 = cell.members[1..].iter().map(|member| member.node.status().counts.swept).sum();
    assert_eq!(swept, 1, "one of them did it");
    let free = SessionRecord { handle: session(9).handle, ..session(2) };
    assert!(is_committed(&cell.create(2, &free)), "the addresses are free again");
}

#[test]
fn what_was_kept_long_enough_goes() {
    let mut cell = Cell::new(2);
    cell.create(0, &session(1));
    let former = cell.members[0].node.incarnation();
    cell.crash(0);
    cell.run(secs(300));
    // Swept by now; its record still names the dead.
    let keys_left = |cell: &Cell, prefix: &[u8]| {
        cell.store.entries().filter(|(key, _)| key.0.starts_with(prefix)).count()
    };
    assert_eq!((keys_left(&cell, b"s/"), keys_left(&cell, b"dead/")), (1, 1));
    cell.run(secs(480));
    assert_eq!(keys_left(&cell, b"s/"), 1, "ten minutes after its end, not before");
    cell.run(secs(240));
    assert_eq!((keys_left(&cell, b"s/"), keys_left(&cell, b"dead/")), (0, 0));
    assert!(!cell.members[1].node.dead.contains_key(&former));
    assert_eq!(keys_left(&cell, b"a/"), 0);
}

/// A wish that its gateway has forgotten is granted.
#[test]
fn a_record_that_nobody_holds_ends() {
    let mut cell = Cell::new(2);
    let handle = session(1).handle;
    cell.create(0, &session(1));
    let (rev, ..) = cell.read(1, handle);
    mail::put_wish(&mut cell, handle, 1, rev);
    cell.run(secs(30));
    assert_eq!(cell.read(1, handle).2, Owner::Me, "it may still be claimed");
    cell.run(secs(200));
    assert!(matches!(cell.read(1, handle).1.state, RecordState::Terminated { .. }));
    assert_eq!(cell.members[1].node.status().counts.reconciled, 1);
}

/// Whoever asked dies between the question and the gift, and the owner has not heard of it.
#[test]
fn a_session_is_not_given_to_the_dead() {
    let mut cell = Cell::new(2);
    let handle = session(1).handle;
    cell.create(0, &session(1));
    let (rev, ..) = cell.read(1, handle);
    cell.crash(1);
    mail::put_wish(&mut cell, handle, 1, rev);
    let (heartbeat, tombstone) =
        [keys::heartbeat, keys::tombstone].map(|key| key(cell.members[1].node.incarnation())).into();
    let changes = vec![
        crate::Change::Put { key: tombstone, value: Box::default() },
        crate::Change::Delete { key: heartbeat },
    ];
    cell.store.apply(&Operation::Commit(crate::Transaction { compares: Vec::new(), changes }));
    let answered = |cell: &Cell| cell.members[0].answers.len() == 2;
    assert!(cell.run_until(cell.now + secs(1), answered));
    let answer = cell.members[0].answers.last();
    assert!(matches!(answer, Some(Answer::Conflict { owner: Some(Owner::Me), .. })), "{answer:?}");
    cell.run(Duration::from_millis(10));
    assert_eq!(wish_count(&cell), 0, "nobody is asked again for its sake");
    assert_eq!(cell.read(0, handle).2, Owner::Me);
}

#[test]
fn a_revoked_client_is_neither_born_nor_taken_over() {
    let mut cell = Cell::new(2);
    cell.create(0, &session(1));
    let changes = vec![crate::Change::Put { key: keys::revocation(&session(1).peer), value: Box::default() }];
    cell.store.apply(&Operation::Commit(crate::Transaction { compares: Vec::new(), changes }));
    assert_eq!(refusal(&cell.take(1, session(1).handle)), Some(Reason::PeerRevoked));
    let again = SessionRecord { inner_v4: None, inner_v6: None, ..session(2) };
    let again = SessionRecord { peer: session(1).peer, ..again };
    assert_eq!(refusal(&cell.create(1, &again)), Some(Reason::PeerRevoked));
}

#[test]
fn others_know_who_is_about_to_go() {
    let mut cell = Cell::new(2);
    cell.create(0, &session(1));
    let now = cell.now;
    cell.members[0].node.drain(true, now);
    cell.run(secs(3));
    let status = cell.members[1].node.status();
    let peers: Vec<_> =
        status.peers.iter().map(|peer| (peer.name.as_str(), peer.load, peer.draining)).collect();
    assert_eq!(peers, [("gw1", 1, true)]);
    cell.stop(0);
    cell.run(secs(2));
    assert!(is_committed(&cell.take(1, session(1).handle)), "nobody waits after a clean stop");
    assert!(cell.members[1].node.status().peers.is_empty());
}

/// A node with its store in hand, for what a cell is too much for.
fn alone() -> (Node<crate::ledger::Seeded>, MemoryStore, Time) {
    let (mut store, now) = (MemoryStore::new(), Time::from_millis(1_000));
    let mut node = Node::new(config("gw", 1), crate::ledger::Seeded(3), now);
    exchange(&mut node, &mut store, now);
    assert_eq!(node.poll_ask(), Some(Ask::Rejoined { incarnation: node.incarnation() }));
    (node, store, now)
}

fn exchange(node: &mut Node<crate::ledger::Seeded>, store: &mut dyn OwnershipStore, now: Time) {
    loop {
        while let Some((ticket, operation)) = node.poll_operation() {
            store.submit(ticket, operation);
        }
        let Some((ticket, outcome)) = store.poll() else { return };
        node.handle_outcome(ticket, outcome, now);
    }
}

#[test]
fn the_fence_is_counted_from_the_sending() {
    let (mut node, mut store, sent) = alone();
    let first = node.fence().valid_until;
    assert_eq!(first, sent + Profile::DEFAULT.lease);
    let beat = sent + secs(1);
    node.handle_timeout(beat);
    exchange(&mut node, &mut store, beat + secs(3));
    assert_eq!(node.fence().valid_until, beat + Profile::DEFAULT.lease);
}

/// The first confirmation was lost: the fence does not move, and the next heartbeat is one that is confirmed.
#[test]
fn a_lost_confirmation_extends_nothing() {
    let (mut node, mut store, sent) = alone();
    let fence = node.fence();
    let mut now = sent + secs(1);
    node.handle_timeout(now);
    let beat = std::iter::from_fn(|| node.poll_operation())
        .find(|(_, operation)| matches!(operation, Operation::Commit(_)))
        .expect("a heartbeat");
    store.apply(&beat.1);
    now += secs(1);
    node.handle_outcome(beat.0, Outcome::Unknown, now);
    assert_eq!(node.fence(), fence);
    node.handle_timeout(now);
    let (ticket, again) = std::iter::from_fn(|| node.poll_operation())
        .find(|(_, operation)| matches!(operation, Operation::Commit(_)))
        .expect("it is repeated at once");
    assert_eq!(again, beat.1, "unchanged");
    let outcome = store.apply(&again);
    assert!(matches!(outcome, Outcome::Conflict(_)));
    node.handle_outcome(ticket, outcome, now);
    assert_eq!(node.fence(), fence, "it was applied, but nobody knows when");
    exchange(&mut node, &mut store, now);
    assert_eq!(node.fence().valid_until, now + Profile::DEFAULT.lease);
}

#[test]
fn a_confirmation_after_the_end_revives_nothing() {
    let (mut node, mut store, sent) = alone();
    node.handle_timeout(sent + secs(5));
    let operations: Vec<_> = std::iter::from_fn(|| node.poll_operation()).collect();
    let late = sent + Profile::DEFAULT.lease;
    for (ticket, operation) in operations {
        let outcome = store.apply(&operation);
        node.handle_outcome(ticket, outcome, late);
    }
    assert_eq!(node.poll_ask(), Some(Ask::Fenced));
    assert!(!node.fence().allows(late));
}

#[test]
fn takes_are_bounded_and_one_at_a_time() {
    let (mut node, _, now) = alone();
    for number in 0..4_096 {
        let handle = Handle::new(number).unwrap();
        node.handle_request(Request::Read { id: RequestId(number), handle }, now);
    }
    assert_eq!(node.poll_answer(), None);
    let with_store = std::iter::from_fn(|| node.poll_operation()).count();
    assert_eq!(with_store, 64, "the store is not asked everything at once");
    let more = Request::Read { id: RequestId(9_999), handle: Handle::MAX };
    node.handle_request(more, now);
    assert_eq!(node.poll_answer().as_ref().and_then(refusal), Some(Reason::QueueFull));

    let (mut node, _, now) = alone();
    let take = |id| {
        let seen = Box::new((Rev(1), session(1)));
        let record = Box::new(SessionRecord { owner_epoch: 2, ..session(1) });
        Request::Take { id: RequestId(id), seen, record }
    };
    node.handle_request(take(1), now);
    node.handle_request(take(2), now);
    assert_eq!(node.poll_answer(), Some(Answer::Refused { id: RequestId(2), reason: Reason::StoreConflict }));
}

/// A node, a store that loses a third of what it is told, and time that passes when nothing else happens.
struct Lossy {
    node: Node<crate::ledger::Seeded>,
    store: crate::conformance::Faulty<MemoryStore>,
    now: Time,
}

impl Lossy {
    fn new(seed: u64) -> Lossy {
        let faults = crate::conformance::Faults { request_lost: 110, answer_lost: 110, late: 110 };
        let store = crate::conformance::Faulty::new(MemoryStore::new(), faults, seed);
        let now = Time::from_millis(1_000);
        let mut lossy =
            Lossy { node: Node::new(config("gw", 1), crate::ledger::Seeded(seed), now), store, now };
        while !lossy.node.is_member() {
            lossy.step();
        }
        lossy
    }

    fn step(&mut self) {
        exchange(&mut self.node, &mut self.store, self.now);
        self.now = self.now.max(self.node.poll_timeout().expect("there is always a heartbeat"));
        self.node.handle_timeout(self.now);
    }

    fn ask(&mut self, request: Request) -> Answer {
        let id = request.id();
        self.node.handle_request(request, self.now);
        let fence = self.node.fence().valid_until + Profile::DEFAULT.lease * 4;
        while self.now < fence {
            if let Some(answer) = self.node.poll_answer() {
                assert_eq!(answer.id(), id);
                return answer;
            }
            self.step();
        }
        panic!("nothing comes of {id:?}");
    }
}

/// A third of everything goes wrong, and each change is made once; nothing stays open.
#[test]
fn unknown_outcomes_are_settled() {
    for seed in 1..=30 {
        let mut lossy = Lossy::new(seed);
        for number in 1..=20_u16 {
            let (id, handle) = (RequestId(u64::from(number) * 10), session(number).handle);
            let create =
                lossy.ask(Request::Create { id, record: Box::new(session(number)), began: Time::ZERO });
            let Answer::Committed { rev, .. } = create else { panic!("seed {seed}: {create:?}") };
            let expected = Expected { rev, epoch: 1, version: 1 };
            let id = RequestId(id.0 + 1);
            let ended = lossy.ask(Request::Terminate { id, handle, expected, reason_number: 1 });
            assert!(is_committed(&ended), "seed {seed}: {ended:?}");
        }
        assert!(lossy.node.status().counts.unknown > 20, "seed {seed}: nothing went wrong");
        assert_eq!(lossy.node.status().pending_count, 0);
        lossy.store.arrive();
        assert!(!lossy.store.inner().entries().any(|(key, _)| key.0.starts_with(b"a/")), "seed {seed}");
    }
}

#[test]
fn a_heartbeat_survives_the_way_through_bytes() {
    let beat = keys::Heartbeat {
        public: [5; 32],
        draining: true,
        load: 3,
        counter: 9,
        unix_ms: 12,
        random: [1; 16],
        boot_id: [2; 16],
        data_dir: [3; 16],
        name: "gw".into(),
    };
    assert_eq!(keys::Heartbeat::decode(&beat.encode()), Some(beat.clone()));
    let long = keys::Heartbeat { name: "x".repeat(300), ..beat };
    assert_eq!(keys::Heartbeat::decode(&long.encode()).map(|beat| beat.name.len()), Some(255));
    assert_eq!(keys::Heartbeat::decode(b"short"), None);
    for kind in [keys::WishKind::Handoff, keys::WishKind::Supersede, keys::WishKind::Declined(202)] {
        let wish = keys::Wish { by: Incarnation([4; 16]), of: Rev(7), kind, unix_ms: 5 };
        assert_eq!(keys::Wish::decode(&wish.encode()), Some(wish));
    }
    assert_eq!(keys::Wish::decode(&[1; 36]), None);
    assert_eq!(keys::decode_cell(&keys::encode_cell(7, 9)), Some((7, 9)));
    let request = keys::request(Incarnation([6; 16]), session(3).handle);
    assert_eq!(keys::request_parts(&request), Some((Incarnation([6; 16]), session(3).handle)));
}

#[test]
fn a_cell_has_so_many_gateways_and_no_more() {
    let mut cell = Cell::new(2);
    let limits = Limits { gateways: 2, ..Limits::CELL };
    let third = cell.add(NodeConfig { limits, ..config("gw3", 3) });
    let standing = |cell: &Cell, index: usize| cell.members[index].node.status().standing;
    cell.run(secs(20));
    assert_eq!(standing(&cell, third), Standing::CellFull);
    assert_eq!(cell.members[0].node.status().peers.len(), 1, "nobody has seen it");
    assert!(!cell.members[third].node.fence().allows(cell.now));
    let refused = cell.create(third, &session(1));
    assert_eq!(refusal(&refused), Some(Reason::FenceExpired));
    // One goes, and its place is free.
    cell.stop(0);
    let freed = cell.now;
    assert!(cell.run_until(freed + secs(30), |cell| standing(cell, third) == Standing::Member));
    assert!(cell.now.since(freed) <= secs(2), "{:?}", cell.now.since(freed));
    // One that is started again takes its own place.
    cell.crash(1);
    cell.restart(1, NodeConfig { limits, ..config("gw2", 2) });
    assert!(cell.run_until(cell.now + secs(5), |cell| standing(cell, 1) == Standing::Member));
}

#[test]
fn a_cell_has_so_many_sessions_and_live_ones_go_on() {
    let limits = Limits { sessions: 3, ..Limits::CELL };
    let mut cell =
        Cell::of([config("gw1", 1), config("gw2", 2)].map(|config| NodeConfig { limits, ..config }));
    for (at, number) in [(0, 1), (0, 2), (1, 3)] {
        assert!(is_committed(&cell.create(at, &session(number))));
    }
    cell.run(secs(3));
    for at in [0, 1] {
        assert_eq!(refusal(&cell.create(at, &session(4))), Some(Reason::CellFull));
    }
    assert!(is_committed(&cell.take(1, session(1).handle)), "what is there moves as ever");
    cell.crash(0);
    cell.run(secs(10));
    assert_eq!(cell.members[1].node.status().peers.len(), 0);
    assert!(is_committed(&cell.create(1, &session(4))), "sessions of the dead do not count");
    assert!(is_committed(&cell.take(1, session(2).handle)), "and are not left to die for it");
    assert_eq!(refusal(&cell.create(1, &session(5))), Some(Reason::CellFull));
}

/// The engine gave up waiting for a takeover that was made, and no client came.
#[test]
fn what_nobody_serves_ends_when_its_time_is_over() {
    let mut cell = Cell::new(2);
    let short = SessionRecord { expires: cell.now + secs(30), ..session(1) };
    cell.create(0, &short);
    cell.members[0].serving.clear();
    cell.run(secs(60));
    assert_eq!(cell.read(1, short.handle).1.state, RecordState::Live, "its engine has its time to end it");
    let upkeep = Upkeep::DEFAULT;
    cell.run(upkeep.unheld + 2 * upkeep.pass);
    let reason_number = Reason::SessionExpired.number();
    assert_eq!(cell.read(1, short.handle).1.state, RecordState::Terminated { reason_number });
    assert!(cell.members[0].asks.contains(&Ask::Lost { handle: short.handle }));
    assert_eq!(cell.members[0].node.status().held_count, 0);
    let again = SessionRecord { handle: session(2).handle, ..session(1) };
    assert!(is_committed(&cell.create(1, &again)), "its addresses are free");
}

#[test]
fn moves_are_counted_from_owner_to_owner() {
    let mut cell = Cell::new(2);
    let handle = session(1).handle;
    cell.create(0, &session(1));
    for moves in 1..=4 {
        let begin = cell.now;
        assert!(is_committed(&cell.take(moves % 2, handle)));
        let found = cell.read(0, handle).1.moves;
        assert_eq!(usize::from(found.count()), moves);
        assert!(found.last() >= Some(begin) && found.last() <= Some(cell.now));
    }
    // The owner knows of more, and says so when it gives the session away.
    cell.run(MINUTE);
    let (rev, seen, _) = cell.read(1, handle);
    let moves = Moves::of([cell.now; 9]);
    cell.members[0].says = Some(moves);
    let id = cell.ask_to_take(1, (rev, seen));
    let Answer::Committed { moves: counted, .. } = cell.answer(1, id) else { panic!("not taken") };
    assert_eq!((counted, cell.read(0, handle).1.moves), (moves, moves));
    // After a quiet minute they count no more.
    cell.members[1].says = None;
    cell.run(MINUTE);
    assert!(is_committed(&cell.take(0, handle)));
    assert_eq!(cell.read(0, handle).1.moves.count(), 1);
    // One that stays with its owner and gets new keys counts as well.
    assert!(is_committed(&cell.take(0, handle)));
    assert_eq!(cell.read(0, handle).1.moves.count(), 2);
    // Whose owner died did not move.
    cell.crash(0);
    cell.run(2 * MINUTE);
    assert!(is_committed(&cell.take(1, handle)));
    assert_eq!(cell.read(1, handle).1.moves, Moves::default());
}
