//! The client's side of the control socket: finds the daemon, asks, and turns its refusals into exit codes.
//!
//! One JSON object per line each way, several requests per connection. A refusal is
//! `{"schema":"jumpvpn.error/1","error":{"kind":…,"reason":…,"retry_after_ms":…,"message":…}}`.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jumpvpn_config::SOCKET_FOLDER;
use serde_json::Value;

use crate::args::SocketArgs;
use crate::exit::{Code, Failure, Outcome};

/// How long the daemon may take for an answer: it answers from memory, and gives up on its own engine after a few
/// seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to a daemon.
pub(crate) struct Daemon {
    path: PathBuf,
    stream: BufReader<UnixStream>,
}

impl Daemon {
    /// Connects to the socket that is named, or to the only one there is.
    pub(crate) fn connect(args: &SocketArgs) -> Result<Daemon, Failure> {
        let path = match &args.socket {
            Some(path) => path.clone(),
            None => only_socket(Path::new(SOCKET_FOLDER))?,
        };
        let stream = UnixStream::connect(&path).map_err(|error| unreachable(&path, &error))?;
        Ok(Daemon { path, stream: BufReader::new(stream) })
    }

    /// Sends one request and waits for its one answer, which may be a refusal.
    pub(crate) fn ask(&mut self, request: &Value) -> Result<Value, Failure> {
        self.send(request)?;
        self.stream
            .get_ref()
            .set_read_timeout(Some(ANSWER_TIMEOUT))
            .map_err(|error| unreachable(&self.path, &error))?;
        match self.line()? {
            Some(line) => self.parsed(&line),
            None => {
                Err(Failure::new(Code::Unreachable, format!("{}: the daemon hung up", self.path.display())))
            }
        }
    }

    /// Sends one request; its answer is read by [`Daemon::line`], which then may wait for ever.
    pub(crate) fn send(&mut self, request: &Value) -> Outcome {
        let line = format!("{request}\n");
        match self.stream.get_mut().write_all(line.as_bytes()) {
            // A daemon without a place for us has hung up before it was asked, and said why: its line is still to be read.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            result => result.map_err(|error| unreachable(&self.path, &error)),
        }
    }

    /// The next line without its line feed; nothing when the daemon closed the connection.
    pub(crate) fn line(&mut self) -> Result<Option<String>, Failure> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => Ok(None),
            Ok(_) => {
                line.truncate(line.trim_end_matches(['\n', '\r']).len());
                Ok(Some(line))
            }
            Err(error) => Err(unreachable(&self.path, &error)),
        }
    }

    /// A line as JSON.
    pub(crate) fn parsed(&self, line: &str) -> Result<Value, Failure> {
        serde_json::from_str(line).map_err(|error| {
            Failure::new(
                Code::Failed,
                format!("{}: not the answer of a daemon: {error}", self.path.display()),
            )
        })
    }
}

/// Asks one question on a new connection. With `json` a refusal is printed as it came.
pub(crate) fn ask(args: &SocketArgs, request: &Value, json: bool) -> Result<Value, Failure> {
    accepted(Daemon::connect(args)?.ask(request)?, json)
}

/// Turns a refusal into the failure with its exit code; with `json` it is also printed as it came.
pub(crate) fn accepted(answer: Value, json: bool) -> Result<Value, Failure> {
    let Some(error) = answer.get("error") else { return Ok(answer) };
    if json {
        writeln!(std::io::stdout(), "{answer}")?;
    }
    Err(refusal(error))
}

fn refusal(error: &Value) -> Failure {
    let text = |key: &str| error.get(key).and_then(Value::as_str);
    let code = match text("kind") {
        Some("refused") => Code::Refused,
        Some("permission") => Code::Permission,
        _ => Code::Failed,
    };
    let message = text("message").unwrap_or("the daemon gives no reason");
    let failure = match text("reason") {
        Some(reason) => Failure::new(code, format!("{reason}: {message}")),
        None => Failure::new(code, message),
    };
    match error.get("retry_after_ms").and_then(Value::as_u64) {
        Some(millis) if millis > 0 => failure.hint(format!("try again in {:.1} s", millis as f64 / 1000.0)),
        _ => failure,
    }
}

/// The only socket in `folder`.
fn only_socket(folder: &Path) -> Result<PathBuf, Failure> {
    let listed = match std::fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Err(unreachable(folder, &error)),
        Err(_) => return Err(not_running(folder)),
    };
    let mut sockets: Vec<PathBuf> = listed
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "sock"))
        .collect();
    sockets.sort();
    match sockets.as_slice() {
        [] => Err(not_running(folder)),
        [only] => Ok(only.clone()),
        several => {
            let names: Vec<String> = several.iter().map(|path| path.display().to_string()).collect();
            let failure =
                Failure::new(Code::Usage, format!("several daemons are running: {}", names.join(", ")));
            Err(failure.hint("name one with -s"))
        }
    }
}

fn not_running(folder: &Path) -> Failure {
    Failure::new(Code::Unreachable, format!("no daemon is running (no socket in {})", folder.display()))
        .hint("name its socket with -s if it lies elsewhere")
}

fn unreachable(path: &Path, error: &std::io::Error) -> Failure {
    let shown = path.display();
    match error.kind() {
        ErrorKind::PermissionDenied => Failure::new(Code::Permission, format!("{shown}: permission denied"))
            .hint("ask as root, or as a member of the socket's group"),
        ErrorKind::NotFound => {
            Failure::new(Code::Unreachable, format!("{shown}: no such socket; the daemon is not running"))
        }
        ErrorKind::ConnectionRefused => {
            Failure::new(Code::Unreachable, format!("{shown}: nobody listens; the daemon is not running"))
        }
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            let seconds = ANSWER_TIMEOUT.as_secs();
            Failure::new(Code::Unreachable, format!("{shown}: no answer within {seconds} s"))
        }
        _ => Failure::new(Code::Unreachable, format!("{shown}: {error}")),
    }
}

#[cfg(test)]
mod tests;
