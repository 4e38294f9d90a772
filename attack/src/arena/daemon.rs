//! The gateway under attack: the real program, its configuration for any number of peers, and what can be read of it.

use std::fmt::Write;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use jumpvpn_config::key;
use jumpvpn_session::PublicKey;
use rustix::thread::CpuSet;
use serde_json::{Value, json};

use super::{Arena, INNER, outer};

/// Longest wait for a daemon to start: with 100,000 peers it reads 15 MB of configuration.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest wait for an answer: with 100,000 sessions under a flood it takes a while.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// First inner address of the peers; the gateway itself has the one before.
const FIRST_INNER: u32 = u32::from_be_bytes([10, 64, 0, 2]);

/// How a gateway is to be started.
#[derive(Clone, Copy, Debug, Default)]
pub struct GatewayOptions<'a> {
    /// Policy keys, as lines of the table `[policy]`.
    pub policy: &'a str,
    /// Lines of the table `[gateway]`.
    pub settings: &'a str,
    /// Processor to run on, so that others can be kept off it.
    pub cpu: Option<usize>,
}

/// The running gateway; killed when dropped.
#[derive(Debug)]
pub struct Gateway {
    process: Child,
    folder: PathBuf,
    /// Its static key.
    pub public: PublicKey,
}

/// Inner address of peer `index`.
#[must_use]
pub fn inner_of(index: u32) -> Ipv4Addr {
    Ipv4Addr::from(FIRST_INNER + index)
}

