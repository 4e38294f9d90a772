//! Batches, source addresses, oversize and dead paths.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use jumpvpn_transport::{BindError, BindOptions, DatagramBatch, SendError, UdpBinding};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::netns::{Peer, in_namespace, run, skip, try_run};

fn bind(local: &str, device: Option<&str>) -> UdpBinding {
    UdpBinding::bind(local.parse().unwrap(), device, &BindOptions::default()).unwrap()
}

/// Waits for and returns (source, destination, first byte, length) of `count` datagrams.
fn receive(binding: &mut UdpBinding, count: usize) -> Vec<(SocketAddr, IpAddr, u8, usize)> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut batch = DatagramBatch::new(8);
    let mut seen = Vec::new();
    while seen.len() < count {
        assert!(Instant::now() < deadline, "only {} of {count} datagrams came", seen.len());
        let mut fds = [PollFd::new(binding, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 1, tv_nsec: 0 })).unwrap();
        match binding.try_recv(&mut batch) {
            Ok(got) => assert_eq!(got, batch.count()),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                continue;
            }
        }
        seen.extend(batch.datagrams_mut().map(|datagram| {
            let destination = datagram.destination.expect("pktinfo");
            (datagram.source, destination, datagram.bytes[0], datagram.bytes.len())
        }));
    }
    seen
}

fn segmented_over(address: &str) {
    let options = BindOptions { buffer_len: Some(4 << 20), ..BindOptions::default() };
    let local: SocketAddr = address.parse().unwrap();
    let mut receiver = UdpBinding::bind(local, None, &options).unwrap();
    let mut sender = bind(address, None);
    assert!(sender.max_segments() >= 64, "this kernel has GSO");
    // 130 segments of 1,200 bytes and a short one: three system calls.
    let mut bytes: Vec<u8> = (0..130_u8).flat_map(|number| [number; 1_200]).collect();
    bytes.extend([130; 77]);
    sender.try_send(receiver.local_addr(), None, &bytes, Some(1_200)).unwrap();
    let seen = receive(&mut receiver, 131);
    for (number, (source, destination, first, len)) in seen.into_iter().enumerate() {
        assert_eq!(source, sender.local_addr());
        assert_eq!(destination, local.ip());
        assert_eq!((usize::from(first), len), (number, if number == 130 { 77 } else { 1_200 }));
    }
}

#[test]
fn a_segmented_send_arrives_datagram_by_datagram_over_ipv4() {
    in_namespace(|| segmented_over("127.0.0.1:0"));
}

#[test]
fn a_segmented_send_arrives_datagram_by_datagram_over_ipv6() {
    in_namespace(|| segmented_over("[::1]:0"));
}

fn refused_at(address: &str) {
    let (mut receiver, mut sender, mut deaf) =
        (bind(address, None), bind(address, None), bind(address, None));
    sender.hear_refusals().unwrap();
    // Its socket is closed again.
    let gone = bind(address, None).local_addr();
    for number in 0..3 {
        sender.try_send(gone, None, &[0xff], None).unwrap();
        sender.try_send(receiver.local_addr(), None, &[number], None).unwrap();
    }
    let arrived: Vec<u8> = receive(&mut receiver, 3).into_iter().map(|(_, _, first, _)| first).collect();
    assert_eq!(arrived, [0, 1, 2], "the answer to one is not the outcome of the next");
    assert_eq!(sender.take_refusal(), Some(gone.ip()));
    assert_eq!(sender.take_refusal(), None, "once");
    // Also when nothing more is sent.
    sender.try_send(gone, None, &[0xff], None).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while sender.take_refusal().is_none() {
        assert!(Instant::now() < deadline, "nobody refuses");
        sender.try_recv(&mut DatagramBatch::new(8)).unwrap_err();
    }
    deaf.try_send(gone, None, &[0xff], None).unwrap();
    deaf.try_send(receiver.local_addr(), None, &[3], None).unwrap();
    assert_eq!(receive(&mut receiver, 1)[0].2, 3);
    assert_eq!(deaf.take_refusal(), None, "who does not ask is not told");
}

