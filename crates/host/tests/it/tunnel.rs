//! What a tunnel puts on the machine, and that nothing of it stays.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use jumpvpn_host::{HostError, NatSpec, TUNNEL_MARK, TunnelNetwork, TunnelSpec};
use jumpvpn_tun::{Packet, PacketBatch, Tun, TunOptions};

use crate::netns::{PATIENCE, Peer, in_namespace_with_devices, run, wait_until, wait_until_gone};

fn tun(name: &str) -> Tun {
    Tun::create(name, &TunOptions { mtu: 1_420, offload: false, queues: 1 }).unwrap()
}

fn nets<T: std::str::FromStr<Err: std::fmt::Debug>>(texts: &[&str]) -> Vec<T> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn full_tunnel(ifname: &str, number: u8) -> TunnelSpec {
    TunnelSpec {
        ifname: ifname.to_owned(),
        addresses: nets(&[&format!("10.77.0.{number}/32"), &format!("fd77::{number}/128")]),
        mtu: 1_380,
        routes: nets(&["0.0.0.0/0", "::/0", "10.77.0.0/24"]),
        kill_switch: true,
        loose_reverse_path: true,
        ..TunnelSpec::default()
    }
}

fn gateway(ifname: &str) -> TunnelSpec {
    TunnelSpec {
        ifname: ifname.to_owned(),
        addresses: nets(&["10.77.0.1/24", "fd77::1/64"]),
        mtu: 1_420,
        nat: Some(NatSpec { sources: nets(&["10.77.0.1/24", "fd77::/64"]), ..NatSpec::default() }),
        forward: true,
        ..TunnelSpec::default()
    }
}

/// Everything a tunnel could have changed, but for the queue discipline and address generation mode of the tunnel
/// interface itself, which come with its first use and go with it. Lines are sorted within each command.
fn picture() -> Vec<String> {
    wait_until("addresses are settled", is_settled);
    let mut picture = Vec::new();
    for command in [
        "ip -d link",
        "ip addr",
        "ip route show table all",
        "ip -6 route show table all",
        "ip rule",
        "ip -6 rule",
        "nft list ruleset",
    ] {
        let mut text = run(command);
        for of_first_use in [" qdisc pfifo_fast", " qdisc noop", " addrgenmode none", " addrgenmode eui64"] {
            text = text.replace(of_first_use, "");
        }
        let mut lines: Vec<_> = text.lines().map(|line| format!("{command}: {line}")).collect();
        lines.sort();
        picture.extend(lines);
    }
    for key in ["ipv4/ip_forward", "ipv6/conf/all/forwarding", "ipv4/conf/all/rp_filter"] {
        let value = std::fs::read_to_string(format!("/proc/sys/net/{key}")).unwrap();
        picture.push(format!("{key} is {}", value.trim()));
    }
    picture
}

/// Whether the kernel uses all the IPv6 addresses it lists, which it begins to do a little later.
fn is_settled() -> bool {
    let local = run("ip -6 route show table local");
    run("ip -6 -o addr show up").lines().all(|line| {
        let address = line.split_whitespace().nth(3).and_then(|net| net.split('/').next()).unwrap();
        !line.contains("tentative") && local.contains(&format!("local {address} dev"))
    })
}

/// What the kernel removes by and by is given time.
#[track_caller]
fn assert_becomes(before: &[String]) {
    let mut after = picture();
    let began = Instant::now();
    while after != before && began.elapsed() < PATIENCE {
        after = picture();
    }
    let gone: Vec<_> = before.iter().filter(|line| !after.contains(line)).collect();
    let new: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
    assert!(after == before, "gone: {gone:#?}\nnew: {new:#?}");
}

#[track_caller]
fn assert_shows(picture: &[String], part: &str) {
    assert!(picture.iter().any(|line| line.contains(part)), "{part} in {picture:#?}");
}

#[track_caller]
fn assert_hides(picture: &[String], part: &str) {
    assert!(!picture.iter().any(|line| line.contains(part)), "{part} in {picture:#?}");
}

