//! The VPN under test: the real binary as gateway and as agent in their nodes, its configuration, its control sockets.

pub(crate) mod control;
mod events;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

pub use control::{PathStatus, SessionRow, Status};
pub use events::{Moment, Switch, audit, first_doubt, merge, note, switches, unix_now, unix_time};

use crate::namespace::Node;
use crate::plan::{self, Family};
use crate::story::Action;

/// Longest wait until the daemons answer and the session lives: the promise for the whole start is 3 s.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks at a daemon that starts.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// The socket of the agent, in the lab's private `/run`.
pub const AGENT_SOCKET: &str = "/run/jumpvpn/agent.sock";
/// The socket of the gateway.
pub const GATEWAY_SOCKET: &str = "/run/jumpvpn/gateway.sock";

/// Where the daemons run.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// Node of the agent.
    pub laptop: &'a Node,
    /// Node of the gateway, reachable from the laptop at [`plan::gateway_of`] the family.
    pub gateway: &'a Node,
    /// The laptop's interfaces that carry paths; all of them must be ready before anything begins.
    pub uplinks: &'a [&'a str],
    /// Over which they speak.
    pub family: Family,
}

/// The program under test, and the keys both sides use for all runs.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    gateway_public: String,
    agent_public: String,
    keys: PathBuf,
    policy: String,
    /// Lines of the agent's `[policy]` table.
    policy_keys: String,
    guests: Vec<Guest>,
}

/// A peer of the gateway besides the laptop, whoever plays it.
#[derive(Debug)]
struct Guest {
    name: String,
    public: String,
    inner: Ipv4Addr,
}

impl Program {
    /// Makes keys with the program itself: `$JUMPVPN_BIN`, or the one that is running.
    ///
    /// # Errors
    /// A sentence for a person.
    pub fn prepare(folder: &Path, policy: &str) -> io::Result<Program> {
        let path = std::env::var_os("JUMPVPN_BIN").map_or_else(|| "/proc/self/exe".into(), PathBuf::from);
        Program::at(path, folder, policy)
    }

    /// As [`Program::prepare`], with the program in this file.
    ///
    /// # Errors
    /// A sentence for a person.
    pub fn at(path: PathBuf, folder: &Path, policy: &str) -> io::Result<Program> {
        let keys = folder.join("keys");
        fs::create_dir_all(&keys)?;
        let (_, gateway_public) = new_key(&path, &keys.join("gateway"))?;
        let (_, agent_public) = new_key(&path, &keys.join("agent"))?;
        let policy = policy.to_owned();
        let (policy_keys, guests) = (String::new(), Vec::new());
        Ok(Program { path, gateway_public, agent_public, keys, policy, policy_keys, guests })
    }

    /// Sets a key of the agent's policy, from its next start on; `value` is written as in the configuration.
    pub fn set_policy_key(&mut self, key: &str, value: &str) {
        self.policy_keys.push_str(&format!("{key} = {value}\n"));
    }

    /// Lets the gateway know one more peer, from its next start on, and returns the peer's private key as text.
    ///
    /// # Errors
    /// A sentence for a person.
    pub fn add_peer(&mut self, name: &str, inner: Ipv4Addr) -> io::Result<String> {
        let (private, public) = new_key(&self.path, &self.keys.join(name))?;
        self.guests.push(Guest { name: name.to_owned(), public, inner });
        Ok(private)
    }

    /// The gateway's public key as text.
    #[must_use]
    pub fn gateway_public(&self) -> &str {
        &self.gateway_public
    }

