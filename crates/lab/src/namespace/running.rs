//! Finding the lab that runs, and going into one of its nodes from another terminal.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, ExitCode};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{GROUP, STAGE, STAGE_INNER, node, outer};

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

/// The inner program of a lab is recognised by its mark and by being process 1 of its namespace. One that was started with
/// another [`GROUP`] than ours, or with one while we have none, belongs to somebody else.
fn youngest_lab() -> Option<u32> {
    let mark = format!("{STAGE}={STAGE_INNER}");
    let ours = std::env::var_os(GROUP).map(|group| [GROUP.as_bytes(), b"=", group.as_bytes()].concat());
    let is_group =
        |entry: &&[u8]| entry.strip_prefix(GROUP.as_bytes()).is_some_and(|rest| rest.starts_with(b"="));
    let processes = fs::read_dir("/proc").ok()?;
    let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let is_lab = |process: &u32| {
        let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        let mut entries = environment.split(|byte| *byte == 0);
        environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
            && entries.find(is_group) == ours.as_deref()
            && numbers.split_whitespace().last() == Some("1")
    };
    numbers.filter(is_lab).max()
}