/// An uplink to a peer: 192.0.2.1 and 2001:db8::1 here, .2 there, default routes through the peer.
fn uplink() -> Peer {
    let peer = Peer::new();
    run("ip link add up0 type veth peer name up1");
    run(&format!("ip link set up1 netns {}", peer.netns()));
    run("ip addr add 192.0.2.1/24 dev up0");
    run("ip addr add 2001:db8::1/64 dev up0 nodad");
    run("ip link set up0 up");
    peer.command("ip addr add 192.0.2.2/24 dev up1");
    peer.command("ip addr add 2001:db8::2/64 dev up1 nodad");
    peer.command("ip link set up1 up");
    run("ip route add default via 192.0.2.2");
    run("ip -6 route add default via 2001:db8::2");
    wait_until("the uplink works", || run("ip link show up0").contains("LOWER_UP") && is_settled());
    peer.run(|| wait_until("the far end works", is_settled));
    peer
}

#[test]
fn what_was_applied_is_removed_without_a_trace() {
    in_namespace_with_devices(|| {
        let _peer = uplink();
        std::fs::write("/proc/sys/net/ipv4/conf/up0/rp_filter", "1").unwrap();
        let _tun = tun("jump0");
        let before = picture();
        for spec in
            [full_tunnel("jump0", 2), gateway("jump0"), TunnelSpec { kill_switch: true, ..gateway("jump0") }]
        {
            let applied = TunnelNetwork::apply(&spec).unwrap();
            assert_eq!(applied.warnings(), &[] as &[String]);
            let during = picture();
            assert_shows(&during, "table inet jumpvpn");
            assert_shows(&during, &format!("mtu {}", spec.mtu));
            applied.remove().unwrap();
            assert_becomes(&before);
            drop(TunnelNetwork::apply(&spec).unwrap());
            assert_becomes(&before);
            // The interface may be gone first.
            let short_lived = tun("jump9");
            let applied = TunnelNetwork::apply(&TunnelSpec { ifname: "jump9".to_owned(), ..spec }).unwrap();
            drop(short_lived);
            wait_until_gone("jump9");
            applied.remove().unwrap();
            assert_becomes(&before);
        }
    });
}

#[test]
fn the_tunnel_takes_all_but_the_local_networks_and_its_own_sockets() {
    in_namespace_with_devices(|| {
        let _peer = uplink();
        let _tun = tun("jump0");
        let _applied = TunnelNetwork::apply(&full_tunnel("jump0", 2)).unwrap();
        let leads_to = |destination: &str| run(&format!("ip route get {destination}"));
        for destination in ["198.51.100.7", "10.77.0.9", "2001:db8:1::7"] {
            assert!(leads_to(destination).contains("dev jump0"), "{}", leads_to(destination));
            let marked = format!("{destination} mark {TUNNEL_MARK}");
            if destination != "10.77.0.9" {
                assert!(leads_to(&marked).contains("dev up0"), "{}", leads_to(&marked));
            }
        }
        for destination in ["192.0.2.77", "2001:db8::77"] {
            assert!(leads_to(destination).contains("dev up0"), "{}", leads_to(destination));
        }
    });
}

/// Whether a datagram gets out to an address of the peer, marked or not.
fn gets_out(peer: &Peer, local: &str, remote: &str, mark: bool) -> bool {
    let remote: SocketAddr = remote.parse().unwrap();
    let server = peer.run(move || UdpSocket::bind(remote).unwrap());
    let remote = server.local_addr().unwrap();
    server.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let client = UdpSocket::bind(local).unwrap();
    if mark {
        mark_as_tunnel(&client);
    }
    let sent = client.send_to(b"x", remote).is_ok();
    let mut buffer = [0; 8];
    sent && server.recv(&mut buffer).is_ok()
}

fn mark_as_tunnel(socket: &UdpSocket) {
    socket2::SockRef::from(socket).set_mark(TUNNEL_MARK).unwrap();
}

