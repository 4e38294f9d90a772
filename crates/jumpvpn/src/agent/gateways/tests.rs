//! Which gateways an agent has, by its file and its lists.

use jumpvpn_config::Config;

use super::*;
use crate::roster::tests::{Folder, NOW, content, key, signed};

/// An agent's file with the gateways 1 and 2, and the lists of the tests.
fn config(folder: &Folder) -> AgentConfig {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.0.join("agent.key");
    std::fs::write(&path, jumpvpn_config::key::encode(&[9; 32])).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let gateway = |number: u8| {
        format!(
            "[[gateway]]\npublic_key = \"{}\"\nendpoints = [\"udp://198.51.100.{number}:4747\"]\n",
            jumpvpn_config::key::encode(&[number; 32])
        )
    };
    let text = format!(
        "[agent]\nprivate_key_file = \"agent.key\"\n[gateway_list]\nkey = \"{}\"\ncell = \"berlin\"\nfile = \"list\"\nstate = \"state\"\n{}{}",
        key().public(),
        gateway(1),
        gateway(2)
    );
    let loaded = jumpvpn_config::parse(&text, &folder.0.join("agent.toml")).unwrap();
    let Config::Agent(config) = loaded.config else { panic!("a gateway") };
    *config
}

fn begun(config: &AgentConfig, now: u64) -> (Vec<Known>, Vec<String>) {
    let terms = config.list.as_ref().unwrap();
    let pinned = config.gateways.iter().map(|gateway| gateway.public_key).collect();
    let mut notes = Vec::new();
    let mut roster = Roster::open(terms, "jump0", pinned).unwrap();
    let list = newest(&mut roster, terms, now, &mut notes).cloned();
    (merged(config, list.as_ref()), notes)
}

fn numbers(known: &[Known]) -> Vec<u8> {
    known.iter().map(|gateway| gateway.public_key[0]).collect()
}

fn write(folder: &Folder, text: &str) {
    std::fs::write(folder.0.join("list"), signed(text)).unwrap();
}

#[test]
fn a_list_adds_gateways_and_marks_those_of_the_file_and_takes_none_away() {
    let folder = Folder::new();
    let config = config(&folder);
    let marked = content(5, &[2, 3, 4]).replacen(
        "[\"udp://192.0.2.2:4747\"]\n",
        "[\"udp://192.0.2.2:4747\"]\nweight = 7\ndraining = true\n",
        1,
    );
    write(&folder, &marked);
    let (known, notes) = begun(&config, NOW);
    assert_eq!((numbers(&known), notes.len()), (vec![1, 2, 3, 4], 0));
    let marks: Vec<_> = known.iter().map(|gateway| (gateway.weight, gateway.draining)).collect();
    assert_eq!(marks, [(1, false), (7, true), (1, false), (1, false)]);
    assert_eq!(known[1].endpoints[0].to_string(), "udp://198.51.100.2:4747", "where it is says its own file");
    assert_eq!(row(&known[3])["listed"], "gw-4");
    assert!(row(&known[1])["listed"].is_null());
    // A birth asks those of the file first, and those that drain last.
    let peers = peers(&known, &PublicKey([9; 32]), false).map_err(|failure| failure.message).unwrap();
    let mut asked: Vec<u8> = peers.iter().map(|peer| peer.public.0[0]).collect();
    assert_eq!((asked[0], asked[3]), (1, 2));
    asked.sort_unstable();
    assert_eq!(asked, [1, 2, 3, 4]);
}

#[test]
fn agents_do_not_all_ask_the_same_added_gateway_first() {
    let folder = Folder::new();
    let config = config(&folder);
    write(&folder, &content(5, &[3, 4, 5, 6]));
    let (known, _) = begun(&config, NOW);
    let first = |agent: u8| {
        let peers = peers(&known, &PublicKey([agent; 32]), false).map_err(|failure| failure.message).unwrap();
        peers[2].public.0[0]
    };
    let mut firsts: Vec<u8> = (0..200).map(first).collect();
    firsts.sort_unstable();
    firsts.dedup();
    assert_eq!(firsts, [3, 4, 5, 6]);
}

#[test]
fn without_a_list_that_holds_there_are_those_of_the_file() {
    let folder = Folder::new();
    let config = config(&folder);
    let (known, notes) = begun(&config, NOW);
    assert_eq!((numbers(&known), notes.len()), (vec![1, 2], 1));
    assert!(notes[0].contains("cannot be read"), "{notes:?}");
    write(&folder, &content(5, &[3]));
    assert_eq!(numbers(&begun(&config, NOW).0), [1, 2, 3]);
    // The file of an older list is refused, and the newer one that was kept is used.
    write(&folder, &content(4, &[4]));
    let (known, notes) = begun(&config, NOW);
    assert_eq!((numbers(&known), notes.len()), (vec![1, 2, 3], 1));
    assert!(notes[0].contains("older (serial 4) than one that was there already (serial 5)"), "{notes:?}");
    // By a clock that is off there is none.
    for clock in [0, NOW + 365 * 86_400] {
        let (known, notes) = begun(&config, clock);
        assert_eq!(numbers(&known), [1, 2], "{notes:?}");
    }
    let report = report(config.list.as_ref().unwrap(), None, &notes);
    assert!(report["serial"].is_null() && report["notes"][0].is_string());
}

