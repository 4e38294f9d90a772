//! Where packets never go.
use super::*;

#[test]
fn what_only_this_machine_may_send_to_is_forbidden() {
    for (destination, forbidden) in [
        ("0.0.0.0", true),
        ("127.0.0.1", true),
        ("127.255.255.255", true),
        ("169.254.0.1", true),
        ("10.77.0.1", false),
        ("192.0.2.1", false),
        ("::", true),
        ("::1", true),
        ("fe80::1", true),
        ("febf::1", true),
        ("fd77::1", false),
        ("2001:db8::1", false),
    ] {
        assert_eq!(forbidden_destination(destination.parse().unwrap()), forbidden, "{destination}");
    }
}
