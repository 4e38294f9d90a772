//! The attacker's place on a link: a log of every datagram, and a say in what becomes of it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jumpvpn_lab::link::{OnPath, RadioLink};
use jumpvpn_lab::plan;
use jumpvpn_lab::story::Direction;

use crate::datagram::Datagram;

/// Who sent a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It came along.
    Wire,
    /// The attacker put it there.
    Forged,
}

/// A datagram between the gateway's port and anybody.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// [`Direction::Up`] is to the gateway.
    pub(crate) direction: Direction,
    /// Who sent it.
    pub(crate) origin: Origin,
    /// The datagram.
    pub(crate) datagram: Datagram,
}

/// What becomes of a datagram.
#[derive(Debug)]
pub(crate) enum Fate {
    /// It goes on.
    Pass,
    /// These go on in its place, each after a delay; none when it vanishes.
    Instead(Vec<(Duration, Datagram)>),
}

/// Decides about each datagram. It must not use the wiretap it serves.
pub(crate) type Meddler = Box<dyn FnMut(&Seen) -> Fate + Send>;

/// The attacker on one link.
#[derive(Debug, Clone)]
pub(crate) struct Wiretap {
    link: RadioLink,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    log: Vec<Seen>,
    meddler: Option<Meddler>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Shared").field("log_len", &self.log.len()).finish_non_exhaustive()
    }
}

impl Wiretap {
    /// Sits down on a link.
    pub(crate) fn on(link: &RadioLink) -> Wiretap {
        let shared = Arc::new(Mutex::new(Shared::default()));
        link.set_on_path(Some(Box::new(Ear(Arc::clone(&shared)))));
        Wiretap { link: link.clone(), shared }
    }

    /// Looks at what was seen so far without copying it.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&[Seen]) -> T) -> T {
        look(&self.lock().log)
    }

    /// Lets every datagram be decided about from now on.
    pub(crate) fn meddle(&self, meddler: impl FnMut(&Seen) -> Fate + Send + 'static) {
        self.lock().meddler = Some(Box::new(meddler));
    }

    /// Lets everything pass again.
    pub(crate) fn let_pass(&self) {
        self.lock().meddler = None;
    }

    /// Forgets what was seen and what is held back, and lets everything pass.
    pub(crate) fn forget(&self) {
        *self.lock() = Shared::default();
        self.link.flush();
    }

    /// Puts a datagram on the link's far end, and into the log.
    pub(crate) fn inject(&self, direction: Direction, datagram: Datagram) {
        let packet = datagram.packet();
        self.lock().log.push(Seen { direction, origin: Origin::Forged, datagram });
        self.link.inject(direction, packet);
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }
}

/// A poisoned lock only means that a meddler panicked; the log is whole at any time.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the link calls.
struct Ear(Arc<Mutex<Shared>>);

impl OnPath for Ear {
    fn handle_packet(&mut self, direction: Direction, packet: Vec<u8>) -> Vec<(Duration, Vec<u8>)> {
        let of_gateway = |datagram: &Datagram| match direction {
            Direction::Up => datagram.destination.port() == plan::GATEWAY_PORT,
            Direction::Down => datagram.source.port() == plan::GATEWAY_PORT,
        };
        let Some(datagram) = Datagram::of(&packet).filter(of_gateway) else {
            return vec![(Duration::ZERO, packet)];
        };
        let seen = Seen { direction, origin: Origin::Wire, datagram };
        let mut guard = lock(&self.0);
        let shared = &mut *guard;
        let fate = shared.meddler.as_mut().map_or(Fate::Pass, |meddler| meddler(&seen));
        let original = seen.datagram.clone();
        shared.log.push(seen);
        match fate {
            Fate::Pass => vec![(Duration::ZERO, packet)],
            Fate::Instead(datagrams) => {
                let put = |(delay, datagram): (Duration, Datagram)| {
                    let packet = datagram.packet();
                    if datagram != original {
                        shared.log.push(Seen {
                            direction,
                            origin: Origin::Forged,
                            datagram: datagram.clone(),
                        });
                    }
                    (delay, packet)
                };
                datagrams.into_iter().map(put).collect()
            }
        }
    }
}
