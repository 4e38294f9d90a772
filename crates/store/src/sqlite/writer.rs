//! The thread that writes: the only one that ever touches the connection.

use std::sync::OnceLock;
use std::sync::mpsc::Receiver;

use jumpvpn_ownership::{
    Change, Compare, Key, Operation, Outcome, Rev, StoreError, Stored, Ticket, Transaction,
};
use rusqlite::{Connection, ErrorCode, OptionalExtension};

use super::row::{record, sum};
use crate::desk::Outbox;

/// Operations in one transaction of SQLite: more of them gain little (the sync is shared by all) and make the first
/// one wait for the last.
const GROUP: usize = 256;

/// An operation on its way to the thread.
pub(super) struct Order {
    pub(super) ticket: Ticket,
    pub(super) operation: Operation,
}

/// The connection and the revision of the last transaction.
pub(super) struct Writer {
    connection: Connection,
    revision: i64,
}

impl Writer {
    pub(super) const fn new(connection: Connection, revision: i64) -> Writer {
        Writer { connection, revision }
    }

    /// Works until nobody can order any more.
    pub(super) fn run(mut self, inbox: &Receiver<Order>, outbox: &Outbox, failure: &OnceLock<String>) {
        while let Some(group) = next_group(inbox) {
            let tickets: Vec<Ticket> = group.iter().map(|order| order.ticket).collect();
            match self.carry_out(group) {
                Ok(outcomes) => outbox.send(tickets.into_iter().zip(outcomes)),
                Err(error) => {
                    failure.get_or_init(|| error.to_string());
                    let lost = Outcome::Lost(meaning(&error));
                    outbox.send(tickets.into_iter().map(|ticket| (ticket, lost.clone())));
                    return refuse(inbox, outbox, &lost);
                }
            }
        }
    }

    /// One transaction of SQLite. Its outcomes may be told only when this has returned.
    fn carry_out(&mut self, group: Vec<Order>) -> rusqlite::Result<Vec<Outcome>> {
        let mut revision = self.revision;
        let transaction = self.connection.transaction()?;
        let outcomes = group
            .into_iter()
            .map(|order| match order.operation {
                Operation::Commit(asked) => commit(&transaction, &asked, &mut revision),
                Operation::Read(key) => Ok(Outcome::Found(read(&transaction, &key)?)),
                Operation::List { prefix, after, limit } => {
                    list(&transaction, &prefix, after.as_ref(), limit)
                }
            })
            .collect::<rusqlite::Result<Vec<Outcome>>>()?;
        if revision != self.revision {
            transaction.prepare_cached("UPDATE counter SET revision = ?1")?.execute([revision])?;
        }
        transaction.commit()?;
        self.revision = revision;
        Ok(outcomes)
    }
}

/// What is there, once something is; nothing when the store is closed.
fn next_group(inbox: &Receiver<Order>) -> Option<Vec<Order>> {
    let first = inbox.recv().ok()?;
    Some(std::iter::once(first).chain(inbox.try_iter().take(GROUP - 1)).collect())
}

/// The store is gone: says so until nobody asks.
fn refuse(inbox: &Receiver<Order>, outbox: &Outbox, lost: &Outcome) {
    for order in inbox {
        outbox.send([(order.ticket, lost.clone())]);
    }
}

/// What an error of a statement means for what was written. Statements here fail for no other reasons than the disk and
/// what it holds.
fn meaning(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Corrupt(error.to_string().into())
        }
        _ => StoreError::NotDurable,
    }
}

fn commit(connection: &Connection, asked: &Transaction, revision: &mut i64) -> rusqlite::Result<Outcome> {
    let found: Vec<Option<Stored>> =
        asked.compares.iter().map(|compare| read(connection, compare.key())).collect::<Result<_, _>>()?;
    let mut pairs = asked.compares.iter().zip(&found);
    if !pairs.all(|(compare, current): (&Compare, _)| compare.holds(current.as_ref())) {
        return Ok(Outcome::Conflict(found));
    }
    *revision += 1;
    for change in &asked.changes {
        match change {
            Change::Put { key, value } => connection
                .prepare_cached("INSERT OR REPLACE INTO kv(key, rev, val, sum) VALUES (?1, ?2, ?3, ?4)")?
                .execute((&key.0, *revision, value, sum(&key.0, *revision, value)))?,
            Change::Delete { key } => {
                connection.prepare_cached("DELETE FROM kv WHERE key = ?1")?.execute([&key.0])?
            }
        };
    }
    Ok(Outcome::Committed(Rev(revision.cast_unsigned())))
}

fn read(connection: &Connection, key: &Key) -> rusqlite::Result<Option<Stored>> {
    let mut select = connection.prepare_cached("SELECT key, rev, val, sum FROM kv WHERE key = ?1")?;
    let found = select.query_row([&key.0], record).optional()?;
    Ok(found.map(|(_, stored)| stored))
}

fn list(
    connection: &Connection,
    prefix: &Key,
    after: Option<&Key>,
    limit: usize,
) -> rusqlite::Result<Outcome> {
    let mut select =
        connection.prepare_cached("SELECT key, rev, val, sum FROM kv WHERE key >= ?1 ORDER BY key")?;
    let from = after.map_or(prefix, |after| after.max(prefix));
    let mut rows = select.query([&from.0])?;
    let (mut entries, mut more) = (Vec::new(), false);
    while let Some(row) = rows.next()? {
        let (key, stored) = record(row)?;
        if !key.0.starts_with(&prefix.0) {
            break;
        }
        if after == Some(&key) {
            continue;
        }
        if entries.len() == limit {
            more = true;
            break;
        }
        entries.push((key, stored));
    }
    Ok(Outcome::Listed { entries, more })
}
