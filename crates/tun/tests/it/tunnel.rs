//! Two machines whose TUN devices are connected by a loop that moves packets, as a tunnel does.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jumpvpn_tun::{PacketBatch, Tun, TunCounters, TunOptions};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::netns::{Peer, in_namespace_with_devices, run, wait_until, wait_until_gone};

const MTU: u16 = 1_420;

fn tun(offload: bool, number: u8) -> Tun {
    let tun = Tun::create("jump0", &TunOptions { mtu: MTU, offload, queues: 1 }).unwrap();
    run(&format!("ip addr add 10.77.0.{number}/24 dev jump0"));
    run(&format!("ip addr add fd77::{number}/64 dev jump0 nodad"));
    run("ip link set jump0 up");
    // The kernel starts to use an IPv6 address a little after it lists it.
    let local = format!("local fd77::{number} ");
    wait_until("the address works", || run("ip -6 route show table local").contains(&local));
    tun
}

/// Moves everything from one device to the other.
fn forward(from: &mut Tun, to: &mut Tun, batch: &mut PacketBatch) {
    loop {
        match from.try_recv(batch) {
            Ok(_) => {}
            Err(error) => return assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        let packets: Vec<_> = batch.packets_mut().map(|packet| packet.into_data()).collect();
        assert!(packets.iter().all(|packet| packet.len() <= usize::from(MTU)));
        to.try_send(&packets).unwrap();
    }
}

/// Runs `test` here with a peer behind a tunnel; returns the counters of the two devices.
fn with_tunnel(
    (offload_here, offload_there): (bool, bool),
    test: impl FnOnce(&Peer),
) -> (TunCounters, TunCounters) {
    let peer = Peer::new();
    let mut here = tun(offload_here, 1);
    let mut there = peer.run(move || tun(offload_there, 2));
    let done = AtomicBool::new(false);
    let counters = std::thread::scope(|scope| {
        let pump = scope.spawn(|| {
            let mut batch = PacketBatch::new(64, usize::from(MTU));
            while !done.load(Ordering::Relaxed) {
                let mut fds = [PollFd::new(&here, PollFlags::IN), PollFd::new(&there, PollFlags::IN)];
                poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 20_000_000 })).unwrap();
                forward(&mut here, &mut there, &mut batch);
                forward(&mut there, &mut here, &mut batch);
            }
            (here.counters(), there.counters())
        });
        let outcome = catch_unwind(AssertUnwindSafe(|| test(&peer)));
        done.store(true, Ordering::Relaxed);
        let counters = pump.join().unwrap();
        if let Err(panic) = outcome {
            eprintln!("the devices counted {counters:?}");
            resume_unwind(panic);
        }
        counters
    });
    drop((here, there));
    wait_until_gone("jump0");
    counters
}

/// Sends `total_len` patterned bytes to an echo server on the peer and checks what comes back.
fn echo_tcp(peer: &Peer, server: &str, total_len: usize) -> Duration {
    let address: SocketAddr = server.parse().unwrap();
    let listener = peer.run(move || TcpListener::bind(address).unwrap());
    let pattern: Vec<u8> = (0..total_len).map(|index| (index * 7 + index / 251) as u8).collect();
    let began = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut copy = stream.try_clone().unwrap();
            std::io::copy(&mut stream, &mut copy).unwrap();
            copy.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut stream = TcpStream::connect(address).unwrap();
        let mut writer = stream.try_clone().unwrap();
        let sent = &pattern;
        scope.spawn(move || {
            writer.write_all(sent).unwrap();
            writer.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        assert!(back == pattern, "{} of {total_len} bytes came back, or not the same", back.len());
    });
    began.elapsed()
}

#[test]
fn tcp_with_offload_moves_many_packets_per_system_call() {
    in_namespace_with_devices(|| {
        for server in ["10.77.0.2:5000", "[fd77::2]:5000"] {
            let total_len = 8 << 20;
            let (here, there) = with_tunnel((true, true), |peer| {
                echo_tcp(peer, server, total_len);
            });
            for counters in [here, there] {
                assert_eq!((counters.read_drops, counters.write_drops), (0, 0));
                assert!(counters.packets_read > 2 * counters.reads, "{counters:?}");
                assert!(counters.packets_written > 2 * counters.writes, "{counters:?}");
            }
        }
    });
}

#[test]
fn tcp_works_when_only_one_side_offloads() {
    in_namespace_with_devices(|| {
        for sides in [(true, false), (false, true), (false, false)] {
            with_tunnel(sides, |peer| {
                echo_tcp(peer, "10.77.0.2:5000", 1 << 20);
            });
        }
    });
}

#[test]
fn udp_with_offload_keeps_datagrams_apart() {
    in_namespace_with_devices(|| {
        let (here, there) = with_tunnel((true, true), |peer| {
            for (local, remote) in [("10.77.0.1:0", "10.77.0.2:6000"), ("[fd77::1]:0", "[fd77::2]:6000")] {
                let server = peer.run(move || UdpSocket::bind(remote).unwrap());
                server.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
                let client = UdpSocket::bind(local).unwrap();
                let remote: SocketAddr = remote.parse().unwrap();
                // 20 datagrams in one segmented send: the kernel hands them over as one super-packet.
                let bytes: Vec<u8> = (0..20_u8).flat_map(|number| vec![number; 1_000]).collect();
                let transmit = quinn_udp::Transmit {
                    destination: remote,
                    ecn: None,
                    contents: &bytes[..19_300],
                    segment_size: Some(1_000),
                    src_ip: None,
                };
                let state = quinn_udp::UdpSocketState::new((&client).into()).unwrap();
                state.try_send((&client).into(), &transmit).unwrap();
                let mut buffer = [0; 2_000];
                for number in 0..20 {
                    let len = server.recv(&mut buffer).unwrap();
                    assert_eq!((buffer[0], len), (number, if number == 19 { 300 } else { 1_000 }));
                }
            }
        });
        assert!(here.packets_read > here.reads, "{here:?}");
        assert!(there.packets_written > there.writes, "{there:?}");
        assert_eq!(there.write_drops, 0);
    });
}

/// Sends `total_len` bytes to a sink on the peer.
fn drain_tcp(peer: &Peer, total_len: usize) -> Duration {
    let listener = peer.run(|| TcpListener::bind("10.77.0.2:5000").unwrap());
    let began = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = vec![0; 1 << 18];
            let mut got_len = 0;
            while got_len < total_len {
                got_len += stream.read(&mut buffer).unwrap();
            }
        });
        let mut stream = TcpStream::connect("10.77.0.2:5000").unwrap();
        let chunk = vec![0; 1 << 18];
        for _ in 0..total_len / chunk.len() {
            stream.write_all(&chunk).unwrap();
        }
    });
    began.elapsed()
}

/// Not a test of correctness: prints what a run with the release profile moves (`--ignored --nocapture`).
#[test]
#[ignore = "a measurement"]
fn throughput_with_and_without_offload() {
    in_namespace_with_devices(|| {
        for sides in [(true, true), (false, false)] {
            let total_len = 1 << 30;
            let mut elapsed = Duration::ZERO;
            let (here, there) = with_tunnel(sides, |peer| elapsed = drain_tcp(peer, total_len));
            let gbps = 8.0 * total_len as f64 / elapsed.as_secs_f64() / 1e9;
            println!("offload {sides:?}: {gbps:.2} Gbit/s one way, {here:?} {there:?}");
        }
    });
}
