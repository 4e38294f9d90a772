//! An operator's side of signed lists: keys, signing, looking at what was signed.

use std::os::unix::fs::PermissionsExt;

use crate::bed::Bed;
use crate::world::World;

const LIST: &str = "[list]\ncell = \"berlin\"\nserial = 3\nissued = 2026-11-01T00:00:00Z\nexpires = 2027-06-01T00:00:00Z\n\
    [[gateway]]\nname = \"gw-a\"\npublic_key = \"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\"\n\
    endpoints = [\"udp://192.0.2.10:4747\"]\nweight = 2\n\
    [[gateway]]\nname = \"gw-b\"\npublic_key = \"QQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\"\n\
    endpoints = [\"udp://192.0.2.20:4747\"]\ndraining = true\n";

/// A folder with a key, and its public key.
fn bed() -> (Bed, String) {
    let bed = Bed::new();
    let key = bed.run(&["list", "genkey"]).out;
    bed.file("sign.key", &key);
    let public = bed.run_with(&["list", "pubkey"], &key).out.trim().to_owned();
    bed.file("list.toml", LIST);
    (bed, public)
}

#[test]
fn what_is_signed_is_verified_and_shown() {
    let (bed, public) = bed();
    assert_ne!(
        bed.run_with(&["pubkey"], &std::fs::read_to_string(bed.0.join("sign.key")).unwrap()).out.trim(),
        public
    );
    let signed = bed.run(&["list", "sign", "-k", "sign.key", "list.toml"]);
    assert_eq!((signed.code, signed.err.as_str()), (0, ""));
    assert!(signed.out.ends_with(LIST), "byte for byte");
    assert_eq!(
        bed.run(&["list", "sign", "-k", "sign.key", "list.toml"]).out,
        signed.out,
        "the same each time"
    );
    bed.file("signed", &signed.out);
    let shown = bed.run(&["list", "verify", "-k", &public, "signed"]);
    assert_eq!((shown.code, shown.err.as_str()), (0, ""));
    assert!(
        shown.out.contains("cell berlin, serial 3, from 2026-11-01T00:00:00Z to 2027-06-01T00:00:00Z"),
        "{shown:?}"
    );
    assert!(
        shown.out.contains("udp://192.0.2.10:4747, weight 2\n") && shown.out.contains(", draining\n"),
        "{shown:?}"
    );
    let json = bed.run(&["list", "verify", "--json", "-k", &public, "signed"]).json();
    assert_eq!((&json["schema"], &json["serial"]), (&"jumpvpn.list/1".into(), &3.into()));
    assert_eq!(json["gateways"][1]["draining"], true);
}

#[test]
fn what_is_wrong_is_said_and_nothing_is_printed() {
    let (bed, public) = bed();
    let signed = bed.run(&["list", "sign", "-k", "sign.key", "list.toml"]).out;
    bed.file("changed", &signed.replace("192.0.2.10", "192.0.2.66"));
    bed.file("bare", LIST);
    bed.file("signed", &signed);
    let other = bed.run_with(&["list", "pubkey"], &bed.run(&["list", "genkey"]).out).out;
    let cases = [
        (&["list", "verify", "-k", &public, "changed"], 6, "not signed with this key, or changed since"),
        (&["list", "verify", "-k", other.trim(), "signed"], 6, "not signed with this key, or changed since"),
        (&["list", "verify", "-k", &public, "bare"], 6, "not a signed list of gateways"),
        (&["list", "verify", "-k", &public, "none"], 6, "none: No such file"),
        (&["list", "verify", "-k", "AQID", "signed"], 2, "is not a public key"),
        (&["list", "sign", "-k", "none.key", "list.toml"], 6, "none.key: no such file"),
    ];
    for (arguments, code, message) in cases {
        let ended = bed.run(arguments);
        assert_eq!((ended.code, ended.out.as_str()), (code, ""), "{arguments:?} {ended:?}");
        assert!(ended.err.contains(message), "{arguments:?} {ended:?}");
    }
    bed.file("list.toml", &LIST.replace("serial = 3", "serial = 3\nserials = 4"));
    let ended = bed.run(&["list", "sign", "-k", "sign.key", "list.toml"]);
    assert_eq!((ended.code, ended.out.as_str()), (6, ""));
    assert!(ended.err.contains("list.toml:4:1: error: unknown key `serials` in [list]"), "{ended:?}");
    bed.file("list.toml", &LIST.replace("serial = 3", "serial = 9223372036854775807"));
    let ended = bed.run(&["list", "sign", "-k", "sign.key", "list.toml"]);
    assert!(ended.code == 6 && ended.err.contains("no list could follow one with the serial"), "{ended:?}");
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(bed.0.join("sign.key"), open).unwrap();
    let ended = bed.run(&["list", "sign", "-k", "sign.key", "list.toml"]);
    assert!(ended.code == 6 && ended.err.contains("others than its owner may use this key"), "{ended:?}");
    assert_eq!(bed.run_with(&["list", "pubkey"], "nonsense").code, 1);
}

/// An agent whose file names no list, and a gateway that has one.
#[test]
fn a_gateway_hands_its_list_to_agents_that_believe_it() {
    let Some(world) = World::new("a_gateway_hands_its_list_to_agents_that_believe_it") else { return };
    let key = world.bed.run(&["list", "genkey"]).out;
    world.bed.file("sign.key", &key);
    let public = world.bed.run_with(&["list", "pubkey"], &key).out;
    let terms = format!(
        "[gateway_list]\nkey = \"{}\"\ncell = \"berlin\"\nstate = \"state\"\n[routes]",
        public.trim()
    );
    world.edit("agent.toml", "[routes]", &terms);
    world.bed.file("list.toml", &current(LIST));
    world.bed.file("gateway.list", &world.bed.run(&["list", "sign", "-k", "sign.key", "list.toml"]).out);
    world.edit("gateway.toml", "[store]", "list = \"gateway.list\"\n[store]");
    let (_gateway, mut agent) = world.both();
    let list = world.agent_says("list");
    assert!(list["serial"].is_null() && list["notes"].as_array().unwrap().is_empty(), "{list}");
    world.wait_until("the list has come", || world.agent_says("list")["next"] == 3);
    let list = world.agent_says("list");
    assert!(list["serial"].is_null() && list["refused"].is_null(), "what came is for the next start: {list}");
    world.wait_until("an event says so", || {
        let events = std::fs::read_to_string(world.bed.0.join("agent.jsonl")).unwrap();
        events.lines().any(|line| line.contains("\"GATEWAY_LIST\"") && line.contains("LIST_KEPT"))
    });
    agent.signal("TERM");
    agent.wait();
    let _agent = world.agent();
    world.wait_until_attached();
    let list = world.agent_says("list");
    assert_eq!(
        (&list["serial"], &list["gateways"], &list["next"]),
        (&3.into(), &2.into(), &serde_json::Value::Null)
    );
    // What is no list is not offered.
    world.bed.file("gateway.list", LIST);
    let refused = world.bed.run(&["gateway", "-c", "gateway.toml"]);
    assert!(
        refused.code == 6 && refused.err.contains("gateway.list: not a signed list of gateways"),
        "{refused:?}"
    );
}

/// The same list, of yesterday and for a month.
pub fn current(list: &str) -> String {
    let date = |when: &str| {
        let output =
            std::process::Command::new("date").args(["-u", "-d", when, "+%Y-%m-%dT%H:%M:%SZ"]).output();
        String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned()
    };
    list.replace("2026-11-01T00:00:00Z", &date("yesterday")).replace("2027-06-01T00:00:00Z", &date("30 days"))
}
