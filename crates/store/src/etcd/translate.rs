//! Operations as etcd's messages, and its answers as outcomes. Values to values.

use jumpvpn_ownership::{Change, Compare, Hint, Key, Operation, Outcome, Rev, Stored, Transaction};

use super::messages::{
    Comparison, Delete, KeyValue, Operand, Property, Put, RangeAnswer, RangeAsked, Relation, Step, StepKind,
    TxnAnswer, TxnAsked,
};

#[cfg(test)]
mod tests;

/// Longest page: 8192 entries of 128 and some 700 bytes stay below the 16 MiB that one answer may have.
const PAGE: usize = 8192;

/// What begins the key of a heartbeat.
const HEARTBEATS: &[u8] = b"hb/";

/// A call, ready to be sent as often as it takes members.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Call {
    Txn(TxnAsked),
    Range(RangeAsked),
}

/// How the answer to a call is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Commit { compares: usize },
    Read,
    List { after: Option<Vec<u8>>, limit: usize },
}

/// Our keys in a store that others may use as well: all of them begin with the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Space(pub(super) Vec<u8>);

impl Space {
    fn full(&self, key: &Key) -> Vec<u8> {
        [&self.0[..], &key.0].concat()
    }

    /// All keys of ours, or those with a prefix.
    pub(super) fn range(&self, prefix: &Key) -> (Vec<u8>, Vec<u8>) {
        let from = self.full(prefix);
        let end = end_of(&from);
        // The empty key is none in etcd; this is the first.
        (if from.is_empty() { vec![0] } else { from }, end)
    }

    /// An operation as a call.
    pub(super) fn ask(&self, operation: Operation) -> (Call, Reading) {
        match operation {
            Operation::Commit(transaction) => {
                let compares = transaction.compares.len();
                (Call::Txn(self.transaction(transaction)), Reading::Commit { compares })
            }
            Operation::Read(key) => (Call::Range(self.one(&key)), Reading::Read),
            Operation::List { prefix, after, limit } => {
                let (from, range_end) = self.range(&prefix);
                let after = after.map(|after| self.full(&after)).filter(|after| *after >= from);
                let limit = limit.clamp(1, PAGE);
                // The last key of the page before is asked for again, as there is no "greater than".
                let key = after.clone().unwrap_or(from);
                let asked = limit + usize::from(after.is_some());
                let asked = RangeAsked { key, range_end, limit: i64::try_from(asked).unwrap_or(i64::MAX) };
                (Call::Range(asked), Reading::List { after, limit })
            }
        }
    }

    fn one(&self, key: &Key) -> RangeAsked {
        RangeAsked { key: self.full(key), ..RangeAsked::default() }
    }

    fn transaction(&self, transaction: Transaction) -> TxnAsked {
        let failure = transaction.compares.iter().map(|compare| self.one(compare.key()));
        TxnAsked {
            failure: failure.map(|range| Step { kind: Some(StepKind::Range(range)) }).collect(),
            compare: transaction.compares.into_iter().flat_map(|compare| self.comparisons(compare)).collect(),
            success: transaction.changes.into_iter().map(|change| self.step(change)).collect(),
        }
    }

    fn comparisons(&self, compare: Compare) -> Vec<Comparison> {
        let key = self.full(compare.key());
        let comparison = |relation: Relation, property: Property, operand| Comparison {
            relation: relation.into(),
            property: property.into(),
            key: key.clone(),
            operand: Some(operand),
        };
        match compare {
            Compare::Is { rev, value, .. } => vec![
                comparison(Relation::Equal, Property::ModRevision, Operand::ModRevision(rev.0.cast_signed())),
                comparison(Relation::Equal, Property::Value, Operand::Value(value.into())),
            ],
            Compare::Absent { .. } => {
                vec![comparison(Relation::Equal, Property::Version, Operand::Version(0))]
            }
            Compare::Present { .. } => {
                vec![comparison(Relation::Greater, Property::Version, Operand::Version(0))]
            }
        }
    }

    fn step(&self, change: Change) -> Step {
        let key = self.full(change.key());
        let kind = match change {
            Change::Put { value, .. } => StepKind::Put(Put { key, value: value.into() }),
            Change::Delete { .. } => StepKind::Delete(Delete { key }),
        };
        Step { kind: Some(kind) }
    }

    /// What the answer to a transaction says; nothing if it contradicts what was asked.
    pub(super) fn committed(&self, answer: TxnAnswer, reading: &Reading) -> Option<Outcome> {
        let Reading::Commit { compares } = reading else { return None };
        if answer.succeeded {
            return Some(Outcome::Committed(revision(answer.header?.revision)));
        }
        let found: Option<Vec<_>> =
            answer.responses.into_iter().map(|step| Some(self.single(step.range?))).collect();
        found.filter(|found| found.len() == *compares).map(Outcome::Conflict)
    }

    /// What the answer to a range says; nothing if it contradicts what was asked.
    pub(super) fn found(&self, answer: RangeAnswer, reading: &Reading) -> Option<Outcome> {
        match reading {
            Reading::Commit { .. } => None,
            Reading::Read => Some(Outcome::Found(self.single(answer))),
            Reading::List { after, limit } => {
                let after = after.as_deref();
                let mut entries: Vec<(Key, Stored)> = Vec::new();
                for entry in answer.kvs.into_iter().filter(|entry| Some(&entry.key[..]) != after) {
                    let key = entry.key.strip_prefix(&self.0[..])?.to_owned();
                    entries.push((Key::new(key), stored(entry)));
                }
                // Where the last key of the page before is gone, there is one more than was wanted.
                let more = answer.more || entries.len() > *limit;
                entries.truncate(*limit);
                Some(Outcome::Listed { entries, more })
            }
        }
    }

    /// What a change of a key says to whoever watches.
    pub(super) fn hint(&self, changed: KeyValue) -> Hint {
        let rev = revision(changed.mod_revision);
        let key = changed.key.strip_prefix(&self.0[..]);
        key.map_or(Hint::Anything, |key| Hint::Changed { key: Key::new(key), rev })
    }

    fn single(&self, answer: RangeAnswer) -> Option<Stored> {
        answer.kvs.into_iter().next().map(stored)
    }
}

/// Whether an operation renews the right to act: it must not wait behind others, nor for one member. It has to look at what
/// stands under the key that it puts, so that of two copies only one can be carried out.
pub(super) fn is_heartbeat(operation: &Operation) -> bool {
    let Operation::Commit(transaction) = operation else { return false };
    let looks_at = |key: &Key| {
        transaction.compares.iter().any(|compare| {
            matches!(compare, Compare::Is { .. } | Compare::Absent { .. }) && compare.key() == key
        })
    };
    transaction.changes.iter().any(
        |change| matches!(change, Change::Put { key, .. } if key.0.starts_with(HEARTBEATS) && looks_at(key)),
    )
}

fn stored(entry: KeyValue) -> Stored {
    Stored { rev: revision(entry.mod_revision), value: entry.value.into() }
}

const fn revision(number: i64) -> Rev {
    Rev(number.cast_unsigned())
}

/// The first key behind all that begin with these bytes; `[0]`, "to the end", if there is none.
fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}
