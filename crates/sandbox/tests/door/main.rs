//! A confined process for the tests: `sandbox-door ACT FOLDER [PORT]` confines itself to FOLDER and to servers on PORT, does
//! ACT, and prints how that went: `ok`, or the number of the error.

#![allow(unsafe_code, reason = "calls that have no wrapper are what is tried here")]
#![allow(clippy::unwrap_used, reason = "a failing test may panic")]

use std::fs::File;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use jumpvpn_sandbox::{CapabilitySet, Demand, Files, confine, reduce};
use rustix::net::{AddressFamily, Protocol, SocketType, netlink, socket};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let (act, folder) = (arguments[1].as_str(), Path::new(&arguments[2]));
    let port: Option<u16> = arguments.get(3).map(|port| port.parse().unwrap());
    // A file that is open before: what a store goes on with.
    let database = File::options().read(true).write(true).open(folder.join("append/old")).unwrap();
    // A way to the service manager.
    let (manager, word) = UnixDatagram::pair().unwrap();
    let outcome = match act {
        "free" => File::open("/etc/shadow").map(drop),
        "late" => late(folder),
        "reduce" => reduced(),
        _ => {
            let report = match confine(
                &Files { tcp: port.into_iter().collect(), ..files(folder) },
                Demand::Everything,
            ) {
                Ok(report) => report,
                Err(lacking) => return println!("SKIPPED: {lacking}"),
            };
            assert!(report.warnings.is_empty() && report.calls, "{report:?}");
            assert!(report.capabilities.permitted.is_empty(), "{report:?}");
            match act {
                "told" => word.send(b"READY=1").and_then(|_| manager.recv(&mut [0; 16])).map(drop),
                "database" => use_database(&database),
                "connect" => TcpStream::connect(("127.0.0.1", port.unwrap())).map(drop),
                "connect-elsewhere" => TcpStream::connect(("127.0.0.1", port.unwrap() ^ 1)).map(drop),
                "listen" => TcpListener::bind("127.0.0.1:0").map(drop),
                _ => confined(act, folder),
            }
        }
    };
    match outcome {
        Ok(()) => println!("ok"),
        Err(error) => println!("{}", error.raw_os_error().unwrap_or(-1)),
    }
}

fn files(folder: &Path) -> Files {
    Files { append: vec![folder.join("append")], remove: vec![folder.join("remove")], ..Files::default() }
}

/// Confining a process that has other threads.
fn late(folder: &Path) -> io::Result<()> {
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || wait.recv().is_ok());
    let refused = confine(&files(folder), Demand::BestEffort).map(drop).map_err(io::Error::other);
    drop(release);
    thread.join().unwrap();
    refused
}

/// Keeping one capability, and passing it on to programs.
fn reduced() -> io::Result<()> {
    let after = reduce(CapabilitySet::NET_ADMIN).map_err(io::Error::other)?;
    assert_eq!(after.effective, CapabilitySet::NET_ADMIN);
    assert_eq!(after.permitted, CapabilitySet::NET_ADMIN);
    assert_eq!(after.bounding, CapabilitySet::NET_ADMIN);
    let status = Command::new("grep").args(["^Cap", "/proc/self/status"]).output()?;
    print!("{}", String::from_utf8_lossy(&status.stdout));
    Ok(())
}

fn confined(act: &str, folder: &Path) -> io::Result<()> {
    let append = |path: &Path| File::options().append(true).create(true).open(path);
    match act {
        "shadow" => File::open("/etc/shadow").map(drop),
        "list" => std::fs::read_dir("/").map(drop),
        "append" => io::Write::write_all(&mut append(&folder.join("append/new"))?, b"line\n"),
        "read-log" => File::open(folder.join("append/old")).map(drop),
        "cut-log" => File::options().write(true).truncate(true).open(folder.join("append/old")).map(drop),
        "remove-log" => std::fs::remove_file(folder.join("append/old")),
        "elsewhere" => append(&folder.join("new")).map(drop),
        "remove" => std::fs::remove_file(folder.join("remove/socket")),
        "execve" => Err(Command::new("/bin/true").exec()),
        "process" => Command::new("/bin/true").status().map(drop),
        "thread-execve" => std::thread::spawn(|| Err(Command::new("/bin/true").exec())).join().unwrap(),
        "thread" => {
            std::thread::spawn(|| println!("here")).join().unwrap();
            Ok(())
        }
        "packet" => open(AddressFamily::PACKET, SocketType::RAW, None),
        "stream" => open(AddressFamily::INET, SocketType::STREAM, None),
        "inet" => open(AddressFamily::INET, SocketType::DGRAM, None),
        "unix" => open(AddressFamily::UNIX, SocketType::DGRAM, None),
        "routes" => open(AddressFamily::NETLINK, SocketType::RAW, None),
        "netfilter" => open(AddressFamily::NETLINK, SocketType::RAW, Some(netlink::NETFILTER)),
        "kill" => {
            Ok(rustix::process::kill_process(rustix::process::Pid::INIT, rustix::process::Signal::CONT)?)
        }
        "limit" => Ok(rustix::process::setrlimit(
            rustix::process::Resource::Nofile,
            rustix::process::Rlimit { current: Some(64), maximum: Some(64) },
        )?),
        "executable-memory" => executable_memory(),
        number => raw(number.parse().unwrap()),
    }
}

/// What SQLite does with the files it has open.
fn use_database(file: &File) -> io::Result<()> {
    let page = [7; 4096];
    file.write_all_at(&page, 4096)?;
    file.sync_all()?;
    file.set_len(8192)?;
    file.sync_data()?;
    let mut read = [0; 4096];
    file.read_exact_at(&mut read, 4096)?;
    if read == page { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

fn open(family: AddressFamily, kind: SocketType, protocol: Option<Protocol>) -> io::Result<()> {
    Ok(socket(family, kind, protocol).map(drop)?)
}

fn executable_memory() -> io::Result<()> {
    // SAFETY: a new mapping anywhere, which nothing else refers to.
    let memory = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if memory == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A call with zeros for arguments.
fn raw(number: libc::c_long) -> io::Result<()> {
    // SAFETY: pointers of the call are null; none of the calls tried here writes through one.
    let answer = unsafe { libc::syscall(number, 0, 0, 0, 0, 0, 0) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
