//! What a gateway of several puts on its machine: host routes of its sessions, and the kernel's dead-man switch.

use std::net::{IpAddr, TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use jumpvpn_host::{DeadMan, HostError, NatSpec, SessionRoutes, TunnelNetwork, TunnelSpec, clock};
use jumpvpn_tun::{PacketBatch, Tun, TunOptions};

use crate::netns::{Peer, in_namespace, in_namespace_with_devices, run, wait_until};

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A tunnel's interface that outlives its program.
fn interface() {
    run("ip tuntap add dev jump0 mode tun");
    run("ip addr add 10.77.0.1/16 dev jump0");
    run("ip addr add fd77::1/64 dev jump0 nodad");
    run("ip link set jump0 up");
}

/// Our routes as iproute2 prints them, sorted.
fn ours() -> Vec<String> {
    let mut lines = Vec::new();
    for family in ["-4", "-6"] {
        let text = run(&format!("ip {family} route show table all proto 201"));
        lines.extend(text.lines().map(|line| line.replace(" scope link", "").replace(" linkdown", "")));
    }
    lines.iter_mut().for_each(|line| *line = line.replace(" pref medium", "").trim().to_owned());
    lines.sort();
    lines
}

#[test]
fn host_routes_follow_epochs_and_are_idempotent() {
    in_namespace_with_devices(|| {
        interface();
        let mut routes = SessionRoutes::open("jump0").unwrap();
        let (v4, v6) = (address("10.77.0.2"), address("fd77::2"));
        for _ in 0..2 {
            routes.set(&[(v4, 5), (v6, 1)], &[]).unwrap();
            assert_eq!(ours(), ["10.77.0.2 dev jump0 metric 5", "fd77::2 dev jump0 metric 1"]);
        }
        // A newer epoch, an older one (a store that was rolled back), and the largest metric there is.
        for (epoch, metric) in [(6, 6), (4, 4), (u64::from(u32::MAX) + 7, u32::MAX), (7, 7)] {
            routes.set(&[(v4, epoch), (v6, epoch)], &[]).unwrap();
            let lines = ["10.77.0.2", "fd77::2"].map(|host| format!("{host} dev jump0 metric {metric}"));
            assert_eq!(ours(), lines);
        }
        // What is added and removed at once is wanted.
        routes.set(&[(v6, 8)], &[v4, v6, address("10.77.0.9")]).unwrap();
        assert_eq!(ours(), ["fd77::2 dev jump0 metric 8"]);
        let refused = routes.set(&[(v4, 3), (v6, 0)], &[v6]);
        assert!(matches!(refused, Err(HostError::Invalid(_))), "{refused:?}");
        assert_eq!(ours(), ["fd77::2 dev jump0 metric 8"]);
        routes.clear().unwrap();
        routes.clear().unwrap();
        assert_eq!(ours(), [] as [&str; 0]);
    });
}

#[test]
fn leftovers_of_a_crash_are_removed_and_nothing_else() {
    in_namespace_with_devices(|| {
        interface();
        run("ip link add other type veth peer name far");
        run("ip link set other up");
        let mut routes = SessionRoutes::open("jump0").unwrap();
        routes.set(&[(address("10.77.0.2"), 5), (address("fd77::2"), 5)], &[]).unwrap();
        drop(routes);
        // Two of one address, as a crash between adding and removing leaves them; one of each family without a metric.
        run("ip route add 10.77.0.2/32 dev jump0 proto 201 metric 6");
        run("ip route add 10.77.0.3/32 dev jump0 proto 201");
        run("ip -6 route add fd77::3/128 dev jump0 proto 201");
        run("ip route add 10.77.0.2/32 dev jump0 proto static metric 9");
        run("ip route add 10.77.0.4/32 dev other proto 201");
        let mut routes = SessionRoutes::open("jump0").unwrap();
        assert_eq!(ours(), ["10.77.0.4 dev other"]);
        assert!(run("ip route").contains("10.77.0.2 dev jump0 proto static"), "{}", run("ip route"));
        // The kernel takes routes away with an interface that is set down; that is no error, and they come back.
        routes.set(&[(address("10.77.0.2"), 7)], &[]).unwrap();
        run("ip link set jump0 down");
        let refused = routes.set(&[(address("10.77.0.3"), 7)], &[]).unwrap_err();
        assert!(refused.to_string().contains("10.77.0.3"), "{refused}");
        run("ip link set jump0 up");
        routes.set(&[(address("10.77.0.2"), 7)], &[address("10.77.0.3")]).unwrap();
        assert_eq!(ours(), ["10.77.0.2 dev jump0 metric 7", "10.77.0.4 dev other"]);
        let missing = SessionRoutes::open("jump7").err();
        assert!(matches!(missing, Some(HostError::NotFound { .. })), "{missing:?}");
    });
}

#[test]
fn thousands_of_host_routes_are_set_at_once() {
    in_namespace_with_devices(|| {
        interface();
        let mut routes = SessionRoutes::open("jump0").unwrap();
        let host = |number: u16| IpAddr::from([10, 77, (number >> 8) as u8, number as u8]);
        let at_epoch = |epoch| (2..5_002).map(|number| (host(number), epoch)).collect::<Vec<_>>();
        let began = Instant::now();
        routes.set(&at_epoch(1), &[]).unwrap();
        routes.set(&at_epoch(2), &[]).unwrap();
        println!("5,000 routes added, replaced and their old ones removed in {:?}", began.elapsed());
        let lines = ours();
        assert_eq!(lines.len(), 5_000);
        assert!(lines.iter().all(|line| line.ends_with(" metric 2")));
        // One that is refused, in the middle, keeps none of the others out.
        std::fs::write("/proc/sys/net/ipv6/conf/jump0/disable_ipv6", "1").unwrap();
        let mut mixed = at_epoch(3);
        mixed.push((address("fd77::2"), 3));
        mixed.push((address("fd77::3"), 3));
        let (hosts, _): (Vec<IpAddr>, Vec<u64>) = at_epoch(3)[..9].iter().copied().unzip();
        let refused = routes.set(&mixed, &hosts).unwrap_err();
        assert!(refused.to_string().contains("fd77::2"), "{refused}");
        routes.set(&[], &hosts).unwrap();
        let lines = ours();
        assert_eq!(lines.iter().filter(|line| line.ends_with(" metric 3")).count(), 5_000 - hosts.len());
        assert_eq!(lines.len(), 5_000 - hosts.len());
        routes.clear().unwrap();
        assert_eq!(ours(), [] as [&str; 0]);
    });
}

fn spec() -> TunnelSpec {
    TunnelSpec {
        ifname: "jump0".to_owned(),
        addresses: vec!["10.77.0.1/24".parse().unwrap()],
        mtu: 1_420,
        dead_man: true,
        ..TunnelSpec::default()
    }
}

fn tun() -> Tun {
    Tun::create("jump0", &TunOptions { mtu: 1_420, offload: false, queues: 1 }).unwrap()
}

/// Both ways through the tunnel's interface: what a program sends out of it, and what comes in from the tunnel's peers.
struct Ways {
    tun: Tun,
    program: UdpSocket,
}

impl Ways {
    fn new(tun: Tun) -> Ways {
        let program = UdpSocket::bind("10.77.0.1:9").unwrap();
        program.set_nonblocking(true).unwrap();
        Ways { tun, program }
    }

    /// Whether a datagram passes now, outwards and inwards.
    fn pass(&mut self) -> [bool; 2] {
        let mut batch = PacketBatch::new(64, 1_420);
        while self.tun.try_recv(&mut batch).is_ok() {}
        let mut buffer = [0; 64];
        while self.program.recv(&mut buffer).is_ok() {}
        // A refusal by the packet filter is an error of the call.
        self.program.send_to(b"out", "10.77.0.2:9").ok();
        let mut out = false;
        if self.tun.try_recv(&mut batch).is_ok() {
            out = batch.packets_mut().any(|packet| packet.data().ends_with(b"out"));
        }
        // 10.77.0.2:9 -> 10.77.0.1:9, "x"; the kernel takes it in before the call returns.
        let mut packet = vec![0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0, 0, 10, 77, 0, 2, 10, 77, 0, 1];
        let sum: u32 = packet.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        let folded = (sum & 0xffff) + (sum >> 16);
        packet[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
        packet.extend([0, 9, 0, 9, 0, 9, 0, 0, b'x']);
        self.tun.try_send(&[&packet]).unwrap();
        [out, self.program.recv(&mut buffer).is_ok()]
    }
}

const OPEN: [bool; 2] = [true; 2];
const CUT: [bool; 2] = [false; 2];

#[test]
fn the_kernel_cuts_the_traffic_of_a_gateway_whose_heart_stops() {
    in_namespace_with_devices(|| {
        let applied = tun();
        let network = TunnelNetwork::apply(&spec()).unwrap();
        let switch = DeadMan::of("jump0").unwrap();
        let mut ways = Ways::new(applied);
        assert_eq!(ways.pass(), CUT, "nothing passes before the first heartbeat");
        // As long as it beats everything passes, far beyond one element's time.
        let beat = Duration::from_millis(700);
        let began = Instant::now();
        let mut until = Duration::ZERO;
        while began.elapsed() < 3 * beat {
            until = clock::boottime() + beat;
            switch.arm(until).unwrap();
            // A machine that was descheduled in between proves nothing.
            let passed = ways.pass();
            assert!(passed == OPEN || clock::boottime() >= until, "{passed:?}");
        }
        // Now it is paused, and nobody tells the kernel anything.
        let mut last_open = Duration::ZERO;
        wait_until("the kernel cuts", || {
            let before = clock::boottime();
            let passed = ways.pass();
            last_open = if passed == CUT { last_open } else { before };
            passed == CUT
        });
        let cut_at = clock::boottime();
        // The kernel counts in ticks of up to 10 ms from when it was told, some ms after `until` was worked out.
        assert!(last_open <= until + Duration::from_millis(250), "{last_open:?} is after {until:?}");
        assert!(cut_at + Duration::from_millis(20) >= until, "cut at {cut_at:?}, before {until:?}");
        // It goes on.
        switch.arm(clock::boottime() + Duration::from_secs(50)).unwrap();
        assert_eq!(ways.pass(), OPEN);
        switch.cut().unwrap();
        assert_eq!(ways.pass(), CUT);
        switch.cut().unwrap();
        switch.arm(clock::boottime() + Duration::from_secs(50)).unwrap();
        switch.arm(clock::boottime()).unwrap();
        assert_eq!(ways.pass(), CUT, "a moment that has passed cuts");
        network.remove().unwrap();
        assert_eq!(run("nft list ruleset"), "");
        assert!(switch.arm(clock::boottime() + beat).is_err(), "without a tunnel there is no switch");
    });
}

#[test]
fn a_switch_is_replaced_and_removed_whatever_its_state() {
    in_namespace_with_devices(|| {
        let device = tun();
        let switch = DeadMan::of("jump0").unwrap();
        for beating in [false, true] {
            std::mem::forget(TunnelNetwork::apply(&spec()).unwrap());
            if beating {
                switch.arm(clock::boottime() + Duration::from_secs(50)).unwrap();
            }
            let applied = TunnelNetwork::apply(&spec()).unwrap();
            let chains = run("nft list ruleset").matches("chain beat_").count();
            assert_eq!(chains, 3, "{}", run("nft list ruleset"));
            assert!(!run("nft list set inet jumpvpn beating").contains("jump0"), "it does not beat at first");
            if beating {
                switch.arm(clock::boottime() + Duration::from_millis(30)).unwrap();
            }
            // The element may die while it is removed.
            applied.remove().unwrap();
            assert_eq!(run("nft list ruleset"), "");
        }
        // Another tunnel's heart beats on.
        let other = Tun::create("jump1", &TunOptions { mtu: 1_420, offload: false, queues: 1 }).unwrap();
        let first = TunnelNetwork::apply(&spec()).unwrap();
        let second = TunnelNetwork::apply(&TunnelSpec {
            ifname: "jump1".to_owned(),
            addresses: vec!["10.78.0.1/24".parse().unwrap()],
            ..spec()
        })
        .unwrap();
        DeadMan::of("jump1").unwrap().arm(clock::boottime() + Duration::from_secs(50)).unwrap();
        first.remove().unwrap();
        assert!(run("nft list set inet jumpvpn beating").contains("jump1"));
        second.remove().unwrap();
        assert_eq!(run("nft list ruleset"), "");
        drop((device, other));
    });
}

#[test]
fn names_are_checked_before_they_reach_a_script() {
    in_namespace(|| {
        for bad in ["jump0\" }; flush ruleset #", "a b", ""] {
            assert!(matches!(DeadMan::of(bad), Err(HostError::Invalid(_))), "{bad:?}");
            assert!(matches!(SessionRoutes::open(bad).err(), Some(HostError::Invalid(_))), "{bad:?}");
        }
    });
}

/// A TCP segment of 10.77.0.2 to port 7000 of 192.0.2.`to`, with its checksums.
fn segment(to: u8, from_port: u16, flags: u8) -> Vec<u8> {
    let sum = |bytes: &[u8]| {
        let sum: u32 = bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        let folded = (sum & 0xffff) + (sum >> 16);
        !((folded & 0xffff) as u16 + (folded >> 16) as u16)
    };
    let ends = [10, 77, 0, 2, 192, 0, 2, to];
    let mut ip = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0];
    ip.extend(ends);
    let checksum = sum(&ip).to_be_bytes();
    ip[10..12].copy_from_slice(&checksum);
    let mut tcp = from_port.to_be_bytes().to_vec();
    tcp.extend(7_000_u16.to_be_bytes());
    tcp.extend(1_000_u32.to_be_bytes());
    tcp.extend(2_000_u32.to_be_bytes());
    tcp.extend([0x50, flags, 0x10, 0, 0, 0, 0, 0]);
    let checksum = sum(&[&ends[..], &[0, 6, 0, 20], &tcp].concat()).to_be_bytes();
    tcp[16..18].copy_from_slice(&checksum);
    [ip, tcp].concat()
}

#[test]
fn a_connection_that_was_translated_elsewhere_is_reset_and_a_new_one_passes() {
    in_namespace_with_devices(|| {
        let peer = Peer::new();
        run("ip link add up0 type veth peer name up1");
        run(&format!("ip link set up1 netns {}", peer.netns()));
        run("ip addr add 192.0.2.1/24 dev up0");
        run("ip link set up0 up");
        peer.command("ip addr add 192.0.2.2/24 dev up1");
        peer.command("ip link set up1 up");
        let mut device = tun();
        let nat = |reset_unknown| {
            let sources = vec!["10.77.0.1/24".parse().unwrap()];
            let nat = Some(NatSpec { sources, out_interface: None, reset_unknown });
            TunnelNetwork::apply(&TunnelSpec { dead_man: false, forward: true, nat, ..spec() }).unwrap()
        };
        let server = peer.run(|| TcpListener::bind("192.0.2.2:7000").unwrap());
        server.set_nonblocking(true).unwrap();
        let mut batch = PacketBatch::new(8, 1_420);
        // Ports and flags of the segments that come back, up to the answer of a server that was asked last.
        let mut answers = |device: &mut Tun, segments: &[Vec<u8>]| {
            segments.iter().for_each(|segment| assert_eq!(device.try_send(&[segment]).unwrap(), 1));
            let mut seen = Vec::new();
            wait_until("the server answers", || {
                if device.try_recv(&mut batch).is_ok() {
                    let segments = batch.packets_mut().filter(|packet| packet.data()[9] == 6);
                    seen.extend(segments.map(|packet| {
                        let data = packet.data();
                        (u16::from_be_bytes([data[22], data[23]]), data[33])
                    }));
                }
                seen.iter().any(|(_, flags)| *flags == SYN | ACK)
            });
            seen
        };
        for (reset_unknown, port) in [(false, 40_000), (true, 50_000)] {
            let applied = nat(reset_unknown);
            // 192.0.2.3 does not exist, so nobody but this machine can answer for it.
            let seen = answers(&mut device, &[segment(3, port, ACK), segment(2, port + 1, SYN)]);
            let reset = seen.iter().any(|(to, flags)| *to == port && flags & RST != 0);
            assert_eq!(reset, reset_unknown, "{seen:?}");
            applied.remove().unwrap();
            assert_eq!(run("nft list ruleset"), "");
        }
    });
}

const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
