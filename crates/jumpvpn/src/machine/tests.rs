//! Tests of which addresses a daemon can ask for.

use super::*;

fn asked(texts: &[&str]) -> Vec<(IpAddr, u8)> {
    nets(texts).iter().map(|network| (network.addr(), network.prefix_len())).collect()
}

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn machine(addresses: &[&str]) -> Machine {
    Machine::new(TunnelSpec { addresses: nets(addresses), ..TunnelSpec::default() }, None)
}

#[test]
fn an_agents_addresses_bring_no_network() {
    let agent = machine(&[]);
    assert_eq!(agent.granted(&[]), Ok(Vec::new()), "before the first session");
    let granted = agent.granted(&asked(&["10.77.0.2/1", "fd77::2/64"]));
    assert_eq!(granted, Ok(nets(&["10.77.0.2/32", "fd77::2/128"])));
    for wrong in
        ["127.0.0.1/32", "0.0.0.0/0", "224.0.0.1/32", "255.255.255.255/32", "::1/128", "::/0", "ff02::1/128"]
    {
        agent.granted(&asked(&[wrong])).unwrap_err();
    }
    agent.granted(&asked(&["10.77.0.2/32", "10.77.0.3/32"])).unwrap_err();
    agent.granted(&asked(&["fd77::2/64", "10.77.0.2/32", "fd77::3/64"])).unwrap_err();
}

#[test]
fn a_gateways_addresses_are_the_configured_ones() {
    let configured = ["10.77.0.1/24", "10.78.0.1/24", "fd77::1/64"];
    let gateway = machine(&configured);
    assert_eq!(gateway.granted(&asked(&configured)), Ok(nets(&configured)));
    for others in [&[][..], &["10.77.0.1/24"], &["10.77.0.1/8", "10.78.0.1/24", "fd77::1/64"]] {
        gateway.granted(&asked(others)).unwrap_err();
    }
}

#[test]
fn only_sessions_addresses_get_routes() {
    let gateway = machine(&["10.77.0.1/24", "fd77::1/64"]);
    let asked = |text: &str| gateway.are_sessions([text.parse().unwrap()]);
    for right in ["10.77.0.2", "10.77.0.254", "fd77::2"] {
        asked(right).unwrap();
    }
    for wrong in ["10.77.0.1", "fd77::1", "10.78.0.2", "192.0.2.1", "fd78::2", "127.0.0.1", "::1"] {
        asked(wrong).unwrap_err();
    }
    let mut agent = machine(&[]);
    let refused = agent.set_inner_routes(&[("10.77.0.2".parse().unwrap(), 1)], &[]).unwrap_err();
    assert!(refused.message.contains("10.77.0.2"), "{refused:?}");
}
