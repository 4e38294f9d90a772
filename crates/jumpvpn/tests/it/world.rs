//! A gateway and an agent as processes in two network namespaces that are joined by two links.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bed::{Bed, Ended};

/// Far longer than anything here takes, as the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Two machines: the agent's has the links `one0` and `two0`, each with a default route.
pub struct World {
    pub bed: Bed,
    gateway_ns: String,
    agent_ns: String,
}

/// A daemon, killed when dropped.
pub struct Daemon {
    child: Child,
    pub log: PathBuf,
}

impl World {
    /// Nothing, and a word about it, where the system allows no namespaces or devices.
    pub fn new(test: &str) -> Option<World> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = |side| format!("jv{side}-{}-{number}", std::process::id());
        let world = World { gateway_ns: name("g"), agent_ns: name("a"), bed: Bed::new() };
        let possible = try_ip(&format!("netns add {}", world.gateway_ns))
            && try_ip(&format!("netns add {}", world.agent_ns))
            && std::fs::File::options().read(true).write(true).open("/dev/net/tun").is_ok();
        if !possible {
            eprintln!("SKIPPED {test}: it needs root, `ip netns` and /dev/net/tun");
            return None;
        }
        world.join_links();
        world.write_files();
        Some(world)
    }

    fn join_links(&self) {
        let (gateway, agent) = (&self.gateway_ns, &self.agent_ns);
        for ns in [gateway, agent] {
            ip(&format!("-n {ns} link set lo up"));
        }
        for (number, link) in [(1, "one"), (2, "two")] {
            ip(&format!("-n {gateway} link add {link}1 type veth peer name {link}0 netns {agent}"));
            ip(&format!("-n {gateway} addr add 192.168.{number}.1/24 dev {link}1"));
            ip(&format!("-n {agent} addr add 192.168.{number}.2/24 dev {link}0"));
            ip(&format!("-n {gateway} link set {link}1 up"));
            ip(&format!("-n {agent} link set {link}0 up"));
            self.set_default_route(&format!("{link}0"));
        }
        ip(&format!("-n {gateway} addr add 10.99.0.1/32 dev lo"));
    }

    /// A link that goes down loses its IPv4 routes; a real machine's DHCP client sets them again.
    pub fn set_default_route(&self, link: &str) {
        let number = if link == "one0" { 1 } else { 2 };
        let ns = &self.agent_ns;
        ip(&format!("-n {ns} route replace default via 192.168.{number}.1 dev {link} metric {number}00"));
    }

    fn write_files(&self) {
        let key = |name: &str| {
            let key = self.bed.run(&["genkey"]).out;
            self.bed.file(name, &key);
            self.bed.run_with(&["pubkey"], &key).out.trim().to_owned()
        };
        let (gateway_key, agent_key) = (key("gateway.key"), key("agent.key"));
        let gateway = format!(
            "[gateway]\nprivate_key_file = \"gateway.key\"\nlisten = [\"udp://0.0.0.0:4747\"]\ninterface = \"jump0\"\n\
             address = [\"10.77.0.1/24\", \"fd77::1/64\"]\ncontrol_socket = \"gateway.sock\"\nevents = \"gateway.jsonl\"\n\
             [store]\nkind = \"memory\"\n\
             [[peer]]\nname = \"alice\"\npublic_key = \"{agent_key}\"\ninner = [\"10.77.0.2\", \"fd77::2\"]\n"
        );
        let agent = format!(
            "[agent]\nprivate_key_file = \"agent.key\"\ninterface = \"jump0\"\ncontrol_socket = \"agent.sock\"\n\
             events = \"agent.jsonl\"\n\
             [[gateway]]\npublic_key = \"{gateway_key}\"\nendpoints = [\"udp://10.99.0.1:4747\"]\n\
             [routes]\nallowed_ips = [\"10.77.0.0/24\", \"fd77::/64\"]\n"
        );
        self.bed.file("gateway.toml", &gateway);
        self.bed.file("agent.toml", &agent);
    }

    /// Starts `jumpvpn gateway`.
    pub fn gateway(&self) -> Daemon {
        self.gateway_with(&[])
    }

    /// Starts a gateway with another file: `NAME.toml`.
    pub fn gateway_named(&self, name: &str) -> Daemon {
        self.spawn(&self.gateway_ns, "gateway", &format!("{name}.toml"), &[])
    }

    /// A program in the gateway's namespace and the test's folder.
    pub fn command_in_gateway(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.gateway_ns, program]).current_dir(&self.bed.0);
        command
    }

    /// As [`World::gateway`], with more in its environment.
    pub fn gateway_with(&self, environment: &[(&str, &str)]) -> Daemon {
        self.spawn(&self.gateway_ns, "gateway", "gateway.toml", environment)
    }

    /// Starts `jumpvpn agent`.
    pub fn agent(&self) -> Daemon {
        self.spawn(&self.agent_ns, "agent", "agent.toml", &[])
    }

    /// Starts another agent beside the one of [`World::agent`].
    pub fn twin(&self, file: &str) -> Daemon {
        self.spawn(&self.agent_ns, "agent", file, &[])
    }

    /// Starts both and waits until the session is there.
    pub fn both(&self) -> (Daemon, Daemon) {
        let gateway = self.gateway();
        self.wait_until("the gateway answers", || self.status("gateway").is_some());
        let agent = self.agent();
        self.wait_until_attached();
        (gateway, agent)
    }

    /// Starts `jumpvpn agent` behind a line of shell in its own mount namespace, with another standard error.
    pub fn agent_behind(&self, shell: &str, stderr: impl Into<Stdio>) -> Daemon {
        self.spawn_behind(&self.agent_ns, "agent", shell, stderr)
    }

    /// The same for `jumpvpn gateway`.
    pub fn gateway_behind(&self, shell: &str, stderr: impl Into<Stdio>) -> Daemon {
        self.spawn_behind(&self.gateway_ns, "gateway", shell, stderr)
    }

    fn spawn_behind(&self, ns: &str, verb: &str, shell: &str, stderr: impl Into<Stdio>) -> Daemon {
        let line = format!("{shell} exec \"$0\" {verb} -v -c {verb}.toml");
        let child = Command::new("ip")
            .args(["netns", "exec", ns, "sh", "-c", &line, env!("CARGO_BIN_EXE_jumpvpn")])
            .current_dir(&self.bed.0)
            .stdout(Stdio::null())
            .stderr(stderr)
            .process_group(0)
            .spawn();
        Daemon { child: child.unwrap(), log: self.bed.0.join(format!("{verb}.toml.log")) }
    }

    /// A file that takes the log of a daemon.
    pub fn log_file(&self, verb: &str) -> std::fs::File {
        let log = self.bed.0.join(format!("{verb}.toml.log"));
        std::fs::File::options().append(true).create(true).open(log).unwrap()
    }

    /// Changes the configuration of the agent or the gateway.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.bed.0.join(file)).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        self.bed.file(file, &text.replace(from, to));
    }

    /// Takes the link that is not active down and up again: some events, and no jump.
    pub fn flap_standby(&self) {
        let link = if self.active_link() == "one0" { "two0" } else { "one0" };
        assert!(self.in_agent(&format!("ip link set {link} down")).0);
        let has = |link: &str| {
            let paths = self.agent_says("paths");
            paths
                .as_array()
                .is_some_and(|paths| paths.iter().any(|path| path["iface"] == link && path["up"] == true))
        };
        self.wait_until("the standby link is gone", || !has(link));
        assert!(self.in_agent(&format!("ip link set {link} up")).0);
        self.set_default_route(link);
        self.wait_until("the standby link is back", || has(link));
    }

    fn spawn(&self, ns: &str, verb: &str, file: &str, environment: &[(&str, &str)]) -> Daemon {
        let log = self.bed.0.join(format!("{file}.log"));
        let output = std::fs::File::options().append(true).create(true).open(&log).unwrap();
        let child = Command::new("ip")
            .args(["netns", "exec", ns, env!("CARGO_BIN_EXE_jumpvpn"), verb, "-v", "-c", file])
            .current_dir(&self.bed.0)
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(output)
            .process_group(0)
            .spawn();
        Daemon { child: child.unwrap(), log }
    }

    /// Starts `verb` (`gateway` or `agent`) where everybody may use `/dev/net/tun`, as systems have it; `words` come
    /// before the program on its command line. Nothing where the system does not let us make devices.
    pub fn start_through(&self, verb: &str, words: &str) -> Option<Daemon> {
        const SCRIPT: &str =
            "mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 200 && exec 3<\"$1\"";
        let ns = if verb == "gateway" { &self.gateway_ns } else { &self.agent_ns };
        let program = env!("CARGO_BIN_EXE_jumpvpn");
        let sh = |script: &str| {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", ns, "unshare", "--mount", "sh", "-c", script, "sh", program]);
            command
        };
        if !sh(SCRIPT).status().unwrap().success() {
            return None;
        }
        let log = self.bed.0.join(format!("{verb}.toml.log"));
        let output = std::fs::File::options().append(true).create(true).open(&log).unwrap();
        // By its descriptor: the user it will be may not enter the folder it lies in.
        let script = format!("{SCRIPT} && exec {words} /proc/self/fd/3 {verb} -v -c {verb}.toml");
        let child = sh(&script).current_dir(&self.bed.0).stdout(Stdio::null()).stderr(output).spawn();
        Some(Daemon { child: child.unwrap(), log })
    }

    /// Runs a daemon that is expected to end by itself.
    pub fn run_agent_to_its_end(&self, file: &str) -> Ended {
        self.run_to_its_end(&self.agent_ns, "agent", file)
    }

    /// As [`World::run_agent_to_its_end`].
    pub fn run_gateway_to_its_end(&self, file: &str) -> Ended {
        self.run_to_its_end(&self.gateway_ns, "gateway", file)
    }

    fn run_to_its_end(&self, ns: &str, verb: &str, file: &str) -> Ended {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", ns, env!("CARGO_BIN_EXE_jumpvpn"), verb, "-q", "-c", file]);
        Ended::from(command.current_dir(&self.bed.0).output().unwrap())
    }

    /// A command in the agent's namespace; its standard output.
    pub fn in_agent(&self, line: &str) -> (bool, String) {
        in_namespace(&self.agent_ns, line)
    }

    /// A command in the gateway's namespace; its standard output.
    pub fn in_gateway(&self, line: &str) -> (bool, String) {
        in_namespace(&self.gateway_ns, line)
    }

    /// A command in the agent's namespace that runs beside the test.
    pub fn beside_agent(&self, line: &str) -> Child {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.agent_ns]).args(line.split_whitespace());
        command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// What `status --json` of the agent or the gateway says, if it answers.
    pub fn status(&self, who: &str) -> Option<Value> {
        let ended = self.bed.run(&["status", "--json", "-s", &format!("{who}.sock")]);
        (ended.code == 0).then(|| ended.json())
    }

    /// A key of the agent's status.
    pub fn agent_says(&self, key: &str) -> Value {
        self.status("agent").map(|status| status[key].clone()).unwrap_or_default()
    }

    pub fn wait_until_attached(&self) {
        self.wait_until("the session is attached", || self.agent_says("state") == "ATTACHED");
    }

    /// Waits until the path over the link can be jumped to.
    pub fn wait_until_ready(&self, link: &str) {
        self.wait_until(&format!("{link} is ready"), || {
            let paths = self.agent_says("paths");
            let ready = |path: &Value| path["iface"] == link && path["binding"] == "VALIDATED";
            paths.as_array().is_some_and(|paths| paths.iter().any(ready))
        });
    }

    /// Name of the interface of the active path.
    pub fn active_link(&self) -> String {
        let paths = self.agent_says("paths");
        let active = paths.as_array().and_then(|paths| paths.iter().find(|path| path["binding"] == "ACTIVE"));
        active.and_then(|path| path["iface"].as_str()).unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub fn wait_until(&self, what: &str, mut wanted: impl FnMut() -> bool) {
        let began = Instant::now();
        while !wanted() {
            if began.elapsed() > PATIENCE {
                let logs = ["gateway.toml.log", "agent.toml.log"]
                    .map(|name| std::fs::read_to_string(self.bed.0.join(name)).unwrap_or_default());
                panic!("waited in vain until {what}\n--- gateway\n{}\n--- agent\n{}", logs[0], logs[1]);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether one of the inner packets sent, one a second, comes back.
    pub fn pings(&self, address: &str) -> bool {
        self.in_agent(&format!("ping -c 1 -w {} {address}", PATIENCE.as_secs())).0
    }

    /// Proves both event files together.
    pub fn verify_events(&self) {
        let ended = self.bed.run(&["events", "verify", "agent.jsonl", "gateway.jsonl"]);
        assert_eq!(ended.code, 0, "{} {}", ended.out, ended.err);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for ns in [&self.gateway_ns, &self.agent_ns] {
            try_ip(&format!("netns delete {ns}"));
        }
    }
}

impl Daemon {
    /// Sends a signal, by name.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A path of the daemon's own view of the file system.
    pub fn sees(&self, path: &std::path::Path) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.id())).join(path.strip_prefix("/").unwrap())
    }

    /// Clock ticks of CPU it has used.
    pub fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        // Behind the name, which may have spaces: utime and stime are fields 14 and 15 of proc_pid_stat(5).
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        [11, 12].iter().map(|at| fields[*at].parse::<u64>().unwrap()).sum()
    }

    /// How it ended, if it has: the exit code, if it was not a signal.
    pub fn ended(&mut self) -> Option<Option<i32>> {
        self.child.try_wait().unwrap().map(|status| status.code())
    }

    /// Waits for the end; the exit code, if it was not a signal, and how long it took.
    pub fn wait(&mut self) -> (Option<i32>, Duration) {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code(), began.elapsed());
            }
            assert!(began.elapsed() < PATIENCE, "it does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The process of its keeper.
    pub fn keeper(&self) -> u32 {
        let children = format!("/proc/{0}/task/{0}/children", self.id());
        let children = std::fs::read_to_string(children).unwrap();
        let mut keepers = children.split_whitespace().filter(|id| {
            std::fs::read_to_string(format!("/proc/{id}/comm"))
                .is_ok_and(|name| name.starts_with("jumpvpn-keeper"))
        });
        keepers.next().expect("a daemon has a keeper").parse().unwrap()
    }

    /// What it wrote to stderr so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn in_namespace(ns: &str, line: &str) -> (bool, String) {
    let mut command = Command::new("ip");
    let output = command.args(["netns", "exec", ns]).args(line.split_whitespace()).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn try_ip(line: &str) -> bool {
    Command::new("ip").args(line.split_whitespace()).output().is_ok_and(|output| output.status.success())
}

#[track_caller]
fn ip(line: &str) {
    assert!(try_ip(line), "ip {line}");
}
