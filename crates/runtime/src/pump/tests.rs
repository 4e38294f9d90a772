//! Tests of the pump with an engine that encrypts nothing, over a real TUN device and real sockets. Each test runs again
//! as a process in a network namespace of its own; where the system allows none it says so and does not count.

use std::net::UdpSocket;
use std::process::Command;
use std::time::Instant;

use jumpvpn_engine::{HEADROOM, TAILROOM};
use jumpvpn_transport::{BindOptions, UdpBinding};
use jumpvpn_tun::TunOptions;

use super::*;
use crate::telemetry::{LogLevel, Options, Telemetry};

/// Set in the process inside the namespace.
const INSIDE: &str = "JUMPVPN_TEST_INSIDE_NAMESPACE";
/// Far longer than anything here takes, as the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// Puts every packet between a header and a tag of zeros.
#[derive(Default)]
struct Plain {
    peer: Option<(SocketKey, SocketAddr)>,
    sealed_count: usize,
    opened_count: usize,
    /// How many datagrams had been taken when the timers were called.
    opened_at_timeout: Option<usize>,
    next_timeout: Option<Time>,
    /// Datagrams taken since the outputs were asked for the last time, at most.
    run_count: usize,
    longest_run: usize,
    /// First byte and number of every datagram, in the order they were worked on.
    order: Vec<(u8, u8)>,
    /// Sends a datagram for each that is taken: so one socket never runs dry.
    echo: Option<UdpSocket>,
}

impl Engine for Plain {
    fn handle_datagram(
        &mut self,
        _socket: SocketKey,
        _source: SocketAddr,
        _local: Option<IpAddr>,
        datagram: &mut [u8],
        _now: Time,
    ) -> Received {
        self.opened_count += 1;
        self.run_count += 1;
        self.longest_run = self.longest_run.max(self.run_count);
        self.order.push((datagram[0], datagram[1]));
        if let Some(echo) = &self.echo {
            echo.send(&numbered(REQUEST, 0)).unwrap();
            if self.opened_count == 2 {
                echo.send(&numbered(PACKET, 0)).unwrap();
            }
        }
        Received::Packet(HEADROOM..datagram.len() - TAILROOM)
    }

    fn handle_packet(&mut self, buffer: &mut [u8], _now: Time) -> Result<Transmit, Reason> {
        let (socket, destination) = self.peer.ok_or(Reason::NotAttached)?;
        self.sealed_count += 1;
        Ok(Transmit { socket, destination, source: None, len: buffer.len() })
    }

    fn handle_path_gone(&mut self, _socket: SocketKey, _now: Time) {}

    fn handle_resume(&mut self, _slept: Duration, _now: Time) {}

    fn handle_timeout(&mut self, _now: Time) {
        self.opened_at_timeout = Some(self.opened_count);
        self.next_timeout = None;
    }

    fn poll_transmit(&mut self, _buffer: &mut [u8], _now: Time) -> Option<Transmit> {
        self.run_count = 0;
        None
    }

    fn poll_event(&mut self) -> Option<Event> {
        None
    }

    fn lost_event_count(&self) -> u64 {
        0
    }

    fn outbound_socket(&self) -> Option<SocketKey> {
        self.peer.map(|(socket, _)| socket)
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.next_timeout
    }
}

/// First bytes of two classes of datagrams, the first of which has a socket of its own.
const PACKET: u8 = 0x10;
const REQUEST: u8 = 0x16;

fn numbered(class: u8, number: u8) -> Vec<u8> {
    let mut datagram = vec![0; HEADROOM + 40 + TAILROOM];
    datagram[..2].copy_from_slice(&[class, number]);
    datagram
}

/// Runs `test`, which is the test `name` of this file, in a namespace of its own.
fn in_namespace(name: &str, test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        ip("link set lo up");
        return test();
    }
    let unshare = |user: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(user).args(["--net", "--"]);
        command
    };
    let ways: [&[&str]; 2] = [&[], &["--user", "--map-root-user"]];
    let works = |way: &&[&str]| unshare(way).arg("true").output().is_ok_and(|output| output.status.success());
    let Some(way) = ways.into_iter().find(works) else {
        return eprintln!("SKIPPED {name}: this system allows no network namespace (run as root)");
    };
    if let Err(error) = std::fs::File::options().read(true).write(true).open("/dev/net/tun") {
        return eprintln!("SKIPPED {name}: /dev/net/tun cannot be used: {error}");
    }
    let program = std::env::current_exe().unwrap();
    let mut inside = unshare(way);
    let test = format!("pump::tests::{name}");
    inside.arg(program).args([&test, "--exact", "--nocapture"]).env(INSIDE, "1");
    assert!(inside.status().unwrap().success(), "{name} failed in its namespace");
}

