//! Staying with the engines: signals, network settings, watchdog, and an orderly end within a second.

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use jumpvpn_events::Severity;
use sd_notify::NotifyState;
use signal_hook::consts::SIGHUP;

use super::ground::Ground;
use super::{DaemonError, Ended, Word};
use crate::door::Door;
use crate::gateway::RESIGN_LIMIT;
use crate::gateway::registry::RegistryDoor;
use crate::{agent, gateway};

/// How long the engines may take to say goodbye. Together with the limits below it stays under the second in which a
/// stopped daemon is to be gone.
const STOP_TIMEOUT: Duration = Duration::from_millis(500);
/// How long the last events may take to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(200);
/// Wake-ups without a watchdog: none are needed, this is merely far away.
const NO_WATCHDOG: Duration = Duration::from_secs(3600);

/// What the supervisor wants of an engine.
pub(super) trait EngineDoor {
    /// Asks it to end.
    fn stop(&self);
    /// Whether it answers.
    fn is_alive(&self) -> bool;
}

impl EngineDoor for Door<agent::Question> {
    fn stop(&self) {
        self.send(agent::Question::Stop);
    }

    fn is_alive(&self) -> bool {
        self.ask(agent::Question::Ping).is_ok()
    }
}

impl EngineDoor for Door<gateway::Question> {
    fn stop(&self) {
        self.send(gateway::Question::Stop);
    }

    fn is_alive(&self) -> bool {
        self.ask(gateway::Question::Ping).is_ok()
    }
}

/// See the head of this file.
pub(super) struct Supervisor {
    pub(super) ground: Ground,
    pub(super) engines: Vec<Box<dyn EngineDoor>>,
    /// Where the right to act of the only engine is given back, if others wait for it.
    pub(super) registry: Option<RegistryDoor>,
    /// A word that was heard and not handled yet.
    pub(super) ahead: Option<Word>,
}

impl Supervisor {
    /// Runs until an engine ends or a signal asks for the end; `begun` is how it began.
    pub(super) fn run(mut self, begun: Result<(), DaemonError>) -> Result<Ended, DaemonError> {
        let outcome = begun.and_then(|()| {
            self.ground.manager.tell(&NotifyState::Ready);
            self.watch()
        });
        self.ground.manager.tell(&NotifyState::Stopping);
        // However it came to this. An engine that has not ended may still act: then nobody is told that it is dead.
        if self.stop_engines()
            && let Some(registry) = &self.registry
        {
            registry.stop(RESIGN_LIMIT);
        }
        self.ground.clear(FLUSH_TIMEOUT);
        outcome
    }

    /// Handles what is said until it is time to end.
    fn watch(&mut self) -> Result<Ended, DaemonError> {
        // Twice per period, as sd_watchdog_enabled(3) recommends.
        let period = sd_notify::watchdog_enabled().map(|period| period / 2);
        let mut next_beat = Instant::now();
        loop {
            if period.is_some_and(|_| next_beat <= Instant::now()) {
                self.beat();
                next_beat = Instant::now() + period.unwrap_or(NO_WATCHDOG);
            }
            let pause = period.map_or(NO_WATCHDOG, |_| next_beat.saturating_duration_since(Instant::now()));
            match self.hear(pause) {
                Ok(Word::Signal(SIGHUP)) => {
                    self.ground.telemetry().reopen();
                    let text = "the event file is opened anew; for a new configuration, restart the daemon";
                    self.ground.telemetry().note(Severity::Info, text);
                }
                Ok(Word::Signal(_)) => return Ok(Ended::Asked),
                Ok(Word::Tunnel(settings)) => {
                    let applied = self.ground.apply(settings);
                    self.ground.settling.end();
                    applied?;
                }
                Ok(Word::Right(until)) => self.ground.arm(until)?,
                Ok(Word::Routes(changes)) => self.ground.follow(&changes)?,
                Ok(Word::Ended(ended)) => {
                    self.engines.clear();
                    return ended.map_err(DaemonError::failed);
                }
                Err(RecvTimeoutError::Timeout) => {}
                // invariant: the ground holds a sender itself.
                Err(RecvTimeoutError::Disconnected) => return Ok(Ended::Asked),
            }
        }
    }

    /// The next word. Of rights in a row the last one counts: on a busy machine each may take longer to be put on it than
    /// the next one takes to come, and what is put there would be ever older.
    fn hear(&mut self, pause: Duration) -> Result<Word, RecvTimeoutError> {
        let mut word = match self.ahead.take() {
            Some(word) => word,
            None => self.ground.heard.recv_timeout(pause)?,
        };
        while matches!(word, Word::Right(_)) {
            match self.ground.heard.try_recv() {
                Ok(later @ Word::Right(_)) => word = later,
                other => {
                    self.ahead = other.ok();
                    break;
                }
            }
        }
        Ok(word)
    }

    /// Tells the service manager that all engines are alive, if they are.
    fn beat(&self) {
        if self.engines.iter().all(|engine| engine.is_alive()) {
            self.ground.manager.tell(&NotifyState::Watchdog);
        }
    }

    /// Asks every engine to end and waits for it, within limits. Whether they have, with their sockets and queues closed.
    fn stop_engines(&mut self) -> bool {
        let deadline = Instant::now() + STOP_TIMEOUT;
        self.engines.iter().for_each(|engine| engine.stop());
        let mut left_count = self.engines.len();
        while left_count > 0 {
            match self.hear(deadline.saturating_duration_since(Instant::now())) {
                Ok(Word::Ended(_)) => left_count -= 1,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests;
