//! The cell's store: three members of a real etcd, and what the lab itself asks of them.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::cell::{Cell, each};
use super::disk::Disk;
use super::plan::{self, CLIENT_PORT, COUNT, PEER_PORT};
use crate::namespace::Node;

/// Longest wait until the members have found each other: an election takes 1 to 2 s, a busy machine more.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// An answer to anything the lab asks; far above a commit (some ms) and above an election.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// An answer on a machine that has nothing else to do.
const SOON: Duration = Duration::from_millis(50);

/// A running store.
#[derive(Debug)]
pub struct Store {
    members: [Member; COUNT],
}

#[derive(Debug)]
struct Member {
    disk: Disk,
    process: Option<Child>,
    log: PathBuf,
}

/// What a member says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberStatus {
    /// Its id.
    pub id: String,
    /// Id of the member it takes for the leader; "0" or nothing while there is none.
    pub leader: String,
}

impl Store {
    /// Starts three members with empty disks and waits until they serve. `folder` receives disks and logs.
    ///
    /// # Errors
    /// etcd is missing (Debian's package `etcd-server`), or does not begin to serve.
    pub fn start(cell: &Cell, folder: &Path) -> io::Result<Store> {
        fs::create_dir_all(folder)?;
        let mut store = Store {
            members: each(|index| {
                let disk = Disk::create(folder, plan::MEMBERS[index])?;
                Ok(Member { disk, process: None, log: folder.join(format!("{}.log", plan::MEMBERS[index])) })
            })?,
        };
        for index in 0..COUNT {
            store.start_member(cell, index)?;
        }
        store.wait_until_serving(cell)?;
        Ok(store)
    }

    /// Starts a member that does not run, with the data it has.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_member(&mut self, cell: &Cell, index: usize) -> io::Result<()> {
        let member = &mut self.members[index];
        let log = File::options().create(true).append(true).open(&member.log)?;
        let mut command = Command::new("etcd");
        let url = |index: usize, port| format!("http://{}:{port}", plan::MEMBER[index].isp);
        let all: Vec<String> =
            (0..COUNT).map(|index| format!("{}={}", plan::MEMBERS[index], url(index, PEER_PORT))).collect();
        let (client, peer, all) = (url(index, CLIENT_PORT), url(index, PEER_PORT), all.join(","));
        let data = member.disk.folder().join("data");
        command.arg("--data-dir").arg(data).args(
            [
                ("--name", plan::MEMBERS[index]),
                ("--listen-client-urls", &client),
                ("--advertise-client-urls", &client),
                ("--listen-peer-urls", &peer),
                ("--initial-advertise-peer-urls", &peer),
                ("--initial-cluster", &all),
                ("--initial-cluster-state", "new"),
                ("--logger", "zap"),
            ]
            .map(|(name, value)| format!("{name}={value}")),
        );
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let started = cell.members[index].spawn(&mut command).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                let text =
                    "etcd is missing: install the package `etcd-server` (it need not run as a service)";
                io::Error::new(io::ErrorKind::NotFound, text)
            }
            _ => error,
        });
        member.process = Some(started?);
        Ok(())
    }

    /// Waits until every member that runs serves, and all know the same leader.
    ///
    /// # Errors
    /// Patience ended; with the end of a log.
    pub fn wait_until_serving(&mut self, cell: &Cell) -> io::Result<()> {
        let until = Instant::now() + START_TIMEOUT;
        loop {
            for index in 0..COUNT {
                // One whose disk was full may end after there is room again: its service manager starts it.
                if self.members[index].process.is_some() && !self.is_running(index)? {
                    self.start_member(cell, index)?;
                }
            }
            let running = (0..COUNT).filter(|index| self.members[*index].process.is_some());
            let seen: Vec<_> = running.map(|index| status(&cell.core, index)).collect();
            let leader = |status: &io::Result<MemberStatus>| match status {
                Ok(status) if status.leader.len() > 1 => Some(status.leader.clone()),
                _ => None,
            };
            let first = seen.first().and_then(leader);
            if first.is_some() && seen.iter().all(|status| leader(status) == first) {
                return Ok(());
            }
            if Instant::now() >= until {
                let log = fs::read_to_string(&self.members[0].log).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(8).collect();
                let text = format!("the store does not serve: {seen:?}\n{}", tail.join("\n"));
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// The member that leads, as those say that answer.
    #[must_use]
    pub fn leader(&self, cell: &Cell) -> Option<usize> {
        let seen: Vec<_> = (0..COUNT).map(|index| status(&cell.core, index).ok()).collect();
        seen.iter().position(|status| status.as_ref().is_some_and(|status| status.id == status.leader))
    }

    /// The same, once there is one: a member whose disk was just thawed, or that had to wait for the processor, may have
    /// lost its followers a moment ago.
    ///
    /// # Errors
    /// Patience ended.
    pub fn wait_for_leader(&self, cell: &Cell) -> io::Result<usize> {
        let until = Instant::now() + START_TIMEOUT;
        loop {
            match self.leader(cell) {
                Some(leader) => return Ok(leader),
                None if Instant::now() >= until => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "the store has no leader"));
                }
                None => thread::sleep(LOOK_AGAIN),
            }
        }
    }

    /// A member's disk.
    #[must_use]
    pub fn disk(&self, index: usize) -> &Disk {
        &self.members[index].disk
    }

    /// Whether a member's process runs, stopped or not.
    ///
    /// # Errors
    /// The kernel's.
    pub fn is_running(&mut self, index: usize) -> io::Result<bool> {
        match &mut self.members[index].process {
            None => Ok(false),
            Some(process) => Ok(process.try_wait()?.is_none()),
        }
    }

    /// Kills a member without a goodbye; one that is gone already is fine.
    ///
    /// # Errors
    /// The kernel's.
    pub fn kill(&mut self, index: usize) -> io::Result<()> {
        let Some(mut process) = self.members[index].process.take() else { return Ok(()) };
        process.kill()?;
        process.wait().map(drop)
    }

    /// Pauses a member.
    ///
    /// # Errors
    /// The kernel's.
    pub fn pause(&self, index: usize) -> io::Result<()> {
        self.signal(index, Signal::STOP)
    }

    /// Lets a paused member go on.
    ///
    /// # Errors
    /// The kernel's.
    pub fn resume(&self, index: usize) -> io::Result<()> {
        self.signal(index, Signal::CONT)
    }

    fn signal(&self, index: usize, signal: Signal) -> io::Result<()> {
        match &self.members[index].process {
            Some(process) => match kill_process(Pid::from_child(process), signal) {
                // It may have ended by itself.
                Err(rustix::io::Errno::SRCH) => Ok(()),
                done => Ok(done?),
            },
            None => Ok(()),
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        for member in &mut self.members {
            // Who waits for a frozen disk cannot be killed.
            member.disk.thaw();
            if let Some(process) = &mut member.process {
                process.kill().and_then(|()| process.wait()).ok();
            }
        }
    }
}

