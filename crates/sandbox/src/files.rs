//! Landlock (landlock(7)): which files a process may still open, and which ports of others it may speak to by TCP.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, NetPort,
    PathBeneath, PathFd, RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope,
};

use crate::SandboxError;

/// The newest kernel interface whose rules are asked for (Linux 6.12): files, truncation, ioctl on devices, TCP,
/// signals and abstract sockets. Older kernels enforce what they know.
const NEWEST: ABI = ABI::V6;

/// The folders in which something may still be done, and what lies behind sockets. Everything else is out of reach, also
/// for reading; what is open already stays usable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// Files in them may be made and written (not read, cut or removed): a log that is opened again.
    pub append: Vec<PathBuf>,
    /// Files in them may be removed: a socket at the end.
    pub remove: Vec<PathBuf>,
    /// Files in them may be read and executed: programs and what they are made of.
    pub execute: Vec<PathBuf>,
    /// Files in them may be read and written, but not made: kernel switches.
    pub change: Vec<PathBuf>,
    /// TCP connections may be made to these ports, of whatever machine: a store that is elsewhere.
    pub tcp: Vec<u16>,
}

/// What is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileRules {
    /// Nothing: the kernel has no Landlock, or it is switched off.
    None,
    /// What this version of the kernel's interface knows, which is not all of it.
    Part(u32),
    /// Everything.
    All,
}

impl FileRules {
    /// Whether nothing is missing.
    pub(crate) fn whole(self) -> Result<(), SandboxError> {
        match self {
            FileRules::All => Ok(()),
            FileRules::Part(abi) => Err(SandboxError::Files(format!(
                "this kernel has version {abi} of Landlock, which does not know all rules; Linux 6.12 does"
            ))),
            FileRules::None => {
                Err(SandboxError::Files("this kernel has no Landlock, or it is switched off (`lsm=`)".into()))
            }
        }
    }
}

/// Restricts the calling thread and what it starts, as far as the kernel can.
pub(crate) fn restrict(files: &Files) -> Result<FileRules, SandboxError> {
    enforce(files).map(|status| judged(&status)).map_err(|error| SandboxError::Files(error.to_string()))
}

fn judged(status: &RestrictionStatus) -> FileRules {
    match (&status.ruleset, status.landlock) {
        (RulesetStatus::FullyEnforced, _) => FileRules::All,
        (RulesetStatus::PartiallyEnforced, LandlockStatus::Available { effective_abi, .. }) => {
            FileRules::Part(effective_abi as u32)
        }
        _ => FileRules::None,
    }
}

fn enforce(files: &Files) -> Result<RestrictionStatus, RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    let allowed: [(&[PathBuf], BitFlags<AccessFs>); 4] = [
        (&files.append, AccessFs::MakeReg | AccessFs::WriteFile),
        (&files.remove, AccessFs::RemoveFile.into()),
        (&files.execute, AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::Execute),
        (&files.change, AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::WriteFile | AccessFs::Truncate),
    ];
    for (folders, access) in allowed {
        for folder in folders {
            // What does not exist needs no rule.
            if let Ok(open) = PathFd::new(folder) {
                rules = rules.add_rule(PathBeneath::new(open, fitting(folder, access)))?;
            }
        }
    }
    for port in &files.tcp {
        rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    rules.restrict_self()
}

/// Rights of folders make no sense for a file, and the kernel refuses them.
fn fitting(path: &Path, access: BitFlags<AccessFs>) -> BitFlags<AccessFs> {
    if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST) }
}
