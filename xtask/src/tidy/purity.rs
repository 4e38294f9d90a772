//! The shelf and the ground floor stay pure, and `unsafe` has an address.

use super::layers::{GROUND_FLOOR, SHELF};
use super::{Finding, code, has_word};
use crate::tree::SourceFile;

/// Rooms in which `unsafe` may stand, each block with its reason (clippy sees to that).
const UNSAFE_ROOMS: &[&str] = &["kem", "prefetch", "tun", "transport", "host", "lab", "sandbox"];

/// Further files: the fuzzer's counters are handed over by the compiler as two addresses.
const UNSAFE_FILES: &[&str] = &["fuzz/src/coverage.rs"];

/// What looks at the blocks of each file.
const UNSAFE_PAGE: &str = "docs/security/unsafe.md";

/// Words that name a clock, a socket, a file, a thread or randomness of the system.
const IMPURE: &[(&str, &str)] = &[
    ("Instant", "time is an argument (jumpvpn_events::Time)"),
    ("SystemTime", "time is an argument (jumpvpn_events::Time)"),
    ("UdpSocket", "no sockets here"),
    ("TcpStream", "no sockets here"),
    ("TcpListener", "no sockets here"),
    ("UnixStream", "no sockets here"),
    ("OsRng", "randomness is an argument (rand_core::CryptoRng)"),
    ("SysRng", "randomness is an argument (rand_core::CryptoRng)"),
    ("SystemRandom", "randomness is an argument (rand_core::CryptoRng)"),
    ("getrandom", "randomness is an argument (rand_core::CryptoRng)"),
    ("thread_rng", "randomness is an argument (rand_core::CryptoRng)"),
    ("RandomState", "its seed comes from the system; use a fixed hasher"),
    ("std::fs", "no files here"),
    ("std::env", "settings are arguments"),
    ("std::thread", "threads belong to the runtime"),
    ("std::process", "no processes here"),
];

fn is_pure(room: &str) -> bool {
    GROUND_FLOOR.contains(&room) || SHELF.contains(&room)
}

/// No clock, I/O or system randomness, and no `unsafe` by the compiler's own word.
pub(super) fn ground_floor(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is_rust() && file.room().is_some_and(is_pure)) {
        if file.path.ends_with("/src/lib.rs") && !file.text.contains("#![forbid(unsafe_code)]") {
            findings.push(Finding::of(file, "#![forbid(unsafe_code)] is missing"));
        }
        // Build scripts run beside the program, tests may read their corpora.
        if file.is_test() || file.path.ends_with("/build.rs") {
            continue;
        }
        for (index, line) in file.text.lines().enumerate() {
            let code = code(line);
            for (word, why) in IMPURE.iter().filter(|(word, _)| has_word(&code, word)) {
                findings.push(Finding::at(file, index + 1, format!("`{word}`: {why}")));
            }
        }
    }
    findings
}

/// The `clippy.toml` of the pure rooms is one text, and repeats the root's.
pub(super) fn same_bans(files: &[SourceFile]) -> Vec<Finding> {
    let find = |path: &str| files.iter().find(|file| file.path == path);
    let Some(root) = find("clippy.toml") else { return Vec::new() };
    let mut findings = Vec::new();
    let mut first: Option<&SourceFile> = None;
    for room in SHELF.iter().chain(GROUND_FLOOR) {
        let Some(file) = find(&format!("crates/{room}/clippy.toml")) else {
            findings.push(Finding::of(
                root,
                format!("crates/{room} has no clippy.toml with the bans of the pure rooms"),
            ));
            continue;
        };
        for line in root.text.lines().filter(|line| !line.starts_with('#') && !file.text.contains(line)) {
            findings.push(Finding::of(file, format!("does not repeat the root's line: {line}")));
        }
        if first.is_some_and(|first| first.text != file.text) {
            findings.push(Finding::of(file, "differs from the same file of the other pure rooms"));
        }
        first = first.or(Some(file));
    }
    findings
}

/// `unsafe` outside of its rooms, or in a file of which [`UNSAFE_PAGE`] says nothing.
pub(super) fn unsafe_code(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let page = files.iter().find(|file| file.path == UNSAFE_PAGE).map_or("", |page| &page.text);
    for file in files.iter().filter(|file| file.is_rust()) {
        let room = file.room().is_some_and(|room| UNSAFE_ROOMS.contains(&room));
        let allowed = room || UNSAFE_FILES.contains(&file.path.as_str());
        let mut lines = file.text.lines().enumerate().filter(|(_, line)| has_word(&code(line), "unsafe"));
        if !allowed {
            let message = format!("unsafe may stand in {} only", UNSAFE_ROOMS.join(", "));
            findings.extend(lines.map(|(index, _)| Finding::at(file, index + 1, message.clone())));
        } else if let Some((index, _)) = lines.next()
            && !page.contains(&format!("`{}`", file.path))
        {
            let message = format!("{UNSAFE_PAGE} does not say what looks at it");
            findings.push(Finding::at(file, index + 1, message));
        }
    }
    findings
}
