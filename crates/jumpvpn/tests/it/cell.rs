//! Two gateways that share a store: what becomes of the sessions of one that dies while its machine lives.

use std::fs::File;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::bed::Ended;
use crate::world::{Daemon, World};

/// A store of one member in the gateways' namespace, killed when dropped.
struct Etcd(Child);

impl Drop for Etcd {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A world with the gateways `gateway` and `other`, both known to the agent, and their store. Silent gateways are given up as late as
/// possible (17 s), so that what happens before was done by somebody who knew.
fn cell(test: &str) -> Option<(World, Etcd)> {
    if Command::new("etcd").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("SKIPPED {test}: there is no etcd (Debian has it as etcd-server)");
        return None;
    }
    let world = World::new(test)?;
    std::fs::create_dir(world.bed.0.join("state")).unwrap();
    let store = "kind = \"etcd\"\nendpoints = [\"http://127.0.0.1:2379\"]\nnode = \"gw-a\"\npath = \"state\"\npace = \"calm\"";
    world.edit("gateway.toml", "kind = \"memory\"", store);
    let key = world.bed.run(&["genkey"]).out;
    world.bed.file("other.key", &key);
    let public = world.bed.run_with(&["pubkey"], &key).out;
    let text = std::fs::read_to_string(world.bed.0.join("gateway.toml")).unwrap();
    let other = text.replace("gw-a", "gw-b").replace("jump0", "jump1").replace("4747", "4748");
    let other = ["key", "sock", "jsonl"].iter().fold(other, |text, ending| {
        text.replace(&format!("\"gateway.{ending}\""), &format!("\"other.{ending}\""))
    });
    world.bed.file("other.toml", &other);
    let known = format!(
        "[[gateway]]\npublic_key = \"{}\"\nendpoints = [\"udp://10.99.0.1:4748\"]\n[routes]",
        public.trim()
    );
    world.edit("agent.toml", "[routes]", &known);
    let log = File::create(world.bed.0.join("etcd.log")).unwrap();
    let mut etcd = world.command_in_gateway("etcd");
    etcd.args(["--data-dir", "etcd"]).stdout(Stdio::null()).stderr(log);
    // etcd 3.4 asks for this on every machine but one kind.
    etcd.env("ETCD_UNSUPPORTED_ARCH", if cfg!(target_arch = "aarch64") { "arm64" } else { "" });
    let etcd = Etcd(etcd.spawn().unwrap());
    world.wait_until("etcd is healthy", || world.in_gateway("etcdctl endpoint health").0);
    Some((world, etcd))
}

/// Starts both and the agent, and waits until all is well; the first gateway has the session.
fn all(world: &World) -> (Daemon, Daemon, Daemon) {
    let gateway = world.gateway();
    let other = world.gateway_named("other");
    for who in ["gateway", "other"] {
        world.wait_until("the gateways know each other", || peers(world, who).len() == 1);
    }
    let agent = world.agent();
    world.wait_until_attached();
    assert_eq!(world.status("gateway").unwrap()["store"]["sessions"], 1);
    (gateway, other, agent)
}

fn peers(world: &World, who: &str) -> Vec<Value> {
    let status = world.status(who).unwrap_or_default();
    status["store"]["peers"].as_array().cloned().unwrap_or_default()
}

/// As the unit's `ExecStopPost=` does, which may be passed no credentials.
fn bury(world: &World) -> Ended {
    world.bed.file("bury.toml", &with_credentials(world));
    let mut command = world.command_in_gateway(env!("CARGO_BIN_EXE_jumpvpn"));
    command.env_remove("CREDENTIALS_DIRECTORY");
    Ended::from(command.args(["bury", "--json", "-c", "bury.toml"]).output().unwrap())
}

/// The gateway's file, with the key where the unit's file has it.
fn with_credentials(world: &World) -> String {
    let text = std::fs::read_to_string(world.bed.0.join("gateway.toml")).unwrap();
    let passed = text.replace("\"gateway.key\"", "\"$CREDENTIALS_DIRECTORY/private_key\"");
    assert_ne!(text, passed);
    passed
}

/// The session goes on at the other gateway, which has not missed the first one: it was told.
fn goes_on(world: &World, session: &Value, epoch: u64) {
    world.wait_until("the session goes on elsewhere", || {
        // Somebody has to use the tunnel for its agent to notice soon.
        world.in_agent("ping -c 1 -W 1 10.77.0.1");
        world.agent_says("epoch") == epoch && world.agent_says("state") == "ATTACHED"
    });
    assert_eq!(&world.agent_says("session"), session);
    let store = world.status("other").unwrap()["store"].clone();
    assert_eq!((&store["sessions"], &store["counts"]["burials"]), (&1.into(), &0.into()), "{store}");
}

