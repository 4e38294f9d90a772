//! A gateway on a flat site: whom the neighbours take for the place of an inner address.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use jumpvpn_host::{DeadMan, FlatSite, HostError, TunnelNetwork, TunnelSpec, clock};

use crate::netns::{Peer, in_namespace, run, try_run, wait_until};

const V4: &str = "192.0.2.130";
const V6: &str = "2001:db8:0:0:8000::2";
/// The gateway that had the session before.
const BEFORE: &str = "02:00:00:00:00:aa";

fn addresses() -> [IpAddr; 2] {
    [V4, V6].map(|text| text.parse().unwrap())
}

/// The inner networks: a part of the site's each.
fn networks() -> [IpNet; 2] {
    ["192.0.2.129/25", "2001:db8:0:0:8000::1/65"].map(|text| text.parse().unwrap())
}

/// The site taken over by a gateway that shares its store with nobody.
fn taken_over() -> FlatSite {
    let mut site = FlatSite::open("site0").unwrap();
    site.take_over(&networks(), false).unwrap();
    site
}

fn proxies() -> String {
    run("ip neigh show proxy") + &run("ip -6 neigh show proxy")
}

/// A gateway (here) and a machine of the site (the peer) on one link; sessions' addresses lead away from it here.
fn site() -> Peer {
    let peer = Peer::new();
    run("ip link add site0 type veth peer name site1");
    run(&format!("ip link set site1 netns {}", peer.netns()));
    run("ip addr add 192.0.2.2/24 dev site0");
    run("ip addr add 2001:db8::2/64 dev site0 nodad");
    run("ip link set site0 up");
    for line in [
        "ip addr add 192.0.2.50/24 dev site1",
        "ip addr add 2001:db8::50/64 dev site1 nodad",
        "ip link set site1 up",
    ] {
        peer.command(line);
    }
    // In place of the tunnel's interface.
    run("ip link add behind0 type veth peer name behind1");
    run("ip link set behind0 up");
    run("ip link set behind1 up");
    run(&format!("ip route add {V4}/32 dev behind0"));
    run(&format!("ip -6 route add {V6}/128 dev behind0"));
    for switch in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        std::fs::write(format!("/proc/sys/net/{switch}"), "1").unwrap();
    }
    wait_until("the link works", || {
        let usable = |text: &str| !text.contains("tentative") && text.contains("fe80::");
        usable(&run("ip -6 addr show dev site0"))
            && peer.run(move || usable(&run("ip -6 addr show dev site1")))
    });
    peer
}

