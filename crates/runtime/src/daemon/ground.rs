//! What stands before the engines do: control socket, event file, interface; then, with fewer rights, the log, and what
//! is on the machine because of the tunnel.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use jumpvpn_engine::gateway::RouteChange;
use jumpvpn_events::{Severity, Time};
use jumpvpn_tun::{Tun, TunError, TunOptions};
use serde_json::Value;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::supervisor::{EngineDoor, Supervisor};
use super::{DaemonError, DaemonOptions, Ended, Word, room};
use crate::clock;
use crate::control::{Console, ControlSocket, SocketError};
use crate::gateway::registry::RegistryDoor;
use crate::machine::{Confine, Confined, MachineError, TunnelHost, TunnelSettings};
use crate::notify::NotifySocket;
use crate::settling::Settling;
use crate::telemetry::{EventFile, Options, Telemetry, Writer};

/// Smallest MTU in bytes that either end can be configured with: every IPv6 link carries 1280 (RFC 8200 section 5).
const INNER_MTU_MIN: u16 = 1280;

/// What is open before there are threads, and while the process still has all its rights. Dropped in this order: the
/// machine is cleaned while the interface still exists.
pub(super) struct Site {
    host: Box<dyn TunnelHost>,
    /// A second descriptor of the TUN device.
    tun: Option<OwnedFd>,
    pub(super) interface: String,
    mtu: u16,
    socket: ControlSocket,
    signals: Signals,
    telemetry: Options,
    /// What is wrong with the event file and the way to the service manager.
    trouble: Vec<String>,
    confine: Confine,
    manager: NotifySocket,
}

/// See the head of this file. Dropped in the same order as [`Site`].
pub(super) struct Ground {
    pub(super) host: Box<dyn TunnelHost>,
    /// What `host` has put in place.
    pub(super) settings: Option<TunnelSettings>,
    /// A second descriptor of the TUN device.
    tun: Option<OwnedFd>,
    pub(super) mtu: u16,
    pub(super) writer: Writer,
    socket: ControlSocket,
    pub(super) words: Sender<Word>,
    pub(super) heard: Receiver<Word>,
    pub(super) settling: Arc<Settling>,
    /// What the process has given up, as `status` shows it.
    pub(super) confined: Value,
    pub(super) manager: NotifySocket,
}

impl Site {
    /// Holds signals back, claims the control socket, opens the event file and sweeps the machine.
    pub(super) fn prepare(options: DaemonOptions) -> Result<Site, DaemonError> {
        room::check_descriptors()?;
        // SIGHUP is among them so that it does not kill.
        let signals = Signals::new([SIGTERM, SIGINT, SIGHUP])
            .map_err(|error| DaemonError::failed(format!("cannot listen for signals: {error}")))?;
        // First of all that touch anything: an instance that is running already must not be disturbed.
        let socket = ControlSocket::bind(&options.control_socket)?;
        let (file, trouble) = open_events(options.events.as_deref())?;
        let telemetry = Options { gateway: options.name, file, log_level: options.log_level, lane_count: 1 };
        let (manager, unheard) = match NotifySocket::connect() {
            Ok(manager) => (manager, None),
            Err(error) => {
                let text = format!("cannot speak to the service manager ($NOTIFY_SOCKET): {error}");
                (NotifySocket::default(), Some(text))
            }
        };
        let trouble = trouble.into_iter().chain(unheard).collect();
        let DaemonOptions { mut host, interface, mtu, confine, .. } = options;
        host.sweep()?;
        Ok(Site { host, tun: None, interface, mtu, socket, signals, telemetry, trouble, confine, manager })
    }

    /// Creates the interface, which then exists until this value, or the [`Ground`] made of it, is dropped.
    pub(super) fn create_tun(&mut self) -> Result<Tun, DaemonError> {
        let options = TunOptions { mtu: self.mtu, offload: true, queues: 1 };
        let tun = Tun::create(&self.interface, &options).map_err(|error| {
            let permission = matches!(error, TunError::PermissionDenied { .. });
            DaemonError { message: error.to_string(), permission }
        })?;
        let second = tun.as_fd().try_clone_to_owned();
        self.tun =
            Some(second.map_err(|error| DaemonError::failed(format!("too many open files: {error}")))?);
        Ok(tun)
    }

    /// Gives up what is not needed any more, then starts the threads that wait for others.
    pub(super) fn confine(self) -> Result<Ground, DaemonError> {
        let Site { host, tun, mtu, socket, signals, telemetry, trouble, confine, manager, .. } = self;
        // The first look at the clock finds the fast way to it, which takes a file that will be out of reach.
        clock::now();
        let Confined { report, warnings } = confine()?;
        let (words, heard) = channel();
        pass_signals_on(signals, words.clone())?;
        let writer = Telemetry::start(telemetry).map_err(no_thread)?;
        for warning in trouble.into_iter().chain(warnings) {
            writer.telemetry().note(Severity::Warning, warning);
        }
        let (settings, settling) = (None, Arc::default());
        Ok(Ground {
            host,
            settings,
            tun,
            mtu,
            writer,
            socket,
            words,
            heard,
            settling,
            confined: report,
            manager,
        })
    }
}

