//! Memory and open files, asked for before anything is built: a table that does not fit would end the process in the
//! middle.
//!
//! All tables are made at the start and never grow. What is asked for here is a little more than that, in one piece, and
//! given back at once: a limit (RLIMIT_AS, no overcommit) refuses it as a whole, with a word for a person.

use rustix::process::{Resource, getrlimit};

use super::DaemonError;

/// What a daemon takes that does not depend on its configuration: buffers, queues, pending handshakes, and the stacks of
/// its threads (eight of 2 MiB and those of 16 clients, in address space).
const DAEMON_LEN: usize = 48 << 20;
/// Address and index memory of a place for a session, and of its record in the store.
const SESSION_LEN: usize = 512;

/// Open files a daemon may need: about 20 that it keeps, 16 clients of the control socket, and a socket for each link
/// and endpoint of some links. With less it would start, and fail later when it is asked something.
const DESCRIPTOR_COUNT: u64 = 64;

/// Whether as many files may be open as a daemon needs.
///
/// # Errors
/// Fewer may.
pub(super) fn check_descriptors() -> Result<(), DaemonError> {
    let Some(allowed) = getrlimit(Resource::Nofile).current.filter(|count| *count < DESCRIPTOR_COUNT) else {
        return Ok(());
    };
    let text = format!("only {allowed} open files are allowed, and {DESCRIPTOR_COUNT} may be needed");
    Err(DaemonError::failed(text + "; raise the limit (ulimit -n, LimitNOFILE=)"))
}

/// Whether there is memory for a daemon and `more` bytes.
///
/// # Errors
/// There is not; the message says how much was asked for.
pub fn check_memory(more: usize) -> Result<(), DaemonError> {
    let wanted_len = DAEMON_LEN.saturating_add(more);
    let mut room: Vec<u8> = Vec::new();
    room.try_reserve_exact(wanted_len).map_err(|_| {
        let text = format!("not enough memory: {} MiB are needed at once", wanted_len.div_ceil(1 << 20));
        DaemonError::failed(text + "; raise the limit (ulimit -v, LimitAS=), or have fewer peers")
    })
}

/// The same, for the tables of a gateway of that size.
///
/// # Errors
/// There is not enough.
pub(super) fn check_tables(capacity: usize) -> Result<(), DaemonError> {
    check_memory(capacity.saturating_mul(SESSION_LEN))
}

#[cfg(test)]
mod tests;
