//! Keeping what is in memory out of files: no core dumps, no tracing by others, no swapping.

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, dumpable_behavior, getrlimit, set_dumpable_behavior, setrlimit,
};

/// What was achieved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Whether nothing of it is ever swapped out.
    pub locked: bool,
    /// Why it is not locked.
    pub note: Option<String>,
}

/// Rules out core dumps and tracing by processes without CAP_SYS_PTRACE, and locks all memory, present and future, if
/// there is no limit to how much may be locked.
///
/// Pages are locked when they are first touched (MCL_ONFAULT), so that this costs no memory. With a limit nothing is
/// locked: the kernel would refuse an allocation beyond it, and a daemon that ends is worse than keys on an encrypted
/// swap. Root's limit is lifted here; a service's by `LimitMEMLOCK=infinity`.
pub fn protect_memory() -> Memory {
    let nothing = Rlimit { current: Some(0), maximum: Some(0) };
    // What came of these two is told by `is_readable`.
    setrlimit(Resource::Core, nothing).ok();
    set_dumpable_behavior(DumpableBehavior::NotDumpable).ok();
    // Only root may; what then holds is read below.
    setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None }).ok();
    let note = match getrlimit(Resource::Memlock).current {
        Some(limit) => {
            Some(format!("at most {limit} bytes may be locked (RLIMIT_MEMLOCK); it takes no limit"))
        }
        None => mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)
            .err()
            .map(|error| error.to_string()),
    };
    Memory { locked: note.is_none(), note }
}

/// Whether a crash could now write the memory to a file, or another process of the same user read it.
pub fn is_readable() -> bool {
    let no_tracing = dumpable_behavior().is_ok_and(|now| now == DumpableBehavior::NotDumpable);
    !no_tracing || getrlimit(Resource::Core).current != Some(0)
}
