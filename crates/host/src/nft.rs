//! Running the program `nft`, which speaks to the kernel's packet filter for us: its language is stable where the
//! kernel's own interface is not meant for people.

use std::io::{ErrorKind, Write};
use std::process::{Command, Output, Stdio};

use crate::HostError;

/// Where the program is: on the search path, or where distributions put it when the path has no sbin directories.
const PROGRAMS: [&str; 3] = ["nft", "/usr/sbin/nft", "/sbin/nft"];

/// Applies a script as one transaction: all of it or nothing. `action` completes "cannot …".
pub fn apply(script: &str, action: &str) -> Result<(), HostError> {
    let output = run(&["-f", "-"], script, action)?;
    if output.status.success() { Ok(()) } else { Err(refused(&output, action)) }
}

/// Lists a table of the family `inet`; none when there is no such table.
pub fn list_table(name: &str) -> Result<Option<String>, HostError> {
    let action = "list the packet filter";
    let output = run(&["list", "table", "inet", name], "", action)?;
    if output.status.success() {
        return Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()));
    }
    match String::from_utf8_lossy(&output.stderr) {
        message if message.contains("No such file or directory") => Ok(None),
        _ => Err(refused(&output, action)),
    }
}

fn run(arguments: &[&str], input: &str, action: &str) -> Result<Output, HostError> {
    for program in PROGRAMS {
        let mut command = Command::new(program);
        // Messages in English, as they are looked into.
        command.args(arguments).env("LC_ALL", "C");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            child => child.map_err(HostError::io(action))?,
        };
        if let Some(mut stdin) = child.stdin.take() {
            match stdin.write_all(input.as_bytes()) {
                // It exited without reading; its status says why.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                written => written.map_err(HostError::io(action))?,
            }
        }
        return child.wait_with_output().map_err(HostError::io(action));
    }
    Err(HostError::NftMissing { action: action.to_owned() })
}

fn refused(output: &Output, action: &str) -> HostError {
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let action = action.to_owned();
    if message.contains("Operation not permitted") {
        return HostError::PermissionDenied { action };
    }
    HostError::Nft { action, message }
}
