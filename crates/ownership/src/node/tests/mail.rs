//! Tests of mailboxes: nothing is given away for a wish that nothing can come of.

use super::*;
use crate::ledger::Seeded;
use crate::{Change, Key, Transaction};

/// A wish for that session, by a member, about that revision of its record, in the mailbox of the first one.
pub(super) fn put_wish(cell: &mut Cell, handle: Handle, by: usize, of: Rev) {
    let by = cell.members[by].node.incarnation();
    let owner = cell.members[0].node.incarnation();
    put(&mut cell.store, owner, handle, keys::Wish { by, of, kind: keys::WishKind::Handoff, unix_ms: 0 });
}

fn put(store: &mut MemoryStore, owner: Incarnation, handle: Handle, wish: keys::Wish) {
    change(store, Change::Put { key: keys::request(owner, handle), value: wish.encode() });
}

fn change(store: &mut MemoryStore, change: Change) {
    let transaction = Transaction { compares: Vec::new(), changes: vec![change] };
    assert!(matches!(store.apply(&Operation::Commit(transaction)), Outcome::Committed(_)));
}

fn was_asked(member: &cell::Member) -> bool {
    member.asks.iter().any(|ask| matches!(ask, Ask::Release { .. }))
}

/// The client's confirmation was late, and it has gone on where it was.
#[test]
fn a_session_that_has_gone_on_is_not_given_away() {
    let mut cell = Cell::new(2);
    let handle = session(1).handle;
    cell.create(0, &session(1));
    let (rev, seen, _) = cell.read(1, handle);
    let (expected, rekeyed) =
        (cell.members[0].node.held[&handle].expected(), SessionRecord { version: 2, ..seen.clone() });
    let id = cell.ask(0, |id| Request::Update { id, expected, record: Box::new(rekeyed) });
    assert!(is_committed(&cell.answer(0, id)));
    let id = cell.ask_to_take(1, (rev, seen));
    let answer = cell.answer(1, id);
    assert!(matches!(answer, Answer::Conflict { owner: Some(Owner::Alive), .. }), "{answer:?}");
    cell.run(secs(1));
    assert_eq!(wish_count(&cell), 0);
    // The wish as well as its record were old, and nobody was there to take it back.
    put_wish(&mut cell, handle, 1, rev);
    cell.run(secs(1));
    assert!(!was_asked(&cell.members[0]));
    assert_eq!((wish_count(&cell), cell.read(0, handle).2), (0, Owner::Me));
}

/// The answer to the wish was lost, so that it is repeated after it was granted.
#[test]
fn a_wish_that_is_repeated_after_it_was_granted_does_nothing() {
    let mut cell = Cell::new(2);
    let handle = session(1).handle;
    cell.create(0, &session(1));
    let (rev, seen, _) = cell.read(1, handle);
    cell.members[1].deaf = true;
    let id = cell.ask_to_take(1, (rev, seen));
    assert!(cell.run_until(cell.now + secs(1), |cell| cell.members[0].serving.is_empty()));
    cell.members[1].deaf = false;
    assert!(is_committed(&cell.answer(1, id)));
    assert_eq!(wish_count(&cell), 0, "whoever takes it clears up");
    assert!(is_committed(&cell.take(0, handle)), "back again");
    let asked = cell.members[0].asks.len();
    // A copy that was on its way all that time.
    put_wish(&mut cell, handle, 1, rev);
    cell.run(secs(2));
    assert_eq!(cell.members[0].asks.len(), asked);
    assert_eq!((wish_count(&cell), cell.read(0, handle).2), (0, Owner::Me), "it stays");
}

/// As above, but the session is elsewhere when the copy comes.
#[test]
fn a_wish_for_what_is_not_ones_own_goes() {
    let mut cell = Cell::new(2);
    let handle = session(1).handle;
    cell.create(1, &session(1));
    let (rev, ..) = cell.read(1, handle);
    put_wish(&mut cell, handle, 1, rev);
    put_wish(&mut cell, session(2).handle, 1, rev);
    cell.run(secs(1));
    assert_eq!((wish_count(&cell), cell.read(1, handle).2), (0, Owner::Me));
}