#[test]
fn the_kill_switch_holds_also_after_a_crash_and_until_it_is_replaced() {
    in_namespace_with_devices(|| {
        let peer = uplink();
        let ways = [("0.0.0.0:0", "192.0.2.2:0"), ("[::]:0", "[2001:db8::2]:0")];
        let is_closed = || {
            for (local, remote) in ways {
                assert!(!gets_out(&peer, local, remote, false), "{remote} is open");
                assert!(gets_out(&peer, local, remote, true), "the tunnel itself cannot reach {remote}");
            }
        };
        let is_open = || assert!(ways.iter().all(|(local, remote)| gets_out(&peer, local, remote, false)));
        is_open();
        let before = picture();
        let spec = full_tunnel("jump0", 2);
        let device = tun("jump0");
        std::mem::forget(TunnelNetwork::apply(&spec).unwrap());
        is_closed();
        drop(device); // with the one above: what the kernel sees of a SIGKILL
        wait_until_gone("jump0");
        is_closed();
        let device = tun("jump0");
        let applied = TunnelNetwork::apply(&spec).unwrap();
        is_closed();
        assert!(run("ip route get 198.51.100.7").contains("dev jump0"));
        std::mem::forget(applied);
        // A new spec that the kernel refuses: 68 bytes is the least for IPv4.
        let ipv4 = nets(&["0.0.0.0/0"]);
        let refused = TunnelSpec { addresses: Vec::new(), routes: ipv4, mtu: 40, ..spec.clone() };
        TunnelNetwork::apply(&refused).unwrap_err();
        is_closed();
        drop(device);
        wait_until_gone("jump0");
        TunnelNetwork::sweep("jump0").unwrap();
        is_open();
        assert_becomes(&before);
    });
}

#[test]
fn a_sweep_removes_all_leftovers_and_is_idempotent() {
    in_namespace_with_devices(|| {
        let _peer = uplink();
        let before = picture();
        for spec in [full_tunnel("jump0", 2), gateway("jump0")] {
            let device = tun("jump0");
            std::mem::forget(TunnelNetwork::apply(&spec).unwrap());
            let in_use = TunnelNetwork::sweep("jump0");
            assert!(matches!(in_use, Err(HostError::Exists { .. })), "{in_use:?}");
            drop(device);
            wait_until_gone("jump0");
            for _ in 0..2 {
                TunnelNetwork::sweep("jump0").unwrap();
                assert_becomes(&before);
            }
        }
        run("ip tuntap add dev jump0 mode tun");
        TunnelNetwork::sweep("jump0").unwrap();
        assert_becomes(&before);
        run("ip link add jump0 type veth peer name other");
        let not_ours = TunnelNetwork::sweep("jump0");
        assert!(matches!(not_ours, Err(HostError::Exists { .. })), "{not_ours:?}");
    });
}

#[test]
fn two_tunnels_do_not_touch_each_other() {
    in_namespace_with_devices(|| {
        let _peer = uplink();
        std::fs::write("/proc/sys/net/ipv4/conf/up0/rp_filter", "1").unwrap();
        let (_tun0, mut tun1) = (tun("jump0"), Some(tun("jump1")));
        let bare = picture();
        let first = TunnelNetwork::apply(&TunnelSpec { forward: true, ..full_tunnel("jump0", 2) }).unwrap();
        let alone = picture();
        let routes = nets(&["0.0.0.0/0", "::/0", "10.78.0.0/24"]);
        let spec = TunnelSpec { forward: true, routes, ..full_tunnel("jump1", 3) };
        let second = TunnelNetwork::apply(&spec).unwrap();
        let both = picture();
        assert_shows(&both, "lookup 19030");
        assert_shows(&both, "lookup 19031");
        second.remove().unwrap();
        assert_becomes(&alone);
        // The one that came first goes first: what both need stays.
        let second = TunnelNetwork::apply(&spec).unwrap();
        first.remove().unwrap();
        let text = picture();
        assert_shows(&text, "ip_forward is 1");
        assert_shows(&text, "rp_filter is 2");
        assert!(run("ip route get 198.51.100.7").contains("dev jump1"));
        second.remove().unwrap();
        assert_becomes(&bare);
        // A killed one is cleared away by whoever comes next, a living one is not.
        std::mem::forget(TunnelNetwork::apply(&spec).unwrap());
        let first = TunnelNetwork::apply(&full_tunnel("jump0", 2)).unwrap();
        assert!(run("ip rule").contains("lookup 19031"));
        drop(tun1.take());
        wait_until_gone("jump1");
        TunnelNetwork::sweep("jump1").unwrap();
        let text = picture();
        assert_hides(&text, "jump1");
        assert_hides(&text, "lookup 19030");
        assert_shows(&text, "lookup 19031");
        first.remove().unwrap();
        assert_hides(&picture(), "lookup 190");
    });
}