/// What a member says about itself, asked from a node.
///
/// # Errors
/// It does not answer.
pub fn status(from: &Node, member: usize) -> io::Result<MemberStatus> {
    status_within(from, member, ANSWER_TIMEOUT)
}

fn status_within(from: &Node, member: usize, timeout: Duration) -> io::Result<MemberStatus> {
    let answer = ask(from, member, "maintenance/status", &json!({}), timeout)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(MemberStatus { id: text(&answer["header"]["member_id"]), leader: text(&answer["leader"]) })
}

/// As [`status`], for somebody who looks several times a second.
pub(super) fn status_soon(from: &Node, member: usize) -> io::Result<MemberStatus> {
    status_within(from, member, SOON)
}

/// Writes a key through a member, asked from a node; `Ok` means that a majority has it.
///
/// # Errors
/// It did not answer within `timeout`, or refused.
pub fn put(from: &Node, member: usize, key: &str, value: &[u8], timeout: Duration) -> io::Result<()> {
    let body = json!({ "key": BASE64.encode(key), "value": BASE64.encode(value) });
    ask(from, member, "kv/put", &body, timeout).map(drop)
}

/// Reads a key through a member, as of now (linearizable).
///
/// # Errors
/// It did not answer within `timeout`, or refused.
pub fn get(from: &Node, member: usize, key: &str, timeout: Duration) -> io::Result<Option<Vec<u8>>> {
    let answer = ask(from, member, "kv/range", &json!({ "key": BASE64.encode(key) }), timeout)?;
    let Some(value) = answer["kvs"][0]["value"].as_str() else { return Ok(None) };
    BASE64.decode(value).map(Some).map_err(io::Error::other)
}

/// One request to the JSON gateway of a member (etcd's `/v3`), on a connection of its own.
fn ask(from: &Node, member: usize, what: &str, body: &Value, timeout: Duration) -> io::Result<Value> {
    let address = SocketAddr::from((plan::MEMBER[member].isp, CLIENT_PORT));
    let until = Instant::now() + timeout;
    let mut stream = from.run(|| TcpStream::connect_timeout(&address, timeout))??;
    let body = body.to_string();
    let request = format!(
        "POST /v3/{what} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.set_write_timeout(Some(timeout))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece)? {
            0 => break,
            len => answer.extend(&piece[..len]),
        }
    }
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    if !head.starts_with("HTTP/1.1 200") {
        return Err(io::Error::other(format!("etcd refuses {what}: {}", body.trim())));
    }
    // Small answers have a length, large ones come in pieces; a JSON object is found in either.
    let object = body.find('{').and_then(|from| body.rfind('}').map(|to| &body[from..=to]));
    serde_json::from_str(object.unwrap_or_default()).map_err(io::Error::other)
}
