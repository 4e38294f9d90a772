//! Lists: the frame around the signed bytes, every kind of mistake in the content, and times.

use super::*;

const LIST: &str = r#"[list]
cell = "berlin"
serial = 7
issued = 2026-11-01T00:00:00Z
expires = 2027-02-01T12:30:15Z

[[gateway]]
name = "gw-a"
public_key = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
endpoints = ["udp://192.0.2.10:4747", "udp://[2001:db8::10]:4747"]

[[gateway]]
name = "gw-b"
public_key = "QQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
endpoints = ["udp://gw-b.example.net:4747"]
weight = 3
draining = true
"#;

fn parsed(text: &str) -> Result<Loaded<GatewayList>, Report> {
    parse_list(text, Path::new("list.toml"))
}

#[test]
fn a_list_says_what_stands_in_it() {
    let loaded = parsed(LIST).unwrap();
    assert!(loaded.warnings.findings.is_empty());
    let list = loaded.config;
    assert_eq!((list.cell.as_str(), list.serial), ("berlin", 7));
    // `date -u -d 2027-02-01T12:30:15Z +%s`
    assert_eq!((list.issued.unix_s, list.expires.unix_s), (1_793_491_200, 1_801_485_015));
    assert_eq!(list.expires.text, "2027-02-01T12:30:15Z");
    let [a, b] = &list.gateways[..] else { panic!("{list:?}") };
    assert_eq!((a.name.as_str(), a.weight, a.draining, a.endpoints.len()), ("gw-a", 1, false, 2));
    assert_eq!((b.name.as_str(), b.weight, b.draining), ("gw-b", 3, true));
    assert_eq!(b.endpoints[0].to_string(), "udp://gw-b.example.net:4747");
}

#[test]
fn every_mistake_is_found_where_it_is() {
    let twice = "QQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
    let cases = [
        ("serial = 7", "serial = 0", 3, "`serial` is out of range (1 to 9223372036854775807)"),
        ("serial = 7", "serial = \"7\"", 3, "`serial` is a string"),
        ("serial = 7", "", 1, "missing key `serial` in [list]"),
        ("cell = \"berlin\"", "cell = \"\"", 2, "`` is not a name of a cell"),
        ("cell = \"berlin\"", "cells = \"berlin\"", 2, "unknown key `cells` in [list]"),
        ("issued = 2026-11-01T00:00:00Z", "issued = 2026-11-01", 4, "`issued` is not a time in UTC"),
        ("issued = 2026-11-01T00:00:00Z", "issued = 2026-11-01T00:00:00", 4, "`issued` is not a time in UTC"),
        (
            "issued = 2026-11-01T00:00:00Z",
            "issued = 2026-11-01T00:00:00+01:00",
            4,
            "`issued` is not a time in UTC",
        ),
        ("issued = 2026-11-01T00:00:00Z", "issued = \"2026-11-01\"", 4, "`issued` is a string"),
        ("2027-02-01", "2026-11-01", 5, ""),
        ("2027-02-01", "2026-10-31", 5, "`expires` is not within 400 days after `issued`"),
        ("2027-02-01", "2027-12-07", 5, "`expires` is not within 400 days after `issued`"),
        ("AQIDBAUG", "AQIDBAU!", 9, "this public key is not base64"),
        ("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=", twice, 12, "two gateways with the same public key"),
        ("gw-a", "gw-b", 12, "two gateways with the name gw-b"),
        ("gw-a", "g w", 8, "`g w` is not a peer name"),
        ("udp://192.0.2.10:4747", "udp://192.0.2.10", 10, "`udp://192.0.2.10` has no port"),
        (
            "\"udp://192.0.2.10:4747\"",
            "\"udp://192.0.2.1:1\", \"udp://192.0.2.1:2\", \"udp://192.0.2.1:3\", \"udp://192.0.2.1:4\"",
            10,
            "more than 4 endpoints of one gateway",
        ),
        ("weight = 3", "weight = 0", 16, "`weight` is out of range (1 to 100)"),
        ("weight = 3", "weight = 101", 16, "`weight` is out of range (1 to 100)"),
        ("draining = true", "draining = 1", 17, "`draining` is a whole number"),
        ("[list]\n", "[list]\n[policy]\n", 2, "unknown table or key `policy` in the file of a gateway list"),
    ];
    for (from, to, line, message) in cases {
        let text = LIST.replacen(from, to, 1);
        assert_ne!(text, LIST, "{from}");
        match parsed(&text) {
            Ok(_) => assert_eq!(message, "", "{to}"),
            Err(report) => {
                let found =
                    report.findings.iter().any(|one| one.line == line && one.message.contains(message));
                assert!(found && !message.is_empty(), "{to}: {report}");
            }
        }
    }
    for text in ["", "[list]", "[[gateway]]", "gateway = 1\nlist = 2", "[list"] {
        assert!(parsed(text).unwrap_err().error_count() > 0, "{text}");
    }
}

#[test]
fn a_cell_has_at_most_64_gateways() {
    let (head, _) = LIST.split_once("[[gateway]]").unwrap();
    let with = |count: usize| {
        let one = |number: usize| {
            let mut public = [1; 32];
            public[0] = number as u8;
            let public = crate::key::encode(&public);
            format!(
                "[[gateway]]\nname = \"gw-{number:02}\"\npublic_key = \"{public}\"\nendpoints = [\"udp://192.0.2.{number}:4747\", \
                 \"udp://[2001:db8::{number}]:4747\"]\n"
            )
        };
        (1..=count).fold(head.to_owned(), |text, number| text + &one(number))
    };
    let full = with(64);
    assert_eq!(parsed(&full).unwrap().config.gateways.len(), 64);
    let signed = SignedList { signature: [1; 64], content: full.as_bytes() }.join();
    assert!(signed.len() < LIST_MAX_LEN / 2, "{}", signed.len());
    let report = parsed(&with(65)).unwrap_err();
    assert!(report.findings.iter().any(|one| one.message.contains("more than 64 gateways")), "{report}");
}

#[test]
fn what_was_joined_is_split_into_the_same() {
    let contents: [&[u8]; 4] = [b"", b"\n", LIST.as_bytes(), &[0xff; 100]];
    for content in contents {
        let list = SignedList { signature: std::array::from_fn(|at| at as u8), content };
        let bytes = list.join();
        assert_eq!(SignedList::split(&bytes), Ok(list));
        assert_eq!(SignedList::split(&bytes).unwrap().join(), bytes);
    }
}

#[test]
fn the_first_line_has_one_form() {
    let bytes = SignedList { signature: [0x5a; 64], content: LIST.as_bytes() }.join();
    let line = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for cut in 0..line {
        assert!(SignedList::split(&bytes[..cut]).is_err(), "{cut}");
    }
    // Whatever a byte of it is changed to, it is refused or another signature: two texts never mean the same one.
    for at in 0..line {
        for value in 0..=u8::MAX {
            let mut changed = bytes.clone();
            changed[at] = value;
            if let Ok(list) = SignedList::split(&changed) {
                assert_eq!(list.join(), changed, "{at} {value}");
                assert!(value == bytes[at] || list.signature != [0x5a; 64], "{at} {value}");
            }
        }
    }
    assert_eq!(SignedList::split(&vec![b'x'; LIST_MAX_LEN + 1]), Err("longer than 32 KiB"));
    assert_eq!(SignedList::split(b"[list]\n"), Err("not a signed list of gateways"));
}
