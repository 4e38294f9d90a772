//! Forged key logs: blocks that lie side by side pass, and every number that is in two of them is found.

use super::*;

fn told(by: &'static str, key: &str, lane: u64, from: u64, to: u64) -> KeyUse {
    KeyUse { by, key: key.into(), lane, numbers: [from, to] }
}

fn pairs(uses: &[KeyUse]) -> Vec<([u64; 2], [u64; 2])> {
    let pair = |finding: Finding| match finding {
        Finding::KeyReused { one, other } => (one.numbers, other.numbers),
        other => panic!("{other}"),
    };
    judge(uses).into_iter().map(pair).collect()
}

#[test]
fn blocks_side_by_side_pass() {
    let uses = [
        told("gateway1", "aa", 0, 1024, 2047),
        told("gateway1", "aa", 0, 0, 1023),
        told("gateway1", "aa", 1, 0, 1023),
        told("gateway2", "bb", 0, 0, 1023),
        told("agent", "aa", 0, 2048, 3071),
    ];
    assert_eq!(pairs(&uses), []);
    assert_eq!((count(&uses), count(&[])), (2, 0));
}

#[test]
fn a_number_in_two_blocks_is_found_whoever_told_them() {
    // The same process once more, as the log tells a number that does not rise.
    assert_eq!(
        pairs(&[told("gateway1", "aa", 0, 0, 1023), told("gateway1", "aa", 0, 5, 5)]),
        [([0, 1023], [5, 5])]
    );
    // Another gateway, and another incarnation of the same one, with a key that should have been theirs alone.
    for by in ["gateway1", "gateway2"] {
        let uses = [told("gateway1", "aa", 0, 0, 1023), told(by, "aa", 0, 0, 1023)];
        assert_eq!(pairs(&uses), [([0, 1023], [0, 1023])]);
    }
    // The last number of one is the first of the other.
    assert_eq!(
        pairs(&[told("agent", "aa", 0, 10, 20), told("gateway1", "aa", 0, 0, 10)]),
        [([0, 10], [10, 20])]
    );
}

#[test]
fn a_long_block_is_remembered_behind_a_short_one() {
    let uses = [
        told("agent", "aa", 0, 0, 5000),
        told("agent", "aa", 0, 7, 7),
        told("gateway1", "aa", 0, 4000, 6000),
        told("gateway1", "aa", 0, 5500, 5501),
    ];
    assert_eq!(pairs(&uses), [([0, 5000], [7, 7]), ([0, 5000], [4000, 6000]), ([4000, 6000], [5500, 5501])]);
}
