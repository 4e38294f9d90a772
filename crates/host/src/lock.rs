//! One tunnel at a time changes what tunnels share (rule priorities, the packet filter's table, kernel switches).

use std::fs::File;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

/// How long to wait. Setting up a tunnel takes well below a second. Any process of the namespace can take this lock,
/// so nobody may keep the machine off its network by holding it: afterwards we go on without.
const PATIENCE: Duration = Duration::from_secs(3);

/// Held until dropped, and at the latest until the process ends.
#[derive(Debug)]
pub struct Lock {
    _namespace: Option<File>,
}

/// Takes the lock of the calling thread's network namespace: an advisory lock on the namespace's own file, so that
/// namespaces do not wait for each other.
pub fn take() -> Lock {
    let Ok(namespace) = File::open("/proc/thread-self/ns/net") else { return Lock { _namespace: None } };
    let began = Instant::now();
    while flock(&namespace, FlockOperation::NonBlockingLockExclusive).is_err() {
        if began.elapsed() > PATIENCE {
            return Lock { _namespace: None };
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Lock { _namespace: Some(namespace) }
}
