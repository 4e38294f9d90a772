//! Finding the lab that runs, and going into one of its nodes from another terminal.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::process::{Command, ExitCode};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{STAGE, STAGE_INNER, node, outer};

/// Runs `command` inside `node` of the youngest lab of this user; none when no lab runs.
///
/// Must be called while the process has one thread: the kernel lets no other into a user namespace.
///
/// # Errors
/// The lab's namespaces cannot be entered, or the command cannot be started.
pub fn join(node: &str, command: &mut Command) -> io::Result<Option<ExitCode>> {
    let Some(process) = youngest_lab() else { return Ok(None) };
    let folder = std::env::current_dir().unwrap_or_else(|_| "/".into());
    let open = |name: &str| File::open(format!("/proc/{process}/ns/{name}"));
    // All are opened before the first is entered: afterwards /proc shows another world.
    let (user, mount, pid) = (open("user")?, open("mnt")?, open("pid")?);
    if !same_namespace(&user, &File::open("/proc/self/ns/user")?)? {
        enter(&user, LinkNameSpaceType::User)?;
    }
    enter(&mount, LinkNameSpaceType::Mount)?;
    enter(&pid, LinkNameSpaceType::ProcessID)?;
    enter(&File::open(format!("{}/{node}", node::FOLDER))?, LinkNameSpaceType::Network)?;
    let status = command.current_dir(folder).spawn()?.wait()?;
    Ok(Some(outer::exit_code(status)))
}

fn enter(namespace: &File, kind: LinkNameSpaceType) -> io::Result<()> {
    move_into_link_name_space(namespace.as_fd(), Some(kind)).map_err(io::Error::from)
}

fn same_namespace(left: &File, right: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (left, right) = (left.metadata()?, right.metadata()?);
    Ok((left.dev(), left.ino()) == (right.dev(), right.ino()))
}

/// The inner program of a lab is recognised by its mark and by being process 1 of its namespace.
fn youngest_lab() -> Option<u32> {
    let mark = format!("{STAGE}={STAGE_INNER}");
    let processes = fs::read_dir("/proc").ok()?;
    let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let is_lab = |process: &u32| {
        let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
            && numbers.split_whitespace().last() == Some("1")
    };
    numbers.filter(is_lab).max()
}