fn ip(line: &str) {
    let status = Command::new("ip").args(line.split_whitespace()).status().unwrap();
    assert!(status.success(), "ip {line}");
}

/// A pump between the TUN device `pump0` (10.9.0.1/24) and a socket.
struct Bed {
    pump: Pump,
    engine: Plain,
    _writer: crate::telemetry::Writer,
}

impl Bed {
    fn new(local: &str, peer: SocketAddr, buffer_len: Option<usize>) -> Bed {
        let tun = Tun::create("pump0", &TunOptions { mtu: 1400, offload: true, queues: 1 }).unwrap();
        ip("addr add 10.9.0.1/24 dev pump0");
        ip("link set pump0 up");
        let options = Options { lane_count: 1, log_level: LogLevel::Quiet, ..Options::default() };
        let writer = Telemetry::start(options).unwrap();
        let mut pump = Pump::new(tun, writer.telemetry().feed(0)).unwrap();
        let options = BindOptions { buffer_len, ..BindOptions::default() };
        let binding = UdpBinding::bind(local.parse().unwrap(), None, &options).unwrap();
        pump.sockets().open(SocketKey(1), binding).unwrap();
        let engine = Plain { peer: Some((SocketKey(1), peer)), ..Plain::default() };
        Bed { pump, engine, _writer: writer }
    }

    /// With sockets that share the port by class.
    fn sorted(local: &str, peer: SocketAddr) -> Bed {
        let mut bed = Bed::new("127.0.0.1:0", peer, None);
        bed.pump.sockets().close(SocketKey(1));
        let options = BindOptions { buffer_len: Some(4 << 20), ..BindOptions::default() };
        let sorted = UdpBinding::bind_sorted(local.parse().unwrap(), &[PACKET, 0x11], &options).unwrap();
        assert_eq!(sorted.len(), SORTED_COUNT);
        for (key, binding) in (2..).map(SocketKey).zip(sorted) {
            bed.pump.sockets().open(key, binding).unwrap();
        }
        bed
    }

    /// Lets the pump work until `wanted` holds.
    fn run_until(&mut self, what: &str, mut wanted: impl FnMut(&Bed) -> bool) {
        let began = Instant::now();
        while !wanted(self) {
            assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
            self.pump.wait(Some(clock::now() + Duration::from_millis(5))).unwrap();
            self.pump.exchange(&mut self.engine).unwrap();
        }
    }
}

