//! Many attempts at one key.

use super::{Client, is, key, put};
use crate::{Operation, Outcome, Rev, Stored, Ticket, Transaction};

/// Attempts that compete for the same revision.
const RIVALS: u32 = 8;

/// Attempts at one key, [`RIVALS`] at a time for each revision: exactly one of them wins, and the others are told who.
pub(super) fn one_winner_per_revision(client: &mut Client<'_>) {
    let one = key("one");
    let mut current = Stored { rev: client.put(&one, b"begin"), value: b"begin"[..].into() };
    for round in 0..client.harness.attempts() / RIVALS {
        let attempts: Vec<Transaction> = (0..RIVALS)
            .map(|rival| {
                let value = [round.to_be_bytes(), rival.to_be_bytes()].concat();
                let compares = vec![is(&one, current.rev, &current.value)];
                Transaction { compares, changes: vec![put(&one, &value)] }
            })
            .collect();
        let winner = compete(client, &attempts);
        let now = client.read(&one).expect("nobody deletes it");
        assert_eq!(now.rev, winner, "round {round}");
        assert!(now.rev > current.rev, "round {round}");
        current = now;
    }
}

/// Submits all attempts at once, and those again whose outcome is unknown.
fn compete(client: &mut Client<'_>, attempts: &[Transaction]) -> Rev {
    let operations = attempts.iter().map(|attempt| Operation::Commit(attempt.clone()));
    let tickets: Vec<Ticket> = operations.map(|operation| client.submit(operation)).collect();
    let first = client.outcomes(&tickets);
    let mut winners = Vec::new();
    let mut told = Vec::new();
    for (attempt, outcome) in attempts.iter().zip(first) {
        let result = match outcome {
            Outcome::Committed(rev) => Ok(rev),
            Outcome::Conflict(current) => Err(current),
            Outcome::Unknown => client
                .commit(attempt)
                .or_else(|current| super::own_revision(attempt, &current).ok_or(current)),
            other => panic!("{other:?}"),
        };
        match result {
            Ok(rev) => winners.push(rev),
            Err(current) => told.extend(current.into_iter().flatten().map(|stored| stored.rev)),
        }
    }
    assert_eq!(winners.len(), 1, "winners of one revision: {winners:?}");
    assert_eq!(told.len() + 1, attempts.len(), "the others are told");
    assert!(told.iter().all(|rev| *rev == winners[0]), "{told:?} lost against {winners:?}");
    winners[0]
}
