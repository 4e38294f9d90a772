//! Tests of the talk between daemon and keeper, over real streams and sockets.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use jumpvpn_events::Time;
use jumpvpn_transport::{BindOptions, UdpBinding};
use serde_json::json;

use super::*;
use crate::machine::{MachineError, TunnelSettings};

/// A machine that writes down what is asked of it.
struct Notebook {
    asked: Sender<String>,
    fails: bool,
}

impl Notebook {
    fn note(&self, what: String) -> Result<(), MachineError> {
        self.asked.send(what).unwrap();
        if self.fails { Err(MachineError { message: "no".into(), permission: true }) } else { Ok(()) }
    }
}

impl TunnelHost for Notebook {
    fn sweep(&mut self) -> Result<(), MachineError> {
        self.note("sweep".into())
    }

    fn apply(&mut self, settings: &TunnelSettings) -> Result<Vec<String>, MachineError> {
        self.note(format!("apply {settings:?}")).map(|()| vec!["a warning".into()])
    }

    fn set_inner_routes(&mut self, add: &[(IpAddr, u64)], remove: &[IpAddr]) -> Result<(), MachineError> {
        self.note(format!("routes {add:?} {remove:?}"))
    }

    fn arm_dead_man(&mut self, until: Time) -> Result<(), MachineError> {
        self.note(format!("arm {until:?}"))
    }

    fn remove(&mut self) -> Result<(), MachineError> {
        self.note("remove".into())
    }
}

/// Sockets on no device, as tests have none.
struct Plain;

impl PathSockets for Plain {
    fn open(&mut self, local: IpAddr, device: &str) -> Result<UdpBinding, String> {
        if device != "lo" {
            return Err(format!("no {device}"));
        }
        UdpBinding::bind((local, 0).into(), None, &BindOptions::default()).map_err(|error| error.to_string())
    }
}

struct Pair {
    host: KeeperHost,
    sockets: KeeperSockets,
    asked: Receiver<String>,
    keeper: JoinHandle<io::Result<()>>,
}

fn pair(fails: bool) -> Pair {
    let [changes, sockets] = [UnixStream::pair().unwrap(), UnixStream::pair().unwrap()];
    let (asked_sender, asked) = channel();
    let keeper = thread::spawn(move || {
        let mut notebook = Notebook { asked: asked_sender, fails };
        serve(changes.1, sockets.1, &mut notebook, Plain, &json!({"files": "restricted"}))
    });
    let (host, sockets) = connect(changes.0, sockets.0, PATIENCE).unwrap();
    Pair { host, sockets, asked, keeper }
}

fn settings() -> TunnelSettings {
    TunnelSettings {
        addresses: vec![("10.77.0.2".parse().unwrap(), 24), ("fd77::2".parse().unwrap(), 64)],
        mtu: 1420,
    }
}

#[test]
fn changes_arrive_as_they_were_asked_and_answers_come_back() {
    let Pair { mut host, sockets, asked, keeper } = pair(false);
    host.sweep().unwrap();
    assert_eq!(host.apply(&settings()).unwrap(), ["a warning"]);
    host.remove().unwrap();
    assert_eq!(asked.recv().unwrap(), "sweep");
    assert_eq!(asked.recv().unwrap(), format!("apply {:?}", settings()));
    assert_eq!(asked.recv().unwrap(), "remove");
    drop((host, sockets));
    keeper.join().unwrap().unwrap();
    assert!(asked.recv().is_err(), "it is not taken away twice");
}