#[test]
fn names_that_nobody_knows_are_left_out() {
    let folder = Folder::new();
    let config = config(&folder);
    write(&folder, &content(5, &[3, 4]).replace("192.0.2.3:", "no-such-name.invalid:"));
    let (known, _) = begun(&config, NOW);
    let peers = peers(&known, &PublicKey([9; 32]), false).map_err(|failure| failure.message).unwrap();
    assert_eq!(peers.len(), 3);
}

#[test]
fn what_a_gateway_sends_is_kept_for_the_next_start_or_refused_with_a_reason() {
    let folder = Folder::new();
    let config = config(&folder);
    write(&folder, &content(5, &[3]));
    // The keeper asks the clock of the machine.
    let now = roster::wall_clock();
    let terms = config.list.as_ref().unwrap();
    let roster = Roster::open(terms, "jump0", vec![[1; 32], [2; 32]]).unwrap();
    let mut keep = keeper(roster, report(terms, None, &[]));
    let dated = |serial| {
        let day = |days: u64| {
            let date = std::process::Command::new("date")
                .args(["-u", "-d", &format!("@{}", now / 86_400 * 86_400 + days * 86_400), "+%Y-%m-%d"])
                .output();
            String::from_utf8(date.unwrap().stdout).unwrap().trim().to_owned()
        };
        content(serial, &[3, 4]).replace("2026-11-01", &day(0)).replace("2027-01-01", &day(9))
    };
    let ListVerdict { kept, serial, report: first } = keep(signed(&dated(6)));
    assert_eq!((kept, serial, &first["next"], &first["refused"]), (true, 6, &json!(6), &Value::Null));
    assert!(first["serial"].is_null(), "what is in use stays");
    for bad in [signed(&dated(5)), signed(&dated(7).replace("berlin", "paris")), b"nonsense".to_vec()] {
        let ListVerdict { kept, serial, report } = keep(bad);
        assert_eq!((kept, serial, &report["next"]), (false, 6, &json!(6)));
        assert!(report["refused"].as_str().is_some_and(|why| !why.is_empty()));
    }
    let ListVerdict { kept, report, .. } = keep(signed(&dated(8)));
    assert_eq!((kept, &report["next"], &report["refused"]), (true, &json!(8), &Value::Null));
}

/// A list that names an address of the file leads nobody from the gateway that is there.
#[test]
fn an_address_of_the_file_stays_with_its_gateway() {
    let folder = Folder::new();
    let config = config(&folder);
    let theirs = "[\"udp://198.51.100.1:4747\", \"udp://192.0.2.3:4747\"]";
    let text = content(5, &[1, 3, 4])
        .replacen("[\"udp://192.0.2.1:4747\"]\n", "[\"udp://192.0.2.1:4747\"]\ndraining = true\n", 1)
        .replace("[\"udp://192.0.2.3:4747\"]", theirs)
        .replace("[\"udp://192.0.2.4:4747\"]", "[\"udp://198.51.100.2:4747\"]");
    write(&folder, &text);
    let (known, notes) = begun(&config, NOW);
    assert!(notes.is_empty(), "{notes:?}");
    let peers = peers(&known, &PublicKey([9; 32]), false).map_err(|failure| failure.message).unwrap();
    let shown: Vec<_> = peers.iter().map(|peer| (peer.public.0[0], peer.endpoints.clone())).collect();
    let at = |address: &str| vec![address.parse::<SocketAddr>().unwrap()];
    // The fourth had an address of the file alone, and the first drains.
    let expected = [(2, "198.51.100.2:4747"), (3, "192.0.2.3:4747"), (1, "198.51.100.1:4747")];
    assert_eq!(shown, expected.map(|(number, address)| (number, at(address))));
    assert_eq!(peers.iter().map(|peer| peer.until.is_some()).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn behind_a_kill_switch_names_of_a_list_are_not_looked_up() {
    let folder = Folder::new();
    let config = config(&folder);
    write(&folder, &content(5, &[3, 4]).replace("192.0.2.3:", "localhost:"));
    let (known, _) = begun(&config, NOW);
    let count = |kill_switch| {
        peers(&known, &PublicKey([9; 32]), kill_switch).map_err(|failure| failure.message).unwrap().len()
    };
    assert_eq!((count(false), count(true)), (4, 3));
}

#[test]
fn a_list_does_not_stand_in_for_the_gateways_of_the_file() {
    let folder = Folder::new();
    let mut config = config(&folder);
    for gateway in &mut config.gateways {
        gateway.endpoints[0].host = Host::Name("no-such-name.invalid".into());
    }
    write(&folder, &content(5, &[3]));
    let (known, _) = begun(&config, NOW);
    let refused = peers(&known, &PublicKey([9; 32]), false).map(|peers| peers.len());
    assert!(refused.is_err_and(|failure| failure.message.contains("no-such-name.invalid")));
}
