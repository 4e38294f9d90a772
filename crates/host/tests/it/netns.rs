//! Network namespaces for tests: each test gets an empty machine of its own, and a second one as its peer.
//!
//! Shared by the tests of the rooms that touch the kernel's network (`tun`, `transport`, `host`).
#![allow(unsafe_code, dead_code, clippy::expect_used)] // unshare(2) has no safe wrapper; no binary uses all of this

use std::io::Write;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::UnshareFlags;

/// Set in a process that was started again inside a user namespace.
const INSIDE: &str = "JUMPVPN_TEST_INSIDE_USER_NAMESPACE";

/// Runs `test` in a thread with an empty network namespace, its loopback up.
///
/// Without the right to make one, the same test is run again in a user namespace; where the system forbids that as
/// well, a line on standard error says so and the test does not count.
pub fn in_namespace(test: impl FnOnce() + Send) {
    let outcome = thread::scope(|scope| {
        scope
            .spawn(|| {
                if enter_new().is_err() {
                    return false;
                }
                run("ip link set lo up");
                test();
                true
            })
            .join()
    });
    match outcome {
        Ok(true) => {}
        Ok(false) => again_in_user_namespace(),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Like [`in_namespace`], for tests that need TUN or TAP devices, which users other than root may lack.
pub fn in_namespace_with_devices(test: impl FnOnce() + Send) {
    in_namespace(|| {
        let device = std::fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun");
        match device {
            Ok(_) => test(),
            Err(error) => skip("a test of devices", &format!("/dev/net/tun cannot be used: {error}")),
        }
    });
}

/// Says so past the capture of the test harness, which would hide it.
pub fn skip(test: &str, why: &str) {
    let line = format!("SKIPPED {test}: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("standard error");
}

/// Waits until `wanted` is true; what the kernel finishes later than the call that asked for it.
#[track_caller]
pub fn wait_until(what: &str, mut wanted: impl FnMut() -> bool) {
    let began = Instant::now();
    while !wanted() {
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::yield_now();
    }
}

/// Waits until an interface is gone. Its device may stay open a little longer than the value that stands for it: in
/// a process that another test is just starting, between fork and exec.
pub fn wait_until_gone(interface: &str) {
    wait_until(&format!("{interface} is gone"), || !try_run(&format!("ip link show {interface}")).0);
}

fn enter_new() -> rustix::io::Result<()> {
    // SAFETY: only the network namespace of the calling thread changes; memory and descriptors stay shared.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
}

fn again_in_user_namespace() {
    let name = thread::current().name().unwrap_or_default().to_owned();
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", "--"]);
        command
    };
    let possible = unshare().arg("true").output().is_ok_and(|output| output.status.success());
    if !possible || std::env::var_os(INSIDE).is_some() || name == "main" {
        return skip(&name, "this system allows no network namespace (run as root)");
    }
    let program = std::env::current_exe().expect("path of the test binary");
    let status = unshare().arg(program).args([&name, "--exact", "--nocapture"]).env(INSIDE, "1").status();
    assert!(status.expect("start the test again").success(), "{name} failed in a user namespace");
}

/// Runs a command line in the namespace of the calling thread; returns what it printed.
pub fn run(command_line: &str) -> String {
    let (ok, text) = try_run(command_line);
    assert!(ok, "{command_line}: {text}");
    text
}

/// Like [`run`], but says whether the command succeeded.
pub fn try_run(command_line: &str) -> (bool, String) {
    let mut words = command_line.split_whitespace();
    let program = words.next().expect("a program name");
    let output = Command::new(program).args(words).output().expect(program);
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text.into_owned())
}

/// Longest wait for the kernel; far longer than it ever takes, as the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(120);

type Task = Box<dyn FnOnce() + Send>;

/// A second machine: a thread in another network namespace that runs what it is given.
pub struct Peer {
    tasks: mpsc::Sender<Task>,
    thread_id: i32,
}

impl Peer {
    /// An empty namespace, its loopback up.
    pub fn new() -> Peer {
        let (tasks, queue) = mpsc::channel::<Task>();
        let (report, ready) = mpsc::channel();
        thread::spawn(move || {
            enter_new().expect("a second network namespace");
            run("ip link set lo up");
            report.send(rustix::thread::gettid().as_raw_nonzero().get()).expect("the test waits");
            for task in queue {
                task();
            }
        });
        Peer { tasks, thread_id: ready.recv().expect("the peer started") }
    }

    /// What `ip link set X netns` takes.
    pub fn netns(&self) -> i32 {
        self.thread_id
    }

    /// Runs `task` there and waits for its result.
    pub fn run<T: Send + 'static>(&self, task: impl FnOnce() -> T + Send + 'static) -> T {
        let (report, result) = mpsc::channel();
        let task = Box::new(move || report.send(task()).expect("the caller waits"));
        self.tasks.send(task).expect("the peer runs");
        result.recv().expect("the task on the peer did not panic")
    }

    /// Runs a command line there.
    pub fn command(&self, command_line: &str) {
        let command_line = command_line.to_owned();
        self.run(move || run(&command_line));
    }
}
