//! What the program that is shipped must not be able to do.

use std::fs;

/// Names that only the test build knows (feature `planted`).
const TEST_BUILD_ONLY: [&str; 2] = ["JUMPVPN_KEY_LOG", "JUMPVPN_PLANTED_FAULT"];
/// A name that the shipped program knows, so that the search is shown to find one.
const KNOWN: &str = "JUMPVPN_SOCKET";

#[test]
fn neither_key_log_nor_planted_faults_are_in_the_program() {
    let program = fs::read(env!("CARGO_BIN_EXE_jumpvpn")).unwrap();
    let holds = |name: &str| program.windows(name.len()).any(|bytes| bytes == name.as_bytes());
    assert!(holds(KNOWN), "the search finds nothing");
    for name in TEST_BUILD_ONLY {
        assert!(
            !holds(name),
            "{name} is in a program that could be shipped: who asked for the feature `planted`?"
        );
    }
}
