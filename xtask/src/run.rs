//! Other programs: cargo, mostly.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// The cargo that started this program.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// The folder of the workspace.
pub(crate) fn root() -> &'static Path {
    // invariant: this crate lies one folder below the workspace.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder above xtask")
}

/// The folder cargo builds in.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Builds the program.
pub(crate) fn build_program(profile: &[&str]) -> Result<(), String> {
    succeed(cargo().args(["build", "--quiet", "--package", "jumpvpn"]).args(profile))
}

/// The program as the tests have built it.
pub(crate) fn tested_program() -> Result<PathBuf, String> {
    build_program(&[])?;
    Ok(target().join("debug/jumpvpn"))
}

/// Runs `command` with its output on ours.
pub(crate) fn succeed(command: &mut Command) -> Result<(), String> {
    let name = spelled(command);
    let status = command.status().map_err(|error| format!("cannot run `{name}`: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{name}` failed ({status})")) }
}

/// Runs `command`, passes its output on except for the last line, and answers that line: the figures of the run.
pub(crate) fn last_line(command: &mut Command) -> Result<String, String> {
    let (last, status) = last_line_and_status(command)?;
    if status.success() { Ok(last) } else { Err(format!("{last}, `{}` failed ({status})", spelled(command))) }
}

/// As [`last_line`], for commands whose way of failing matters.
pub(crate) fn last_line_and_status(command: &mut Command) -> Result<(String, ExitStatus), String> {
    let name = spelled(command);
    let mut child =
        command.stdout(Stdio::piped()).spawn().map_err(|error| format!("cannot run `{name}`: {error}"))?;
    let mut last = String::new();
    for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()) {
        let line = line.map_err(|error| format!("cannot read what `{name}` says: {error}"))?;
        if !last.is_empty() {
            println!("{last}");
        }
        last = line;
    }
    let status = child.wait().map_err(|error| format!("cannot wait for `{name}`: {error}"))?;
    Ok((last, status))
}

/// Whether `program` can be started with `arguments` and succeeds; its output is thrown away.
pub(crate) fn works(program: impl AsRef<OsStr>, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Whether cargo has the subcommand `name`.
pub(crate) fn cargo_has(name: &str) -> bool {
    cargo().args([name, "--version"]).output().is_ok_and(|output| output.status.success())
}

/// The command as one would type it.
fn spelled(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