#[test]
fn a_gateway_that_was_killed_is_buried_by_whoever_saw_it() {
    let Some((world, etcd)) = cell("a_gateway_that_was_killed_is_buried_by_whoever_saw_it") else { return };
    let (mut gateway, _other, _agent) = all(&world);
    let session = world.agent_says("session");
    let refused = bury(&world);
    assert!(refused.code == 1 && refused.err.contains("held by another process"), "{refused:?}");
    assert_eq!(world.status("gateway").unwrap()["store"]["standing"], "member", "and nothing happened to it");
    gateway.signal("KILL");
    gateway.wait();
    let buried = bury(&world);
    assert_eq!((buried.code, &buried.json()["buried"]), (0, &true.into()), "{buried:?}");
    let again = bury(&world);
    assert_eq!((again.code, &again.json()["buried"]), (0, &false.into()), "{again:?}");
    goes_on(&world, &session, 2);
    let mut gateway = world.gateway();
    world.wait_until("it is back", || {
        world.status("gateway").is_some_and(|status| status["store"]["standing"] == "member")
    });
    gateway.signal("TERM");
    gateway.wait();
    assert_eq!(bury(&world).json()["buried"], false, "who goes in good order says so itself");
    drop(etcd);
    world.wait_until("etcd is gone", || !world.in_gateway("etcdctl --command-timeout=1s endpoint health").0);
    let unheard = bury(&world);
    assert!(unheard.code == 1 && unheard.err.contains("no endpoint of etcd answers"), "{unheard:?}");
}

#[test]
fn a_gateway_whose_engine_fails_says_that_it_is_dead() {
    let Some((world, _etcd)) = cell("a_gateway_whose_engine_fails_says_that_it_is_dead") else { return };
    let (mut gateway, _other, _agent) = all(&world);
    let session = world.agent_says("session");
    assert!(world.in_gateway("ip link delete jump0").0);
    assert_eq!(gateway.wait().0, Some(1), "{}", gateway.log());
    goes_on(&world, &session, 2);
    assert_eq!(bury(&world).json()["buried"], false, "it was there already");
}

/// The agent's file has the first gateway alone; that there is another one it learns from this signed list.
fn list_the_other(world: &World) {
    let text = std::fs::read_to_string(world.bed.0.join("agent.toml")).unwrap();
    let (_, other) = text.split_once("[[gateway]]").unwrap().1.split_once("[[gateway]]").unwrap();
    let (other, _) = other.split_once("[routes]").unwrap();
    let key = world.bed.run(&["list", "genkey"]).out;
    world.bed.file("sign.key", &key);
    let public = world.bed.run_with(&["list", "pubkey"], &key).out;
    let terms = format!(
        "[gateway_list]\nkey = \"{}\"\ncell = \"here\"\nfile = \"agent.list\"\nstate = \"agent.state\"\n",
        public.trim()
    );
    world.edit("agent.toml", &format!("[[gateway]]{other}"), &terms);
    sign(world, "agent.list", &list(1, other.trim()));
}

/// A list that holds today and for some weeks, with one gateway.
fn list(serial: u64, gateway: &str) -> String {
    crate::list::current(&format!(
        "[list]\ncell = \"here\"\nserial = {serial}\nissued = 2026-11-01T00:00:00Z\nexpires = 2027-06-01T00:00:00Z\n\
         [[gateway]]\nname = \"gw-b\"\n{gateway}\n"
    ))
}

fn sign(world: &World, file: &str, text: &str) {
    world.bed.file("list.toml", text);
    let signed = world.bed.run(&["list", "sign", "-k", "sign.key", "list.toml"]);
    assert_eq!((signed.code, signed.err.as_str()), (0, ""));
    world.bed.file(file, &signed.out);
}

#[test]
fn a_session_goes_on_at_a_gateway_that_a_signed_list_added() {
    let Some((world, _etcd)) = cell("a_session_goes_on_at_a_gateway_that_a_signed_list_added") else {
        return;
    };
    list_the_other(&world);
    let (mut gateway, _other, mut agent) = all(&world);
    let session = world.agent_says("session");
    let list = world.agent_says("list");
    assert_eq!(
        (&list["serial"], &list["gateways"], &list["notes"]),
        (&1.into(), &1.into(), &Value::Array(vec![]))
    );
    gateway.signal("KILL");
    gateway.wait();
    assert_eq!(bury(&world).json()["buried"], true);
    goes_on(&world, &session, 2);
    // Started again with an older list it is not led by that, and still knows what it knew.
    agent.signal("TERM");
    agent.wait();
    let text = std::fs::read_to_string(world.bed.0.join("list.toml")).unwrap();
    sign(&world, "agent.list", &text.replace("serial = 1\n", "serial = 2\n"));
    let mut agent = world.agent();
    world.wait_until_attached();
    assert_eq!(world.agent_says("list")["serial"], 2);
    agent.signal("TERM");
    agent.wait();
    sign(&world, "agent.list", &text);
    let _agent = world.agent();
    world.wait_until_attached();
    let list = world.agent_says("list");
    assert_eq!(list["serial"], 2);
    assert!(list["notes"][0].as_str().unwrap().contains("older (serial 1) than one"), "{list}");
}

#[test]
fn a_gateway_with_a_store_of_its_own_has_nobody_who_waits() {
    let Some(world) = World::new("a_gateway_with_a_store_of_its_own_has_nobody_who_waits") else { return };
    for store in ["kind = \"memory\"", "kind = \"embedded\"\npath = \"gateway.store\""] {
        world.bed.file("alone.toml", &with_credentials(&world).replace("kind = \"memory\"", store));
        let ended = world.bed.run(&["bury", "-c", "alone.toml"]);
        assert!(ended.code == 0 && ended.out.contains("nothing to do"), "{ended:?}");
        assert!(!world.bed.0.join("gateway.store").exists(), "nothing was made");
    }
    assert_eq!(world.bed.run(&["bury", "-c", "none.toml"]).code, 6);
}
