//! Genuine text: the published pair of configurations, every request of the control socket, changes to event files.

use jumpvpn_config::SignedList;

/// Content of every key file of the fixture.
pub const KEY: &str = "QQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\n";

const GATEWAY: &str = r#"[gateway]
private_key_file = "gw.key"
listen = ["udp://0.0.0.0:4747", "tcp://0.0.0.0:443"]
interface = "jump0"
address = ["10.77.0.1/24", "fd77::1/64"]
control_socket = "/run/jumpvpn/gw.sock"
events = "/var/log/jumpvpn/gw.jsonl"
nat = true
[store]
kind = "memory"
[[peer]]
name = "alice"
public_key = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
preshared_key_file = "alice.psk"
inner = ["10.77.0.2", "fd77::2"]
"#;

const AGENT: &str = r#"[agent]
private_key_file = "alice.key"
interface = "jump0"
control_socket = "/run/jumpvpn/alice.sock"
policy = "vehicle"
uplinks = ["wlan0", "wwan0"]
[[gateway]]
public_key = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
endpoints = ["udp://192.0.2.10:4747", "tcp://vpn.example.org:443"]
[routes]
allowed_ips = ["10.77.0.0/24", "::/0"]
dns = ["10.77.0.1"]
kill_switch = false
mtu = "auto"
"#;

const POLICY: &str = r#"[policy]
preset = "laptop"
[policy.switching]
cooldown = "2s"
max_switches_per_minute = 6
[policy.volatility.detection]
max_silence = "900ms"
"#;

pub(super) fn configurations() -> Vec<(&'static str, Vec<u8>)> {
    let with_policy = AGENT.replace("policy = \"vehicle\"\n", "") + POLICY;
    vec![
        ("gateway", GATEWAY.into()),
        ("agent", AGENT.into()),
        ("policy", with_policy.into()),
        ("broken", "[gateway\nlisten = [\"udp://\n\u{e4}\u{1f600}=".into()),
    ]
}

const LIST: &str = r#"[list]
cell = "berlin"
serial = 7
issued = 2026-11-01T00:00:00Z
expires = 2027-02-01T12:30:15Z
[[gateway]]
name = "gw-a"
public_key = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
endpoints = ["udp://192.0.2.10:4747", "udp://[2001:db8::10]:4747"]
weight = 3
[[gateway]]
name = "gw-b"
public_key = "QQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
endpoints = ["udp://gw-b.example.net:4747"]
draining = true
"#;

pub(super) fn lists() -> Vec<(&'static str, Vec<u8>)> {
    let signed = |content| SignedList { signature: [7; 64], content }.join();
    vec![
        ("content", LIST.into()),
        ("signed", signed(LIST.as_bytes())),
        ("signed_bytes", signed(&[0xff, 0, 10])),
        ("broken", LIST.replace("serial = 7", "serial = 0\nserials = [").into()),
    ]
}

pub(super) fn requests() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("status", br#"{"request":"status"}"#.to_vec()),
        ("show", br#"{"request":"show","what":"paths"}"#.to_vec()),
        ("jump", br#"{"request":"jump","to":"lte"}"#.to_vec()),
        ("jump_anywhere", br#"{"request":"jump"}"#.to_vec()),
        ("pin", br#"{"request":"pin","path":"wlan0/udp4"}"#.to_vec()),
        ("unpin", br#"{"request":"unpin"}"#.to_vec()),
        ("events", br#"{"request":"events","follow":true}"#.to_vec()),
    ]
}

/// Changes to the lines of a genuine file. Two genuine files lie beside these in the corpus; they are not made here,
/// because a session has another id whenever the engines draw their random numbers in another order.
pub(super) fn event_files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("removed", vec![1, 0, 3]),
        ("repeated", vec![1, 1, 5]),
        ("exchanged", vec![1, 2, 2]),
        ("cut", vec![1, 0, 255]),
    ]
}
