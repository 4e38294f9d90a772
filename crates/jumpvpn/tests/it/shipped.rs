//! What the program that is shipped must not be able to do.

use std::fs;

/// Texts that only the test build has (feature `planted`): what the names of its keys are made with, and what it says when it
/// cannot do what it was asked. The laboratory, which is shipped, knows the names of both variables.
const TEST_BUILD_ONLY: [&str; 3] = ["jump/1 key log", "cannot open the key log", "can be planted"];
/// A text that the shipped program has, so that the search is shown to find one.
const KNOWN: &str = "JUMPVPN_SOCKET";

#[test]
fn neither_key_log_nor_planted_faults_are_in_the_program() {
    let program = fs::read(env!("CARGO_BIN_EXE_jumpvpn")).unwrap();
    let holds = |name: &str| program.windows(name.len()).any(|bytes| bytes == name.as_bytes());
    assert!(holds(KNOWN), "the search finds nothing");
    for name in TEST_BUILD_ONLY {
        assert!(
            !holds(name),
            "{name:?} is in a program that could be shipped: who wants the feature `planted`?"
        );
    }
}
