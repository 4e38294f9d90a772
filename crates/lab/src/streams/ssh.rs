//! A real ssh session: the system's own sshd in the server node, and in it a shell that counts.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::lock;
use crate::namespace::{self, Node};
use crate::plan;

/// sshd runs as an ordinary user, who cannot have port 22.
const PORT: u16 = 2222;
/// The account the session logs in to.
const ACCOUNT: &str = "lab";
/// What the shell on the server does: ten numbers a second.
const COUNTER: &str = "i=0; while :; do echo $i; i=$((i+1)); sleep 0.1; done";
/// Key exchange takes four round trips and some curve arithmetic.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How to get it.
const INSTALL: &str =
    "ssh is not among the streams: install it with `apt install openssh-client openssh-server`";

/// The session, until it is dropped.
#[derive(Debug)]
pub struct SshStream {
    daemon: Child,
    client: Child,
    count: Arc<Mutex<Count>>,
}

#[derive(Debug, Default)]
struct Count {
    lines: u64,
    wrong: Option<String>,
    ended: bool,
    last: Option<Instant>,
}

/// How the session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SshVerdict {
    /// The shell still counts, and no number was missing.
    pub alive: bool,
    /// Numbers that came.
    pub lines: u64,
}

impl SshStream {
    /// Starts daemon and client and waits for the first number.
    ///
    /// # Errors
    /// One sentence for a person.
    pub fn start(laptop: &Node, server: &Node, folder: &Path) -> Result<SshStream, String> {
        let sshd = find("sshd").ok_or(INSTALL)?;
        let ssh = find("ssh").ok_or(INSTALL)?;
        let folder = folder.join("ssh");
        let what = |error: io::Error| format!("ssh is not among the streams: {error}");
        prepare(&folder).map_err(what)?;
        let daemon = server.spawn(&mut daemon_command(&sshd, &folder).map_err(what)?).map_err(what)?;
        wait_for_daemon(server);
        let client = laptop.spawn(&mut client_command(&ssh, &folder).map_err(what)?);
        let mut stream = match client {
            Ok(client) => SshStream { daemon, client, count: Arc::default() },
            Err(error) => {
                end(daemon);
                return Err(what(error));
            }
        };
        let output = stream.client.stdout.take().ok_or("ssh has no output")?;
        let count = Arc::clone(&stream.count);
        let reader = thread::Builder::new().name("ssh".into());
        reader.spawn(move || read_numbers(output, &count)).map_err(what)?;
        stream.wait_for_login(&folder)
    }

    fn wait_for_login(self, folder: &Path) -> Result<SshStream, String> {
        let until = Instant::now() + LOGIN_TIMEOUT;
        while lock(&self.count).lines == 0 {
            if lock(&self.count).ended || Instant::now() >= until {
                return Err(format!("ssh could not log in; see {}", folder.join("client.log").display()));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(self)
    }

    /// How the session is.
    #[must_use]
    pub fn verdict(&self) -> SshVerdict {
        let count = lock(&self.count);
        SshVerdict { alive: !count.ended && count.wrong.is_none() && count.lines > 0, lines: count.lines }
    }

    /// Waits, at most `patience`, for one more number.
    #[must_use]
    pub fn verdict_after_one_more(&self, patience: Duration) -> SshVerdict {
        let (asked, before) = (Instant::now(), self.verdict().lines);
        while self.verdict().lines == before && asked.elapsed() < patience {
            thread::sleep(Duration::from_millis(10));
        }
        let verdict = self.verdict();
        SshVerdict { alive: verdict.alive && verdict.lines > before, ..verdict }
    }
}

impl Drop for SshStream {
    fn drop(&mut self) {
        self.client.kill().and_then(|()| self.client.wait()).ok();
        self.daemon.kill().and_then(|()| self.daemon.wait()).ok();
    }
}

/// A client that comes too early would try again only after a second.
fn wait_for_daemon(server: &Node) {
    let until = Instant::now() + LOGIN_TIMEOUT;
    let listens = || server.run(|| TcpStream::connect((plan::SERVER, PORT)).is_ok()).unwrap_or(true);
    while Instant::now() < until && !listens() {
        thread::sleep(Duration::from_millis(10));
    }
}

fn end(mut child: Child) {
    child.kill().and_then(|()| child.wait()).ok();
}

fn read_numbers(output: ChildStdout, count: &Mutex<Count>) {
    for line in BufReader::new(output).lines() {
        let mut count = lock(count);
        match line {
            Ok(line) if line == count.lines.to_string() => count.lines += 1,
            Ok(line) => count.wrong = Some(line),
            Err(_) => break,
        }
        count.last = Some(Instant::now());
    }
    lock(count).ended = true;
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/bin"].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Keys, settings, and an account for the session in a covered `/etc/passwd`.
fn prepare(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for key in ["host", "client"] {
        let file = folder.join(key);
        if file.exists() {
            continue;
        }
        let keygen = find("ssh-keygen").ok_or_else(|| io::Error::other(INSTALL))?;
        let made = Command::new(keygen).args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&file).output()?;
        if !made.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&made.stderr).trim().to_owned()));
        }
    }
    fs::copy(folder.join("client.pub"), folder.join("authorized"))?;
    let at = |name: &str| folder.join(name).display().to_string();
    let settings = format!(
        "Port {PORT}\nListenAddress {}\nHostKey \"{}\"\nAuthorizedKeysFile \"{}\"\nPidFile none\nStrictModes no\n\
         UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPrintMotd no\nUseDNS no\n",
        plan::SERVER,
        at("host"),
        at("authorized"),
    );
    fs::write(folder.join("sshd_config"), settings)?;
    cover_passwd(folder)
}

fn cover_passwd(folder: &Path) -> io::Result<()> {
    let original = fs::read_to_string("/etc/passwd")?;
    let entry = format!("{ACCOUNT}:x:1000:1000::/tmp:/bin/sh");
    if original.lines().any(|line| line == entry) {
        return Ok(());
    }
    // sshd looks its own user up by number: whoever has that number on this machine must not be found first.
    let others = original.lines().filter(|line| line.split(':').nth(2) != Some("1000"));
    let mut file = fs::File::create(folder.join("passwd"))?;
    for line in others.chain([entry.as_str()]) {
        writeln!(file, "{line}")?;
    }
    namespace::cover("/etc/passwd", &folder.join("passwd"))
}

fn daemon_command(sshd: &Path, folder: &Path) -> io::Result<Command> {
    let mut command = Command::new("/proc/self/exe");
    command.args(["lab", "as-plain-user", "--"]).arg(sshd).args(["-D", "-e", "-f"]);
    command.arg(folder.join("sshd_config"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(folder.join("sshd.log"))?);
    Ok(command)
}

fn client_command(ssh: &Path, folder: &Path) -> io::Result<Command> {
    let mut command = Command::new(ssh);
    command.args(["-T", "-F", "none", "-p", &PORT.to_string(), "-i"]).arg(folder.join("client"));
    for option in
        ["BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectTimeout=3"]
    {
        command.args(["-o", option]);
    }
    command.arg(format!("{ACCOUNT}@{}", plan::SERVER)).arg(COUNTER);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(fs::File::create(folder.join("client.log"))?);
    Ok(command)
}
