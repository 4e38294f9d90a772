//! The program under test in a cell: three gateways that share a store, and the laptop's agent that knows all three.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::cell::{Cell, each};
use super::judge::Fact;
use super::judge::keys::KeyUse;
use super::plan::{self, CLIENT_PORT, COUNT};
use crate::plan::{GATEWAY_INNER, GATEWAY_PORT, LAPTOP_INNER, UPLINKS};
use crate::tunnel::control::{self, SessionRow, Status};
use crate::tunnel::{AGENT_SOCKET, Daemon, daemon_command, new_key, quoted, unix_time};

/// Longest wait for a daemon that starts: it connects to the store, which may just be electing a leader.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Where the gateways keep who owns which session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// Three gateways in etcd; how fast a silent one is given up is the key `pace` of `[store]`.
    Cell {
        /// Its value.
        pace: &'static str,
    },
    /// One gateway, in a file of its own.
    Alone,
}

impl Keeping {
    /// How many gateways there are.
    #[must_use]
    pub const fn gateway_count(self) -> usize {
        match self {
            Keeping::Cell { .. } => COUNT,
            Keeping::Alone => 1,
        }
    }
}

/// What the daemons of a cell have in common.
#[derive(Debug)]
pub struct Programs {
    path: PathBuf,
    folder: PathBuf,
    gateway_publics: [String; COUNT],
    agent_public: String,
    keeping: Keeping,
    /// Fault of the gateways that is planted in the test build.
    planted: Option<&'static str>,
}

impl Programs {
    /// Makes all keys with the program in `path`. `folder` receives everything.
    ///
    /// # Errors
    /// A sentence for a person.
    pub fn prepare(path: PathBuf, folder: &Path, keeping: Keeping) -> io::Result<Programs> {
        let keys = folder.join("keys");
        fs::create_dir_all(&keys)?;
        let gateway_publics = each(|index| Ok(new_key(&path, &keys.join(plan::GATEWAYS[index]))?.1))?;
        let (_, agent_public) = new_key(&path, &keys.join("agent"))?;
        // Any 32 secret bytes as text: a private key is that.
        new_key(&path, &keys.join("store"))?;
        Ok(Programs {
            path,
            folder: folder.to_owned(),
            gateway_publics,
            agent_public,
            keeping,
            planted: None,
        })
    }

    /// Asks the test build (feature `planted`) for gateways with that fault. Another build pays no attention.
    pub fn plant(&mut self, fault: &'static str) {
        self.planted = Some(fault);
    }

    /// Where the gateways keep their sessions.
    #[must_use]
    pub fn keeping(&self) -> Keeping {
        self.keeping
    }

    /// Public key of a gateway as text.
    #[must_use]
    pub fn gateway_public(&self, index: usize) -> &str {
        &self.gateway_publics[index]
    }

    fn key_file(&self, name: &str) -> String {
        quoted(&self.folder.join("keys").join(name).to_string_lossy())
    }

    fn events(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.jsonl"))
    }

    fn key_log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.keys"))
    }

    fn gateway_config(&self, index: usize) -> String {
        let name = plan::GATEWAYS[index];
        format!(
            "[gateway]\nprivate_key_file = {}\nlisten = [\"udp://{}:{GATEWAY_PORT}\"]\ninterface = \"jump0\"\n\
             address = [\"{GATEWAY_INNER}/24\"]\ncontrol_socket = \"{}\"\nevents = {}\n\n\
             [store]\n{}\n\
             [[peer]]\nname = \"laptop\"\npublic_key = \"{}\"\ninner = [\"{LAPTOP_INNER}\"]\n",
            self.key_file(name),
            plan::OUTER[index].isp,
            gateway_socket(index),
            quoted(&self.events(name).to_string_lossy()),
            self.store_config(name),
            self.agent_public,
        )
    }

    fn store_config(&self, name: &str) -> String {
        let state = self.folder.join("state");
        let Keeping::Cell { pace } = self.keeping else {
            return format!(
                "kind = \"embedded\"\npath = {}\n",
                quoted(&state.join("embedded").to_string_lossy())
            );
        };
        let endpoints: Vec<String> =
            plan::MEMBER.iter().map(|member| format!("http://{}:{CLIENT_PORT}", member.isp)).collect();
        format!(
            "kind = \"etcd\"\nendpoints = {endpoints:?}\nprefix = \"/jumpvpn-lab\"\nnode = \"{name}\"\n\
             path = {}\nkey_file = {}\npace = \"{pace}\"\n",
            quoted(&state.to_string_lossy()),
            self.key_file("store"),
        )
    }

    fn agent_config(&self) -> String {
        let mut text = format!(
            "[agent]\nprivate_key_file = {}\ninterface = \"jump0\"\ncontrol_socket = \"{AGENT_SOCKET}\"\n\
             policy = \"laptop\"\nuplinks = {:?}\nevents = {}\n\n[routes]\nallowed_ips = [\"10.77.0.0/24\", \"{}/24\"]\n",
            self.key_file("agent"),
            UPLINKS.map(|uplink| uplink.interface),
            quoted(&self.events("agent").to_string_lossy()),
            plan::SERVER_NET,
        );
        for (public, line) in self.gateway_publics.iter().zip(plan::OUTER).take(self.keeping.gateway_count())
        {
            text.push_str(&format!(
                "\n[[gateway]]\npublic_key = \"{public}\"\nendpoints = [\"udp://{}:{GATEWAY_PORT}\"]\n",
                line.isp
            ));
        }
        text
    }
}

