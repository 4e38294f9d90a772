//! The rooms with `unsafe` under tools that see what a test cannot: Miri (the rules of the language, on code without system
//! calls) and valgrind (reads of what nobody wrote, on real system calls and foreign code).

use crate::Outcome;
use crate::run::{cargo, succeed, works};

/// The room whose unit tests Miri can run: no system calls, no foreign code. Which unsafe blocks that leaves to valgrind is
/// in docs/security/unsafe.md.
const MIRI: &str = "jumpvpn-tun";

/// Tests that valgrind runs: every room whose unsafe blocks call the kernel or foreign code.
const MEMCHECK: &[(&str, &[&str])] = &[
    ("tun", &["--lib"]),
    // Those of throughput would measure valgrind.
    ("tun", &["--test", "it", "devices::"]),
    ("transport", &["--lib", "--test", "it"]),
    // Messages to the neighbours; the rest of the room leaves system calls to others.
    ("host", &["--test", "it", "flat_site::neighbours_are_told_who_has_a_session_now"]),
    ("kem", &["--lib"]),
    ("prefetch", &["--lib"]),
];

/// Miri's interpreter is about a thousand times slower: so many cases of each property.
const MIRI_CASES: &str = "4";

/// `cargo xtask miri`: needs a nightly toolchain with `miri` and `rust-src`.
pub(crate) fn miri() -> Result<Outcome, String> {
    if !works("cargo", &["+nightly", "miri", "--version"]) {
        return Err("Miri is not here: rustup toolchain install nightly --component miri rust-src".into());
    }
    // Not by the variable CARGO, which names the stable one.
    let mut command = std::process::Command::new("cargo");
    command.current_dir(crate::run::root()).env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
    command.args(["+nightly", "miri", "test", "--quiet", "--package", MIRI, "--lib"]);
    // Properties keep a file of failures, and choose their cases at random.
    command.env("MIRIFLAGS", "-Zmiri-disable-isolation").env("PROPTEST_CASES", MIRI_CASES);
    succeed(&mut command)?;
    Ok(Outcome { figures: "the unit tests of tun interpreted".into(), finding_count: 0 })
}

/// `cargo xtask memcheck`: the tests of these rooms under valgrind.
pub(crate) fn memcheck() -> Result<Outcome, String> {
    if !works("valgrind", &["--version"]) {
        return Err("valgrind is not here: sudo apt-get install -y valgrind".into());
    }
    for (room, targets) in MEMCHECK {
        let mut command = cargo();
        command.args(["test", "--quiet", "--package", &format!("jumpvpn-{room}")]).args(*targets);
        let runner = r#"target."cfg(unix)".runner = ["valgrind", "--quiet", "--error-exitcode=9", "--fair-sched=yes"]"#;
        command.args(["--config", runner]);
        command.env("PROPTEST_CASES", "16");
        succeed(&mut command)?;
    }
    Ok(Outcome { figures: format!("{} test programs without a finding", MEMCHECK.len()), finding_count: 0 })
}
