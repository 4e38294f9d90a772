//! Does a test notice when a check is gone? Changes one place after the other in the verifier and in the order of checks,
//! and runs the tests of the room each time (cargo-mutants). What may survive is in `.cargo/mutants.toml`; what was found
//! so far is in docs/security/mutants.md.

use crate::run::{cargo, cargo_has, last_line, root};
use crate::{Outcome, pairs};

/// What decides who may move a session, and what a stranger may cost.
const FILES: &[&str] = &[
    "crates/session/src/verify.rs",
    "crates/session/src/ticket.rs",
    "crates/session/src/token.rs",
    "crates/session/src/window.rs",
    "crates/session/src/control.rs",
    "crates/session/src/handshake/cookie.rs",
    "crates/engine/src/gateway/admission.rs",
    "crates/engine/src/gateway/data.rs",
    "crates/engine/src/gateway/reattach.rs",
    "crates/engine/src/gateway/takeover.rs",
    "crates/engine/src/gateway/takeover/queue.rs",
    "crates/engine/src/gateway/handoff.rs",
    "crates/engine/src/gateway/lost.rs",
    "crates/engine/src/gateway/cid.rs",
    "crates/engine/src/gateway/table.rs",
    "crates/engine/src/gateway/table/inner.rs",
    "crates/engine/src/rejection.rs",
    "crates/engine/src/sketch.rs",
    "crates/engine/src/keyed.rs",
];

/// Runs the command; `--file` restricts it to one file.
pub(crate) fn run(rest: &[String]) -> Result<Outcome, String> {
    let file = pairs(rest, &["--file"])?.get("--file").copied();
    if !cargo_has("mutants") {
        return Err("cargo-mutants is not here: cargo install --locked cargo-mutants".into());
    }
    let mut command = cargo();
    command.args(["mutants", "--colors", "never", "--no-shuffle", "--output"]).arg(root().join("target"));
    for file in file.as_slice().iter().chain(if file.is_none() { FILES } else { &[] }) {
        command.args(["--file", file]);
    }
    // The program ends with an error when a change was not noticed.
    Ok(Outcome { figures: last_line(&mut command)?, finding_count: 0 })
}
