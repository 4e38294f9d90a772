//! Outside: making the namespaces, starting the program again in them, and waiting with the terminal in good order.

use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, ExitStatus};

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags};
use rustix::thread::UnshareFlags;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::{Refusal, STAGE, STAGE_INNER};

/// User and group of programs that refuse to run as root (sshd without its helpers), inside the lab.
const PLAIN_ID: u32 = 1000;

/// Starts this program again inside new namespaces, with the same arguments, and waits for its end.
///
/// Must be called while the process has one thread: the kernel gives a user namespace to no other.
///
/// # Errors
/// What the system forbids, with advice.
pub fn start_inside() -> Result<ExitCode, Refusal> {
    drop(fs::File::options().read(true).write(true).open("/dev/net/tun").map_err(Refusal::tun)?);
    let terminal = rustix::termios::tcgetattr(io::stdin()).ok().filter(|_| io::stdout().is_terminal());
    unshare_all()?;
    let start = |error| Refusal::of("start inside the namespaces", error);
    let signals = catch_signals().map_err(start)?;
    let mut inner = Command::new("/proc/self/exe")
        .args(std::env::args_os().skip(1))
        .env(STAGE, STAGE_INNER)
        .spawn()
        .map_err(start)?;
    let ended = wait(&mut inner, &signals);
    if let Some(terminal) = terminal.filter(|_| !matches!(ended, Ok(Ended::ByItself(_)))) {
        // A program that was killed in the live view could not do it itself.
        io::stdout().write_all(crate::live::LEAVE.as_bytes()).ok();
        rustix::termios::tcsetattr(io::stdin(), rustix::termios::OptionalActions::Now, &terminal).ok();
    }
    ended.map_err(start).map(|ended| match ended {
        Ended::ByItself(status) => exit_code(status),
        // What shells answer for a program ended by ctrl-C.
        Ended::BySignal => ExitCode::from(130),
    })
}

/// How the inner program ended.
enum Ended {
    ByItself(ExitStatus),
    BySignal,
}

fn unshare_all() -> Result<(), Refusal> {
    let own = UnshareFlags::NEWNS | UnshareFlags::NEWNET | UnshareFlags::NEWPID | UnshareFlags::NEWIPC;
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    // Root does without a user namespace, unless it is a root without rights (a container's).
    if uid == 0 && unshare(own).is_ok() {
        return Ok(());
    }
    unshare(own | UnshareFlags::NEWUSER).map_err(|error| Refusal::of("make namespaces", error))?;
    map_ids((0, uid), (0, gid)).map_err(|error| Refusal::of("become root of a user namespace", error))
}

#[expect(unsafe_code, reason = "rustix has no safe unshare(2)")]
fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: the danger is CLONE_FILES, which lets threads see different descriptors under one number; no caller
    // here passes it.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(io::Error::from)
}

/// A new network namespace for the calling thread alone.
pub(super) fn unshare_network() -> io::Result<()> {
    unshare(UnshareFlags::NEWNET)
}

/// Writes the maps of a fresh user namespace: (inside, outside) of the one user and the one group.
fn map_ids(user: (u32, u32), group: (u32, u32)) -> io::Result<()> {
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{} {} 1", user.0, user.1))?;
    fs::write("/proc/self/gid_map", format!("{} {} 1", group.0, group.1))
}

/// Replaces this process by `command`, run as an ordinary user of a user namespace. Returns only when that fails.
pub fn as_plain_user(command: &[OsString]) -> io::Error {
    let Some((program, arguments)) = command.split_first() else {
        return io::Error::new(io::ErrorKind::InvalidInput, "no command");
    };
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    match unshare(UnshareFlags::NEWUSER).and_then(|()| map_ids((PLAIN_ID, uid), (PLAIN_ID, gid))) {
        Ok(()) => Command::new(program).args(arguments).exec(),
        Err(error) => error,
    }
}

/// The reading end of a pipe into which every signal writes a byte. No thread: after `unshare(CLONE_NEWPID)` the kernel
/// refuses new ones.
fn catch_signals() -> io::Result<fs::File> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
    }
    Ok(fs::File::from(reader))
}

fn wait(inner: &mut Child, signals: &fs::File) -> io::Result<Ended> {
    let pid = Pid::from_child(inner);
    let ended = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    loop {
        let mut waited =
            [PollFd::new(&ended, PollFlags::IN), PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)];
        match rustix::event::poll(&mut waited, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if !waited[1].revents().is_empty() {
            // Process 1 of a namespace: its end ends everything in there.
            inner.kill()?;
            inner.wait()?;
            return Ok(Ended::BySignal);
        }
        if let Some(status) = inner.try_wait()? {
            return Ok(Ended::ByItself(status));
        }
    }
}

/// What a shell would answer for a program that ended so.
#[must_use]
pub fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
