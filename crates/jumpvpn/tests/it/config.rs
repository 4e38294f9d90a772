//! `jumpvpn check`.

use crate::bed::Bed;

const AGENT: &str = "[agent]\nprivate_key_file = \"a.key\"\n[[gateway]]\n\
                     public_key = \"hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\"\nendpoints = [\"udp://192.0.2.10:4747\"]\n";

const KEY: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n";

#[test]
fn a_good_file() {
    let bed = Bed::new();
    bed.file("a.key", KEY);
    bed.file("a.toml", AGENT);
    let ended = bed.run(&["check", "a.toml"]);
    let expected = "a.toml: ok, an agent of udp://192.0.2.10:4747, policy laptop\n";
    assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (0, expected, ""));
    let json = bed.run(&["check", "--json", "a.toml"]).json();
    assert_eq!((json["schema"].as_str(), json["ok"].as_bool()), (Some("jumpvpn.check/1"), Some(true)));
    assert_eq!((json["kind"].as_str(), json["findings"].as_array().map(Vec::len)), (Some("agent"), Some(0)));
}

#[test]
fn every_finding_of_a_bad_file_has_its_line() {
    let bed = Bed::new();
    bed.file("a.toml", &AGENT.replace("endpoints", "endpoint"));
    let ended = bed.run(&["check", "a.toml"]);
    assert_eq!((ended.code, ended.out.as_str()), (6, ""));
    for line in [
        "a.toml:2:20: error: a.key: no such file\n    hint: make one with: (umask 077; jumpvpn genkey > a.key)\n",
        "a.toml:3:1: error: missing key `endpoints` in [gateway]\n",
        "a.toml:5:1: error: unknown key `endpoint` in [gateway]\n    hint: did you mean `endpoints`?\n",
        "jumpvpn: a.toml: 3 errors, 0 warnings\n",
    ] {
        assert!(ended.err.contains(line), "{}", ended.err);
    }
    let json = bed.run(&["check", "--json", "a.toml"]);
    assert_eq!((json.code, json.err.as_str(), json.json()["ok"].as_bool()), (6, "", Some(false)));
    assert_eq!(json.json()["findings"][0]["line"], 2);
}

#[test]
fn a_missing_file() {
    let ended = Bed::new().run(&["check", "none.toml"]);
    assert_eq!(ended.code, 6);
    assert!(
        ended.err.starts_with("none.toml:1:1: error: cannot read the file: no such file\n"),
        "{}",
        ended.err
    );
}