/// A node that was asked to give a session away, and has not answered yet.
struct Asked {
    node: Node<Seeded>,
    store: MemoryStore,
    now: Time,
    to: Incarnation,
    wish: Key,
}

impl Asked {
    fn new() -> Asked {
        let (mut node, mut store, mut now) = alone();
        node.handle_request(
            Request::Create { id: RequestId(1), record: Box::new(session(1)), began: now },
            now,
        );
        exchange(&mut node, &mut store, now);
        assert!(node.poll_answer().as_ref().is_some_and(is_committed));
        let (to, handle) = (Incarnation([9; 16]), session(1).handle);
        change(&mut store, Change::Put { key: keys::heartbeat(to), value: Box::default() });
        let of = node.held[&handle].rev;
        let wish = keys::Wish { by: to, of, kind: keys::WishKind::Handoff, unix_ms: 0 };
        put(&mut store, node.incarnation(), handle, wish);
        now += secs(1);
        node.handle_timeout(now);
        exchange(&mut node, &mut store, now);
        assert_eq!(node.poll_ask(), Some(Ask::Release { handle, to }));
        let wish = keys::request(node.incarnation(), handle);
        Asked { node, store, now, to, wish }
    }

    fn ask(&mut self, request: Request) -> Answer {
        self.node.handle_request(request, self.now);
        exchange(&mut self.node, &mut self.store, self.now);
        self.node.poll_answer().unwrap()
    }

    fn release(&mut self) -> Answer {
        let (handle, to) = (session(1).handle, self.to);
        let expected = self.node.held[&handle].expected();
        self.ask(Request::Release { id: RequestId(9), handle, expected, to, moves: crate::Moves::default() })
    }

    fn stands(&self) -> bool {
        self.store.entries().any(|(key, _)| *key == self.wish)
    }
}

#[test]
fn a_wish_is_granted_as_long_as_it_stands() {
    let mut asked = Asked::new();
    assert!(is_committed(&asked.release()));
    assert!(!asked.stands());

    let mut asked = Asked::new();
    let key = asked.wish.clone();
    change(&mut asked.store, Change::Delete { key });
    let kept = asked.release();
    assert!(matches!(kept, Answer::Conflict { owner: Some(Owner::Me), .. }), "it was withdrawn: {kept:?}");
    assert!(asked.node.held.contains_key(&session(1).handle));
}

/// The engine was asked while it was writing, and gives away what it has written.
#[test]
fn a_wish_is_not_granted_about_a_later_record() {
    let mut asked = Asked::new();
    let expected = asked.node.held[&session(1).handle].expected();
    let record = Box::new(SessionRecord { version: 2, ..session(1) });
    let update = Request::Update { id: RequestId(2), expected, record };
    assert!(is_committed(&asked.ask(update)));
    let kept = asked.release();
    assert!(matches!(kept, Answer::Conflict { owner: Some(Owner::Me), .. }), "{kept:?}");
    asked.now += secs(1);
    asked.node.handle_timeout(asked.now);
    exchange(&mut asked.node, &mut asked.store, asked.now);
    assert!(!asked.stands(), "and it is gone");
}

/// Whoever asks and the owner are slow: either it is taken, or it stays where it was.
#[test]
fn a_session_is_not_given_to_who_has_stopped_waiting() {
    let mut taken = 0;
    // From one look of the owner to the next.
    let offsets = (0..250).step_by(2);
    for offset in offsets.map(Duration::from_millis) {
        let mut cell = Cell::new(2);
        let handle = session(1).handle;
        cell.create(0, &session(1));
        let (rev, seen, _) = cell.read(1, handle);
        cell.members[0].cut = true;
        cell.run(offset);
        let id = cell.ask_to_take(1, (rev, seen));
        cell.run(Duration::from_millis(1_900));
        cell.members[0].cut = false;
        let is_taken = is_committed(&cell.answer(1, id));
        taken += u32::from(is_taken);
        cell.run(secs(1));
        let owner = cell.read(usize::from(is_taken), handle).2;
        assert_eq!((owner, wish_count(&cell)), (Owner::Me, 0), "{offset:?}");
    }
    assert!(taken > 0 && taken < 125, "{taken}");
}

