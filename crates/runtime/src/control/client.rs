//! One client of the control socket, on its own thread.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::net::sockopt::socket_peercred;
use serde_json::{Value, json};

use super::{Place, REQUEST_MAX_LEN, Refused, Request, Shared};

/// How long a client may take for one request, and sit silent between two: a live view asks every second.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may keep us from writing.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a follower without events is checked for having left.
const FOLLOWER_CHECK: Duration = Duration::from_secs(5);

/// Serves requests until the client leaves, errs or dawdles.
pub(super) fn serve(stream: UnixStream, shared: &Arc<Shared>) {
    // The reason of the end is of no use to anybody: the client is gone.
    Client::new(stream).and_then(|mut client| client.serve(shared)).ok();
}

/// Tells a client that there is no place for it.
pub(super) fn refuse(mut stream: UnixStream, refused: &Refused) {
    let line = format!("{}\n", refused.to_json());
    // Must not hold up the accepting thread: a fresh socket has room for the line or the line is not sent.
    stream.set_nonblocking(true).and_then(|()| stream.write_all(line.as_bytes())).ok();
}

struct Client {
    stream: UnixStream,
    may_change: bool,
    /// What was read beyond the current line.
    buffer: Vec<u8>,
}

impl Client {
    fn new(stream: UnixStream) -> io::Result<Client> {
        let peer = socket_peercred(&stream)?;
        let may_change = peer.uid.is_root() || peer.uid == rustix::process::geteuid();
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        Ok(Client { stream, may_change, buffer: Vec::with_capacity(REQUEST_MAX_LEN) })
    }

    fn serve(&mut self, shared: &Arc<Shared>) -> io::Result<()> {
        while let Some(line) = self.read_line()? {
            let request = Request::parse(&line).map_err(Refused::unknown_request);
            let reply = match request.and_then(|request| self.authorise(request)) {
                Ok(Request::Events { follow: true }) => match follower(shared) {
                    Ok((lines, _place)) => return self.follow(&lines),
                    // Whoever wanted to stay gets no place of those who ask and go either.
                    Err(refused) => return self.write_line(&refused.to_json()),
                },
                Ok(Request::Events { follow: false }) => match shared.telemetry.subscribe(false) {
                    Some(lines) => self.send_held(&lines).map(Ok)?,
                    None => Err(queue_full()),
                },
                Ok(request) => shared.console.ask(&request),
                Err(refused) => Err(refused),
            };
            self.write_line(&reply.unwrap_or_else(|refused| refused.to_json()))?;
        }
        Ok(())
    }

    fn authorise(&self, request: Request) -> Result<Request, Refused> {
        if request.changes() && !self.may_change { Err(Refused::permission()) } else { Ok(request) }
    }

    /// The next line without its line feed; nothing when the client closed.
    fn read_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        loop {
            if let Some(len) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.buffer.drain(..=len).collect();
                line.pop();
                return Ok(Some(line));
            }
            if self.buffer.len() >= REQUEST_MAX_LEN {
                let refused =
                    Refused::unknown_request(format!("a request is at most {REQUEST_MAX_LEN} bytes long"));
                self.write_line(&refused.to_json())?;
                return Ok(None);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
            let room_len = REQUEST_MAX_LEN - self.buffer.len();
            let read_len = (&self.stream).take(room_len as u64).read_to_buffer(&mut self.buffer)?;
            if read_len == 0 {
                return Ok(None);
            }
        }
    }

    fn write_line(&mut self, value: &Value) -> io::Result<()> {
        self.stream.write_all(format!("{value}\n").as_bytes())
    }

    /// Passes on the lines that are held; answers the line that ends them.
    fn send_held(&mut self, lines: &Receiver<Arc<str>>) -> io::Result<Value> {
        for line in lines {
            self.stream.write_all(format!("{line}\n").as_bytes())?;
        }
        Ok(json!({ "schema": "jumpvpn.end/1" }))
    }

    /// Passes lines on until the client leaves.
    fn follow(&mut self, lines: &Receiver<Arc<str>>) -> io::Result<()> {
        self.stream.set_read_timeout(Some(Duration::from_millis(1)))?;
        loop {
            match lines.recv_timeout(FOLLOWER_CHECK) {
                Ok(line) => self.stream.write_all(format!("{line}\n").as_bytes())?,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) if self.has_left() => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn has_left(&mut self) -> bool {
        match self.stream.read(&mut [0; 64]) {
            Ok(0) => true,
            // A follower has nothing more to say; what it says anyway is skipped.
            Ok(_) => false,
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
        }
    }
}

/// A place among those who follow, and the lines.
fn follower(shared: &Arc<Shared>) -> Result<(Receiver<Arc<str>>, Place), Refused> {
    let full = || Refused::failed("too many clients follow the events: close one and try again");
    let place = Place::of_follower(shared).ok_or_else(full)?;
    Ok((shared.telemetry.subscribe(true).ok_or_else(queue_full)?, place))
}

fn queue_full() -> Refused {
    Refused::failed("the event queue is full: try again")
}

/// One read(2) that appends.
trait ReadToBuffer: Read {
    fn read_to_buffer(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let mut chunk = [0; 1024];
        let len = self.read(&mut chunk)?;
        buffer.extend_from_slice(&chunk[..len]);
        Ok(len)
    }
}

impl<R: Read> ReadToBuffer for R {}
