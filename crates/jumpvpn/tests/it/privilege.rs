//! What a running daemon may still do, and that it works with no more than that.

use std::os::unix::fs::chown;

use crate::world::{Daemon, World};

/// CAP_NET_ADMIN alone, as the kernel writes a set of capabilities.
const NET_ADMIN: &str = "0000000000001000";
const NOTHING: &str = "0000000000000000";
/// The user and group nobody of Debian and most others.
const NOBODY: u32 = 65534;
/// Makes a process nobody's with CAP_NET_ADMIN in all sets, as a service manager does.
const AS_A_SERVICE: &str = "setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all,+net_admin \
                            --ambient-caps=-all,+net_admin --bounding-set=-all,+net_admin --no-new-privs";

/// A line of `/proc/PID/status`.
fn fact(process: u32, name: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
    line.unwrap_or_default().trim().to_owned()
}

/// The daemon can do nothing that an ordinary user cannot, and less; the keeper can change the network.
#[track_caller]
fn assert_confined(daemon: &Daemon) {
    assert_rights(daemon);
    assert_eq!(fact(daemon.keeper(), "CapBnd"), NET_ADMIN);
    assert_eq!(
        (fact(daemon.id(), "NoNewPrivs"), fact(daemon.keeper(), "NoNewPrivs")),
        ("1".into(), "1".into())
    );
    assert_eq!(fact(daemon.id(), "Seccomp"), "2");
    // Both filters.
    assert_eq!(fact(daemon.id(), "Seccomp_filters"), "2");
    for task in std::fs::read_dir(format!("/proc/{}/task", daemon.id())).unwrap().flatten() {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap();
        assert!(
            status.contains(&format!("CapEff:\t{NOTHING}")) && status.contains("Seccomp:\t2"),
            "{status}"
        );
    }
}

/// What both processes may use, whatever they might be given anew.
#[track_caller]
fn assert_rights(daemon: &Daemon) {
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(fact(daemon.id(), set), NOTHING, "{set}");
        assert_eq!(fact(daemon.keeper(), set), NET_ADMIN, "{set} of the keeper");
    }
}