#[test]
fn who_refuses_is_noted_and_costs_no_datagram() {
    in_namespace(|| ["127.0.0.1:0", "[::1]:0"].into_iter().for_each(refused_at));
}

#[test]
fn an_answer_can_leave_from_the_address_that_was_asked() {
    in_namespace(|| {
        run("ip addr add 192.0.2.1/32 dev lo");
        run("ip addr add 192.0.2.2/32 dev lo");
        let mut gateway = bind("0.0.0.0:4747", None);
        let mut client = bind("192.0.2.1:0", None);
        client.try_send("192.0.2.2:4747".parse().unwrap(), None, b"ask", None).unwrap();
        let (source, destination, ..) = receive(&mut gateway, 1)[0];
        assert_eq!(destination, "192.0.2.2".parse::<IpAddr>().unwrap());
        gateway.try_send(source, Some(destination), b"answer", None).unwrap();
        assert_eq!(receive(&mut client, 1)[0].0, "192.0.2.2:4747".parse().unwrap());
    });
}

#[test]
fn both_ip_versions_share_a_port() {
    in_namespace(|| {
        let v4 = bind("0.0.0.0:4747", None);
        let v6 = bind("[::]:4747", None);
        assert_ne!(v4.local_addr(), v6.local_addr());
    });
}

#[test]
fn a_taken_port_is_told_from_a_shared_one() {
    in_namespace(|| {
        let local = "0.0.0.0:4747".parse().unwrap();
        let shared = BindOptions { reuse_port: true, ..BindOptions::default() };
        let _first = UdpBinding::bind(local, None, &shared).unwrap();
        let _second = UdpBinding::bind(local, None, &shared).unwrap();
        let third = UdpBinding::bind(local, None, &BindOptions::default());
        assert!(matches!(third, Err(BindError::PortInUse { .. })), "{third:?}");
    });
}

#[test]
fn datagrams_are_sorted_by_their_first_byte() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        in_namespace(|| {
            let options = BindOptions::default();
            let mut sorted =
                UdpBinding::bind_sorted(address.parse().unwrap(), &[0x10, 0x11], &options).unwrap();
            let local = sorted[0].local_addr();
            assert!(sorted.len() == 3 && sorted.iter().all(|socket| socket.local_addr() == local));
            // From many ports: without the program the kernel would sort by sender.
            for number in 0..20_u8 {
                let mut sender = bind(address, None);
                for class in [0x16, 0x10, 0x11, 0x1f, 0x00] {
                    sender.try_send(local, None, &[class, number], None).unwrap();
                }
                let got: Vec<Vec<u8>> = [1, 1, 3]
                    .into_iter()
                    .zip(&mut sorted)
                    .map(|(count, socket)| receive(socket, count).into_iter().map(|seen| seen.2).collect())
                    .collect();
                assert_eq!(got, [vec![0x10], vec![0x11], vec![0x16, 0x1f, 0x00]]);
            }
        });
    }
}

#[test]
fn a_sorted_port_is_taken_for_everybody_who_does_not_join_it() {
    in_namespace(|| {
        let options = BindOptions::default();
        let local = "127.0.0.1:7400".parse().unwrap();
        let sorted = UdpBinding::bind_sorted(local, &[0x10], &options).unwrap();
        let second = UdpBinding::bind_sorted(local, &[0x10], &options).map(drop);
        assert!(matches!(second, Err(BindError::PortInUse { .. })), "{second:?}");
        drop(sorted);
        assert!(UdpBinding::bind_sorted(local, &[0x10], &options).is_ok());
    });
}