impl Ground {
    pub(super) fn telemetry(&self) -> &Telemetry {
        self.writer.telemetry()
    }

    /// Puts the settings on the machine, unless they are there already.
    pub(super) fn apply(&mut self, settings: TunnelSettings) -> Result<(), DaemonError> {
        let settings = TunnelSettings { mtu: inner_mtu(settings.mtu, self.mtu), ..settings };
        if self.settings.as_ref() == Some(&settings) {
            return Ok(());
        }
        for warning in self.host.apply(&settings)? {
            self.telemetry().note(Severity::Warning, warning);
        }
        self.settings = Some(settings);
        Ok(())
    }

    /// Lets traffic pass the tunnel until then. What fails is said: what was allowed before runs out. A machine that can
    /// never be changed again is an error: nothing would pass any more, and sessions would still come here.
    pub(super) fn arm(&mut self, until: Time) -> Result<(), DaemonError> {
        let armed = self.host.arm_dead_man(until);
        self.tolerate(armed, Severity::Error)
    }

    fn tolerate(&self, changed: Result<(), MachineError>, severity: Severity) -> Result<(), DaemonError> {
        match changed {
            Err(error) if self.host.is_gone() => return Err(error.into()),
            Err(error) => self.telemetry().note(severity, error.message),
            Ok(()) => {}
        }
        Ok(())
    }

    /// Leads packets for sessions that came here, and no longer those for sessions that went. What fails is
    /// said: the session is served all the same, for whoever finds the way; but see [`Ground::arm`].
    pub(super) fn follow(&mut self, changes: &[RouteChange]) -> Result<(), DaemonError> {
        // A session that came and went, or went and came, within one call: the last word counts.
        let last: BTreeMap<IpAddr, Option<u64>> =
            changes.iter().map(|change| (change.address, change.owner_epoch)).collect();
        let (mut add, mut remove) = (Vec::new(), Vec::new());
        for (address, owner_epoch) in last {
            match owner_epoch {
                Some(epoch) => add.push((address, epoch)),
                None => remove.push(address),
            }
        }
        let led = self.host.set_inner_routes(&add, &remove);
        self.tolerate(led, Severity::Warning)
    }

    /// Serves the control socket and stays with the engines until they end. `registry` is where the right of a gateway's only
    /// engine is given back then.
    pub(super) fn supervise(
        self,
        console: Box<dyn Console>,
        engines: Vec<Box<dyn EngineDoor>>,
        registry: Option<RegistryDoor>,
    ) -> Result<Ended, DaemonError> {
        let telemetry = self.telemetry().clone();
        let begun = self.socket.serve(console, telemetry).map_err(DaemonError::from);
        Supervisor { ground: self, engines, registry, ahead: None }.run(begun)
    }

    /// Takes everything away: nothing of it is left on the machine. What could not be removed is said.
    pub(super) fn clear(mut self, flush_limit: std::time::Duration) {
        self.socket.close();
        if let Err(error) = self.host.remove() {
            self.telemetry().note(Severity::Error, error.message);
        }
        self.tun = None;
        self.writer.finish(flush_limit);
    }
}

/// The MTU of the interface in bytes: what the other end names, within what our file allows. Less than the least that
/// can be configured comes from no sound gateway, and the kernel would refuse it, which would end the tunnel.
fn inner_mtu(named: u16, ours: u16) -> u16 {
    named.max(INNER_MTU_MIN).min(ours)
}

impl From<SocketError> for DaemonError {
    fn from(error: SocketError) -> DaemonError {
        DaemonError { permission: error.is_permission(), message: error.to_string() }
    }
}

/// The event file, if one is wanted, and a word about it if it cannot be written yet.
fn open_events(path: Option<&Path>) -> Result<(Option<EventFile>, Option<String>), DaemonError> {
    let Some(path) = path else { return Ok((None, None)) };
    let text = |error| format!("cannot write events to {}: {error}", path.display());
    let (file, trouble) = EventFile::open(path).map_err(|error| {
        let permission = error.kind() == std::io::ErrorKind::PermissionDenied;
        DaemonError { message: text(error), permission }
    })?;
    Ok((Some(file), trouble.map(|error| text(error) + "; going on")))
}

fn no_thread(error: std::io::Error) -> DaemonError {
    DaemonError::failed(format!("cannot start a thread: {error}"))
}

/// Passes the signals on to the supervisor.
fn pass_signals_on(mut signals: Signals, words: Sender<Word>) -> Result<(), DaemonError> {
    let thread = thread::Builder::new().name("jumpvpn-signals".into());
    let spawned = thread.spawn(move || {
        for signal in signals.forever() {
            if words.send(Word::Signal(signal)).is_err() {
                return;
            }
        }
    });
    spawned.map(drop).map_err(no_thread)
}

#[cfg(test)]
mod tests;
