//! Tests of what the supervisor hears, and of how it ends, on a machine that can be lost.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use jumpvpn_engine::gateway::RouteChange;
use jumpvpn_events::Time;
use jumpvpn_ownership::{MemoryStore, Profile};
use mio::{Poll, Token, Waker};

use super::*;
use crate::clock;
use crate::daemon::ground::Site;
use crate::daemon::{DaemonOptions, Member};
use crate::gateway::registry::{self, Registry, RightToAct};
use crate::machine::{Confined, MachineError, TunnelHost, TunnelSettings};
use crate::telemetry::LogLevel;

/// Far above what anything here takes, even on a machine that does other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// A machine that refuses to be changed: now, or for good, as when the keeper is gone.
struct Refusing {
    is_gone: bool,
}

impl Refusing {
    fn refuse(&self) -> Result<(), MachineError> {
        Err(MachineError { message: "the machine refuses".into(), permission: false })
    }
}

impl TunnelHost for Refusing {
    fn sweep(&mut self) -> Result<(), MachineError> {
        Ok(())
    }

    fn apply(&mut self, _: &TunnelSettings) -> Result<Vec<String>, MachineError> {
        self.refuse().map(|()| Vec::new())
    }

    fn set_inner_routes(&mut self, _: &[(IpAddr, u64)], _: &[IpAddr]) -> Result<(), MachineError> {
        self.refuse()
    }

    fn arm_dead_man(&mut self, _: Time) -> Result<(), MachineError> {
        self.refuse()
    }

    fn remove(&mut self) -> Result<(), MachineError> {
        Ok(())
    }

    fn is_gone(&self) -> bool {
        self.is_gone
    }
}

/// An engine that ends as soon as it is asked to; or not at all.
struct Obedient(Option<Sender<Word>>);

impl EngineDoor for Obedient {
    fn stop(&self) {
        if let Some(words) = &self.0 {
            words.send(Word::Ended(Ok(Ended::Asked))).unwrap();
        }
    }

    fn is_alive(&self) -> bool {
        true
    }
}

struct Bed {
    folder: PathBuf,
    supervisor: Supervisor,
    words: Sender<Word>,
    right: RightToAct,
    _registry: (Registry, Poll),
}

/// A gateway that has joined, on such a machine.
fn bed(name: &str, is_gone: bool) -> Bed {
    let folder = std::env::temp_dir().join(format!("jumpvpn-supervisor-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let ground = Site::prepare(DaemonOptions {
        interface: "none".into(),
        mtu: 1400,
        control_socket: folder.join("sock"),
        events: None,
        name: name.into(),
        log_level: LogLevel::Quiet,
        host: Box::new(Refusing { is_gone }),
        confine: Box::new(|| Ok(Confined::default())),
    });
    let ground = ground.unwrap().confine().unwrap();
    let poll = Poll::new().unwrap();
    let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
    let member = Member {
        name: "here".into(),
        public: [7; 32],
        cell: 3,
        boot_id: [1; 16],
        data_dir: [2; 16],
        // A right of 15 s, which does not run out meanwhile.
        profile: Profile::CALM,
        orphan_ttl: PATIENCE,
    };
    let opened = registry::open(Box::new(|_| Ok(Box::new(MemoryStore::new())))).unwrap();
    let (registry, door) = opened.start(&member, None, waker, ground.telemetry().clone()).unwrap();
    let right = registry::joined(&registry, &door, PATIENCE, "").unwrap();
    let words = ground.words.clone();
    let engines: Vec<Box<dyn EngineDoor>> = vec![Box::new(Obedient(Some(words.clone())))];
    let supervisor = Supervisor { ground, engines, registry: Some(door), ahead: None };
    Bed { folder, supervisor, words, right, _registry: (registry, poll) }
}

impl Bed {
    fn say(&self, words: impl IntoIterator<Item = Word>) {
        words.into_iter().for_each(|word| self.words.send(word).unwrap());
    }

    /// How it ended; the right to act is given back, or is not.
    fn end(self, begun: Result<(), DaemonError>, given_back: bool) -> Result<Ended, DaemonError> {
        let ended = self.supervisor.run(begun);
        std::fs::remove_dir_all(self.folder).unwrap();
        let until = Instant::now() + PATIENCE;
        while given_back && self.right.fence().valid_until != Time::ZERO {
            assert!(Instant::now() < until, "the right was not given back");
            std::thread::yield_now();
        }
        assert!(given_back || self.right.fence().valid_until != Time::ZERO, "it was given back");
        ended
    }
}

fn right(second: u64) -> Word {
    Word::Right(Time::from_nanos(second * 1_000_000_000))
}

fn routes() -> Word {
    Word::Routes(vec![RouteChange {
        address: "10.0.0.2".parse().unwrap(),
        owner_epoch: Some(1),
        moved: false,
    }])
}

#[test]
fn of_rights_in_a_row_the_last_one_is_heard() {
    let mut bed = bed("rights", false);
    bed.say([right(1), right(2), routes(), right(3)]);
    let mut heard = || bed.supervisor.hear(Duration::ZERO);
    assert!(matches!(heard(), Ok(Word::Right(until)) if until == Time::from_nanos(2_000_000_000)));
    assert!(matches!(heard(), Ok(Word::Routes(changes)) if changes.len() == 1));
    assert!(matches!(heard(), Ok(Word::Right(until)) if until == Time::from_nanos(3_000_000_000)));
    assert!(heard().is_err());
    std::fs::remove_dir_all(bed.folder).unwrap();
}

#[test]
fn without_its_keeper_a_gateway_ends_with_an_error_and_gives_its_right_back() {
    for word in [right(1), routes()] {
        let bed = bed("gone", true);
        // Should it go on, it ends in good order.
        bed.say([word, routes(), Word::Signal(signal_hook::consts::SIGTERM)]);
        assert!(bed.right.fence().allows(clock::now()));
        assert_eq!(bed.end(Ok(()), true).unwrap_err().message, "the machine refuses");
    }
}

#[test]
fn what_a_machine_refuses_once_is_no_end() {
    let bed = bed("refused", false);
    bed.say([right(1), routes(), Word::Signal(signal_hook::consts::SIGTERM)]);
    assert_eq!(bed.end(Ok(()), true), Ok(Ended::Asked));
}

#[test]
fn an_end_that_was_heard_too_early_is_not_waited_for() {
    let mut bed = bed("early", true);
    // Its engine has ended by itself, and says nothing more.
    bed.supervisor.engines = vec![Box::new(Obedient(None))];
    bed.say([right(1), Word::Ended(Err("broken".into()))]);
    assert_eq!(bed.end(Ok(()), true).unwrap_err().message, "the machine refuses");
}

#[test]
fn the_right_is_given_back_unless_an_engine_may_still_act() {
    let begun = || Err(DaemonError::failed("no thread"));
    let failed = || Err(DaemonError::failed("no thread"));
    assert_eq!(bed("begun", false).end(begun(), true), failed());
    let mut hangs = bed("hangs", false);
    hangs.supervisor.engines = vec![Box::new(Obedient(None))];
    assert_eq!(hangs.end(begun(), false), failed());
    let ended = bed("ended", false);
    ended.say([Word::Ended(Err("broken".into()))]);
    assert_eq!(ended.end(Ok(()), true), Err(DaemonError::failed("broken")));
}
