//! Capabilities (capabilities(7)): what a process may do beyond an ordinary user, and how it gives that up for good.

use rustix::io::Errno;
pub use rustix::thread::CapabilitySet;
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySets, capabilities, capability_is_in_ambient_set,
    capability_is_in_bounding_set, configure_capability_in_ambient_set, remove_capability_from_bounding_set,
    set_capabilities, set_capabilities_secure_bits, set_no_new_privs,
};

use crate::SandboxError;

/// What a process holds, and what it could get back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// What it may do now.
    pub effective: CapabilitySet,
    /// What it may take back by itself.
    pub permitted: CapabilitySet,
    /// What a program it starts could get at the most. It stays as it was when the process was started without the
    /// right to change it; it is of no use to a process that cannot start programs.
    pub bounding: CapabilitySet,
}

/// What the calling thread holds.
///
/// # Errors
/// The kernel's refusal to tell, which is not known to happen.
pub fn held() -> Result<Capabilities, SandboxError> {
    let sets = capabilities(None).map_err(failed("read them"))?;
    Ok(Capabilities { effective: sets.effective, permitted: sets.permitted, bounding: bounding() })
}

/// Keeps the capabilities of `keep` that the calling thread holds, also for programs it starts, and gives up all others
/// for good: from every set, with no way back by a program with more rights (`no_new_privs`) or by being root
/// (`SECBIT_NOROOT`, locked).
///
/// # Errors
/// Something is still there afterwards.
pub fn reduce(keep: CapabilitySet) -> Result<Capabilities, SandboxError> {
    let before = capabilities(None).map_err(failed("read them"))?;
    let keep = keep & before.permitted;
    let may_change = before.permitted.contains(CapabilitySet::SETPCAP);
    if may_change {
        let now = CapabilitySets {
            effective: keep | CapabilitySet::SETPCAP,
            permitted: before.permitted,
            inheritable: keep,
        };
        set_capabilities(None, now).map_err(failed("change the inheritable ones"))?;
        for capability in singles(bounding() - keep) {
            remove_capability_from_bounding_set(capability).map_err(failed("narrow the bounding set"))?;
        }
    }
    let ambient: CapabilitySet =
        every().filter(|one| capability_is_in_ambient_set(*one).unwrap_or(false)).collect();
    for capability in singles(ambient - keep) {
        configure_capability_in_ambient_set(capability, false).map_err(failed("clear the ambient ones"))?;
    }
    let wanted = |more| CapabilitySets { effective: keep | more, permitted: keep | more, inheritable: keep };
    let setpcap = if may_change { CapabilitySet::SETPCAP } else { CapabilitySet::empty() };
    set_capabilities(None, wanted(setpcap)).map_err(failed("give them up"))?;
    // Only what is missing: raising may be locked, by whoever reduced us before.
    for capability in singles(keep - ambient) {
        configure_capability_in_ambient_set(capability, true).map_err(failed("pass them on"))?;
    }
    if may_change {
        set_capabilities_secure_bits(locked_bits()).map_err(failed("lock them"))?;
    }
    set_capabilities(None, wanted(CapabilitySet::empty())).map_err(failed("give them up"))?;
    set_no_new_privs(true).map_err(failed("rule out new ones"))?;
    let after = held()?;
    if after.permitted != keep || after.effective != keep {
        return Err(SandboxError::Capabilities("the kernel still shows some".into()));
    }
    Ok(after)
}

/// Being root gives nothing, and none of this can be undone.
fn locked_bits() -> CapabilitiesSecureBits {
    CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED
}

/// The set is told bit by bit; the kernel refuses the first number it does not know.
fn bounding() -> CapabilitySet {
    every().filter(|one| capability_is_in_bounding_set(*one).unwrap_or(false)).collect()
}

fn every() -> impl Iterator<Item = CapabilitySet> {
    (0..u64::BITS).map(|number| CapabilitySet::from_bits_retain(1 << number))
}

fn singles(set: CapabilitySet) -> impl Iterator<Item = CapabilitySet> {
    every().filter(move |one| set.contains(*one))
}

fn failed(action: &'static str) -> impl Fn(Errno) -> SandboxError {
    move |error| SandboxError::Capabilities(format!("cannot {action}: {error}"))
}
