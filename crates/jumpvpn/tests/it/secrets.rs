//! Where keys are in the memory of running daemons, and who can read that memory.

use std::fs::File;
use std::os::unix::fs::FileExt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::world::World;

/// Bytes read at a time; a match over the edge is found because the next piece begins earlier.
const PIECE_LEN: usize = 1 << 20;

/// How often each of the texts stands in the writable memory of a process; nothing if it may not be read.
fn count_in_memory(process: u32, texts: &[&[u8]]) -> Option<Vec<usize>> {
    let memory = File::open(format!("/proc/{process}/mem")).ok()?;
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).ok()?;
    let mut counts = vec![0; texts.len()];
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (range, _) = line.split_once(' ').unwrap();
        let (from, to) = range.split_once('-').unwrap();
        let [from, to] = [from, to].map(|edge| u64::from_str_radix(edge, 16).unwrap());
        let longest_len = texts.iter().map(|text| text.len()).max().unwrap();
        let mut at = from;
        while at < to {
            let mut piece = vec![0; usize::try_from(to - at).unwrap().min(PIECE_LEN)];
            // A mapping may have gone meanwhile.
            let Ok(len) = memory.read_at(&mut piece, at) else { break };
            let is_last = at + len as u64 >= to || len == 0;
            // A match that begins in the last bytes is counted with the next piece.
            let own_len = if is_last { len } else { len - (longest_len - 1) };
            for (text, count) in texts.iter().zip(&mut counts) {
                let begins = |at: &usize| piece[*at..len].starts_with(text);
                *count += (0..own_len).filter(|at| piece[*at] == text[0]).filter(begins).count();
            }
            if is_last {
                break;
            }
            at += own_len as u64;
        }
    }
    Some(counts)
}

#[test]
fn keys_are_in_memory_where_they_are_used_and_nowhere_else() {
    let Some(world) = World::new("keys_are_in_memory_where_they_are_used_and_nowhere_else") else { return };
    let key = |name: &str| std::fs::read_to_string(world.bed.0.join(name)).unwrap().trim().to_owned();
    let (gateway, agent) = world.both();
    assert!(world.pings("10.77.0.1"));
    for (daemon, file) in [(&gateway, "gateway.key"), (&agent, "agent.key")] {
        let text = key(file);
        let raw = STANDARD.decode(&text).unwrap();
        let Some(counts) = count_in_memory(daemon.id(), &[text.as_bytes(), &raw]) else {
            return eprintln!("SKIPPED keys_are_in_memory_…: it needs to read the memory of others");
        };
        assert_eq!(counts[0], 0, "the text of {file} was not wiped");
        assert_eq!(counts[1], 1, "the engine has {file}, and there is no other copy");
        let counts = count_in_memory(daemon.keeper(), &[text.as_bytes(), &raw]).unwrap();
        assert_eq!(counts, [0, 0], "the keeper knows {file}");
    }
}

#[test]
fn no_file_is_written_from_memory() {
    let Some(world) = World::new("no_file_is_written_from_memory") else { return };
    let gateway = world.gateway();
    world.wait_until("the gateway answers", || world.status("gateway").is_some());
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", gateway.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    // What cannot be dumped belongs to root in /proc, so that no process of the same user can look inside.
    let owner = |process: u32| {
        std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(format!("/proc/{process}/mem")).unwrap())
    };
    assert_eq!((owner(gateway.id()), owner(gateway.keeper())), (0, 0));
}
