//! Namespaces: how an ordinary user gets machines of his own.
//!
//! The program starts itself a second time inside new user, mount, network and process namespaces. In there it is
//! root over nothing but its own network, and process 1: when it ends, however it ends, the kernel ends everything it
//! started and takes every interface away. Nodes are further network namespaces inside.

mod advice;
mod node;
mod outer;
mod running;

use std::fs;
use std::io;
use std::path::Path;

use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::process::Signal;

pub use advice::Refusal;
pub use node::Node;
pub use outer::{as_plain_user, exit_code, start_inside};
pub use running::join;

/// Marks the inner program; its value is the stage.
const STAGE: &str = "JUMPVPN_LAB_STAGE";
const STAGE_INNER: &str = "inner";

/// Variable of the environment that keeps labs of one machine apart: `shell` joins only a lab with the same value.
pub const GROUP: &str = "JUMPVPN_LAB_GROUP";

/// Whether this process is the one inside the namespaces.
#[must_use]
pub fn is_inside() -> bool {
    std::env::var_os(STAGE).is_some_and(|stage| stage == STAGE_INNER) && std::process::id() == 1
}

/// Prepares the inside: private mounts, an own `/proc`, an empty `/run` for sockets and the names of the nodes.
///
/// # Errors
/// What the system forbids, with advice.
pub fn settle_in() -> Result<(), Refusal> {
    let step = |what: &'static str| move |error: rustix::io::Errno| Refusal::of(what, error.into());
    // The outer program may be killed without a chance to say goodbye.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(step("follow the parent"))?;
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(step("make the mounts private"))?;
    // In some containers parts of /proc are masked and a new one is forbidden; the old one serves too.
    let proc_flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("proc", "/proc", "proc", proc_flags, None).ok();
    rustix::mount::mount("jumpvpn-lab", "/run", "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, None)
        .map_err(step("mount a private /run"))?;
    let folders = ["/run/jumpvpn", node::FOLDER];
    folders
        .iter()
        .try_for_each(fs::create_dir_all)
        .map_err(|error| Refusal::of("make folders in /run", error))
}

/// Shows `replacement` in the place of `original` to everything inside.
///
/// # Errors
/// What the kernel said.
pub fn cover(original: &str, replacement: &Path) -> io::Result<()> {
    rustix::mount::mount_bind(replacement, original).map_err(io::Error::from)
}