fn gateway_socket(index: usize) -> String {
    format!("/run/jumpvpn/{}.sock", plan::GATEWAYS[index])
}

/// The daemons, running; dropping them kills them.
#[derive(Debug)]
pub struct Daemons {
    programs: Programs,
    gateways: [Option<Daemon>; COUNT],
    agent: Option<Daemon>,
}

impl Daemons {
    /// Starts all of them and waits until the session lives.
    ///
    /// # Errors
    /// A sentence with the end of the log that tells why.
    pub fn start(cell: &Cell, programs: Programs) -> io::Result<Daemons> {
        let state = programs.folder.join("state");
        // What gateways remember is of the store of an earlier run, whose disks are empty now.
        match fs::remove_dir_all(&state) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&state)?,
        }
        let names = plan::GATEWAYS.iter().copied().chain(["agent"]);
        for name in names {
            // Events of an earlier run are no evidence of this one.
            let log = programs.folder.join(format!("{name}.log"));
            for leftover in [programs.events(name), programs.key_log(name), log] {
                match fs::remove_file(leftover) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        let mut daemons = Daemons { programs, gateways: [None, None, None], agent: None };
        let count = daemons.programs.keeping.gateway_count();
        for index in 0..count {
            daemons.write_config(plan::GATEWAYS[index], &daemons.programs.gateway_config(index))?;
            daemons.start_gateway(cell, index)?;
        }
        for index in 0..count {
            daemons.wait_for_gateway(index)?;
        }
        daemons.write_config("agent", &daemons.programs.agent_config())?;
        daemons.agent = Some(daemons.spawn("agent", "agent", &cell.laptop)?);
        daemons.wait_until_attached(START_TIMEOUT)?;
        Ok(daemons)
    }

    fn write_config(&self, name: &str, text: &str) -> io::Result<()> {
        let path = self.programs.folder.join(format!("{name}.toml"));
        let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        (&file).write_all(text.as_bytes())
    }

    fn spawn(&self, verb: &str, name: &'static str, node: &crate::namespace::Node) -> io::Result<Daemon> {
        let Programs { path, folder, planted, .. } = &self.programs;
        let log = folder.join(format!("{name}.log"));
        let mut command = daemon_command(path, verb, &folder.join(format!("{name}.toml")), &log)?;
        // The test build alone knows these two.
        command.env("JUMPVPN_KEY_LOG", self.programs.key_log(name));
        command.envs(planted.map(|fault| ("JUMPVPN_PLANTED_FAULT", fault)));
        Ok(Daemon { name, process: node.spawn(&mut command)?, log })
    }

    /// Starts a gateway that does not run.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_gateway(&mut self, cell: &Cell, index: usize) -> io::Result<()> {
        let started = self.spawn("gateway", plan::GATEWAYS[index], &cell.gateways[index])?;
        self.gateways[index] = Some(started);
        Ok(())
    }

    /// Waits until a gateway that was started answers.
    ///
    /// # Errors
    /// It ended, or patience did.
    pub fn wait_for_gateway(&mut self, index: usize) -> io::Result<()> {
        let until = Instant::now() + START_TIMEOUT;
        let Some(daemon) = &mut self.gateways[index] else { return Err(absent(index)) };
        loop {
            daemon.check()?;
            if control::sessions(Path::new(&gateway_socket(index))).is_ok() {
                return Ok(());
            }
            if Instant::now() >= until {
                let text = format!("the {} does not answer:\n{}", daemon.name, daemon.log_tail());
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Waits until a gateway that was started has a socket for the outside, and says when it had.
    ///
    /// # Errors
    /// It ended, or patience did.
    pub fn wait_until_listening(&mut self, cell: &Cell, index: usize) -> io::Result<Instant> {
        let until = Instant::now() + START_TIMEOUT;
        let Some(daemon) = &mut self.gateways[index] else { return Err(absent(index)) };
        // A line of the kernel's table begins with a number and the socket's own address and port, in hexadecimal digits.
        let port = format!(":{GATEWAY_PORT:04X}");
        let listens = |table: &str| {
            let own = |line: &str| line.split_whitespace().nth(1).is_some_and(|own| own.ends_with(&port));
            table.lines().any(own)
        };
        cell.gateways[index].run(|| {
            loop {
                if listens(&fs::read_to_string("/proc/thread-self/net/udp")?) {
                    return Ok(Instant::now());
                }
                daemon.check()?;
                if Instant::now() >= until {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "the gateway does not listen"));
                }
                thread::sleep(Duration::from_millis(1));
            }
        })?
    }

    /// Kills a gateway without a goodbye; one that is gone already is fine.
    ///
    /// # Errors
    /// The kernel's.
    pub fn kill_gateway(&mut self, index: usize) -> io::Result<()> {
        let Some(mut daemon) = self.gateways[index].take() else { return Ok(()) };
        daemon.process.kill()?;
        daemon.process.wait().map(drop)
    }

    /// Declares a gateway dead whose process has ended, as its service manager does.
    ///
    /// # Errors
    /// It lives, or the store does not answer.
    pub fn bury_gateway(&self, cell: &Cell, index: usize) -> io::Result<()> {
        let Programs { path, folder, .. } = &self.programs;
        let name = plan::GATEWAYS[index];
        let log = folder.join(format!("{name}.log"));
        let mut command = daemon_command(path, "bury", &folder.join(format!("{name}.toml")), &log)?;
        match cell.gateways[index].spawn(&mut command)?.wait()? {
            status if status.success() => Ok(()),
            status => Err(io::Error::other(format!("the {name} could not be declared dead ({status})"))),
        }
    }

    /// Ends a gateway in good order.
    ///
    /// # Errors
    /// It did not end by itself, or badly.
    pub fn stop_gateway(&mut self, index: usize) -> io::Result<()> {
        self.gateways[index].take().map_or(Ok(()), |mut daemon| daemon.stop())
    }

    /// Pauses a gateway's process (SIGSTOP), not its keeper.
    ///
    /// # Errors
    /// It does not run.
    pub fn pause_gateway(&self, index: usize) -> io::Result<()> {
        self.signal(index, Signal::STOP)
    }

    /// Lets a paused gateway go on.
    ///
    /// # Errors
    /// It does not run.
    pub fn resume_gateway(&self, index: usize) -> io::Result<()> {
        self.signal(index, Signal::CONT)
    }

    fn signal(&self, index: usize, signal: Signal) -> io::Result<()> {
        let daemon = self.gateways[index].as_ref().ok_or_else(|| absent(index))?;
        Ok(kill_process(Pid::from_child(&daemon.process), signal)?)
    }

    /// Asks a gateway to send its sessions to the others, spread over `over`, in whole seconds.
    ///
    /// # Errors
    /// It refused, or cannot be asked.
    pub fn drain(&self, index: usize, over: Duration) -> io::Result<()> {
        self.order(index, &json!({"request": "drain", "over_s": over.as_secs()}))
    }

    /// Lets a gateway take sessions again.
    ///
    /// # Errors
    /// It refused, or cannot be asked.
    pub fn undrain(&self, index: usize) -> io::Result<()> {
        self.order(index, &json!({"request": "undrain"}))
    }

    /// Asks a gateway to send the only session there is to another one.
    ///
    /// # Errors
    /// It refused, has none, or cannot be asked.
    pub fn hand_off(&self, index: usize, to: &str) -> io::Result<()> {
        let rows = self.sessions(index)?;
        let session = rows.first().map(|row| &row.session).ok_or(io::ErrorKind::NotFound)?;
        self.order(index, &json!({"request": "handoff", "session": session, "to": to}))
    }

    /// How often the gateways that run have lost their right to act, all together.
    ///
    /// # Errors
    /// One cannot be asked.
    pub fn fenced_count(&self) -> io::Result<u64> {
        let running = (0..COUNT).filter(|index| self.gateways[*index].is_some());
        let counts = running.map(|index| {
            let status: Value =
                control::ask(Path::new(&gateway_socket(index)), &json!({"request": "status"}))?;
            Ok(status["store"]["counts"]["fenced"].as_u64().unwrap_or(0))
        });
        counts.sum()
    }

    fn order(&self, index: usize, request: &Value) -> io::Result<()> {
        control::ask::<Value>(Path::new(&gateway_socket(index)), request).map(drop)
    }

    /// Sessions of a gateway, as it tells them.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn sessions(&self, index: usize) -> io::Result<Vec<SessionRow>> {
        control::sessions(Path::new(&gateway_socket(index)))
    }

    /// The gateway that holds the laptop's session, as the gateways that answer tell it.
    #[must_use]
    pub fn owner(&self) -> Option<usize> {
        let running = (0..COUNT).filter(|index| self.gateways[*index].is_some());
        let holders = running.filter_map(|index| {
            let epoch = self.sessions(index).ok()?.iter().map(|row| row.epoch).max()?;
            Some((epoch, index))
        });
        holders.max().map(|(_, index)| index)
    }

    /// What the agent says about itself.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn status(&self) -> io::Result<Status> {
        control::status(Path::new(AGENT_SOCKET))
    }

    /// Waits until the agent's session is attached.
    ///
    /// # Errors
    /// The agent ended, or patience did.
    pub fn wait_until_attached(&mut self, patience: Duration) -> io::Result<()> {
        let until = Instant::now() + patience;
        loop {
            let status = self.status();
            if status.as_ref().is_ok_and(|status| status.state.eq_ignore_ascii_case("attached")) {
                return Ok(());
            }
            self.check()?;
            if Instant::now() >= until {
                let tail = self.agent.as_ref().map(Daemon::log_tail).unwrap_or_default();
                let text = format!("the session is not attached after {patience:?}: {status:?}\n{tail}");
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Starts the gateways again that have ended by themselves, as a service manager would; which those were.
    ///
    /// # Errors
    /// One cannot be started.
    pub fn revive(&mut self, cell: &Cell) -> io::Result<Vec<usize>> {
        let mut ended = Vec::new();
        for index in 0..COUNT {
            let Some(daemon) = &mut self.gateways[index] else { continue };
            if daemon.process.try_wait()?.is_some() {
                ended.push(index);
                self.start_gateway(cell, index)?;
            }
        }
        Ok(ended)
    }

    /// Whether all daemons that should run do.
    ///
    /// # Errors
    /// A sentence with the end of the log of the first that does not.
    pub fn check(&mut self) -> io::Result<()> {
        self.agent.iter_mut().chain(self.gateways.iter_mut().flatten()).try_for_each(Daemon::check)
    }

    /// What the gateways have written down so far of who acquired which session.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn facts(&self) -> io::Result<Vec<Fact>> {
        let mut facts = Vec::new();
        for (index, name) in plan::GATEWAYS.iter().enumerate() {
            let text = fs::read_to_string(self.programs.events(name))?;
            facts.extend(text.lines().filter_map(|line| fact(line, index)));
        }
        Ok(facts)
    }

    /// What the test build has told of its keys so far; nothing of another build.
    ///
    /// # Errors
    /// A file cannot be read, or says something else.
    pub fn key_uses(&self) -> io::Result<Vec<KeyUse>> {
        let mut uses = Vec::new();
        for name in plan::GATEWAYS.into_iter().chain(["agent"]) {
            let text = match fs::read_to_string(self.programs.key_log(name)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                read => read?,
            };
            for line in text.lines() {
                let use_of_key = key_use(line, name);
                uses.push(use_of_key.ok_or_else(|| io::Error::other(format!("key log of {name}: {line}")))?);
            }
        }
        Ok(uses)
    }

    /// The event files, each with the name of who wrote it.
    #[must_use]
    pub fn event_files(&self) -> Vec<(&'static str, PathBuf)> {
        let names = plan::GATEWAYS.iter().copied().chain(["agent"]);
        names.map(|name| (name, self.programs.events(name))).collect()
    }
}

fn absent(index: usize) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} does not run", plan::GATEWAYS[index]))
}

/// What a line of a key log says.
fn key_use(line: &str, by: &'static str) -> Option<KeyUse> {
    let told: Value = serde_json::from_str(line).ok()?;
    let number = |name: &str| told.get(name)?.as_u64();
    Some(KeyUse {
        by,
        key: told.get("key")?.as_str()?.to_owned(),
        lane: number("lane")?,
        numbers: [number("from")?, number("to")?],
    })
}

/// What a line of a gateway's event file says about ownership, if anything.
fn fact(line: &str, gateway: usize) -> Option<Fact> {
    let event: Value = serde_json::from_str(line).ok()?;
    let birth = match event.get("event")?.as_str()? {
        "SESSION_BIRTH" => true,
        "TAKEOVER" => false,
        _ => return None,
    };
    Some(Fact {
        at: unix_time(event.get("ts")?.as_str()?)?,
        gateway,
        session: event.get("session")?.as_str()?.to_owned(),
        epoch: event.get("epoch")?.as_u64()?,
        birth,
    })
}

#[cfg(test)]
mod tests;
