//! The control socket: how the command line and scripts ask a running daemon.
//!
//! A Unix stream socket; one JSON object per line in both directions. Who may connect is decided by the file's mode
//! (owner and group), who may change things by the peer's uid. Every client has its own small thread, and no thread
//! here ever waits inside an engine: questions go over a bounded channel and are answered or time out.

mod client;
mod reply;
mod request;
mod socket;

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use jumpvpn_events::Severity;

use crate::telemetry::Telemetry;
pub use reply::{Refused, RefusedKind};
pub use request::{Request, Subject};
use socket::BoundSocket;
pub use socket::SocketError;

/// Clients at a time: a few people, a dashboard and a script; each costs a thread.
pub const CLIENTS_MAX: usize = 16;
/// Clients that follow events at a time. Whoever follows stays as long as it likes; a few places are left for those who
/// ask and go.
pub const FOLLOWERS_MAX: usize = 12;
/// Longest request line in bytes; the longest sensible one is below 100.
pub const REQUEST_MAX_LEN: usize = 4096;
/// Stack of a client's thread: it parses 4 KiB and formats a reply on the heap.
const CLIENT_STACK_LEN: usize = 256 * 1024;
/// Pause after accept(2) failed for lack of descriptors, so that the thread does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What answers the requests. Called from the clients' threads, must come back within a few seconds.
pub trait Console: Send + Sync + 'static {
    /// The reply to a request that the client may make. Never called with [`Request::Events`].
    ///
    /// # Errors
    /// Why it is not done.
    fn ask(&self, request: &Request) -> Result<serde_json::Value, Refused>;
}

/// The socket; dropping it stops serving and removes the file.
pub struct ControlSocket {
    socket: Arc<BoundSocket>,
}

/// What every client's thread needs.
struct Shared {
    console: Box<dyn Console>,
    telemetry: Telemetry,
    client_count: AtomicUsize,
    follower_count: AtomicUsize,
}

impl ControlSocket {
    /// Binds `path` (mode 0660), replacing the file of a dead process. Clients can connect from now on and wait.
    ///
    /// # Errors
    /// Another daemon listens there, or the file cannot be made.
    pub fn bind(path: &Path) -> Result<ControlSocket, SocketError> {
        BoundSocket::bind(path).map(|socket| ControlSocket { socket: Arc::new(socket) })
    }

    /// Starts to serve.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn serve(&self, console: Box<dyn Console>, telemetry: Telemetry) -> Result<(), SocketError> {
        let socket = Arc::clone(&self.socket);
        let path = self.socket.path().to_owned();
        let (client_count, follower_count) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let shared = Arc::new(Shared { console, telemetry, client_count, follower_count });
        let thread = thread::Builder::new().name("jumpvpn-control".into());
        let spawned = thread.spawn(move || listen(&socket, &shared));
        spawned.map(drop).map_err(|source| SocketError::Io { path, action: "serve", source })
    }

    /// Removes the file and takes no more clients.
    pub fn close(&self) {
        self.socket.close();
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.close();
    }
}

fn listen(socket: &BoundSocket, shared: &Arc<Shared>) {
    let mut failing = false;
    loop {
        match socket.accept() {
            Ok(Some(stream)) => {
                failing = false;
                admit(stream, shared);
            }
            Ok(None) => return,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                if !failing {
                    let text = format!("cannot take clients on the control socket: {error}; trying on");
                    shared.telemetry.note(Severity::Warning, text);
                }
                failing = true;
                thread::sleep(ACCEPT_PAUSE);
            }
        }
    }
}

/// Gives the client a thread, or a refusal when there are too many.
fn admit(stream: UnixStream, shared: &Arc<Shared>) {
    let Some(place) = Place::take(shared, |shared| &shared.client_count, CLIENTS_MAX) else {
        client::refuse(
            stream,
            &Refused::failed("too many clients on the control socket: close one and try again"),
        );
        return;
    };
    let builder = thread::Builder::new().name("jumpvpn-client".into()).stack_size(CLIENT_STACK_LEN);
    // Without a thread the closure is dropped: the connection closes and the place is free again.
    builder.spawn(move || client::serve(stream, &place.shared)).ok();
}

/// One of a limited number of places, given back on drop.
struct Place {
    shared: Arc<Shared>,
    count: fn(&Shared) -> &AtomicUsize,
}

impl Place {
    fn take(shared: &Arc<Shared>, count: fn(&Shared) -> &AtomicUsize, most: usize) -> Option<Place> {
        let place = Place { shared: Arc::clone(shared), count };
        // Given back when there is none.
        (count(shared).fetch_add(1, Ordering::AcqRel) < most).then_some(place)
    }

    /// A place for somebody who follows events.
    fn of_follower(shared: &Arc<Shared>) -> Option<Place> {
        Place::take(shared, |shared| &shared.follower_count, FOLLOWERS_MAX)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        (self.count)(&self.shared).fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests;
