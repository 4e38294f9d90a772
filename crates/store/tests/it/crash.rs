//! A store whose process is killed, again and again: what it acknowledged is there.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};

use crate::bed::{Bed, door};

/// How often. Each round leaves a log that the next one has to take over.
const ROUNDS: u64 = 25;

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let bed = Bed::new();
    let mut acknowledged: BTreeMap<u64, u64> = BTreeMap::new();
    let mut dice = 0x2545_f491_4f6c_dd1du64;
    for round in 0..ROUNDS {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // At its start, in its first group, or after some hundred.
        let patience = match round % 5 {
            0 => 0,
            1 => 1,
            _ => (dice >> 33) as usize % 1500,
        };
        let mut process = door("write", &bed.data()).arg((round * 1_000_000).to_string()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut heard: Vec<String> = lines.by_ref().take(patience).map(Result::unwrap).collect();
        process.kill().unwrap();
        process.wait().unwrap();
        heard.extend(lines.map(Result::unwrap));
        for line in heard.iter().filter(|line| *line != "opened") {
            let (number, rev) = line.split_once(' ').unwrap();
            let was = acknowledged.insert(number.parse().unwrap(), rev.parse().unwrap());
            assert_eq!(was, None, "{line}");
        }
        let kept: BTreeMap<u64, u64> = bed
            .store()
            .all("s/", 1000)
            .iter()
            .map(|(key, stored)| {
                let number: u64 = std::str::from_utf8(&key.0[2..]).unwrap().parse().unwrap();
                assert_eq!(*stored.value, number.to_be_bytes().repeat(50), "round {round}");
                (number, stored.rev.0)
            })
            .collect();
        for (number, rev) in &acknowledged {
            assert_eq!(kept.get(number), Some(rev), "{number} was acknowledged, round {round}");
        }
        // Not acknowledged and yet there: at most what was on its way.
        assert!(kept.len() <= acknowledged.len() + 32 * (round as usize + 1));
        let revisions: std::collections::BTreeSet<u64> = kept.values().copied().collect();
        assert_eq!(revisions.len(), kept.len(), "each has its own");
    }
    assert!(acknowledged.len() > 2000, "{}", acknowledged.len());
}