/// A socket that takes what can be taken without waiting.
fn outside(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

fn receive(socket: &UdpSocket) -> Option<Vec<u8>> {
    let mut buffer = [0; 2048];
    socket.recv(&mut buffer).ok().map(|len| buffer[..len].to_vec())
}

/// An inner packet without header and tag, sent back to where it came from.
fn reflected(datagram: &[u8]) -> Vec<u8> {
    let mut datagram = datagram.to_vec();
    let packet = &mut datagram[HEADROOM..];
    // Addresses at 12 and 16 of IPv4, ports at 20 and 22: swapping leaves all checksums as they are.
    for at in 0..4 {
        packet.swap(12 + at, 16 + at);
    }
    packet.swap(20, 22);
    packet.swap(21, 23);
    datagram
}

#[test]
fn packets_pass_both_ways_in_order() {
    in_namespace("packets_pass_both_ways_in_order", || {
        let far = outside("127.0.0.1:7001");
        let mut bed = Bed::new("127.0.0.1:7000", "127.0.0.1:7001".parse().unwrap(), None);
        let app = outside("10.9.0.1:9000");
        for number in 0..50u32 {
            app.send_to(&[&number.to_be_bytes()[..], &[7; 600]].concat(), "10.9.0.2:9000").unwrap();
        }
        // The kernel adds packets of its own: neighbour discovery and the like do not count.
        let ours = |datagram: &Vec<u8>| datagram.len() == HEADROOM + 20 + 8 + 604 + TAILROOM;
        let mut passed = Vec::new();
        bed.run_until("all packets are outside", |_| {
            passed.extend(std::iter::from_fn(|| receive(&far)).filter(ours));
            passed.len() >= 50
        });
        let numbers: Vec<u8> = passed.iter().map(|datagram| datagram[HEADROOM + 31]).collect();
        assert_eq!(numbers, (0..50).collect::<Vec<u8>>());
        for datagram in &passed {
            far.send_to(&reflected(datagram), "127.0.0.1:7000").unwrap();
        }
        let mut back = Vec::new();
        bed.run_until("all packets are back", |_| {
            back.extend(std::iter::from_fn(|| receive(&app)).map(|data| data[3]));
            back.len() >= 50
        });
        assert_eq!(back, (0..50).collect::<Vec<u8>>());
        assert_eq!(bed.pump.drops().total(), 0);
    });
}

#[test]
fn inputs_are_drained_before_timers_and_outputs_are_asked_for_in_time() {
    in_namespace("inputs_are_drained_before_timers_and_outputs_are_asked_for_in_time", || {
        let far = outside("127.0.0.1:7001");
        let mut bed = Bed::new("127.0.0.1:7000", "127.0.0.1:7001".parse().unwrap(), Some(4 << 20));
        for _ in 0..1000 {
            far.send_to(&[0; HEADROOM + 40 + TAILROOM], "127.0.0.1:7000").unwrap();
        }
        bed.engine.next_timeout = Some(clock::now());
        bed.run_until("the timers were called", |bed| bed.engine.opened_at_timeout.is_some());
        assert_eq!(bed.engine.opened_at_timeout, Some(1000));
        assert!(bed.engine.longest_run <= DATAGRAMS_PER_DRAIN, "{}", bed.engine.longest_run);
    });
}

#[test]
fn a_request_is_worked_on_before_the_packets_that_follow_it() {
    in_namespace("a_request_is_worked_on_before_the_packets_that_follow_it", || {
        let far = outside("127.0.0.1:7001");
        let mut bed = Bed::sorted("127.0.0.1:7000", "127.0.0.1:7001".parse().unwrap());
        // As many as one batch takes, so that both queues are read at once, again and again.
        for round in 1..=20 {
            for number in 0..20 {
                far.send_to(&numbered(REQUEST, number), "127.0.0.1:7000").unwrap();
                far.send_to(&numbered(PACKET, number), "127.0.0.1:7000").unwrap();
            }
            bed.run_until("everything is worked on", |bed| bed.engine.opened_count == round * 40);
            let place = |class, number| bed.engine.order.iter().position(|taken| *taken == (class, number));
            assert!((0..20).all(|number| place(REQUEST, number) < place(PACKET, number)));
            bed.engine.order.clear();
        }
    });
}

#[test]
fn a_socket_that_never_runs_dry_does_not_hold_up_the_others() {
    in_namespace("a_socket_that_never_runs_dry_does_not_hold_up_the_others", || {
        let far = outside("127.0.0.1:7001");
        far.connect("127.0.0.1:7000").unwrap();
        let mut bed = Bed::sorted("127.0.0.1:7000", "127.0.0.1:7001".parse().unwrap());
        far.send(&numbered(REQUEST, 0)).unwrap();
        bed.engine.echo = Some(far);
        // The packet comes when the pump has found its queue empty already.
        bed.pump.exchange(&mut bed.engine).unwrap();
        assert!(bed.engine.order.contains(&(PACKET, 0)), "{:?}", bed.engine.order);
        assert!(bed.engine.opened_count >= 10, "{:?}", bed.engine.order);
    });
}

/// A slow link fills the socket; the pump then leaves packets in the TUN device instead of dropping them.
#[test]
fn a_full_socket_stops_the_reading_and_loses_nothing() {
    in_namespace("a_full_socket_stops_the_reading_and_loses_nothing", || {
        ip("link add slow0 type veth peer name slow1");
        ip("link set slow0 up");
        ip("link set slow1 up");
        ip("addr add 10.8.0.1/24 dev slow0");
        ip("neigh add 10.8.0.2 lladdr 02:00:00:00:00:02 dev slow0");
        let limit = "qdisc add dev slow0 root tbf rate 8mbit burst 3kb limit 1mb".split_whitespace();
        if !Command::new("tc").args(limit).status().is_ok_and(|status| status.success()) {
            return eprintln!("SKIPPED a_full_socket_…: this kernel has no tbf queue");
        }
        let mut bed = Bed::new("10.8.0.1:7000", "10.8.0.2:7001".parse().unwrap(), Some(16 << 10));
        let app = outside("10.9.0.1:9000");
        for _ in 0..300 {
            app.send_to(&[7; 1200], "10.9.0.2:9000").unwrap();
        }
        bed.run_until("the socket is full", |bed| bed.pump.outbound.is_stalled());
        assert!(bed.engine.sealed_count < 300, "the rest waits in the TUN device");
        assert!(!bed.pump.has_work(), "and waiting costs nothing");
        bed.run_until("everything is out", |bed| {
            bed.engine.sealed_count >= 300 && !bed.pump.outbound.is_stalled()
        });
        assert_eq!(bed.pump.drops().total(), 0);
    });
}

#[test]
fn a_deleted_interface_is_an_error() {
    in_namespace("a_deleted_interface_is_an_error", || {
        let mut bed = Bed::new("127.0.0.1:7000", "127.0.0.1:7001".parse().unwrap(), None);
        ip("link delete pump0");
        let began = Instant::now();
        loop {
            bed.pump.wait(Some(clock::now() + Duration::from_millis(5))).unwrap();
            if bed.pump.exchange(&mut bed.engine).is_err() {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "nobody noticed");
        }
    });
}
