//! Tests of requests.

use super::*;

#[test]
fn every_request_of_the_surface() {
    let parse = |text: &str| Request::parse(text.as_bytes()).unwrap();
    assert_eq!(parse(r#"{"request":"status"}"#), Request::Status);
    assert_eq!(parse(r#"{"request":"show","what":"paths"}"#), Request::Show { what: Subject::Paths });
    assert_eq!(parse(r#"{"request":"jump","to":"lte"}"#), Request::Jump { to: Some("lte".into()) });
    assert_eq!(parse(r#"{"request":"jump"}"#), Request::Jump { to: None });
    assert_eq!(parse(r#"{"request":"pin","path":"lte"}"#), Request::Pin { path: "lte".into() });
    assert_eq!(parse(r#"{"request":"unpin"}"#), Request::Unpin);
    assert_eq!(parse(r#"{"request":"events","follow":true}"#), Request::Events { follow: true });
}

#[test]
fn anything_else_is_refused() {
    for text in [
        "",
        "{}",
        "[]",
        "null",
        r#"{"request":"reboot"}"#,
        r#"{"request":"show","what":"keys"}"#,
        r#"{"request":"pin"}"#,
        r#"{"request":"jump","too":"lte"}"#,
        "\u{0}",
    ] {
        assert!(Request::parse(text.as_bytes()).is_err(), "{text}");
    }
    let deep = "[".repeat(crate::control::REQUEST_MAX_LEN);
    assert!(Request::parse(deep.as_bytes()).is_err(), "and the stack survived");
}

#[test]
fn only_jump_and_pins_change_things() {
    assert!(!Request::Status.changes());
    assert!(!Request::Events { follow: true }.changes());
    assert!(Request::Jump { to: None }.changes());
    assert!(Request::Unpin.changes());
}
