//! What is noticed, and how soon.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use jumpvpn_host::{Changed, LinkMonitor, Loss};
use jumpvpn_tun::Tap;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::netns::{Peer, in_namespace, in_namespace_with_devices, run, wait_until};

/// Waits until `wanted` is among the losses; returns all losses until then and the time it took.
fn wait_for_loss(monitor: &mut LinkMonitor, wanted: &Loss) -> (Vec<Loss>, Duration) {
    let began = Instant::now();
    let mut losses = Vec::new();
    while !losses.contains(wanted) {
        assert!(began.elapsed() < Duration::from_secs(60), "{wanted:?} did not come, only {losses:?}");
        let mut fds = [PollFd::new(monitor, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 1, tv_nsec: 0 })).unwrap();
        match monitor.try_changed().unwrap() {
            Changed::Some(changes) => losses.extend(changes.losses),
            Changed::None => {}
            Changed::Overrun => panic!("overrun"),
        }
    }
    (losses, began.elapsed())
}

fn drain(monitor: &mut LinkMonitor) {
    while monitor.try_changed().unwrap() != Changed::None {}
}

/// Waits until `interface` can carry packets; the kernel works changes of links off a little later.
fn wait_until_up(monitor: &mut LinkMonitor, interface: &str) {
    let is_up = || monitor.snapshot().unwrap().link_named(interface).is_some_and(|link| link.up);
    wait_until("the link is up", is_up);
}

#[test]
fn a_snapshot_shows_what_is_there() {
    in_namespace(|| {
        let mut monitor = LinkMonitor::new().unwrap();
        run("ip link add up0 mtu 1400 type veth peer name up1");
        run("ip addr add 192.0.2.1/24 dev up0");
        run("ip addr add 169.254.7.7/16 dev up0");
        run("ip addr add 2001:db8::1/64 dev up0 nodad");
        run("ip addr add 2001:db8::dead/64 dev up0 nodad preferred_lft 0");
        run("ip link set up0 up");
        let link = |monitor: &mut LinkMonitor| monitor.snapshot().unwrap().link_named("up0").unwrap().clone();
        assert!(!link(&mut monitor).up, "the other end is down: no carrier");
        run("ip link set up1 up");
        wait_until_up(&mut monitor, "up0");
        run("ip route add default via 192.0.2.254 dev up0 metric 600");
        run("ip route add default via 192.0.2.253 dev up0 metric 700");
        run("ip route add default via 192.0.2.252 dev up0 table 77");
        run("ip -6 route add default via fe80::1 dev up0");
        let seen = link(&mut monitor);
        assert_eq!((seen.mtu, seen.kind.as_str(), seen.loopback), (1_400, "veth", false));
        let addresses: Vec<_> = seen.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["192.0.2.1/24", "2001:db8::1/64"]);
        let (v4, v6) = (seen.default_v4.unwrap(), seen.default_v6.unwrap());
        assert_eq!((v4.gateway.unwrap().to_string(), v4.metric), ("192.0.2.254".into(), 600));
        assert_eq!((v6.gateway.unwrap().to_string(), v6.metric), ("fe80::1".into(), 1_024));
        let snapshot = monitor.snapshot().unwrap();
        assert!(snapshot.link_named("lo").unwrap().loopback);
        assert!(!snapshot.link_named("up1").unwrap().has_default_v4());
    });
}

#[test]
fn default_routes_over_several_next_hops_count_for_each_link() {
    in_namespace(|| {
        for number in 0..2 {
            run(&format!("ip link add up{number} type veth peer name peer{number}"));
            run(&format!("ip addr add 192.0.{number}.1/24 dev up{number}"));
            run(&format!("ip link set up{number} up"));
            run(&format!("ip link set peer{number} up"));
        }
        run("ip route add default nexthop via 192.0.0.9 dev up0 nexthop via 192.0.1.9 dev up1");
        let snapshot = LinkMonitor::new().unwrap().snapshot().unwrap();
        for (name, gateway) in [("up0", "192.0.0.9"), ("up1", "192.0.1.9")] {
            let route = snapshot.link_named(name).unwrap().default_v4.unwrap();
            assert_eq!(route.gateway.unwrap().to_string(), gateway);
        }
    });
}

