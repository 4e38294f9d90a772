//! Random histories, held against a map that is too simple to be wrong.

use std::collections::BTreeMap;

use super::{Client, Dice, put};
use crate::{Change, Compare, Key, Operation, Outcome, Rev, Stored, Ticket, Transaction};

type State = BTreeMap<Key, Stored>;

/// Keys in use: few, so that transactions meet.
const KEYS: u64 = 5;
const STEPS: u32 = 150;
/// Operations at once.
const AT_ONCE: u64 = 6;

/// Operations one after the other: every outcome is the map's.
pub(super) fn one_by_one(client: &mut Client<'_>, seed: u64) {
    let mut dice = Dice::new(seed);
    let mut state = State::new();
    for step in 0..STEPS {
        let mut transaction = random(&mut dice, &state, step);
        guard(&mut transaction, &state, step);
        let holds = holds(&transaction, &state);
        match client.commit(&transaction) {
            Ok(rev) => {
                assert!(holds, "seed {seed}, step {step}: {transaction:?} in {state:?}");
                apply(&mut state, &transaction, rev);
            }
            Err(current) => {
                assert!(!holds, "seed {seed}, step {step}: {transaction:?} in {state:?}");
                assert_eq!(current, expected(&state, &transaction), "seed {seed}, step {step}");
            }
        }
        check(client, &state);
    }
}

/// Several operations at once: their outcomes are those of some order, and the revisions say which.
pub(super) fn at_once(client: &mut Client<'_>, seed: u64) {
    let mut dice = Dice::new(seed);
    let mut state = State::new();
    for step in 0..STEPS / 3 {
        let asked: Vec<Operation> = (0..AT_ONCE)
            .map(|number| {
                if dice.roll(4) == 0 {
                    Operation::Read(any_key(&mut dice))
                } else {
                    Operation::Commit(random(&mut dice, &state, step * AT_ONCE as u32 + number as u32))
                }
            })
            .collect();
        let tickets: Vec<Ticket> = asked.iter().map(|operation| client.submit(operation.clone())).collect();
        let outcomes = client.outcomes(&tickets);
        if outcomes.contains(&Outcome::Unknown) {
            // Not known is not wrong; but nothing more can be said of this history.
            return;
        }
        state = explain(&state, &asked, &outcomes, &format!("seed {seed}, step {step}"));
        check(client, &state);
    }
}

/// The states between the transactions in the order of their revisions; each outcome has to be true in one of them.
fn explain(state: &State, asked: &[Operation], outcomes: &[Outcome], place: &str) -> State {
    let mut committed: Vec<(Rev, &Transaction)> = asked
        .iter()
        .zip(outcomes)
        .filter_map(|(operation, outcome)| match (operation, outcome) {
            (Operation::Commit(transaction), Outcome::Committed(rev)) => Some((*rev, transaction)),
            _ => None,
        })
        .collect();
    committed.sort_by_key(|(rev, _)| *rev);
    let mut states = vec![state.clone()];
    while !committed.is_empty() {
        let mut state = states.last().expect("there is a first one").clone();
        let (rev, transaction) = committed.remove(next(&committed, &state));
        assert!(holds(transaction, &state), "{place}: {transaction:?} was committed as {rev:?} in {state:?}");
        let is_new = state.values().all(|stored| stored.rev < rev);
        assert!(is_new || !changes(transaction, &state), "{place}: {rev:?} is not above {state:?}");
        apply(&mut state, transaction, rev);
        states.push(state);
    }
    for (operation, outcome) in asked.iter().zip(outcomes) {
        let explained = match (operation, outcome) {
            (Operation::Commit(_), Outcome::Committed(_)) => true,
            (Operation::Commit(transaction), Outcome::Conflict(current)) => states
                .iter()
                .any(|state| !holds(transaction, state) && expected(state, transaction) == *current),
            (Operation::Read(key), Outcome::Found(stored)) => {
                states.iter().any(|state| state.get(key) == stored.as_ref())
            }
            _ => false,
        };
        assert!(explained, "{place}: {operation:?} has no place for {outcome:?} in {states:?}");
    }
    states.pop().expect("there is a first one")
}

/// Which of those with the lowest revision comes next. Transactions that change nothing may have the revision of the one
/// before them, so that one comes first: the one that puts something, as it must have a revision of its own, or else the one
/// that finds something to delete.
fn next(committed: &[(Rev, &Transaction)], state: &State) -> usize {
    let same = || {
        committed.iter().take_while(|(rev, _)| *rev == committed[0].0).map(|(_, transaction)| *transaction)
    };
    let puts = |transaction: &Transaction| {
        transaction.changes.iter().any(|change| matches!(change, Change::Put { .. }))
    };
    let deletes = |transaction: &Transaction| holds(transaction, state) && changes(transaction, state);
    same().position(puts).or_else(|| same().position(deletes)).unwrap_or(0)
}