    /// What `--version` says.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        run(&self.path, "--version", "").ok().map(|text| text.trim().to_owned())
    }

    fn gateway_config(&self, folder: &Path, family: Family) -> String {
        let mut text = format!(
            "[gateway]\nprivate_key_file = {}\nlisten = [\"udp://{}\"]\ninterface = \"jump0\"\n\
             address = [\"{}/24\"]\ncontrol_socket = \"{GATEWAY_SOCKET}\"\nevents = {}\n\n\
             [store]\nkind = \"memory\"\n\n[[peer]]\nname = \"laptop\"\npublic_key = \"{}\"\ninner = [\"{}\"]\n",
            quoted(&self.keys.join("gateway").to_string_lossy()),
            plan::gateway_of(family),
            plan::GATEWAY_INNER,
            quoted(&folder.join("gateway.jsonl").to_string_lossy()),
            self.agent_public,
            plan::LAPTOP_INNER,
        );
        for Guest { name, public, inner } in &self.guests {
            let name = quoted(name);
            text.push_str(&format!(
                "\n[[peer]]\nname = {name}\npublic_key = \"{public}\"\ninner = [\"{inner}\"]\n"
            ));
        }
        text
    }

    fn agent_config(&self, folder: &Path, site: Site<'_>) -> String {
        format!(
            "[agent]\nprivate_key_file = {}\ninterface = \"jump0\"\ncontrol_socket = \"{AGENT_SOCKET}\"\n\
             policy = {}\nuplinks = {:?}\nevents = {}\n\n\
             [[gateway]]\npublic_key = \"{}\"\nendpoints = [\"udp://{}\"]\n\n\
             [routes]\nallowed_ips = [\"{}/24\", \"{}/24\"]\n\n[policy]\n{}",
            quoted(&self.keys.join("agent").to_string_lossy()),
            quoted(&self.policy),
            site.uplinks,
            quoted(&folder.join("agent.jsonl").to_string_lossy()),
            self.gateway_public,
            plan::gateway_of(site.family),
            network_of(plan::GATEWAY_INNER),
            network_of(plan::GATEWAY_LAN),
            self.policy_keys,
        )
    }
}

/// The program as a daemon that appends to a log.
pub(crate) fn daemon_command(path: &Path, verb: &str, config: &Path, log: &Path) -> io::Result<Command> {
    let log = File::options().create(true).append(true).open(log)?;
    let mut command = Command::new(path);
    command.arg0("jumpvpn").arg(verb).arg("-c").arg(config);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // A notification of readiness would go to whoever started the lab.
    command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC").env_remove("WATCHDOG_PID");
    Ok(command)
}

/// Makes a key pair with the program, keeps the private one in `file` and returns both as text.
pub(crate) fn new_key(program: &Path, file: &Path) -> io::Result<(String, String)> {
    let private = run(program, "genkey", "")?;
    let mut options = File::options();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(file)?;
    io::Write::write_all(&mut &opened, private.as_bytes())?;
    let public = run(program, "pubkey", &private)?;
    Ok((private.trim().to_owned(), public.trim().to_owned()))
}

/// Gateway and agent, running; dropping it ends both.
#[derive(Debug)]
pub struct Tunnel {
    gateway: Daemon,
    agent: Daemon,
    folder: PathBuf,
}

