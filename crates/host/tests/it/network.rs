//! Single changes, and what is said when they are refused.

use jumpvpn_host::{Family, HostError, Network, RouteSpec, RuleSpec};

use crate::netns::{in_namespace, run};

fn route(destination: &str, oif: Option<u32>, table: u32) -> RouteSpec {
    RouteSpec { destination: destination.parse().unwrap(), via: None, oif, table, metric: None, source: None }
}

#[test]
fn links_addresses_and_mtu_can_be_set() {
    in_namespace(|| {
        run("ip link add up0 type veth peer name up1");
        let mut network = Network::open().unwrap();
        let index = network.link_index("up0").unwrap();
        network.set_mtu(index, 1_380).unwrap();
        network.add_address(index, "10.77.0.2/24".parse().unwrap()).unwrap();
        network.add_address(index, "fd77::2/64".parse().unwrap()).unwrap();
        network.set_link_up(index).unwrap();
        let text = run("ip addr show up0");
        for part in ["mtu 1380", "inet 10.77.0.2/24", "inet6 fd77::2/64", ",UP"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("tentative"), "{text}");
        network.delete_address(index, "fd77::2/64".parse().unwrap()).unwrap();
        assert!(!run("ip addr show up0").contains("fd77"));
        network.flush_addresses(index).unwrap();
        network.set_link_down(index).unwrap();
        let text = run("ip addr show up0");
        assert!(!text.contains("inet") && !text.contains(",UP"), "{text}");
        network.delete_link(index).unwrap();
        assert!(matches!(network.link_index("up0"), Err(HostError::NotFound { .. })));
    });
}

#[test]
fn routes_can_be_added_listed_and_removed() {
    in_namespace(|| {
        run("ip link add up0 type veth peer name up1");
        run("ip addr add 192.0.2.1/24 dev up0");
        run("ip addr add 2001:db8::1/64 dev up0 nodad");
        run("ip link set up0 up");
        let mut network = Network::open().unwrap();
        let oif = network.link_index("up0").ok();
        let routes = [
            route("10.77.0.0/16", oif, 254),
            route("fd77::/48", oif, 254),
            route("0.0.0.0/0", oif, 0x4a56),
            route("::/0", oif, 0x4a56),
            RouteSpec {
                via: "192.0.2.254".parse().ok(),
                metric: Some(50),
                source: "192.0.2.1".parse().ok(),
                ..route("198.51.100.0/24", oif, 1_000)
            },
        ];
        for one in &routes {
            network.add_route(one).unwrap();
            let again = network.add_route(one);
            assert!(matches!(again, Err(HostError::Exists { .. })), "{again:?}");
        }
        let listed = network.routes().unwrap();
        for one in &routes {
            let same = |other: &&RouteSpec| {
                RouteSpec { metric: Some(one.effective_metric()), ..*one }
                    == RouteSpec { metric: Some(other.effective_metric()), ..**other }
            };
            assert!(listed.iter().any(|other| same(&other)), "{one:?} in {listed:?}");
            network.delete_route(one).unwrap();
            let again = network.delete_route(one);
            assert!(matches!(again, Err(HostError::NotFound { .. })), "{again:?}");
        }
    });
}

#[test]
fn rules_can_be_added_listed_and_removed() {
    in_namespace(|| {
        let mut network = Network::open().unwrap();
        let before = network.rules().unwrap();
        for family in Family::BOTH {
            let rules = [
                RuleSpec {
                    family,
                    priority: 100,
                    table: 0x4a56,
                    fwmark: Some(0x4a56),
                    invert: true,
                    suppress_prefixlength: None,
                },
                RuleSpec {
                    family,
                    priority: 99,
                    table: 254,
                    fwmark: None,
                    invert: false,
                    suppress_prefixlength: Some(0),
                },
            ];
            for rule in &rules {
                network.add_rule(rule).unwrap();
                assert!(matches!(network.add_rule(rule), Err(HostError::Exists { .. })));
                assert!(network.rules().unwrap().contains(rule), "{:?}", network.rules());
            }
            let text = run(if family == Family::V4 { "ip rule" } else { "ip -6 rule" });
            assert!(text.contains("not from all fwmark 0x4a56 lookup 19030"), "{text}");
            assert!(text.contains("lookup main suppress_prefixlength 0"), "{text}");
            for rule in &rules {
                network.delete_rule(rule).unwrap();
                assert!(matches!(network.delete_rule(rule), Err(HostError::NotFound { .. })));
            }
        }
        assert_eq!(network.rules().unwrap(), before);
    });
}

#[test]
fn a_refusal_carries_the_explanation_of_the_kernel() {
    in_namespace(|| {
        let mut network = Network::open().unwrap();
        let unreachable = RouteSpec { via: "192.0.2.9".parse().ok(), ..route("10.0.0.0/8", None, 254) };
        let error = network.add_route(&unreachable).unwrap_err().to_string();
        assert!(error.contains("add the route to 10.0.0.0/8 via 192.0.2.9"), "{error}");
        assert!(error.contains("Nexthop has invalid gateway"), "{error}");
        let none = rustix::thread::CapabilitySet::empty();
        let sets = rustix::thread::CapabilitySets { effective: none, permitted: none, inheritable: none };
        rustix::thread::set_capabilities(None, sets).unwrap();
        let denied = Network::open().unwrap().set_link_down(1);
        assert!(matches!(denied, Err(HostError::PermissionDenied { .. })), "{denied:?}");
    });
}
