//! Leaving root for a user of the system.
//!
//! Users are looked up in /etc/passwd and /etc/group alone: a service's user is a local one, and the name services
//! would load code into a process that is still root.

use rustix::fs::{Gid, Uid};
use rustix::process::{DumpableBehavior, geteuid, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use crate::SandboxError;
use crate::capability::{Capabilities, reduce};

#[derive(Debug, PartialEq, Eq)]
struct User {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

/// Changes from root to the user `name` with its groups, and keeps `keep` alone of root's capabilities. A process that
/// is this user already merely gives up the others. The kernel makes a process that changes its user readable for
/// others again as `fs.suid_dumpable` has it; that is undone here.
///
/// # Errors
/// There is no such user, it is root, or the process is a third user's.
pub fn become_user(name: &str, keep: CapabilitySet) -> Result<Capabilities, SandboxError> {
    let wrong = |why: String| SandboxError::User { name: name.to_owned(), why };
    let read = |path: &str| std::fs::read_to_string(path).map_err(|error| wrong(format!("{path}: {error}")));
    let found = find(name, &read("/etc/passwd")?, &read("/etc/group")?);
    let user = found.ok_or_else(|| wrong("there is no such user in /etc/passwd".into()))?;
    if user.uid == 0 {
        return Err(wrong("it is root".into()));
    }
    if geteuid().as_raw() != user.uid {
        change(&user).map_err(|error| wrong(format!("{error}; only root can change users")))?;
    }
    reduce(keep)
}

/// Capabilities stay permitted over the change, and [`reduce`] then keeps what is wanted of them.
fn change(user: &User) -> Result<(), rustix::io::Errno> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    let groups: Vec<Gid> = user.groups.iter().copied().map(Gid::from_raw).collect();
    set_keep_capabilities(true)?;
    set_thread_groups(&groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

/// Finds a user in the texts of passwd(5) and group(5).
fn find(name: &str, passwd: &str, group: &str) -> Option<User> {
    let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let entry = passwd.lines().map(fields).find(|entry| entry.first().is_some_and(|first| first == name))?;
    let number = |at: usize| entry.get(at).and_then(|field| field.parse::<u32>().ok());
    let (uid, gid) = (number(2)?, number(3)?);
    let member =
        |entry: &Vec<String>| entry.get(3).is_some_and(|names| names.split(',').any(|one| one == name));
    let further = group.lines().map(fields).filter(member).filter_map(|entry| entry.get(2)?.parse().ok());
    let mut groups: Vec<u32> = std::iter::once(gid).chain(further).collect();
    groups.sort_unstable();
    groups.dedup();
    Some(User { uid, gid, groups })
}

#[cfg(test)]
mod tests;