fn hardware_address(interface: &str) -> String {
    let line = run(&format!("ip -o link show {interface}"));
    line.split("link/ether ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned()
}

/// Whom the site's machine takes for the place of `address`; it asks when it does not know.
fn known(peer: &Peer, address: &'static str, ask: bool) -> String {
    peer.run(move || {
        if ask {
            try_run(&format!("ping -c 1 -W 1 {address}"));
        }
        run(&format!("ip neigh show {address} dev site1"))
    })
}

#[test]
fn neighbours_are_told_who_has_a_session_now() {
    in_namespace(|| {
        let peer = site();
        let ours = hardware_address("site0");
        for address in [V4, V6] {
            peer.command(&format!("ip neigh add {address} lladdr {BEFORE} dev site1 nud stale"));
        }
        let mut site = taken_over();
        assert_eq!(site.warnings(), [] as [String; 0]);
        for address in [V4, V6] {
            assert!(known(&peer, address, false).contains(BEFORE));
        }
        site.set(&addresses(), &[]).unwrap();
        for address in [V4, V6] {
            wait_until("the announcement has arrived", || known(&peer, address, false).contains(&ours));
        }
        // It is said again, for whoever has missed it, and then no more.
        for repeated in [true, true, false] {
            for address in [V4, V6] {
                peer.command(&format!("ip neigh change {address} lladdr {BEFORE} dev site1 nud stale"));
            }
            site.tick();
            if repeated {
                for address in [V4, V6] {
                    wait_until("it is said again", || known(&peer, address, false).contains(&ours));
                }
            } else {
                // Another address's announcement comes behind whatever would have been sent.
                site.set(&["192.0.2.131".parse().unwrap()], &[]).unwrap();
                peer.command("ip neigh add 192.0.2.131 lladdr 02:00:00:00:00:bb dev site1 nud stale");
                site.tick();
                wait_until("the other one is told", || known(&peer, "192.0.2.131", false).contains(&ours));
                assert!(known(&peer, V4, false).contains(BEFORE));
            }
        }
    });
}

#[test]
fn who_asks_for_a_session_finds_its_owner_and_nobody_else() {
    in_namespace(|| {
        let peer = site();
        let ours = hardware_address("site0");
        let mut site = taken_over();
        for address in [V4, V6] {
            let answer = known(&peer, address, true);
            assert!(!answer.contains("lladdr"), "nobody answers for {address}: {answer}");
        }
        site.set(&addresses(), &[]).unwrap();
        for address in [V4, V6] {
            wait_until("the owner answers", || known(&peer, address, true).contains(&ours));
        }
        site.set(&[], &addresses()).unwrap();
        peer.command("ip neigh flush dev site1");
        for address in [V4, V6] {
            let answer = known(&peer, address, true);
            assert!(!answer.contains("lladdr"), "no longer: {answer}");
        }
    });
}

#[test]
fn what_a_killed_gateway_answered_for_is_gone_with_the_next_start() {
    in_namespace(|| {
        let _peer = site();
        run("ip neigh add proxy 192.0.2.200 dev site0");
        let somebody_elses = proxies();
        let mut killed = taken_over();
        killed.set(&addresses(), &[]).unwrap();
        let both = proxies();
        assert!(addresses().iter().all(|address| both.contains(&address.to_string())), "{both}");
        drop(killed);
        let mut site = FlatSite::open("site0").unwrap();
        assert_eq!(proxies(), both, "a start that is refused later has changed nothing");
        site.take_over(&networks(), false).unwrap();
        assert_eq!(proxies(), somebody_elses);
        site.set(&addresses(), &[]).unwrap();
        // What others have this machine answer for stays theirs.
        let theirs: IpAddr = "192.0.2.200".parse().unwrap();
        assert!(matches!(site.set(&[theirs], &[]), Err(HostError::Exists { .. })));
        site.set(&[], &[theirs]).unwrap();
        assert_eq!(proxies(), both);
        site.clear().unwrap();
        assert_eq!(proxies(), somebody_elses);
    });
}

/// Killed or paused, a gateway takes back nothing: the kernel has to be silent for it.
#[test]
fn without_a_beating_heart_nothing_is_said_of_a_session() {
    in_namespace(|| {
        let peer = site();
        let ours = hardware_address("site0");
        // As a tunnel: any interface does.
        let spec =
            TunnelSpec { ifname: "behind0".into(), mtu: 1420, dead_man: true, ..TunnelSpec::default() };
        let _tunnel = TunnelNetwork::apply(&spec).unwrap();
        run(&format!("ip route replace {V4}/32 dev behind0"));
        run(&format!("ip -6 route replace {V6}/128 dev behind0"));
        let mut site = FlatSite::open("site0").unwrap();
        site.take_over(&networks(), true).unwrap();
        let heart = DeadMan::of("behind0").unwrap().on_site(Some("site0"));
        site.set(&addresses(), &[]).unwrap();
        let silent = |site: &mut FlatSite, when: &str| {
            peer.command("ip neigh flush dev site1");
            for address in [V4, V6] {
                peer.command(&format!("ip neigh replace {address} lladdr {BEFORE} dev site1 nud stale"));
            }
            // An announcement is due; what cannot be sent stays due.
            site.tick();
            site_says_something_else(&peer, &ours);
            for address in [V4, V6] {
                assert!(known(&peer, address, false).contains(BEFORE), "{address} is announced {when}");
            }
            peer.command("ip neigh flush dev site1");
            for address in [V4, V6] {
                assert!(!known(&peer, address, true).contains(&ours), "{address} is answered for {when}");
            }
        };
        silent(&mut site, "before the first beat");
        heart.arm(clock::boottime() + Duration::from_secs(50)).unwrap();
        site.tick();
        for address in [V4, V6] {
            wait_until("it is said", || known(&peer, address, false).contains(&ours));
        }
        heart.arm(clock::boottime()).unwrap();
        silent(&mut site, "after the last");
        heart.arm(clock::boottime() + Duration::from_millis(300)).unwrap();
        wait_until("the beat is over", || !run("nft list table netdev jumpvpn_site").contains("expires"));
        silent(&mut site, "when nobody renews it");
        // Nobody's route is needed for an answer in IPv6, so its absence keeps nobody silent.
        run(&format!("ip route del {V4}/32 dev behind0"));
        run(&format!("ip -6 route del {V6}/128 dev behind0"));
        silent(&mut site, "without a route");
        site.clear().unwrap();
        assert!(!try_run("nft list table netdev jumpvpn_site").0);
    });
}

/// The link works, and what is no session's is spoken of as ever: whatever was to come has come after this.
fn site_says_something_else(peer: &Peer, ours: &str) {
    for address in ["192.0.2.2", "2001:db8::2"] {
        wait_until("the machine itself is found", || known(peer, address, true).contains(ours));
    }
}

#[test]
fn switches_are_turned_back() {
    in_namespace(|| {
        let _peer = site();
        let value = |key: &str| std::fs::read_to_string(format!("/proc/sys/net/{key}")).unwrap();
        let all = || {
            ["ipv6/conf/site0/proxy_ndp", "ipv4/neigh/site0/proxy_delay", "ipv6/neigh/site0/proxy_delay"]
                .map(value)
        };
        let before = all();
        let mut site = taken_over();
        assert_eq!(all().map(|value| value.trim().to_owned()), ["1", "0", "0"]);
        site.clear().unwrap();
        assert_eq!(all(), before);
    });
}

#[test]
fn an_interface_without_neighbours_is_refused() {
    in_namespace(|| {
        let refused = FlatSite::open("none0").err().unwrap();
        assert!(matches!(refused, HostError::NotFound { .. }), "{refused}");
        let refused = FlatSite::open("lo").err().unwrap();
        assert!(matches!(refused, HostError::Invalid(_)), "{refused}");
    });
}
