//! Whose things are whose in the shared table.

use super::*;

const TWO_TUNNELS: &str = r#"table inet jumpvpn {
	set tunnels {
		type ifname
		elements = { "jump0",
			     "jump1" }
	}

	set ipv4_forward_was_0 {
		type ifname
		elements = { "jump1" }
	}

	set empty {
		type ifname
	}

	chain kill_output_jump0 {
		type filter hook output priority filter; policy drop;
		oifname "lo" accept
		oifname @tunnels accept
	}

	chain kill_output_jump1 {
		type filter hook output priority filter; policy drop;
	}

	chain nat_my-jump0 {
		type nat hook postrouting priority srcnat; policy accept;
	}
}
"#;

#[test]
fn the_listing_of_nft_is_understood() {
    let state = State::parse(TWO_TUNNELS);
    assert_eq!(state.chains.len(), 3);
    let elements: Vec<_> = state.sets["tunnels"].iter().map(String::as_str).collect();
    assert_eq!(elements, ["jump0", "jump1"]);
    assert_eq!(state.sets["empty"].len(), 0);
    assert_eq!(State::parse(""), State::default());
}

#[test]
fn removal_touches_only_what_bears_the_name() {
    let state = State::parse(TWO_TUNNELS);
    let script = state.removal("jump0", true).unwrap();
    assert_eq!(
        script,
        "flush chain inet jumpvpn kill_output_jump0\n\
         delete chain inet jumpvpn kill_output_jump0\n\
         delete element inet jumpvpn tunnels { \"jump0\" }\n"
    );
    assert_eq!(state.removal("jump0", false), None, "only a kill switch is there");
    assert_eq!(state.removal("jump7", true), None);
    assert_eq!(state.switches_to_restore("jump0"), []);
    assert_eq!(state.switches_to_restore("jump1"), [(Switch::Ipv4Forward, "0".to_owned())]);
}

#[test]
fn the_last_tunnel_takes_the_table_away() {
    let text = TWO_TUNNELS.split("	set empty").next().unwrap().replace("\"jump0\",\n", "");
    let state = State::parse(&text);
    assert_eq!(state.removal("jump1", true).unwrap(), "delete table inet jumpvpn\n");
    assert_eq!(State::default().removal("jump1", true), None);
}
