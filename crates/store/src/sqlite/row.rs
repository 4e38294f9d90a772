//! A row of the table, and the sum by which damage to it is noticed: SQLite's pages have none.

use std::hash::Hasher;

use jumpvpn_ownership::{Key, Rev, Stored};
use rusqlite::types::Type;
use rusqlite::{Error, Row};
use siphasher::sip::SipHasher13;

/// A record has other bytes than were written.
#[derive(Debug, thiserror::Error)]
#[error("the record under {0:?} does not fit its sum")]
pub(super) struct Altered(Key);

/// The sum of a row. Against accidents, not against people: its key is known to all.
pub(super) fn sum(key: &[u8], rev: i64, value: &[u8]) -> i64 {
    let mut hasher = SipHasher13::new();
    hasher.write(&(key.len() as u64).to_be_bytes());
    hasher.write(key);
    hasher.write(&rev.to_be_bytes());
    hasher.write(value);
    hasher.finish().cast_signed()
}

/// Reads `key, rev, val, sum`.
pub(super) fn record(row: &Row<'_>) -> rusqlite::Result<(Key, Stored)> {
    let (key, rev, value): (Vec<u8>, i64, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let fits = sum(&key, rev, &value) == row.get::<_, i64>(3)?;
    let key = Key::new(key);
    if !fits {
        return Err(Error::FromSqlConversionFailure(2, Type::Blob, Box::new(Altered(key))));
    }
    Ok((key, Stored { rev: Rev(rev.cast_unsigned()), value: value.into() }))
}