impl Gateway {
    /// Starts the program for these peers and waits until it answers.
    ///
    /// # Errors
    /// A sentence, with the end of the log.
    pub fn start(arena: &Arena, peers: &[PublicKey], options: GatewayOptions<'_>) -> io::Result<Gateway> {
        let program = arena.program.clone();
        let folder = arena.folder.clone();
        let private = run(&program, "genkey", "")?;
        let public = run(&program, "pubkey", &private)?;
        let public = key::decode(public.trim()).map_err(io::Error::other)?;
        write_secret(&folder.join("gateway.key"), &private)?;
        fs::write(folder.join("gateway.toml"), config(outer::gateway(arena.family), peers, options))?;
        match fs::remove_file(folder.join("gateway.jsonl")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let log = File::create(folder.join("gateway.log"))?;
        let mut command = Command::new(&program);
        command.arg0("jumpvpn").arg("gateway").arg("-c").arg(folder.join("gateway.toml"));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC").env_remove("WATCHDOG_PID");
        // What is set for us is not for the program under test.
        command.env_remove(crate::MALLOC.0);
        let process = arena.gateway.run(|| {
            pin(options.cpu);
            arena.gateway.spawn(&mut command)
        })??;
        let mut gateway = Gateway { process, folder, public: PublicKey(public) };
        gateway.wait_until_it_answers()?;
        Ok(gateway)
    }

    fn wait_until_it_answers(&mut self) -> io::Result<()> {
        let until = Instant::now() + START_TIMEOUT;
        loop {
            let answer = self.status();
            if answer.is_ok() {
                return Ok(());
            }
            let ended = self.process.try_wait()?;
            if ended.is_some() || Instant::now() > until {
                return Err(io::Error::other(format!(
                    "the gateway did not start ({answer:?}):\n{}",
                    self.log()
                )));
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// `status --json`.
    ///
    /// # Errors
    /// It does not answer.
    pub fn status(&self) -> io::Result<Value> {
        self.ask(&json!({"request": "status"}))
    }

    /// How often something was dropped for this reason.
    ///
    /// # Errors
    /// It does not answer.
    pub fn drops(&self, reason: &str) -> io::Result<u64> {
        Ok(self.status()?["drops"][reason].as_u64().unwrap_or(0))
    }

    /// How often anything was dropped.
    ///
    /// # Errors
    /// It does not answer.
    pub fn drops_total(&self) -> io::Result<u64> {
        let status = self.status()?;
        let drops = status["drops"].as_object();
        Ok(drops.map_or(0, |drops| drops.values().filter_map(Value::as_u64).sum()))
    }

    /// What must not change by itself of at most 1000 sessions, in the order of their ids: one line each.
    ///
    /// # Errors
    /// It does not answer.
    pub fn sessions_digest(&self) -> io::Result<Vec<String>> {
        const KEYS: [&str; 7] = ["session", "peer", "state", "version", "epoch", "remote", "path"];
        let shown = self.ask(&json!({"request": "show", "what": "sessions"}))?;
        let rows = shown["sessions"].as_array().cloned().unwrap_or_default();
        let line = |row: &Value| KEYS.map(|key| row[key].to_string()).join(" ");
        let mut lines: Vec<String> = rows.iter().map(line).collect();
        lines.sort();
        Ok(lines)
    }

    /// Number of sessions in every state together.
    ///
    /// # Errors
    /// It does not answer.
    pub fn session_count(&self) -> io::Result<u64> {
        let status = self.status()?;
        let counts = status["sessions"].as_object();
        Ok(counts.map_or(0, |counts| counts.values().filter_map(Value::as_u64).sum()))
    }

    fn ask(&self, request: &Value) -> io::Result<Value> {
        let mut stream = UnixStream::connect(self.folder.join("gateway.sock"))?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        io::Write::write_all(&mut stream, format!("{request}\n").as_bytes())?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        let reply: Value = serde_json::from_str(&line)?;
        match reply.get("error") {
            Some(error) => Err(io::Error::other(error.to_string())),
            None => Ok(reply),
        }
    }

    /// Bytes of it that are in memory now.
    ///
    /// # Errors
    /// It is gone.
    pub fn resident_bytes(&self) -> io::Result<u64> {
        resident_bytes(self.process.id())
    }

    /// Processor time all its threads have used.
    ///
    /// # Errors
    /// It is gone.
    pub fn cpu_time(&self) -> io::Result<Duration> {
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            // A thread may end in between; the engine's never does.
            let text = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            nanos += text.split_whitespace().next().and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Lines of its event file whose text holds `what`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn event_count(&self, what: &str) -> io::Result<usize> {
        let file = BufReader::new(File::open(self.folder.join("gateway.jsonl"))?);
        Ok(file.lines().map_while(Result::ok).filter(|line| line.contains(what)).count())
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// It ended, with the end of its log.
    pub fn check(&mut self) -> io::Result<()> {
        match self.process.try_wait()? {
            None => Ok(()),
            Some(status) => Err(io::Error::other(format!("the gateway ended ({status}):\n{}", self.log()))),
        }
    }

    fn log(&self) -> String {
        let text = fs::read_to_string(self.folder.join("gateway.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.process.kill().and_then(|()| self.process.wait()).ok();
    }
}

/// Bytes of a process that are in memory now.
///
/// # Errors
/// There is none of that number.
pub fn resident_bytes(process: u32) -> io::Result<u64> {
    let statm = fs::read_to_string(format!("/proc/{process}/statm"))?;
    let pages: Option<u64> = statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok());
    let page_size = rustix::param::page_size() as u64;
    pages.map(|pages| pages * page_size).ok_or_else(|| io::Error::other("no figure in statm"))
}

/// Keeps the calling thread, and what it starts, on one processor. Where that is refused, figures are noisier.
pub fn pin(cpu: Option<usize>) {
    if let Some(cpu) = cpu {
        let mut set = CpuSet::new();
        set.set(cpu);
        rustix::thread::sched_setaffinity(None, &set).ok();
    }
}

fn config(listen: SocketAddr, peers: &[PublicKey], options: GatewayOptions<'_>) -> String {
    let mut text = format!(
        "[gateway]\nprivate_key_file = \"gateway.key\"\nlisten = [\"udp://{listen}\"]\ninterface = \"jump0\"\n\
         address = [\"{INNER}\"]\ncontrol_socket = \"gateway.sock\"\nevents = \"gateway.jsonl\"\n{}\n\
         [store]\nkind = \"memory\"\n\n[policy]\n{}\n",
        options.settings, options.policy
    );
    for (index, peer) in (0..).zip(peers) {
        let (key, inner) = (key::encode(&peer.0), inner_of(index));
        // invariant: writing into a String cannot fail.
        write!(text, "[[peer]]\nname = \"c{index}\"\npublic_key = \"{key}\"\ninner = [\"{inner}\"]\n").ok();
    }
    text
}

fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    io::Write::write_all(&mut &file, text.as_bytes())
}

/// Runs a verb of the program that reads `input` and prints a line.
fn run(program: &Path, verb: &str, input: &str) -> io::Result<String> {
    let mut child = Command::new(program).arg(verb).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read (genkey) closes its end first.
        io::Write::write_all(&mut stdin, input.as_bytes()).ok();
    }
    let output = child.wait_with_output()?;
    String::from_utf8(output.stdout).map_err(io::Error::other)
}
