//! Whether a pair of key and nonce came twice in the whole cell: a pure judgement over what the test build tells of its keys.
//!
//! Each process tells blocks of numbers before it seals under them, and a number that does not rise once more. So no two
//! blocks of a key may have a number in common, whoever told them.

use std::collections::BTreeSet;
use std::fmt;

use super::Finding;

#[cfg(test)]
mod tests;

/// A key seals under these numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    /// Who tells it.
    pub by: &'static str,
    /// Name of the key: a hash.
    pub key: String,
    /// Lane, which is part of the nonce.
    pub lane: u64,
    /// First and last number.
    pub numbers: [u64; 2],
}

/// Numbers that one key has sealed under twice, one finding for each two neighbours.
pub(super) fn judge(uses: &[KeyUse]) -> Vec<Finding> {
    let mut sorted: Vec<&KeyUse> = uses.iter().collect();
    sorted.sort_by_key(|told| (&told.key, told.lane, told.numbers));
    let mut findings = Vec::new();
    // The one that reaches farthest among those before.
    let mut farthest: Option<&KeyUse> = None;
    for told in sorted {
        let before = farthest.filter(|before| before.key == told.key && before.lane == told.lane);
        match before {
            Some(before) if told.numbers[0] <= before.numbers[1] => {
                findings.push(Finding::KeyReused { one: before.clone(), other: told.clone() });
                if told.numbers[1] > before.numbers[1] {
                    farthest = Some(told);
                }
            }
            _ => farthest = Some(told),
        }
    }
    findings
}

/// How many keys there are.
pub(super) fn count(uses: &[KeyUse]) -> usize {
    uses.iter().map(|told| &told.key).collect::<BTreeSet<_>>().len()
}

impl fmt::Display for KeyUse {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by, key, lane, numbers: [from, to] } = self;
        write!(out, "{by}: key {}, lane {lane}, {from} to {to}", key.get(..8).unwrap_or(key))
    }
}