#[test]
fn routes_of_sessions_fit_into_lines_and_arrive_whole() {
    let Pair { mut host, sockets, asked, keeper } = pair(false);
    // The longest there are.
    let longest =
        |number: u16| IpAddr::from([0xfd77, 0x7777, 0x7777, 0x7777, 0x7777, 0x7777, 0x7777, number | 0x1000]);
    let add: Vec<_> = (0..1_201).map(|number| (longest(number), u64::MAX)).collect();
    let remove: Vec<_> = (0..600).map(longest).collect();
    host.set_inner_routes(&add, &remove).unwrap();
    host.set_inner_routes(&[], &[]).unwrap();
    host.arm_dead_man(Time::MAX).unwrap();
    drop((host, sockets));
    keeper.join().unwrap().unwrap();
    let none = &[] as &[IpAddr];
    let removals = remove.chunks(500).map(|part| format!("routes [] {part:?}"));
    let additions = add.chunks(500).map(|part| format!("routes {part:?} {none:?}"));
    let expected = removals.chain(additions).chain([format!("arm {:?}", Time::MAX)]);
    assert_eq!(asked.into_iter().collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

#[test]
fn refusals_come_back_with_their_kind() {
    let Pair { mut host, sockets, asked: _asked, keeper } = pair(true);
    let refused = MachineError { message: "no".into(), permission: true };
    assert_eq!(host.sweep(), Err(refused.clone()));
    assert_eq!(host.apply(&settings()), Err(refused.clone()));
    let host_route = (IpAddr::V4(Ipv4Addr::LOCALHOST), 1);
    assert_eq!(host.set_inner_routes(&[host_route], &[]), Err(refused.clone()));
    assert_eq!(host.arm_dead_man(Time::ZERO), Err(refused.clone()));
    assert_eq!(host.remove(), Err(refused));
    assert!(!host.is_gone(), "a refusal is not the end");
    drop((host, sockets));
    keeper.join().unwrap().unwrap();
}

#[test]
fn a_daemon_that_fails_takes_away_what_it_applied_and_one_that_is_killed_does_not() {
    let Pair { mut host, sockets, asked, keeper } = pair(false);
    host.apply(&settings()).unwrap();
    drop((host, sockets));
    keeper.join().unwrap().unwrap();
    assert_eq!(asked.into_iter().last().unwrap(), "remove");

    let (changes, sockets) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
    let (asked_sender, asked) = channel();
    let mut notebook = Notebook { asked: asked_sender, fails: false };
    let mut killed = changes.0;
    killed.write_all(b"\"Sweep\"\n").unwrap();
    drop((killed, sockets.0));
    // The answer finds nobody: an error to tell of, and nothing else that is done.
    serve(changes.1, sockets.1, &mut notebook, Plain, &json!({"files": "restricted"})).unwrap_err();
    drop(notebook);
    assert_eq!(asked.into_iter().collect::<Vec<_>>(), ["sweep"]);
}

#[test]
fn sockets_are_passed_on_and_work() {
    let Pair { host, mut sockets, keeper, .. } = pair(false);
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let [mut one, mut two] = [sockets.open(local, "lo").unwrap(), sockets.open(local, "lo").unwrap()];
    assert_ne!(one.local_addr(), two.local_addr());
    one.try_send(two.local_addr(), None, b"hello", None).unwrap();
    let mut batch = jumpvpn_transport::DatagramBatch::new(4);
    while two.try_recv(&mut batch).is_err() {
        thread::yield_now();
    }
    assert_eq!(sockets.open(local, "eth7").unwrap_err(), "no eth7");
    assert_eq!(sockets.open(local, "a name that is too long").unwrap_err(), "no name of an interface");
    assert!(sockets.open(local, "lo").is_ok(), "a refusal is not the end");
    assert!(!sockets.is_gone());
    drop((host, sockets));
    keeper.join().unwrap().unwrap();
}

#[test]
fn without_its_keeper_a_daemon_is_told() {
    let (changes, sockets) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
    drop((changes.1, sockets.1));
    let (mut host, mut sockets) = connect(changes.0, sockets.0, PATIENCE).unwrap();
    assert!(host.sweep().unwrap_err().message.contains("keeper"));
    assert!(host.is_gone());
    assert!(sockets.open(IpAddr::V4(Ipv4Addr::LOCALHOST), "lo").unwrap_err().contains("keeper"));
    assert!(sockets.is_gone());
}

#[test]
fn a_keeper_says_what_it_has_given_up() {
    let Pair { mut host, sockets, asked, keeper } = pair(false);
    assert_eq!(host.confinement().unwrap(), json!({"files": "restricted"}));
    drop((host, sockets));
    keeper.join().unwrap().unwrap();
    assert_eq!(asked.recv().ok(), None, "nothing was changed");
}

#[test]
fn a_keeper_that_hangs_is_given_up_and_its_late_answer_taken_for_nothing() {
    let (changes, sockets) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
    let patience = Duration::from_millis(20);
    let (mut host, mut opener) = connect(changes.0, sockets.0, patience).unwrap();
    assert!(!host.is_gone());
    let mut hanging = changes.1;
    assert!(host.sweep().unwrap_err().message.contains("it took too long"));
    // What it would have said now is of a question that was given up.
    hanging.write_all(b"{\"Ok\":[]}\n").unwrap_err();
    assert!(host.apply(&settings()).unwrap_err().message.contains("does not answer"));
    assert!(host.is_gone(), "whoever needs it has to end");
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    assert!(opener.open(local, "lo").unwrap_err().contains("it took too long"));
    assert!(opener.open(local, "lo").unwrap_err().contains("keeper"));
    assert!(opener.is_gone());
}

#[test]
fn sockets_are_bound_to_configured_uplinks_alone() {
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut named = MarkedSockets { mark: 0, devices: vec!["wlan0".into()] };
    assert_eq!(named.open(local, "lo").unwrap_err(), "lo is not one of the configured uplinks");
}
