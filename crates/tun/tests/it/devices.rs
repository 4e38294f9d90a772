//! Creating devices, and what is said when that fails.

use std::io::ErrorKind;
use std::net::UdpSocket;

use jumpvpn_tun::{PacketBatch, Tap, Tun, TunError, TunOptions};

use crate::netns::{in_namespace_with_devices, run, wait_until_gone};

const PLAIN: TunOptions = TunOptions { mtu: 1_420, offload: false, queues: 1 };

#[test]
fn a_device_lives_as_long_as_its_value() {
    in_namespace_with_devices(|| {
        let tun = Tun::create("jump0", &PLAIN).unwrap();
        assert_eq!(tun.name(), "jump0");
        let text = run("ip link show jump0");
        assert!(text.starts_with(&format!("{}: jump0:", tun.index())), "{text}");
        assert!(text.contains("mtu 1420"), "{text}");
        drop(tun);
        wait_until_gone("jump0");
    });
}

#[test]
fn each_failure_says_what_it_is() {
    in_namespace_with_devices(|| {
        let _tun = Tun::create("jump0", &PLAIN).unwrap();
        let multi = TunOptions { queues: 2, ..PLAIN };
        for options in [PLAIN, multi] {
            let again = Tun::create("jump0", &options);
            assert!(matches!(again, Err(TunError::Busy { .. })), "{again:?}");
        }
        run("ip link add veth0 type veth peer name veth1");
        let other_kind = Tun::create("veth0", &PLAIN);
        assert!(matches!(other_kind, Err(TunError::Busy { .. })), "{other_kind:?}");
        for name in ["", "a name", "much-too-long-name", "jump%d", "a/b", ".."] {
            let invalid = Tun::create(name, &PLAIN);
            assert!(matches!(invalid, Err(TunError::InvalidName { .. })), "{invalid:?}");
        }
        let none = rustix::thread::CapabilitySet::empty();
        let sets = rustix::thread::CapabilitySets { effective: none, permitted: none, inheritable: none };
        rustix::thread::set_capabilities(None, sets).unwrap();
        let denied = Tun::create("jump1", &PLAIN);
        assert!(matches!(denied, Err(TunError::PermissionDenied { .. })), "{denied:?}");
    });
}

#[test]
fn packets_go_both_ways_without_offload_and_long_ones_are_counted() {
    in_namespace_with_devices(|| {
        let mut tun = Tun::create("jump0", &PLAIN).unwrap();
        run("ip addr add 10.77.0.1/24 dev jump0");
        run("ip link set jump0 up");
        let socket = UdpSocket::bind("10.77.0.1:4000").unwrap();
        socket.connect("10.77.0.2:5000").unwrap();
        let mut batch = PacketBatch::new(4, 200);
        let empty = |tun: &mut Tun, batch: &mut PacketBatch| {
            // The kernel's own packets (router solicitations) may come too.
            while tun.try_recv(batch).is_ok() {}
            tun.try_recv(batch).unwrap_err().kind()
        };
        assert_eq!(empty(&mut tun, &mut batch), ErrorKind::WouldBlock);
        socket.send(&[7; 172]).unwrap();
        assert_eq!(tun.try_recv(&mut batch).unwrap(), 1);
        let mut packet = batch.packets_mut().next().unwrap();
        assert_eq!((packet.len(), packet.data()[199]), (200, 7));
        assert_eq!(packet.buffer_mut().len(), 232);
        let mut answer = packet.data().to_vec();
        // Swapping addresses and ports changes no checksum.
        answer[12..20].rotate_left(4);
        answer[20..24].rotate_left(2);
        let drops_before = tun.counters().read_drops;
        socket.send(&[7; 173]).unwrap();
        assert_eq!(empty(&mut tun, &mut batch), ErrorKind::WouldBlock);
        assert_eq!(tun.counters().read_drops - drops_before, 1);
        assert_eq!(tun.try_send(&[&answer, &[0xff; 3]]).unwrap(), 1);
        assert_eq!(tun.counters().write_drops, 1);
        let mut buffer = [0; 300];
        assert_eq!(socket.recv(&mut buffer).unwrap(), 172);
    });
}

#[test]
fn a_device_that_is_down_or_gone_is_an_error() {
    in_namespace_with_devices(|| {
        let mut tun = Tun::create("jump0", &TunOptions { offload: true, ..PLAIN }).unwrap();
        let packet = [0x45_u8; 20];
        assert_eq!(tun.try_send(&[&packet]).unwrap_err().raw_os_error(), Some(5), "EIO");
        run("ip link del jump0");
        let mut batch = PacketBatch::new(4, 1_420);
        assert!(tun.try_recv(&mut batch).is_err_and(|error| error.kind() != ErrorKind::WouldBlock));
        assert!(tun.try_send(&[&packet]).is_err());
    });
}

#[test]
fn several_queues_share_a_device() {
    in_namespace_with_devices(|| {
        let first = Tun::create("jump0", &TunOptions { mtu: 1_420, offload: true, queues: 2 }).unwrap();
        let second = first.open_queue().unwrap();
        assert_eq!(first.index(), second.index());
        drop(first);
        assert!(run("ip link show").contains("jump0"));
        drop(second);
        wait_until_gone("jump0");
    });
}

#[test]
fn a_tap_carries_frames_and_its_cable_can_be_pulled() {
    in_namespace_with_devices(|| {
        let tap = Tap::create("tap0").unwrap();
        run("ip link set tap0 up");
        assert!(run("ip link show tap0").contains("LOWER_UP"));
        tap.set_carrier(false).unwrap();
        assert!(run("ip link show tap0").contains("NO-CARRIER"));
        tap.set_carrier(true).unwrap();
        assert!(run("ip link show tap0").contains("LOWER_UP"));
        let mut frame = [0; 1_514];
        while tap.try_recv(&mut frame).is_ok() {}
        assert_eq!(tap.try_recv(&mut frame).unwrap_err().kind(), ErrorKind::WouldBlock);
        run("ip addr add 192.0.2.1/24 dev tap0");
        let socket = UdpSocket::bind("192.0.2.1:0").unwrap();
        socket.send_to(b"x", "192.0.2.2:9").unwrap();
        let is_arp = |frame: &[u8]| frame[12..14] == [0x08, 0x06];
        let found = std::iter::from_fn(|| tap.try_recv(&mut frame).ok().map(|len| is_arp(&frame[..len])));
        assert!(found.into_iter().any(|arp| arp), "the kernel asks who has 192.0.2.2");
        tap.try_send(&[0; 60]).unwrap();
    });
}
