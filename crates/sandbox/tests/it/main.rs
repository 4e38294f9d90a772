//! What a confined process can and cannot do, tried by one.

#![allow(clippy::unwrap_used, reason = "a failing test may panic")]

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use jumpvpn_sandbox::{KILLING, admitted_call_count};

/// How an act ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Done,
    /// Refused with this number.
    Refused(i32),
    /// Killed by this signal.
    Killed(i32),
}

/// A folder with what the door is confined to; gone with the test.
struct Folder(PathBuf);

impl Folder {
    /// Nothing, and a word about it, where the kernel cannot confine.
    fn new(test: &str) -> Option<Folder> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("sandbox-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Folder(std::env::temp_dir().join(name));
        for (inner, file) in [("append", "old"), ("remove", "socket")] {
            std::fs::create_dir_all(folder.0.join(inner)).unwrap();
            std::fs::write(folder.0.join(inner).join(file), "content").unwrap();
        }
        let probe = folder.door("thread");
        let said = String::from_utf8_lossy(&probe.stdout);
        match said.strip_prefix("SKIPPED") {
            Some(why) => {
                eprintln!("SKIPPED {test}{why}");
                None
            }
            None => Some(folder),
        }
    }

    fn door(&self, act: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_sandbox-door")).arg(act).arg(&self.0).output().unwrap()
    }

    fn run(&self, act: &str) -> (Ended, String) {
        Folder::ended(act, self.door(act))
    }

    fn ended(act: &str, output: Output) -> (Ended, String) {
        let said = String::from_utf8(output.stdout).unwrap();
        let ended = match (output.status.signal(), said.trim().lines().last()) {
            (Some(signal), _) => Ended::Killed(signal),
            (None, Some("ok")) => Ended::Done,
            (None, Some(number)) => Ended::Refused(number.parse().unwrap()),
            (None, None) => panic!("{act}: {}", String::from_utf8_lossy(&output.stderr)),
        };
        (ended, said)
    }

    fn tries(&self, act: &str) -> Ended {
        self.run(act).0
    }

    /// The same with servers on a port in reach.
    fn tries_with(&self, act: &str, port: &str) -> Ended {
        let mut door = Command::new(env!("CARGO_BIN_EXE_sandbox-door"));
        Folder::ended(act, door.arg(act).arg(&self.0).arg(port).output().unwrap()).0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

const DENIED: Ended = Ended::Refused(libc::EACCES);
const ABSENT: Ended = Ended::Refused(libc::ENOSYS);
const KILLED: Ended = Ended::Killed(libc::SIGSYS);

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn no_file_is_in_reach_but_those_that_are_needed() {
    let Some(folder) = Folder::new("no_file_is_in_reach_but_those_that_are_needed") else { return };
    if is_root() {
        assert_eq!(folder.tries("free"), Ended::Done, "without being confined it can");
    }
    for act in ["shadow", "list", "read-log", "cut-log", "remove-log", "elsewhere"] {
        assert_eq!(folder.tries(act), DENIED, "{act}");
    }
    assert_eq!(folder.tries("append"), Ended::Done);
    assert_eq!(std::fs::read_to_string(folder.0.join("append/new")).unwrap(), "line\n");
    assert_eq!(folder.tries("remove"), Ended::Done);
    assert!(!folder.0.join("remove/socket").exists());
}

#[test]
fn an_attackers_calls_kill_the_process() {
    let Some(folder) = Folder::new("an_attackers_calls_kill_the_process") else { return };
    for act in ["execve", "thread-execve", "packet"] {
        assert_eq!(folder.tries(act), KILLED, "{act}");
    }
    for call in KILLING {
        assert_eq!(folder.tries(&call.to_string()), KILLED, "call {call}");
    }
}

#[test]
fn other_calls_do_not_exist() {
    let Some(folder) = Folder::new("other_calls_do_not_exist") else { return };
    for act in ["process", "inet", "unix", "netfilter", "kill", "limit", "executable-memory"] {
        assert_eq!(folder.tries(act), ABSENT, "{act}");
    }
    let plain = [
        libc::SYS_connect,
        libc::SYS_mlockall,
        libc::SYS_pidfd_open,
        libc::SYS_memfd_create,
        libc::SYS_symlinkat,
    ];
    for call in plain {
        assert_eq!(folder.tries(&call.to_string()), ABSENT, "call {call}");
    }
}

#[test]
fn a_store_that_is_elsewhere_can_be_spoken_to() {
    let Some(folder) = Folder::new("a_store_that_is_elsewhere_can_be_spoken_to") else { return };
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port().to_string();
    assert_eq!(folder.tries_with("connect", &port), Ended::Done);
    assert_eq!(folder.tries_with("connect-elsewhere", &port), DENIED);
    assert_eq!(folder.tries_with("listen", &port), DENIED);
    assert_eq!(folder.tries_with("inet", &port), ABSENT, "no datagrams");
    assert_eq!(folder.tries("stream"), ABSENT, "without such a store no TCP");
}

#[test]
fn what_a_daemon_goes_on_doing_works() {
    let Some(folder) = Folder::new("what_a_daemon_goes_on_doing_works") else { return };
    for act in ["thread", "told", "routes"] {
        assert_eq!(folder.tries(act), Ended::Done, "{act}");
    }
    assert_eq!(folder.tries("database"), Ended::Done);
    // A list that grows without anybody looking is no list.
    assert!((60..=90).contains(&admitted_call_count()), "{} calls are let through", admitted_call_count());
}

#[test]
fn a_process_with_threads_is_not_confined_by_halves() {
    let Some(folder) = Folder::new("a_process_with_threads_is_not_confined_by_halves") else { return };
    assert_eq!(folder.tries("late"), Ended::Refused(-1));
}

#[test]
fn one_capability_can_be_kept_and_passed_on() {
    let Some(folder) = Folder::new("one_capability_can_be_kept_and_passed_on") else { return };
    if !is_root() {
        return eprintln!("SKIPPED one_capability_can_be_kept_and_passed_on: it needs root");
    }
    let (ended, said) = folder.run("reduce");
    assert_eq!(ended, Ended::Done, "{said}");
    // CAP_NET_ADMIN is number 12.
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(said.contains(&format!("{set}:\t0000000000001000")), "{said}");
    }
}
