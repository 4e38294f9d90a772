//! Sessions that outlive their gateway's process, and stores that are not opened.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::bed::Ended;
use crate::world::World;

/// A world whose gateway keeps its sessions in a file.
fn durable(test: &str) -> Option<World> {
    let world = World::new(test)?;
    world.edit("gateway.toml", "kind = \"memory\"", "kind = \"embedded\"\npath = \"gateway.store\"");
    Some(world)
}

#[test]
fn a_session_outlives_the_processes_of_its_gateway() {
    let Some(world) = durable("a_session_outlives_the_processes_of_its_gateway") else { return };
    let (mut gateway, mut agent) = world.both();
    let session = world.agent_says("session");
    let inner = world.agent_says("inner");
    assert_eq!((world.agent_says("epoch"), world.agent_says("version")), (1.into(), 1.into()));
    for (signal, epoch) in [("KILL", 2), ("TERM", 3)] {
        gateway.signal(signal);
        gateway.wait();
        gateway = world.gateway();
        world.wait_until("the session is taken over", || {
            // Somebody has to use the tunnel for its agent to notice soon.
            world.in_agent("ping -c 1 -W 1 10.77.0.1");
            let status = world.status("agent").unwrap_or_default();
            status["state"] == "ATTACHED" && status["epoch"] == epoch
        });
        assert_eq!(
            (world.agent_says("session"), world.agent_says("inner")),
            (session.clone(), inner.clone())
        );
        assert!(world.pings("10.77.0.1"), "after SIG{signal}");
        let store = world.status("gateway").unwrap()["store"].clone();
        assert_eq!(
            (&store["kind"], &store["standing"], &store["healthy"]),
            (&"embedded".into(), &"member".into(), &true.into())
        );
        assert_eq!(store["sessions"], 1);
    }
    agent.signal("TERM");
    agent.wait();
    world.wait_until("the session is over", || {
        world.status("gateway").is_some_and(|status| status["store"]["sessions"] == 0)
    });
    gateway.signal("TERM");
    gateway.wait();
    let proof = world.bed.run(&["events", "verify", "gateway.jsonl", "agent.jsonl"]);
    assert_eq!(proof.code, 0, "{}{}", proof.out, proof.err);
}

#[test]
fn a_lost_key_is_replaced_and_opens_nothing_afterwards() {
    let Some(world) = durable("a_lost_key_is_replaced_and_opens_nothing_afterwards") else { return };
    let (mut gateway, mut thief) = world.both();
    let (session, inner) = (world.agent_says("session"), world.agent_says("inner"));
    let public = |world: &World, file: &str| {
        let key = std::fs::read_to_string(world.bed.0.join(file)).unwrap();
        world.bed.run_with(&["pubkey"], &key).out.trim().to_owned()
    };
    let lost = public(&world, "agent.key");
    world.bed.file("new.key", &world.bed.run(&["genkey"]).out);
    world.edit("gateway.toml", &lost, &public(&world, "new.key"));
    gateway.signal("TERM");
    gateway.wait();
    let _gateway = world.gateway();
    let mut using = world.beside_agent("ping -q -i 0.2 -w 120 10.77.0.1");
    world.wait_until("who has the lost key is sent away", || thief.log().contains("PEER_REVOKED"));
    using.kill().unwrap();
    using.wait().unwrap();
    assert_ne!(world.agent_says("state"), "ATTACHED");
    thief.signal("TERM");
    thief.wait();
    world.edit("agent.toml", "agent.key", "new.key");
    let _agent = world.agent();
    world.wait_until_attached();
    assert!(world.pings("10.77.0.1"));
    assert_eq!(world.agent_says("inner"), inner, "the addresses are the client's, not the key's");
    assert_ne!(world.agent_says("session"), session);
}

/// The gateway does not start, says this, and changes no file of the store.
#[track_caller]
fn refused(world: &World, words: &[&str]) {
    let files =
        || ["gateway.store", "gateway.store.key"].map(|name| std::fs::read(world.bed.0.join(name)).ok());
    let before = files();
    let Ended { code, err, .. } = world.run_gateway_to_its_end("gateway.toml");
    assert!(matches!(code, 1 | 4 | 6), "{code}: {err}");
    assert!(words.iter().all(|word| err.contains(word)), "{words:?} in {err}");
    assert!(before == files(), "a file was changed, although: {err}");
    assert!(!world.in_gateway("ip link show jump0").0, "nothing is served");
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn a_store_that_cannot_be_trusted_is_refused_and_left_alone() {
    let Some(world) = durable("a_store_that_cannot_be_trusted_is_refused_and_left_alone") else { return };
    let (mut gateway, mut agent) = world.both();
    for daemon in [&mut agent, &mut gateway] {
        daemon.signal("TERM");
        daemon.wait();
    }
    let (store, key) = (world.bed.0.join("gateway.store"), world.bed.0.join("gateway.store.key"));
    set_mode(&key, 0o644);
    refused(&world, &["gateway.store.key", "others than its owner"]);
    set_mode(&key, 0o600);
    set_mode(&store, 0o640);
    refused(&world, &["gateway.store"]);
    set_mode(&store, 0o600);
    let kept = world.bed.0.join("kept.key");
    std::fs::rename(&key, &kept).unwrap();
    refused(&world, &["gateway.store.key", "put the store's key back"]);
    std::fs::rename(&kept, &key).unwrap();
    let whole = std::fs::read(&store).unwrap();
    std::fs::write(&store, "something else").unwrap();
    refused(&world, &["gateway.store", "not a database"]);
    std::fs::write(&store, &whole).unwrap();
    let gateway = world.gateway();
    world.wait_until("it starts again", || world.status("gateway").is_some());
    drop(gateway);
}

#[test]
fn a_store_is_for_one_gateway() {
    let Some(world) = durable("a_store_is_for_one_gateway") else { return };
    let (_gateway, _agent) = world.both();
    let text = std::fs::read_to_string(world.bed.0.join("gateway.toml")).unwrap();
    let other = text.replace("gateway.sock", "other.sock").replace("jump0", "jump1").replace("4747", "4748");
    world.bed.file("other.toml", &other.replace("gateway.jsonl", "other.jsonl"));
    let Ended { code, err, .. } = world.run_gateway_to_its_end("other.toml");
    assert!(code == 1 && err.contains("held by another process"), "{err}");
    assert!(world.pings("10.77.0.1"), "and the first one was not disturbed");
}

#[test]
fn a_cluster_that_does_not_answer_is_said_at_the_start() {
    let Some(world) = World::new("a_cluster_that_does_not_answer_is_said_at_the_start") else { return };
    let store = "kind = \"etcd\"\nendpoints = [\"http://127.0.0.1:1\"]\nnode = \"gw-a\"\npath = \"state\"";
    world.edit("gateway.toml", "kind = \"memory\"", store);
    std::fs::create_dir(world.bed.0.join("state")).unwrap();
    let Ended { code, err, .. } = world.run_gateway_to_its_end("gateway.toml");
    assert!(code == 1 && err.contains("no endpoint of etcd answers"), "{code}: {err}");
    assert!(err.contains("http://127.0.0.1:1"), "{err}");
}