#[test]
fn a_pulled_cable_is_a_lost_carrier() {
    in_namespace_with_devices(|| {
        let tap = Tap::create("up0").unwrap();
        run("ip addr add 192.0.2.1/24 dev up0");
        run("ip link set up0 up");
        let mut monitor = LinkMonitor::new().unwrap();
        wait_until_up(&mut monitor, "up0");
        drain(&mut monitor);
        tap.set_carrier(false).unwrap();
        let (losses, elapsed) = wait_for_loss(&mut monitor, &Loss::CarrierLost { index: tap.index() });
        assert_eq!(losses.len(), 1, "{losses:?}");
        println!("carrier loss was reported after {elapsed:?}");
        let snapshot = monitor.snapshot().unwrap();
        let link = snapshot.link(tap.index()).unwrap();
        assert!(!link.up && link.admin_up && !link.carrier);
        assert_eq!(link.addresses.len(), 1, "the address stays");
    });
}

#[test]
fn the_other_end_of_a_link_going_down_is_a_lost_carrier() {
    in_namespace(|| {
        let peer = Peer::new();
        run("ip link add up0 type veth peer name up1");
        run(&format!("ip link set up1 netns {}", peer.netns()));
        run("ip link set up0 up");
        peer.command("ip link set up1 up");
        let mut monitor = LinkMonitor::new().unwrap();
        wait_until_up(&mut monitor, "up0");
        let index = monitor.snapshot().unwrap().link_named("up0").unwrap().index;
        drain(&mut monitor);
        peer.command("ip link set up1 down");
        wait_for_loss(&mut monitor, &Loss::CarrierLost { index });
    });
}

#[test]
fn each_loss_is_told_apart() {
    in_namespace(|| {
        run("ip link add up0 type veth peer name up1");
        run("ip link set up1 up");
        run("ip link set up0 up");
        let mut monitor = LinkMonitor::new().unwrap();
        wait_until_up(&mut monitor, "up0");
        let index = monitor.snapshot().unwrap().link_named("up0").unwrap().index;
        run("ip addr add 192.0.2.1/24 dev up0");
        run("ip addr add 2001:db8::1/64 dev up0 nodad");
        run("ip route add default via 192.0.2.254");
        run("ip -6 route add default via 2001:db8::fe dev up0");
        drain(&mut monitor);
        run("ip route del default");
        wait_for_loss(&mut monitor, &Loss::DefaultRouteRemoved { index, ipv6: false });
        run("ip -6 route del default");
        wait_for_loss(&mut monitor, &Loss::DefaultRouteRemoved { index, ipv6: true });
        for address in ["192.0.2.1", "2001:db8::1"] {
            run(&format!("ip addr del {address}/{} dev up0", if address.contains(':') { 64 } else { 24 }));
            let address: IpAddr = address.parse().unwrap();
            wait_for_loss(&mut monitor, &Loss::AddressRemoved { index, address });
        }
        run("ip link set up0 down");
        wait_for_loss(&mut monitor, &Loss::LinkDown { index });
        run("ip link set up0 mtu 1400");
        run("ip link del up0");
        let (losses, _) = wait_for_loss(&mut monitor, &Loss::LinkRemoved { index });
        assert!(!losses.contains(&Loss::LinkDown { index }), "it was down already: {losses:?}");
    });
}

#[test]
fn additions_are_changes_but_no_losses() {
    in_namespace(|| {
        let mut monitor = LinkMonitor::new().unwrap();
        assert_eq!(monitor.try_changed().unwrap(), Changed::None);
        run("ip link add up0 type veth peer name up1");
        run("ip addr add 192.0.2.1/24 dev up0");
        let mut gains = 0;
        while let Changed::Some(changes) = monitor.try_changed().unwrap() {
            assert_eq!(changes.losses, []);
            gains += usize::from(changes.gains);
        }
        assert!(gains >= 3, "two links and an address, but {gains}");
    });
}

#[test]
fn lost_messages_are_told() {
    in_namespace(|| {
        let mut monitor = LinkMonitor::with_queue(1).unwrap();
        for number in 0..200 {
            run(&format!("ip addr add 192.0.2.{number}/32 dev lo"));
        }
        let mut overruns = 0;
        loop {
            match monitor.try_changed().unwrap() {
                Changed::None => break,
                Changed::Overrun => overruns += 1,
                Changed::Some(_) => {}
            }
        }
        assert_eq!(overruns, 1);
        assert_eq!(monitor.snapshot().unwrap().link_named("lo").unwrap().addresses.len(), 200);
    });
}
