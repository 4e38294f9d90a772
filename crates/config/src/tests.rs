//! Whole files: the published minimal pair, and every kind of mistake with its place.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;

/// A folder that is removed when the test ends.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("jumpvpn-config-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file that only its owner may read.
    pub(crate) fn secret(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

const KEY: &str = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
const OTHER_KEY: &str = "QQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";

const GATEWAY: &str = r#"# gateway
[gateway]
private_key_file = "gw.key"
listen = ["udp://0.0.0.0:4747", "tcp://0.0.0.0:443", "tls://0.0.0.0:8443"]
interface = "jump0"
address = ["10.77.0.1/24", "fd77::1/64"]       # inner; sessions get fixed or pooled addresses from it
control_socket = "/run/jumpvpn/gw.sock"
events = "/var/log/jumpvpn/gw.jsonl"
[store]                                        # "embedded" (default, durable), "memory", or "etcd"
kind = "embedded"
path = "/var/lib/jumpvpn/gw.store"
# kind = "etcd"; endpoints = ["http://10.0.0.1:2379", …]; prefix = "/jumpvpn"; node = "gw-a"
[[peer]]
name = "alice"
public_key = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
# preshared_key_file = "alice.psk"
inner = ["10.77.0.2", "fd77::2"]
"#;

const AGENT: &str = r#"# agent
[agent]
private_key_file = "alice.key"
interface = "jump0"
control_socket = "/run/jumpvpn/alice.sock"
policy = "laptop"                              # laptop | vehicle | server | battery | spec-default, or a [policy] table
uplinks = ["wlan0", "wwan0"]                   # optional: default is every link with a default route
[[gateway]]
public_key = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
endpoints = ["udp://192.0.2.10:4747", "tcp://192.0.2.10:443"]
[routes]
allowed_ips = ["10.77.0.0/24"]
dns = []
kill_switch = false
mtu = "auto"
"#;

/// A folder with the keys of the minimal pair, and a file parsed in it.
fn parse_in(folder: &Folder, text: &str) -> Result<Loaded<Config>, Report> {
    for name in ["gw.key", "alice.key", "alice.psk"] {
        folder.secret(name, KEY);
    }
    parse(text, &folder.path("vpn.toml"))
}

fn gateway(text: &str) -> Loaded<GatewayConfig> {
    match parse_in(&Folder::new(), text).unwrap() {
        Loaded { config: Config::Gateway(config), warnings } => Loaded { config: *config, warnings },
        Loaded { config: Config::Agent(_), .. } => panic!("an agent"),
    }
}

fn agent(text: &str) -> Loaded<AgentConfig> {
    match parse_in(&Folder::new(), text).unwrap() {
        Loaded { config: Config::Agent(config), warnings } => Loaded { config: *config, warnings },
        Loaded { config: Config::Gateway(_), .. } => panic!("a gateway"),
    }
}

/// Findings as `line:column severity message | hint`.
fn findings(text: &str) -> Vec<String> {
    let report = parse_in(&Folder::new(), text).map_or_else(|report| report, |loaded| loaded.warnings);
    let line = |finding: &Finding| {
        let Finding { severity, line, column, message, hint } = finding;
        format!("{line}:{column} {} {message} | {}", severity.as_str(), hint.as_deref().unwrap_or(""))
    };
    report.findings.iter().map(line).collect()
}

/// The file `text` with `from` replaced by `to` has exactly one error, which begins with `expected`.
#[track_caller]
fn one_error(text: &str, from: &str, to: &str, expected: &str) {
    assert!(text.contains(from), "{from}");
    let found = findings(&text.replacen(from, to, 1));
    let errors: Vec<&String> = found.iter().filter(|line| line.contains(" error ")).collect();
    assert!(errors.len() == 1 && errors[0].contains(expected), "{expected}: {found:#?}");
}

#[test]
fn minimal_gateway() {
    let Loaded { config, warnings } = gateway(GATEWAY);
    assert_eq!(config.listen, ["0.0.0.0:4747".parse().unwrap()]);
    assert_eq!(config.interface, "jump0");
    assert_eq!(config.address, ["10.77.0.1/24".parse().unwrap(), "fd77::1/64".parse().unwrap()]);
    assert_eq!(config.control_socket, Path::new("/run/jumpvpn/gw.sock"));
    assert_eq!(config.events.as_deref(), Some(Path::new("/var/log/jumpvpn/gw.jsonl")));
    let path = Path::new("/var/lib/jumpvpn/gw.store").to_owned();
    let key_file = Path::new("/var/lib/jumpvpn/gw.store.key").to_owned();
    assert_eq!(config.store, StoreConfig::Embedded(EmbeddedStore { path, key_file }));
    assert_eq!((config.nat, config.uplink, config.flat_site, config.mtu), (false, None, None, None));
    assert_eq!(config.sessions_max, None);
    assert_eq!(config.policy_name, "laptop");
    let [peer] = &config.peers[..] else { panic!("{:?}", config.peers) };
    assert_eq!(peer.name, "alice");
    assert_eq!(peer.public_key[..3], [1, 2, 3]);
    assert_eq!(peer.inner, ["10.77.0.2".parse::<std::net::IpAddr>().unwrap(), "fd77::2".parse().unwrap()]);
    // Two listeners are not what this version has.
    assert_eq!((warnings.error_count(), warnings.warning_count()), (0, 2));
}

#[test]
fn minimal_agent() {
    let Loaded { config, warnings } = agent(AGENT);
    assert_eq!(config.private_key.bytes()[..3], [1, 2, 3]);
    assert_eq!(config.interface, "jump0");
    assert_eq!(config.uplinks, ["wlan0", "wwan0"]);
    assert_eq!(config.policy_name, "laptop");
    assert_eq!(config.policy, jumpvpn_policy::Policy::laptop());
    let [gateway] = &config.gateways[..] else { panic!("{:?}", config.gateways) };
    assert_eq!(gateway.endpoints.len(), 1);
    assert_eq!(gateway.endpoints[0].to_string(), "udp://192.0.2.10:4747");
    assert_eq!(config.routes.allowed_ips, ["10.77.0.0/24".parse().unwrap()]);
    assert_eq!((config.routes.kill_switch, config.routes.mtu), (false, None));
    assert_eq!((warnings.error_count(), warnings.warning_count()), (0, 1));
}

#[test]
fn defaults() {
    let text = format!(
        "[gateway]\nprivate_key_file = \"gw.key\"\nlisten = [\"udp://[::]:4747\"]\naddress = [\"10.77.0.1/24\"]\n\
         [[peer]]\nname = \"a\"\npublic_key = \"{KEY}\"\n[[peer]]\nname = \"b\"\npublic_key = \"{OTHER_KEY}\"\n\
         inner = [\"10.77.0.2\"]\n"
    );
    let Loaded { config, warnings } = gateway(&text);
    assert_eq!(warnings.findings, []);
    assert_eq!(config.control_socket, Path::new("/run/jumpvpn/vpn.sock"));
    assert_eq!(config.interface, "jump0");
    // The gateway has .1, b asked for .2, so a gets .3.
    let inner: Vec<_> = config.peers.iter().map(|peer| peer.inner[0].to_string()).collect();
    assert_eq!(inner, ["10.77.0.3", "10.77.0.2"]);
}

#[test]
fn everything_wrong_is_told_at_once_in_order() {
    let text = "[gateway]\nprivate_key_file = \"none.key\"\nlisten = [\"0.0.0.0:4747\", 5]\nadress = [\"10.77.0.1/24\"]\n\
                interface = \"much-too-long-a-name\"\n[[peer]]\nnaem = \"alice\"\npublic_key = \"AQID\"\n[peers]\n";
    let found = findings(text);
    let starts = [
        "1:1 error missing key `address` in [gateway]",
        "2:20 error ",
        "3:11 error `0.0.0.0:4747` has no scheme",
        "3:27 error `listen` is a whole number",
        "4:1 error unknown key `adress` in [gateway] | did you mean `address`?",
        "5:13 error `much-too-long-a-name` is not an interface name",
        "6:1 error missing key `name` in [peer]",
        "7:1 error unknown key `naem` in [peer] | did you mean `name`?",
        "8:14 error this public key is not 32 bytes long",
        "9:2 error unknown table or key `peers` in the file of a gateway | did you mean `peer`?",
    ];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (found, start) in found.iter().zip(starts) {
        assert!(found.starts_with(start), "{found}\n{start}");
    }
}

#[test]
fn report_reads_like_a_compiler() {
    let report = parse("[agent]\n[[gateway]]\nendpoint = []\n", Path::new("a.toml")).unwrap_err();
    let text = report.to_string();
    assert!(
        text.contains(
            "a.toml:3:1: error: unknown key `endpoint` in [gateway]\n    hint: did you mean `endpoints`?"
        ),
        "{text}"
    );
}

#[test]
fn syntax_errors_have_their_place() {
    assert!(
        findings("[gateway\nx = 1\n")[0].starts_with("1:9 error "),
        "{:?}",
        findings("[gateway\nx = 1\n")
    );
    let found = findings("[agent]\na = \n\nb = \"open\nc = 1\n");
    assert!(found.len() >= 2 && found[0].starts_with("2:"), "{found:#?}");
    assert!(findings("")[0].contains("neither the file of an agent nor of a gateway"));
}

#[test]
fn wrong_kind_of_file() {
    let folder = Folder::new();
    folder.secret("gw.key", KEY);
    let path = folder.secret("gw.toml", GATEWAY);
    assert!(load_gateway(&path).is_ok());
    assert!(load_agent(&path).unwrap_err().to_string().contains("file of a gateway"));
    assert!(load(&folder.path("none.toml")).unwrap_err().to_string().contains("no such file"));
}

#[test]
fn gateway_mistakes() {
    let bad = |from: &str, to: &str, expected: &str| one_error(GATEWAY, from, to, expected);
    bad("\"udp://0.0.0.0:4747\", ", "", "no listener is left");
    bad("\"tcp://0.0.0.0:443\"", "\"udp://0.0.0.0:4747\"", "udp://0.0.0.0:4747 is listed twice");
    bad(
        "\"10.77.0.2\"",
        "\"10.78.0.2\"",
        "10.78.0.2 is outside of the gateway's networks (10.77.0.0/24, fd77::/64)",
    );
    bad("\"10.77.0.2\"", "\"10.77.0.1\"", "10.77.0.1 belongs to the gateway already");
    bad("\"10.77.0.2\"", "\"10.77.0.0\"", "stands for the whole network");
    bad("\"10.77.0.2\"", "\"10.77.0.255\"", "broadcast");
    bad("\"fd77::2\"", "\"10.77.0.3\"", "a peer has one address of each family");
    bad("[\"10.77.0.2\", \"fd77::2\"]", "[]", "`inner` is empty");
    bad("\"fd77::1/64\"", "\"10.99.0.1/24\"", "only one address of each family");
    bad("\"10.77.0.1/24\"", "\"10.77.0.0/24\"", "stands for the whole network");
    bad("kind = \"embedded\"", "kind = \"memory\"", "`path` does nothing with a store of kind \"memory\"");
    bad("kind = \"embedded\"", "cell = 7", "`cell` does nothing with a store of kind \"embedded\"");
    bad("kind = \"embedded\"", "kind = \"disk\"", "`disk` is not a kind of store");
    bad("\"jump0\"", "7", "`interface` is a whole number | it should be: interface name");
    bad("\"/run/jumpvpn/gw.sock\"", &format!("\"/{}\"", "x".repeat(107)), "longer than 107 bytes");
    bad("interface =", "sessions_max = 0\ninterface =", "`sessions_max` is out of range (1 to 1000000)");
    let text = GATEWAY.replace("kind = \"embedded\"", "kind = \"memory\"").replace("path =", "#");
    one_error(
        &text,
        "interface =",
        "flat_site = \"eth1\"\ninterface =",
        "`flat_site` does nothing with a store in memory",
    );
    bad("interface =", "mtu = 1279\ninterface =", "`mtu` is out of range (1280 to 16384)");
    bad("interface =", "nat = \"yes\"\ninterface =", "`nat` is a string | it should be: true or false");
    bad("events =", "policy = \"labtop\"\nevents =", "unknown policy `labtop` | did you mean `laptop`?");
}

/// The minimal gateway with these lines in the place of its store's.
fn with_store(lines: &str) -> String {
    GATEWAY.replace("kind = \"embedded\"\npath = \"/var/lib/jumpvpn/gw.store\"\n", lines)
}

#[test]
fn a_store_of_a_cluster() {
    let text = with_store(
        "kind = \"etcd\"\nendpoints = [\"http://10.0.0.1:2379\", \"https://[fd00::2]:2379\"]\nnode = \"gw-a\"\n\
         key_file = \"gw.key\"\npace = \"fast\"\ncell = 7\npath = \"state\"\n",
    );
    let Loaded { config, warnings } = gateway(&text);
    assert_eq!(warnings.warning_count(), 2, "{warnings}");
    let StoreConfig::Etcd(store) = config.store else { panic!("{:?}", config.store) };
    assert_eq!(store.endpoints, ["http://10.0.0.1:2379", "https://[fd00::2]:2379"]);
    assert_eq!((store.prefix.as_str(), store.node.as_str(), store.cell), ("/jumpvpn", "gw-a", 7));
    assert_eq!((store.pace, store.identity, store.user), (Pace::Fast, None, None));
    assert!(store.state.ends_with("state") && store.key.is_some());
    let open = with_store(
        "kind = \"etcd\"\nendpoints = [\"http://etcd:2379\"]\nprefix = \"/vpn\"\nnode = \"gw-a\"\n",
    );
    assert!(gateway(&open).warnings.to_string().contains("without `key_file`"));
}

#[test]
fn mistakes_about_the_store_of_a_cluster() {
    let text = with_store("kind = \"etcd\"\nendpoints = [\"http://10.0.0.1:2379\"]\nnode = \"gw-a\"\n");
    let bad = |from: &str, to: &str, expected: &str| one_error(&text, from, to, expected);
    bad("node = \"gw-a\"\n", "", "missing key `node` in [store] of kind \"etcd\"");
    bad("[\"http://10.0.0.1:2379\"]", "[]", "no endpoint | add one like");
    bad("http://10.0.0.1:2379", "10.0.0.1:2379", "is not like http://10.0.0.1:2379");
    bad("http://10.0.0.1:2379", "http://10.0.0.1", "has no port");
    bad("http://10.0.0.1:2379", "http://10.0.0.1:0", "with a port from 1 to 65535");
    bad("node =", "prefix = \"jumpvpn/\"\nnode =", "is not a beginning of keys");
    bad("node =", "cell = 65536\nnode =", "`cell` is out of range (0 to 65535)");
    bad("node =", "pace = \"slow\"\nnode =", "`slow` is none of default, calm and fast");
    bad("node =", "username = \"gw\"\nnode =", "`username` and `password_file` belong together");
    bad("node =", "cert_file = \"c.pem\"\nnode =", "`cert_file` and `cert_key_file` belong together");
    bad("node =", "key_file = \"none.key\"\nnode =", "no such file");
}

#[test]
fn a_store_is_found_without_any_key() {
    let folder = Folder::new();
    let text = with_store(
        "kind = \"etcd\"\nendpoints = [\"http://10.0.0.1:2379\"]\nnode = \"gw-a\"\n\
         key_file = \"$CREDENTIALS_DIRECTORY/cell\"\n",
    )
    .replace("gw.key", "$CREDENTIALS_DIRECTORY/private_key")
    .replace("# preshared_key_file = \"alice.psk\"", "preshared_key_file = \"none.psk\"")
    .replace("[store]", "user = \"vpn\"\n[store]");
    let load = |text: &str| load_gateway_store(&folder.secret("gw.toml", text));
    let Loaded { config, warnings } = load(&text).unwrap();
    assert_eq!((config.user.as_deref(), warnings.to_string().as_str()), (Some("vpn"), ""));
    let StoreConfig::Etcd(store) = config.store else { panic!("{:?}", config.store) };
    assert_eq!((store.node.as_str(), store.key), ("gw-a", None));
    assert!(load_gateway(&folder.path("gw.toml")).is_err(), "the keys are missing");
    let alone = with_store("kind = \"embedded\"\nkey_file = \"$CREDENTIALS_DIRECTORY/store\"\n");
    assert_eq!(load(&alone).unwrap().config.store.kind(), "embedded");
    for (from, to, expected) in [
        ("node =", "nodes =", "unknown key `nodes`"),
        ("node = \"gw-a\"\n", "", "missing key `node` in [store]"),
        ("[store]", "[stores]", "unknown table or key `stores`"),
        ("[gateway]", "[agent]", "this is the file of an agent"),
        ("[gateway]", "[gateway", "unclosed table"),
        (
            "node =",
            "username = \"gw\"\npassword_file = \"$CREDENTIALS_DIRECTORY/etcd\"\nnode =",
            "not after the service has ended: name a file",
        ),
    ] {
        let report = load(&text.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(report.contains(expected), "{expected} in {report}");
    }
}

#[test]
fn an_agent_knows_the_gateways_of_a_cell() {
    let second = |key: &str| {
        AGENT.replace(
            "[routes]",
            &format!(
                "[[gateway]]\npublic_key = \"{key}\"\nendpoints = [\"udp://192.0.2.11:4747\"]\n[routes]"
            ),
        )
    };
    let config = agent(&second(OTHER_KEY)).config;
    assert_eq!(config.gateways.len(), 2);
    assert_eq!(config.gateways[1].endpoints[0].to_string(), "udp://192.0.2.11:4747");
}

#[test]
fn peers_are_unique() {
    let second = |name: &str, key: &str, inner: &str| {
        format!("{GATEWAY}[[peer]]\nname = \"{name}\"\npublic_key = \"{key}\"\ninner = [\"{inner}\"]\n")
    };
    assert_eq!(gateway(&second("bob", OTHER_KEY, "10.77.0.3")).config.peers.len(), 2);
    let error = |text: &str| findings(text).into_iter().find(|line| line.contains(" error ")).unwrap();
    assert!(error(&second("alice", OTHER_KEY, "10.77.0.3")).starts_with("19:8 error the name of peer alice"));
    assert!(error(&second("bob", KEY, "10.77.0.3")).contains("public key of peer bob is that of peer alice"));
    assert!(
        error(&second("bob", OTHER_KEY, "10.77.0.2")).contains("10.77.0.2 belongs to peer alice already")
    );
}

#[test]
fn a_gateway_may_wait_for_its_first_peer() {
    let Loaded { config, warnings } = gateway(&GATEWAY[..GATEWAY.find("[[peer]]").unwrap()]);
    assert!(config.peers.is_empty());
    assert!(warnings.to_string().contains("no agent may connect"));
}

#[test]
fn small_networks_run_out() {
    let text =
        GATEWAY.replace("[\"10.77.0.1/24\", \"fd77::1/64\"]", "[\"10.77.0.1/30\"]").replace("inner = ", "# ");
    assert_eq!(gateway(&text).config.peers[0].inner[0].to_string(), "10.77.0.2");
    let full = format!("{text}[[peer]]\nname = \"bob\"\npublic_key = \"{OTHER_KEY}\"\n");
    assert!(
        findings(&full).iter().any(|line| line.contains("no address is left for peer bob in 10.77.0.0/30"))
    );
}

#[test]
fn agent_mistakes() {
    let bad = |from: &str, to: &str, expected: &str| one_error(AGENT, from, to, expected);
    bad("\"udp://192.0.2.10:4747\", ", "", "no endpoint is left");
    bad("[\"wlan0\", \"wwan0\"]", "[\"wlan0\", \"wlan0\"]", "`wlan0` is listed twice");
    bad("[\"10.77.0.0/24\"]", "[\"10.77.0.0/99\"]", "is not an address with a prefix length");
    bad("alice.key", "bob.key", "no such file");
    bad(
        "[routes]",
        &format!("[[gateway]]\npublic_key = \"{KEY}\"\nendpoints = [\"udp://192.0.2.1:1\"]\n[routes]"),
        "two gateways with the same public key",
    );
    bad("dns = []", "dns = [\"ns1\"]", "`ns1` is not an IP address");
}

#[test]
fn host_bits_of_a_route_are_dropped_with_a_warning() {
    let Loaded { config, warnings } = agent(&AGENT.replace("\"10.77.0.0/24\"", "\"10.77.0.9/24\""));
    assert_eq!(config.routes.allowed_ips, ["10.77.0.0/24".parse().unwrap()]);
    assert!(warnings.to_string().contains("10.77.0.9/24 has bits behind its prefix"));
}

#[test]
fn name_servers_are_read_but_not_set_up() {
    let Loaded { config, warnings } = agent(&AGENT.replace("dns = []", "dns = [\"10.77.0.1\"]"));
    assert_eq!(config.routes.dns, ["10.77.0.1".parse::<std::net::IpAddr>().unwrap()]);
    assert!(warnings.to_string().contains("13:8: warning: name servers are not set up"), "{warnings}");
}

#[test]
fn policy_in_all_its_places() {
    let own = "[policy]\npreset = \"vehicle\"\nswitching.max_switches_per_min = 12\nvolatility = { heartbeat_interval_ms = 300 }\n";
    let text = AGENT.replace("policy = \"laptop\"", "") + own;
    let config = agent(&text).config;
    assert_eq!(config.policy_name, "vehicle");
    assert_eq!(config.policy.switching.max_switches_per_min, 12);
    assert_eq!(config.policy.volatility.heartbeat_interval, Duration::from_millis(300));
    let beside = agent(&AGENT.replace("\"laptop\"", "{ switching.switch_cooldown = \"2s\" }")).config;
    assert_eq!(
        (beside.policy_name.as_str(), beside.policy.switching.switch_cooldown),
        ("laptop", Duration::from_secs(2))
    );
    let both = agent(
        &(AGENT.replace("\"laptop\"", "\"server\"") + "[policy]\nswitching.switch_cooldown = \"2s\"\n"),
    )
    .config;
    assert_eq!(
        (both.policy_name.as_str(), both.policy.switching.switch_cooldown),
        ("server", Duration::from_secs(2))
    );
}

#[test]
fn policy_mistakes() {
    let with = |own: &str| findings(&format!("{AGENT}[policy]\n{own}\n"));
    let error = |own: &str| with(own).into_iter().find(|line| line.contains(" error ")).unwrap_or_default();
    let found = error("switching.switch_cooldwon = \"2s\"");
    assert!(found.starts_with("17:11 error unknown policy key `switching.switch_cooldwon` | did you mean `switching.switch_cooldown`?"), "{found}");
    let found = error("switching.switch_cooldown = \"2 weeks\"");
    assert!(
        found.starts_with("17:29 error policy key `switching.switch_cooldown` is \"2 weeks\""),
        "{found}"
    );
    let found = error("switching.max_switches_per_min = 100000");
    assert!(found.starts_with("17:34 error policy key switching.max_switches_per_min = "), "{found}");
    assert!(error("preset = \"server\"").contains("contradicts the one named before"));
    assert!(error("switching.switch_cooldown = \"2s\"\nswitching.switch_cooldown_ms = 3000").is_empty());
    assert!(
        error("\"switching.switch_cooldown\" = \"2s\"\nswitching.switch_cooldown = \"3s\"")
            .contains("is set twice")
    );
}

#[test]
fn defaults_are_presets() {
    for name in policy::preset_names() {
        assert!(jumpvpn_policy::Policy::by_name(name).is_some(), "{name}");
    }
    assert_eq!(
        agent(&AGENT.replace("policy = \"laptop\"", "")).config.policy,
        jumpvpn_policy::Policy::laptop()
    );
    assert_eq!(gateway(GATEWAY).config.policy, jumpvpn_policy::Policy::laptop());
}

#[test]
fn suggestions() {
    assert_eq!(suggestion("adress", ["address", "listen"]), Some("address"));
    assert_eq!(suggestion("PATH_SILNT", ["PATH_SILENT", "PATH_LOSS"]), Some("PATH_SILENT"));
    assert_eq!(suggestion("zebra", ["address", "listen"]), None);
}

#[test]
fn reference_page_has_every_key() {
    let page = docs_markdown();
    for spec in [&keys::GATEWAY, &keys::AGENT] {
        for key in spec.tables.iter().flat_map(|table| table.keys) {
            assert!(page.contains(&format!("| `{}` | {} |", key.name, key.shape.describe())), "{}", key.name);
        }
    }
    assert!(page.contains("`switching.switch_cooldown`"));
}

/// Damage at every place of a good file: whatever stands there, there is an answer, and findings lie in the file.
#[test]
fn damaged_files_are_answered() {
    let folder = Folder::new();
    for text in [GATEWAY, AGENT] {
        let lines = text.lines().count() + 1;
        for (at, character) in text.char_indices() {
            let (before, after) = (&text[..at], &text[at + character.len_utf8()..]);
            for damaged in [before.to_owned(), format!("{before}{after}"), format!("{before}\u{0}\"[{after}")]
            {
                if let Err(report) = parse(&damaged, &folder.path("vpn.toml")) {
                    assert!(report.error_count() > 0, "{damaged}");
                    assert!(
                        report.findings.iter().all(|f| (1..=lines).contains(&f.line) && f.column >= 1),
                        "{report}"
                    );
                }
            }
        }
    }
}

/// A file that somebody is still writing, or a disk has damaged: findings with a place, and never a panic. A cut behind
/// a whole table cannot be told from a shorter file.
#[test]
fn cut_and_damaged_files_are_read_to_a_report() {
    let folder = Folder::new();
    for text in [GATEWAY, AGENT] {
        assert!(parse_in(&folder, text).is_ok());
        let mut refused = 0;
        for at in 0..text.len() {
            let Some(cut) = text.get(..at) else { continue };
            let damaged = [cut, "\u{0}", text.get(at + 1..).unwrap_or_default()].concat();
            for text in [cut, &damaged] {
                let Err(report) = parse(text, &folder.path("vpn.toml")) else { continue };
                refused += 1;
                assert!(report.error_count() > 0);
                let lines = text.lines().count().max(1);
                assert!(report.findings.iter().all(|finding| finding.line <= lines + 1), "{report}");
            }
        }
        assert!(refused > text.len(), "{refused} of {}", 2 * text.len());
    }
    assert!(load(&folder.path("nothing.toml")).is_err());
    std::fs::write(folder.path("binary.toml"), [0xff; 1000]).unwrap();
    assert!(load(&folder.path("binary.toml")).is_err());
    assert!(load(&folder.0).is_err(), "a directory");
}

#[test]
fn a_file_without_an_end_is_refused() {
    let report = load(Path::new("/dev/zero")).err().unwrap();
    assert!(report.to_string().contains("longer than 64 MiB"), "{report}");
}
