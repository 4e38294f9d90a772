//! Changes of the machine: asked by the daemon's supervisor, made by the keeper.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Shutdown};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use jumpvpn_events::Time;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::or_closed;
use crate::machine::{MachineError, TunnelHost, TunnelSettings};

/// Longest line in bytes: a request has some 200, an answer is a few sentences, perhaps of `nft`.
const LINE_MAX_LEN: u64 = 64 << 10;
/// How long the end of the daemon waits for that of the keeper, which has nothing left to do.
const END_TIMEOUT: Duration = Duration::from_millis(200);

/// Most routes in one line: an IPv6 address with its epoch takes up to 66 bytes, so half of a line.
const ROUTES_MAX_COUNT: usize = 500;

/// What may be asked: the calls of [`TunnelHost`].
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Change {
    /// What the keeper has given up: the one question that changes nothing.
    Confinement,
    Sweep,
    Apply(TunnelSettings),
    Routes {
        add: Vec<(IpAddr, u64)>,
        remove: Vec<IpAddr>,
    },
    /// Nanoseconds since the machine's start, time asleep included: both processes see the same clock.
    Arm(u64),
    Remove,
}

/// What came of it, with warnings.
type Answer = Result<Vec<String>, MachineError>;

/// The machine, as changed by the keeper. Dropping it takes away what was applied, and ends the keeper.
#[derive(Debug)]
pub struct KeeperHost {
    stream: BufReader<UnixStream>,
    applied: bool,
    /// It has not answered in time, or no more: the stream is closed.
    gone: bool,
}

impl KeeperHost {
    pub(super) fn new(stream: UnixStream) -> KeeperHost {
        KeeperHost { stream: BufReader::new(stream), applied: false, gone: false }
    }

    fn ask(&mut self, change: &Change) -> Answer {
        let gone = |error: io::Error| MachineError {
            message: format!(
                "the keeper, the process that changes the machine for us, does not answer: {error}"
            ),
            permission: false,
        };
        let answer = write_line(self.stream.get_mut(), change).and_then(|()| read_line(&mut self.stream));
        let answer = or_closed(self.stream.get_ref(), answer);
        self.gone |= !matches!(answer, Ok(Some(_)));
        match answer.map_err(gone)? {
            Some(answer) => answer,
            None => Err(gone(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    /// What the keeper has given up, as it says itself.
    ///
    /// # Errors
    /// It does not answer, perhaps because it could not be confined as demanded.
    pub fn confinement(&mut self) -> Result<Value, MachineError> {
        let said = self.ask(&Change::Confinement)?;
        said.first().and_then(|text| serde_json::from_str(text).ok()).ok_or_else(|| MachineError {
            message: "the keeper does not say what it has given up".into(),
            permission: false,
        })
    }
}

impl TunnelHost for KeeperHost {
    fn sweep(&mut self) -> Result<(), MachineError> {
        self.ask(&Change::Sweep).map(drop)
    }

    fn apply(&mut self, settings: &TunnelSettings) -> Result<Vec<String>, MachineError> {
        self.applied = true;
        self.ask(&Change::Apply(settings.clone()))
    }

    fn set_inner_routes(&mut self, add: &[(IpAddr, u64)], remove: &[IpAddr]) -> Result<(), MachineError> {
        let adding = add.chunks(ROUTES_MAX_COUNT).map(|add| (add, &[][..]));
        let mut result = Ok(());
        // What is added and removed at once is wanted, so removing comes first, here where they may be in two lines.
        for (add, remove) in remove.chunks(ROUTES_MAX_COUNT).map(|remove| (&[][..], remove)).chain(adding) {
            let change = Change::Routes { add: add.to_vec(), remove: remove.to_vec() };
            result = result.and(self.ask(&change).map(drop));
        }
        result
    }

    fn arm_dead_man(&mut self, until: Time) -> Result<(), MachineError> {
        self.ask(&Change::Arm(until.as_nanos())).map(drop)
    }

    fn remove(&mut self) -> Result<(), MachineError> {
        self.applied = false;
        self.ask(&Change::Remove).map(drop)
    }

    fn is_gone(&self) -> bool {
        self.gone
    }
}

impl Drop for KeeperHost {
    fn drop(&mut self) {
        if self.applied {
            self.remove().ok(); // nobody is left to tell; the next start sweeps
        }
        let stream = self.stream.get_mut();
        // It answers the end of our stream with its own end, which closes the stream.
        if stream.shutdown(Shutdown::Write).is_ok() && stream.set_read_timeout(Some(END_TIMEOUT)).is_ok() {
            stream.read_exact(&mut [0]).ok();
        }
    }
}

/// The keeper's end.
pub(super) fn serve(stream: UnixStream, host: &mut dyn TunnelHost, confinement: &Value) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(change) = read_line(&mut stream)? {
        let answer: Answer = match change {
            Change::Confinement => Ok(vec![confinement.to_string()]),
            Change::Sweep => host.sweep().map(|()| Vec::new()),
            Change::Apply(settings) => host.apply(&settings),
            Change::Routes { add, remove } => host.set_inner_routes(&add, &remove).map(|()| Vec::new()),
            Change::Arm(until) => host.arm_dead_man(Time::from_nanos(until)).map(|()| Vec::new()),
            Change::Remove => host.remove().map(|()| Vec::new()),
        };
        write_line(stream.get_mut(), &answer)?;
    }
    Ok(())
}

/// Writes a value as one line.
pub(super) fn write_line(stream: &mut UnixStream, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// Reads the value of the next line; nothing at the end of the stream.
pub(super) fn read_line<T: for<'a> Deserialize<'a>>(
    stream: &mut BufReader<UnixStream>,
) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    match stream.by_ref().take(LINE_MAX_LEN).read_until(b'\n', &mut line) {
        Ok(0) => Ok(None),
        // A daemon that was killed leaves its stream reset where something was unread.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
        Ok(_) => Ok(Some(serde_json::from_slice(&line)?)),
        Err(error) => Err(error),
    }
}
