//! The corpora are what the code says, every target runs on them, and the targets can fail.

use std::path::Path;

use super::*;

#[test]
fn the_checked_in_corpora_are_current_and_pass() {
    for (target, name, bytes) in seeds::all() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target).join(name);
        let current = std::fs::read(&path).is_ok_and(|content| content == bytes);
        assert!(current, "{target}/{name}: run `cargo xtask fuzz --write-corpus`");
        let target = TARGETS.iter().find(|entry| entry.name == target).expect("seeds belong to a target");
        (target.run)(&bytes);
    }
    for target in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
        assert!(
            folder.read_dir().is_ok_and(|mut files| files.next().is_some()),
            "{} has no seed",
            target.name
        );
    }
}

#[test]
fn every_target_takes_nothing_and_anything() {
    let mut random = mutate::Random::new(7);
    let corpus: Vec<_> = seeds::all().into_iter().map(|(.., bytes)| bytes).collect();
    for target in TARGETS {
        (target.run)(&[]);
        for _ in 0..200 {
            (target.run)(&mutate::mutate(&corpus, &mut random));
        }
    }
}

#[test]
fn equal_seeds_give_equal_inputs() {
    let corpus = vec![vec![1, 2, 3], vec![4; 40]];
    let run = || {
        let mut random = mutate::Random::new(5);
        (0..100).map(|_| mutate::mutate(&corpus, &mut random)).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}