#[test]
fn a_missing_device_or_address_is_a_matter_of_the_path() {
    in_namespace(|| {
        let bind =
            |local: &str, device| UdpBinding::bind(local.parse().unwrap(), device, &BindOptions::default());
        let no_device = bind("0.0.0.0:0", Some("nowhere0"));
        assert!(matches!(no_device, Err(BindError::PathGone { .. })), "{no_device:?}");
        let no_address = bind("192.0.2.9:0", None);
        assert!(matches!(no_address, Err(BindError::PathGone { .. })), "{no_address:?}");
    });
}

#[test]
fn a_missing_right_is_named() {
    in_namespace(|| {
        rustix::thread::set_capabilities(
            None,
            rustix::thread::CapabilitySets {
                effective: rustix::thread::CapabilitySet::empty(),
                permitted: rustix::thread::CapabilitySet::empty(),
                inheritable: rustix::thread::CapabilitySet::empty(),
            },
        )
        .unwrap();
        let options = BindOptions { mark: Some(0x4a56), ..BindOptions::default() };
        let denied = UdpBinding::bind("0.0.0.0:0".parse().unwrap(), None, &options);
        assert!(matches!(denied, Err(BindError::NoRights { .. })), "{denied:?}");
        // Larger buffers than allowed are no reason to fail.
        let options = BindOptions { buffer_len: Some(64 << 20), ..BindOptions::default() };
        UdpBinding::bind("0.0.0.0:0".parse().unwrap(), None, &options).unwrap();
    });
}

/// A link of MTU 1400 to a peer: 192.0.2.1 and 2001:db8::1 here, .2 there.
fn link_to_peer() -> Peer {
    let peer = Peer::new();
    run("ip link add up0 type veth peer name up1");
    run(&format!("ip link set up1 netns {}", peer.netns()));
    for (address, flags) in [("192.0.2.1/24", ""), ("2001:db8::1/64", "nodad")] {
        run(&format!("ip addr add {address} dev up0 {flags}"));
    }
    run("ip link set up0 mtu 1400 up");
    peer.command("ip addr add 192.0.2.2/24 dev up1");
    peer.command("ip addr add 2001:db8::2/64 dev up1 nodad");
    peer.command("ip link set up1 up");
    peer
}

#[test]
fn oversize_is_refused_and_does_not_cost_the_offload() {
    in_namespace(|| {
        let _peer = link_to_peer();
        for (local, peer, header_len) in
            [("192.0.2.1:0", "192.0.2.2:9", 28), ("[2001:db8::1]:0", "[2001:db8::2]:9", 48)]
        {
            let mut binding = bind(local, Some("up0"));
            let peer = peer.parse().unwrap();
            let fits = 1_400 - header_len;
            binding.try_send(peer, None, &vec![0; fits], None).unwrap();
            let single = binding.try_send(peer, None, &vec![0; fits + 1], None);
            assert!(matches!(single, Err(SendError::TooBig)), "{single:?}");
            binding.try_send(peer, None, &vec![0; fits * 10], Some(fits)).unwrap();
            let segmented = binding.try_send(peer, None, &vec![0; fits * 10], Some(fits + 1));
            assert!(matches!(segmented, Err(SendError::TooBig)), "{segmented:?}");
            assert!(binding.max_segments() > 1);
        }
    });
}

/// What sending says after `damage` to the link of the path.
fn send_after(local: &str, remote: &str, damage: &str) -> Result<(), SendError> {
    let peer = link_to_peer();
    let mut binding = bind(local, Some("up0"));
    let remote = remote.parse().unwrap();
    binding.try_send(remote, None, &[0; 3_000], Some(1_000)).unwrap();
    run(damage);
    let result = binding.try_send(remote, None, &[0; 3_000], Some(1_000));
    try_run("ip link del dev up0");
    drop(peer);
    result
}