fn holds(transaction: &Transaction, state: &State) -> bool {
    transaction.compares.iter().all(|compare| compare.holds(state.get(compare.key())))
}

/// Whether a transaction makes a difference: it puts something, or deletes what is there.
fn changes(transaction: &Transaction, state: &State) -> bool {
    transaction.changes.iter().any(|change| match change {
        Change::Put { .. } => true,
        Change::Delete { key } => state.contains_key(key),
    })
}

/// Chains of writes whose answers get lost: repeating the identical transaction tells each time what became of it, and nothing
/// is applied twice.
pub(super) fn unknown(client: &mut Client<'_>, seed: u64) {
    let one = Key::new(*b"chain");
    let mut current: Option<Stored> = None;
    for number in 0..STEPS {
        let compares = vec![match &current {
            Some(Stored { rev, value }) => Compare::Is { key: one.clone(), rev: *rev, value: value.clone() },
            None => Compare::Absent { key: one.clone() },
        }];
        let value = number.to_be_bytes();
        let transaction = Transaction { compares, changes: vec![put(&one, &value)] };
        let rev = client.commit(&transaction).unwrap_or_else(|current| {
            panic!("seed {seed}, write {number} of the only writer failed: {current:?}")
        });
        assert!(current.is_none_or(|before| before.rev < rev), "seed {seed}, write {number}");
        current = Some(Stored { rev, value: value.into() });
        assert_eq!(client.read(&one), current, "seed {seed}: a write that was settled came undone");
    }
}

fn any_key(dice: &mut Dice) -> Key {
    Key::new([b'k', dice.roll(KEYS) as u8])
}

fn random(dice: &mut Dice, state: &State, number: u32) -> Transaction {
    let mut transaction = Transaction::default();
    for _ in 0..dice.roll(3) {
        let key = any_key(dice);
        let compare = match (dice.roll(4), state.get(&key)) {
            (0, _) => Compare::Absent { key },
            (1, _) => Compare::Present { key },
            (2, Some(stored)) => {
                Compare::Is { key, rev: Rev(stored.rev.0.wrapping_sub(1)), value: stored.value.clone() }
            }
            (_, Some(stored)) => Compare::Is { key, rev: stored.rev, value: stored.value.clone() },
            (_, None) => Compare::Is { key, rev: Rev(1), value: Box::default() },
        };
        transaction.compares.push(compare);
    }
    for _ in 0..=dice.roll(2) {
        let key = any_key(dice);
        if transaction.changes.iter().any(|change| *change.key() == key) {
            continue;
        }
        transaction.changes.push(match dice.roll(4) {
            0 => Change::Delete { key },
            _ => put(&key, &number.to_be_bytes()),
        });
    }
    transaction
}

/// Lets a copy whose answer was lost be recognised: one of the keys it puts has a compare that is true now, and false once it
/// is applied.
fn guard(transaction: &mut Transaction, state: &State, number: u32) {
    let puts = |change: &&Change| matches!(change, Change::Put { .. });
    let key = match transaction.changes.iter().find(puts) {
        Some(change) => change.key().clone(),
        None => {
            let is_free = |key: &Key| transaction.changes.iter().all(|change| change.key() != key);
            let free = (0..KEYS).map(|number| Key::new([b'k', number as u8])).find(is_free);
            let key = free.expect("there are more keys than changes");
            transaction.changes.push(put(&key, &number.to_be_bytes()));
            key
        }
    };
    transaction.compares.push(match state.get(&key) {
        Some(stored) => Compare::Is { key, rev: stored.rev, value: stored.value.clone() },
        None => Compare::Absent { key },
    });
}

fn expected(state: &State, transaction: &Transaction) -> Vec<Option<Stored>> {
    transaction.compares.iter().map(|compare| state.get(compare.key()).cloned()).collect()
}

fn apply(state: &mut State, transaction: &Transaction, rev: Rev) {
    for change in &transaction.changes {
        match change {
            Change::Put { key, value } => {
                state.insert(key.clone(), Stored { rev, value: value.clone() });
            }
            Change::Delete { key } => {
                state.remove(key);
            }
        }
    }
}

fn check(client: &mut Client<'_>, state: &State) {
    let (entries, more) = client.list(&Key::new(*b"k"), None, KEYS as usize);
    assert_eq!((entries.into_iter().collect::<State>(), more), (state.clone(), false));
}
