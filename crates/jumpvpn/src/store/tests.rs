//! Tests of what a store's addresses say.

use super::*;

#[test]
fn the_port_of_an_endpoint_is_found() {
    for (endpoint, expected) in [
        ("http://10.0.0.1:2379", 2379),
        ("https://store.example:2380/", 2380),
        ("http://[2001:db8::1]:2379", 2379),
        ("http://[2001:db8::1]", 80),
        ("https://store.example", 443),
        ("http://store.example/path:9", 80),
    ] {
        assert_eq!(port(endpoint), expected, "{endpoint}");
    }
}