#[test]
fn a_dead_link_is_told_by_the_first_send() {
    in_namespace(|| {
        for damage in ["ip link set up0 down", "ip addr flush dev up0", "ip link del dev up0"] {
            for (local, remote) in [("192.0.2.1:0", "192.0.2.2:9"), ("[2001:db8::1]:0", "[2001:db8::2]:9")] {
                let result = send_after(local, remote, damage);
                assert!(matches!(result, Err(SendError::PathGone(_))), "{damage}, {local}: {result:?}");
            }
        }
    });
}

#[test]
fn a_local_firewall_is_a_refusal_not_a_dead_path() {
    in_namespace(|| {
        let rule =
            "add table inet t; add chain inet t out { type filter hook output priority 0; policy drop; }";
        let nft = std::process::Command::new("nft").arg(rule).status();
        if !nft.is_ok_and(|status| status.success()) {
            return skip("a_local_firewall_is_a_refusal_not_a_dead_path", "nft does not work here");
        }
        let mut binding = bind("127.0.0.1:0", None);
        let result = binding.try_send("127.0.0.1:9".parse().unwrap(), None, b"x", None);
        assert!(matches!(result, Err(SendError::Refused(_))), "{result:?}");
    });
}

#[test]
fn a_full_socket_buffer_says_how_far_it_came() {
    in_namespace(|| {
        // Frames queue behind a link that is paced to a crawl, until the send buffer is used up.
        let _peer = link_to_peer();
        run("tc qdisc add dev up0 root tbf rate 8kbit burst 1600 limit 10000000");
        let mut binding = bind("192.0.2.1:0", Some("up0"));
        let peer = "192.0.2.2:9".parse().unwrap();
        let bytes = vec![0; 64 * 1_000];
        let error = (0..1_000).find_map(|_| binding.try_send(peer, None, &bytes, Some(1_000)).err());
        match error {
            Some(SendError::WouldBlock { sent_len }) => assert_eq!(sent_len % 1_000, 0),
            other => panic!("{other:?}"),
        }
    });
}

/// Not a test of correctness: prints what a run with the release profile moves (`--ignored --nocapture`).
#[test]
#[ignore = "a measurement"]
fn throughput_over_a_link() {
    in_namespace(|| {
        let peer = link_to_peer();
        run("ip link set up0 mtu 1500");
        let options = BindOptions { buffer_len: Some(8 << 20), ..BindOptions::default() };
        let bind_there = move || UdpBinding::bind("192.0.2.2:7000".parse().unwrap(), None, &options).unwrap();
        let mut receiver = peer.run(bind_there);
        let remote = receiver.local_addr();
        let mut sender = bind("192.0.2.1:0", Some("up0"));
        let (datagram_len, total_len) = (1_452, 2_usize << 30);
        for burst_count in [1, 44] {
            let burst = vec![0; datagram_len * burst_count];
            let began = Instant::now();
            let got = std::thread::scope(|scope| {
                let sending = scope.spawn(|| {
                    for _ in 0..total_len / burst.len() {
                        while sender.try_send(remote, None, &burst, Some(datagram_len)).is_err() {}
                    }
                });
                let mut batch = DatagramBatch::new(32);
                let (mut count, mut calls) = (0, 0_usize);
                while !sending.is_finished() {
                    let mut fds = [PollFd::new(&receiver, PollFlags::IN)];
                    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 20_000_000 })).unwrap();
                    while let Ok(got) = receiver.try_recv(&mut batch) {
                        (count, calls) = (count + got, calls + 1);
                    }
                }
                (count, calls)
            });
            let seconds = began.elapsed().as_secs_f64();
            let rate = got.0 as f64 / seconds;
            println!(
                "{burst_count} per call: {:.2} Gbit/s and {:.0} datagrams/s arrived, {:.1} per receive, {:.1} % lost",
                rate * 8.0 * datagram_len as f64 / 1e9,
                rate,
                got.0 as f64 / got.1 as f64,
                100.0 - 100.0 * got.0 as f64 / (total_len / datagram_len) as f64,
            );
        }
    });
}