#[test]
fn applying_again_replaces_and_a_failure_leaves_nothing() {
    in_namespace_with_devices(|| {
        let _peer = uplink();
        let _tun = tun("jump0");
        let before = picture();
        std::mem::forget(TunnelNetwork::apply(&full_tunnel("jump0", 2)).unwrap());
        let second = TunnelNetwork::apply(&full_tunnel("jump0", 9)).unwrap();
        let text = picture();
        assert_shows(&text, "10.77.0.9/32");
        assert_hides(&text, "10.77.0.2/32");
        assert_eq!(run("ip rule").matches("lookup 190").count(), 1, "{}", run("ip rule"));
        second.remove().unwrap();
        // The interface as the second one found it: up, as nobody took the first one down.
        run("ip link set jump0 mtu 1420 down");
        assert_becomes(&before);
        // 192.0.2.0/24 is the uplink's own network.
        let conflicting =
            TunnelSpec { routes: nets(&["0.0.0.0/0", "192.0.2.0/24"]), ..full_tunnel("jump0", 2) };
        let before = picture();
        let failed = TunnelNetwork::apply(&conflicting);
        assert!(matches!(failed, Err(HostError::Exists { .. })), "{failed:?}");
        assert_becomes(&before);
        let missing = TunnelNetwork::apply(&full_tunnel("jump7", 2));
        assert!(matches!(missing, Err(HostError::NotFound { .. })), "{missing:?}");
        assert_becomes(&before);
    });
}

#[test]
fn a_plain_tunnel_needs_no_packet_filter() {
    in_namespace_with_devices(|| {
        let _tun = tun("jump0");
        let plain = TunnelSpec {
            ifname: "jump0".to_owned(),
            addresses: nets(&["10.77.0.2/24"]),
            mtu: 1_420,
            routes: nets(&["10.77.0.0/24", "10.99.0.0/16"]),
            ..TunnelSpec::default()
        };
        let _applied = TunnelNetwork::apply(&plain).unwrap();
        assert_eq!(run("nft list ruleset"), "");
        assert!(run("ip route").contains("10.99.0.0/16 dev jump0"));
    });
}

#[test]
fn a_gateway_forwards_and_translates() {
    in_namespace_with_devices(|| {
        let peer = uplink();
        let mut device = tun("jump0");
        let _applied = TunnelNetwork::apply(&gateway("jump0")).unwrap();
        let server = peer.run(|| UdpSocket::bind("192.0.2.2:7000").unwrap());
        server.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        // 10.77.0.2:9 -> 192.0.2.2:7000, "x"; UDP checksum left out.
        let mut packet = vec![0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0, 0, 10, 77, 0, 2, 192, 0, 2, 2];
        let sum: u32 = packet.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        let folded = (sum & 0xffff) + (sum >> 16);
        packet[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
        packet.extend([0, 9, 0x1b, 0x58, 0, 9, 0, 0, b'x']);
        assert_eq!(device.try_send(&[&packet]).unwrap(), 1);
        let mut buffer = [0; 8];
        let (len, from) = server.recv_from(&mut buffer).unwrap();
        assert_eq!((len, from.ip().to_string().as_str()), (1, "192.0.2.1"));
        // And back again, to the inner address.
        server.send_to(b"back", from).unwrap();
        let mut batch = PacketBatch::new(8, 1_420);
        wait_until("the answer comes", || {
            let is_answer = |packet: Packet<'_>| {
                packet.data().ends_with(b"back") && packet.data()[16..20] == [10, 77, 0, 2]
            };
            device.try_recv(&mut batch).is_ok() && batch.packets_mut().any(is_answer)
        });
    });
}
