//! Good and bad texts of every kind.

use super::*;

#[test]
fn listeners() {
    assert_eq!(listener("udp://0.0.0.0:4747"), Ok((Scheme::Udp, "0.0.0.0:4747".parse().unwrap())));
    assert_eq!(listener("tls://[::]:8443"), Ok((Scheme::Tls, "[::]:8443".parse().unwrap())));
    for bad in
        ["0.0.0.0:4747", "sctp://0.0.0.0:1", "udp://0.0.0.0", "udp://0.0.0.0:0", "udp://gw:1", "udp://"]
    {
        assert!(listener(bad).is_err(), "{bad}");
    }
}

#[test]
fn endpoints() {
    for good in
        ["udp://192.0.2.10:4747", "udp://[2001:db8::1]:4747", "tcp://gw.example.org:443", "tls://gw:8443"]
    {
        assert_eq!(endpoint(good).unwrap().to_string(), good);
    }
    for bad in [
        "192.0.2.10:4747",
        "http://192.0.2.10:4747",
        "udp://192.0.2.10",
        "udp://192.0.2.10:0",
        "udp://192.0.2.10:65536",
        "udp://192.0.2.300:4747",
        "udp://0.0.0.0:4747",
        "udp://[::]:4747",
        "udp://2001:db8::1:4747",
        "udp://-gw.example.org:1",
        "udp://gw..example.org:1",
        "udp://gw example:1",
        "udp://:1",
    ] {
        assert!(endpoint(bad).is_err(), "{bad}");
    }
    assert!(endpoint(&format!("udp://{}:1", "a.".repeat(200))).is_err());
}

#[test]
fn addresses_resolve_without_a_resolver() {
    let endpoint = endpoint("udp://[2001:db8::1]:4747").unwrap();
    assert_eq!(endpoint.resolve().unwrap(), vec!["[2001:db8::1]:4747".parse().unwrap()]);
}

#[test]
fn networks() {
    assert_eq!(network("10.77.0.1/24").unwrap().to_string(), "10.77.0.1/24");
    assert_eq!(network("fd77::2").unwrap().to_string(), "fd77::2/128");
    for bad in ["10.77.0.1/33", "10.77.0/24", "fd77::/129", "", "all"] {
        assert!(network(bad).is_err(), "{bad}");
    }
}

#[test]
fn names() {
    assert_eq!(interface("jump0").as_deref(), Ok("jump0"));
    for bad in ["", ".", "..", "a/b", "a b", "sixteen-letters-", "eth0:1", "jümp"] {
        assert!(interface(bad).is_err(), "{bad}");
    }
    assert_eq!(peer_name("alice@example.org").as_deref(), Ok("alice@example.org"));
    for bad in ["", "a b", "a\nb", "\u{1b}[31m", &"x".repeat(64)] {
        assert!(peer_name(bad).is_err(), "{bad}");
    }
}