impl Tunnel {
    /// Starts both and waits until the session lives and a path over each uplink is validated or active.
    ///
    /// # Errors
    /// A sentence with the end of the log that tells why.
    pub fn start(program: &Program, site: Site<'_>, folder: &Path) -> io::Result<Tunnel> {
        fs::create_dir_all(folder)?;
        let at = |name: &str| folder.join(name);
        for leftover in ["gateway.jsonl", "agent.jsonl", "gateway.log", "agent.log"] {
            match fs::remove_file(at(leftover)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::write(at("gateway.toml"), program.gateway_config(folder, site.family))?;
        fs::write(at("agent.toml"), program.agent_config(folder, site))?;
        let gateway = start_daemon(program, "gateway", site.gateway, folder)?;
        let agent = start_daemon(program, "agent", site.laptop, folder)?;
        let mut tunnel = Tunnel { gateway, agent, folder: folder.to_owned() };
        tunnel.wait_until_warm(site.uplinks)?;
        Ok(tunnel)
    }

    /// Kills the gateway without a goodbye and starts it again. The agent finds out by itself; its events and the
    /// gateway's go on in the same files.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn crash_gateway(&mut self, program: &Program, site: Site<'_>) -> io::Result<()> {
        self.gateway.process.kill()?;
        self.gateway.process.wait()?;
        self.gateway = start_daemon(program, "gateway", site.gateway, &self.folder)?;
        Ok(())
    }

    /// Stops the agent and starts it on a machine that has run for `ahead` longer, by clocks of its own. The program must
    /// be given as a file ([`Program::at`]): another program starts it.
    ///
    /// # Errors
    /// It does not stop, or cannot be started so.
    pub fn restart_agent_ahead(
        &mut self,
        program: &Program,
        site: Site<'_>,
        ahead: Duration,
    ) -> io::Result<()> {
        self.agent.stop()?;
        self.agent = start_daemon_ahead(program, "agent", site.laptop, &self.folder, ahead)?;
        Ok(())
    }

    /// The same with the gateway.
    ///
    /// # Errors
    /// It does not stop, or cannot be started so.
    pub fn restart_gateway_ahead(
        &mut self,
        program: &Program,
        site: Site<'_>,
        ahead: Duration,
    ) -> io::Result<()> {
        self.gateway.stop()?;
        self.gateway = start_daemon_ahead(program, "gateway", site.gateway, &self.folder, ahead)?;
        Ok(())
    }

    /// Waits until the session lives and a path over each of these interfaces is validated or active.
    ///
    /// # Errors
    /// A daemon ended, or patience did.
    pub fn wait_until_warm(&mut self, uplinks: &[&str]) -> io::Result<()> {
        let until = Instant::now() + START_TIMEOUT;
        loop {
            let status = self.status();
            if status.as_ref().is_ok_and(|status| status.is_warm(uplinks)) {
                return Ok(());
            }
            self.gateway.check()?;
            self.agent.check()?;
            if Instant::now() >= until {
                let last = status.map_or_else(|error| error.to_string(), |status| format!("{status:?}"));
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!(
                        "the session was not ready after {START_TIMEOUT:?}: {last}\n{}",
                        self.agent.log_tail()
                    ),
                ));
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// What the agent says about itself.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn status(&self) -> io::Result<Status> {
        control::status(Path::new(AGENT_SOCKET))
    }

    /// What the gateway tells of its sessions: the rows of `show sessions --json`.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn sessions(&self) -> io::Result<Vec<SessionRow>> {
        control::sessions(Path::new(GATEWAY_SOCKET))
    }

    /// What the gateway has dropped so far, by reason, as its status tells.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn drops(&self) -> io::Result<BTreeMap<String, u64>> {
        control::drops(Path::new(GATEWAY_SOCKET))
    }

    /// Memory of the gateway that is resident now, bytes.
    #[must_use]
    pub fn gateway_resident_len(&self) -> Option<u64> {
        self.gateway.resident_len()
    }

    /// Whether both daemons still run.
    ///
    /// # Errors
    /// A sentence with the end of the log of the one that does not.
    pub fn check(&mut self) -> io::Result<()> {
        self.gateway.check()?;
        self.agent.check()
    }

    /// Asks the agent to do what an operator would ask of it.
    ///
    /// # Errors
    /// It refused, or cannot be asked.
    pub fn steer(&self, action: &Action) -> io::Result<()> {
        control::steer(Path::new(AGENT_SOCKET), action)
    }

    /// The event file of the agent.
    #[must_use]
    pub fn agent_events(&self) -> PathBuf {
        self.folder.join("agent.jsonl")
    }

    /// The event file of the gateway.
    #[must_use]
    pub fn gateway_events(&self) -> PathBuf {
        self.folder.join("gateway.jsonl")
    }

    /// Processor time both daemons have used.
    #[must_use]
    pub fn cpu_times(&self) -> [Option<Duration>; 2] {
        [self.agent.cpu_time(), self.gateway.cpu_time()]
    }

    /// Ends both daemons in good order, so that their last events are written.
    ///
    /// # Errors
    /// One of them did not end by itself, or badly.
    pub fn stop(mut self) -> io::Result<()> {
        self.agent.stop()?;
        self.gateway.stop()
    }
}

