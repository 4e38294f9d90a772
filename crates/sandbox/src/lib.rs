//! What this process may still do once it has everything it needs: user, capabilities, files, system calls, and how
//! its memory is kept from others.
//!
//! [`protect_memory`] comes first, before any key is read. [`become_user`] leaves root behind where that was asked for.
//! [`restrain`] is for a process that goes on with some rights, [`confine`] for one that needs none any more. Everything
//! here holds for the calling thread and the threads it starts later, so it is called before there are others.
//!
//! Deliberately not here: which files and rights that are, and any word about tunnels. The room exists to keep the
//! lists of calls and rights in one place that knows nothing of what it confines.

#![forbid(unsafe_code)] // rustix, landlock and seccompiler keep the system calls

mod calls;
mod capability;
mod error;
mod files;
mod memory;
mod user;

use std::io;

pub use calls::{KILLING, admitted_call_count};
pub use capability::{Capabilities, CapabilitySet, held, reduce};
pub use error::SandboxError;
pub use files::{FileRules, Files};
pub use memory::{Memory, is_readable, protect_memory};
pub use user::become_user;

/// How much a missing mechanism of the kernel matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// What the kernel lacks is left out, and said.
    BestEffort,
    /// Nothing may be missing.
    Everything,
}

/// What holds from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What the process may do beyond an ordinary user.
    pub capabilities: Capabilities,
    /// What of the file rules is enforced.
    pub files: FileRules,
    /// Whether the filter of system calls is in force.
    pub calls: bool,
    /// What is missing, one sentence each.
    pub warnings: Vec<String>,
}

/// Gives up every capability, every file but those of `files`, and every system call that a running daemon has no use
/// for; for good.
///
/// The calling thread must be the only one: others would keep what they have.
///
/// # Errors
/// Other threads run already; capabilities could not be given up; with [`Demand::Everything`] also whatever the kernel
/// lacks. The process is then restricted in part and should end.
pub fn confine(files: &Files, demand: Demand) -> Result<Report, SandboxError> {
    let mut report = restrain(CapabilitySet::empty(), files, demand)?;
    // Last, as the filter does not let through what the others need.
    report.calls = report.warn_of(calls::restrict(!files.tcp.is_empty()), demand)?;
    Ok(report)
}

/// As [`confine`], but keeps the capabilities of `keep`, also for programs it starts, and all system calls.
///
/// # Errors
/// As [`confine`].
pub fn restrain(keep: CapabilitySet, files: &Files, demand: Demand) -> Result<Report, SandboxError> {
    if thread_count()? > 1 {
        return Err(SandboxError::OtherThreads);
    }
    let capabilities = reduce(keep)?;
    let rules = files::restrict(files);
    let in_force = rules.as_ref().copied().unwrap_or(FileRules::None);
    let mut report = Report { capabilities, files: in_force, calls: false, warnings: Vec::new() };
    report.warn_of(rules.and_then(FileRules::whole), demand)?;
    Ok(report)
}

impl Report {
    /// Whether it is in force; what is missing is an error or a warning, as demanded.
    fn warn_of(&mut self, result: Result<(), SandboxError>, demand: Demand) -> Result<bool, SandboxError> {
        match (result, demand) {
            (Ok(()), _) => Ok(true),
            (Err(error), Demand::Everything) => Err(error),
            (Err(error), Demand::BestEffort) => {
                self.warnings.push(error.to_string());
                Ok(false)
            }
        }
    }
}

fn thread_count() -> Result<usize, SandboxError> {
    let failed = |error: io::Error| SandboxError::Files(format!("cannot list /proc/self/task: {error}"));
    Ok(std::fs::read_dir("/proc/self/task").map_err(failed)?.count())
}