/// Gives everything in the folder to nobody.
fn give_away(world: &World) {
    chown(&world.bed.0, Some(NOBODY), Some(NOBODY)).unwrap();
    for file in std::fs::read_dir(&world.bed.0).unwrap().flatten() {
        chown(file.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

/// Adds a line to the first table of a configuration.
fn configure(world: &World, file: &str, line: &str) {
    let text = std::fs::read_to_string(world.bed.0.join(file)).unwrap();
    world.bed.file(file, &text.replacen("interface =", &format!("{line}\ninterface ="), 1));
}

fn forwarding(world: &World) -> String {
    world.in_gateway("cat /proc/sys/net/ipv4/ip_forward").1
}

#[test]
fn a_daemon_started_by_root_keeps_no_right() {
    let Some(world) = World::new("a_daemon_started_by_root_keeps_no_right") else { return };
    let (gateway, agent) = world.both();
    for (daemon, name) in [(&gateway, "gateway"), (&agent, "agent")] {
        assert_confined(daemon);
        // Of no use to a process that cannot start another, but gone as well.
        assert_eq!(fact(daemon.id(), "CapBnd"), NOTHING);
        let sandbox = world.status(name).unwrap()["sandbox"].clone();
        assert_eq!(sandbox["mode"], "on");
        assert_eq!(sandbox["capabilities"], serde_json::json!([]));
        assert_eq!((&sandbox["files"], &sandbox["calls"]), (&"restricted".into(), &"filtered".into()));
        assert_eq!(sandbox["core_dumps"], false);
        let keeper = &sandbox["keeper"];
        assert_eq!(keeper["capabilities"], serde_json::json!(["CAP_NET_ADMIN"]));
        assert_eq!((&keeper["files"], &keeper["calls"]), (&"restricted".into(), &"free".into()));
        assert_eq!(keeper["core_dumps"], false);
    }
}

#[test]
fn an_ordinary_user_with_cap_net_admin_runs_everything() {
    let Some(world) = World::new("an_ordinary_user_with_cap_net_admin_runs_everything") else { return };
    configure(&world, "gateway.toml", "nat = true\nsandbox = \"required\"");
    configure(&world, "agent.toml", "sandbox = \"required\"");
    give_away(&world);
    let rules = world.in_agent("ip rule").1;
    assert_eq!(forwarding(&world).trim(), "0");
    let Some(mut gateway) = world.start_through("gateway", AS_A_SERVICE) else {
        return eprintln!("SKIPPED an_ordinary_user_…: it needs to make devices");
    };
    world.wait_until("the gateway answers", || world.status("gateway").is_some());
    let mut agent = world.start_through("agent", AS_A_SERVICE).unwrap();
    world.wait_until_attached();
    for daemon in [&gateway, &agent] {
        assert_eq!(fact(daemon.id(), "Uid"), "65534\t65534\t65534\t65534");
        assert_confined(daemon);
    }
    assert_eq!(forwarding(&world).trim(), "1");
    assert!(world.in_gateway("nft list ruleset").1.contains("masquerade"));
    assert!(world.pings("10.77.0.1") && world.pings("fd77::1"));
    // A planned jump, then a link that goes and comes back: its new socket is the keeper's work.
    let (from, to) = if world.active_link() == "one0" { ("one0", "two0") } else { ("two0", "one0") };
    world.wait_until_ready(to);
    assert_eq!(world.bed.run(&["jump", "--to", to, "-s", "agent.sock"]).code, 0);
    world.wait_until("the session is on the other link", || world.active_link() == to);
    assert!(world.in_agent(&format!("ip link set {to} down")).0);
    world.wait_until("the session has left the dead link", || world.active_link() == from);
    assert!(world.in_agent(&format!("ip link set {to} up")).0);
    world.set_default_route(to);
    world.wait_until_ready(to);
    assert!(world.pings("10.77.0.1"));
    for daemon in [&mut agent, &mut gateway] {
        daemon.signal("TERM");
        assert_eq!(daemon.wait().0, Some(0), "{}", daemon.log());
    }
    assert_eq!(world.in_agent("ip rule").1, rules);
    assert!(!world.in_agent("ip link show jump0").0 && !world.in_gateway("ip link show jump0").0);
    assert_eq!(world.in_gateway("nft list ruleset").1, "");
    assert_eq!(forwarding(&world).trim(), "0");
    assert!(!world.bed.0.join("agent.sock").exists() && !world.bed.0.join("gateway.sock").exists());
    world.verify_events();
}

#[test]
fn a_gateway_on_a_flat_site_needs_one_right_more_and_gives_it_up_too() {
    let name = "a_gateway_on_a_flat_site_needs_one_right_more_and_gives_it_up_too";
    let Some(world) = World::new(name) else { return };
    configure(&world, "gateway.toml", "flat_site = \"one1\"\nsandbox = \"required\"");
    world.edit("gateway.toml", "kind = \"memory\"", "kind = \"embedded\"\npath = \"gateway.store\"");
    give_away(&world);
    let proxies =
        || world.in_gateway("ip neigh show proxy").1 + &world.in_gateway("ip -6 neigh show proxy").1;
    let Some(mut without) = world.start_through("gateway", AS_A_SERVICE) else {
        return eprintln!("SKIPPED {name}: it needs to make devices");
    };
    assert_eq!(without.wait().0, Some(1), "{}", without.log());
    assert!(without.log().contains("CAP_NET_RAW"), "{}", without.log());
    let with = AS_A_SERVICE.replace("+net_admin", "+net_admin,+net_raw");
    let mut gateway = world.start_through("gateway", &with).unwrap();
    world.wait_until("the gateway answers", || world.status("gateway").is_some());
    assert_rights(&gateway);
    assert_eq!(proxies(), "");
    let _agent = world.agent();
    world.wait_until_attached();
    world.wait_until("the gateway answers for the session", || {
        let shown = proxies();
        shown.contains("10.77.0.2 dev one1") && shown.contains("fd77::2 dev one1")
    });
    gateway.signal("TERM");
    assert_eq!(gateway.wait().0, Some(0), "{}", gateway.log());
    assert_eq!(proxies(), "");
}

#[test]
fn a_daemon_becomes_the_user_that_is_named() {
    let Some(world) = World::new("a_daemon_becomes_the_user_that_is_named") else { return };
    configure(&world, "gateway.toml", "user = \"nobody\"");
    // The keys stay root's: they are read before root is left behind.
    chown(&world.bed.0, Some(NOBODY), Some(NOBODY)).unwrap();
    let Some(mut gateway) = world.start_through("gateway", "") else {
        return eprintln!("SKIPPED a_daemon_becomes_…: it needs to make devices");
    };
    world.wait_until("the gateway answers", || world.status("gateway").is_some());
    assert_eq!(fact(gateway.id(), "Uid"), "65534\t65534\t65534\t65534");
    assert_eq!(fact(gateway.keeper(), "Gid"), "65534\t65534\t65534\t65534");
    assert_confined(&gateway);
    // Changing the user makes a process as dumpable as `fs.suid_dumpable` has it.
    assert_eq!(world.status("gateway").unwrap()["sandbox"]["core_dumps"], false);
    let _agent = world.agent();
    world.wait_until_attached();
    assert!(world.pings("10.77.0.1"));
    gateway.signal("TERM");
    assert_eq!(gateway.wait().0, Some(0), "{}", gateway.log());
    configure(&world, "agent.toml", "user = \"there-is-nobody-of-this-name\"");
    let ended = world.run_agent_to_its_end("agent.toml");
    assert!(ended.code == 4 && ended.err.contains("there-is-nobody-of-this-name"), "{ended:?}");
}

#[test]
fn without_a_sandbox_the_status_says_so() {
    let Some(world) = World::new("without_a_sandbox_the_status_says_so") else { return };
    configure(&world, "gateway.toml", "sandbox = \"off\"");
    let gateway = world.gateway();
    world.wait_until("the gateway answers", || world.status("gateway").is_some());
    let sandbox = world.status("gateway").unwrap()["sandbox"].clone();
    assert_eq!((&sandbox["mode"], &sandbox["calls"]), (&"off".into(), &"free".into()));
    assert!(sandbox["capabilities"].as_array().is_some_and(|held| held.contains(&"CAP_NET_ADMIN".into())));
    assert_eq!(fact(gateway.id(), "Seccomp"), "0");
}

#[test]
fn the_event_file_is_opened_again_on_sighup() {
    let Some(world) = World::new("the_event_file_is_opened_again_on_sighup") else { return };
    let (_gateway, mut agent) = world.both();
    let at = |name: &str| world.bed.0.join(name);
    std::fs::rename(at("agent.jsonl"), at("agent.old.jsonl")).unwrap();
    agent.signal("HUP");
    world.wait_until("the file is back", || at("agent.jsonl").exists());
    agent.signal("TERM");
    assert_eq!(agent.wait().0, Some(0));
    let [old, new] =
        ["agent.old.jsonl", "agent.jsonl"].map(|name| std::fs::read_to_string(at(name)).unwrap());
    assert!(old.contains("SESSION_BIRTH") && !old.contains("TERMINATION"));
    assert!(new.contains("TERMINATION") && !new.contains("SESSION_BIRTH"));
    assert!(agent.log().contains("opened anew"), "{}", agent.log());
    // Both together are one unbroken file.
    world.bed.file("agent.jsonl", &(old + &new));
    let ended = world.bed.run(&["events", "verify", "agent.jsonl"]);
    assert_eq!(ended.code, 0, "{} {}", ended.out, ended.err);
}