/// Those that ask again and again, and die.
#[test]
fn wishes_of_the_dead_keep_nobody_waiting() {
    for dead in [true, false] {
        let mut cell = Cell::new(3);
        let wanted = SessionRecord { handle: Handle::MAX, ..session(1) };
        cell.create(0, &wanted);
        let (owner, by) = (cell.members[0].node.incarnation(), cell.members[2].node.incarnation());
        let kind = keys::WishKind::Declined(Reason::SwitchCooldown.number());
        if dead {
            cell.crash(2);
            cell.run(secs(10));
        }
        let kind = if dead { keys::WishKind::Handoff } else { kind };
        for number in 1..=300 {
            let wish = keys::Wish { by, of: Rev(1), kind, unix_ms: 0 };
            put(&mut cell.store, owner, session(number).handle, wish);
        }
        let begin = cell.now;
        assert!(is_committed(&cell.take(1, wanted.handle)));
        assert!(cell.now.since(begin) < secs(1), "{:?}", cell.now.since(begin));
        if dead {
            cell.run(secs(1));
            assert_eq!(wish_count(&cell), 0);
        } else {
            assert_eq!(wish_count(&cell), 300, "they may still be read");
            cell.run(secs(12));
            assert_eq!(wish_count(&cell), 0, "nobody reads them any more");
        }
    }
}

/// The store has not carried the deletion out.
#[test]
fn a_deletion_that_is_lost_is_sent_again() {
    let mut asked = Asked::new();
    let to = asked.to;
    asked.node.note_dead(to, asked.now);
    for second in 1..=3 {
        asked.now += secs(1);
        asked.node.handle_timeout(asked.now);
        loop {
            while let Some((ticket, operation)) = asked.node.poll_operation() {
                let of_wish = matches!(&operation, Operation::Commit(transaction)
                    if transaction.changes.iter().any(|change| *change.key() == asked.wish));
                if of_wish && second == 1 {
                    asked.node.handle_outcome(ticket, Outcome::Unknown, asked.now);
                } else {
                    asked.store.submit(ticket, operation);
                }
            }
            let Some((ticket, outcome)) = asked.store.poll() else { break };
            asked.node.handle_outcome(ticket, outcome, asked.now);
        }
        assert_eq!(asked.stands(), second < 3, "after {second} s");
    }
}

/// The owner says nothing. Its client may go back to it, and must not be thrown out later.
#[test]
fn the_wish_that_a_session_ends_is_withdrawn() {
    let mut cell = Cell::new(2);
    cell.create(0, &session(1));
    cell.run(secs(2));
    cell.crash(0);
    let again = SessionRecord { handle: session(0x0201).handle, sid: [7; 16], ..session(1) };
    let answer = cell.create(1, &again);
    assert!(matches!(answer, Answer::Conflict { owner: Some(Owner::Alive), .. }), "{answer:?}");
    assert_eq!(wish_count(&cell), 0);
}

/// A hint concerns those that wait for that wish, and they are found without a look at all the others.
#[test]
fn who_waits_for_a_wish_is_known_by_its_place() {
    let mut cell = Cell::new(2);
    cell.create(0, &session(1));
    cell.members[0].generous = false;
    let owner = cell.members[0].node.incarnation();
    let (rev, seen, _) = cell.read(1, session(1).handle);
    let id = cell.ask_to_take(1, (rev, seen));
    let jobs = |cell: &Cell, number| {
        cell.members[1].node.jobs.wishing_at(Some((owner, session(number).handle))).len()
    };
    assert_eq!((jobs(&cell, 1), jobs(&cell, 2)), (1, 0));
    cell.answer(1, id);
    assert_eq!(jobs(&cell, 1), 0);
}