/// One process of the program under test; killed when dropped.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) name: &'static str,
    pub(crate) process: Child,
    pub(crate) log: PathBuf,
}

/// A daemon that is told to stop says goodbye to its peers (one round trip, repeated a few times), gives its right back to
/// the store and writes its events: half a second, and much more where many programs want the processor.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// Lines of a log that are shown when a daemon failed.
const LOG_TAIL: usize = 12;

impl Daemon {
    /// Whether it still runs.
    pub(crate) fn check(&mut self) -> io::Result<()> {
        match self.process.try_wait()? {
            None => Ok(()),
            Some(status) => {
                let text = format!("the {} ended ({status}):\n{}", self.name, self.log_tail());
                Err(io::Error::other(text))
            }
        }
    }

    pub(crate) fn log_tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n")
    }

    fn resident_len(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kib * 1024)
    }

    fn cpu_time(&self) -> Option<Duration> {
        /// Unit of the times in `/proc/PID/stat`; USER_HZ is 100 on every Linux of today.
        const TICK: Duration = Duration::from_millis(10);
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).ok()?;
        // The program's name may hold spaces; user and system time are fields 14 and 15, twelve after it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |index: usize| fields.get(index)?.parse::<u32>().ok();
        Some(TICK * (ticks(11)? + ticks(12)?))
    }

    pub(crate) fn stop(&mut self) -> io::Result<()> {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let until = Instant::now() + STOP_TIMEOUT;
        while Instant::now() < until {
            match self.process.try_wait()? {
                None => thread::sleep(LOOK_AGAIN),
                Some(status) if status.success() => return Ok(()),
                Some(status) => {
                    return Err(io::Error::other(format!(
                        "the {} ended badly ({status}):\n{}",
                        self.name,
                        self.log_tail()
                    )));
                }
            }
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("the {} does not stop", self.name)))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.process.kill().and_then(|()| self.process.wait()).ok();
    }
}

/// Starts one side of the program in its node, with the configuration in `folder`.
fn start_daemon(program: &Program, name: &'static str, node: &Node, folder: &Path) -> io::Result<Daemon> {
    let log = folder.join(format!("{name}.log"));
    let config = folder.join(format!("{name}.toml"));
    let mut command = daemon_command(&program.path, name, &config, &log)?;
    Ok(Daemon { name, process: node.spawn(&mut command)?, log })
}

/// As [`start_daemon`], in a time namespace: the clocks that count from the machine's start are `ahead` there. The wall
/// clock has no namespace. Needs `unshare` of util-linux.
fn start_daemon_ahead(
    program: &Program,
    name: &'static str,
    node: &Node,
    folder: &Path,
    ahead: Duration,
) -> io::Result<Daemon> {
    let log = folder.join(format!("{name}.log"));
    let config = folder.join(format!("{name}.toml"));
    let opened = File::options().create(true).append(true).open(&log)?;
    let mut command = Command::new("unshare");
    let seconds = ahead.as_secs().to_string();
    command.args(["--time", "--boottime", &seconds, "--monotonic", &seconds, "--"]).arg(&program.path);
    command.arg(name).arg("-c").arg(config);
    command.stdin(Stdio::null()).stdout(opened.try_clone()?).stderr(opened);
    command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC").env_remove("WATCHDOG_PID");
    Ok(Daemon { name, process: node.spawn(&mut command)?, log })
}

/// A TOML string.
pub(crate) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn network_of(address: Ipv4Addr) -> Ipv4Addr {
    let [a, b, c, _] = address.octets();
    Ipv4Addr::new(a, b, c, 0)
}

/// Runs a verb of the program that reads `input` and prints a line or two.
fn run(program: &Path, verb: &str, input: &str) -> io::Result<String> {
    let mut command = Command::new(program);
    command.arg0("jumpvpn").arg(verb).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read (genkey) closes its end first.
        io::Write::write_all(&mut stdin, input.as_bytes()).ok();
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("`jumpvpn {verb}` failed: {}", text.trim())));
    }
    String::from_utf8(output.stdout).map_err(io::Error::other)
}
