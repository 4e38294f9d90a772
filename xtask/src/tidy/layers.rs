//! Which room may know which, and which outside crates a floor may use. Every ban has its reason.

use std::collections::BTreeMap;

use super::Finding;
use crate::tree::SourceFile;

/// What a room may depend on among ours, and why on nothing else.
struct Room {
    name: &'static str,
    may_know: &'static [&'static str],
    why_no_other: &'static str,
}

/// The pure rooms: time and randomness are arguments.
pub(super) const GROUND_FLOOR: &[&str] = &["session", "policy", "ownership", "engine"];

/// Plain definitions, as pure as the ground floor.
pub(super) const SHELF: &[&str] = &["events", "wire"];

const ROOMS: &[Room] = &[
    Room { name: "events", may_know: &[], why_no_other: "definitions depend on nothing of ours" },
    Room { name: "wire", may_know: &[], why_no_other: "formats depend on nothing of ours" },
    Room {
        name: "kem",
        may_know: &[],
        why_no_other: "one call into the cryptographic library, nothing of ours",
    },
    Room {
        name: "prefetch",
        may_know: &[],
        why_no_other: "hints to processor and kernel about memory, nothing of ours",
    },
    Room {
        name: "session",
        may_know: &["events", "wire", "kem", "prefetch"],
        why_no_other: "the anchor knows neither paths nor rules nor stores",
    },
    Room {
        name: "policy",
        may_know: &["events"],
        why_no_other: "rules are functions of values, also for the command line and the simulator",
    },
    Room {
        name: "ownership",
        may_know: &["events"],
        why_no_other: "who owns a session is decided without knowing what a session is made of",
    },
    Room {
        name: "engine",
        may_know: &["events", "wire", "session", "policy", "ownership", "prefetch"],
        why_no_other: "the engine is driven from the first floor and never calls up",
    },
    Room {
        name: "tun",
        may_know: &[],
        why_no_other: "the TUN device is an outside thing and knows no protocol",
    },
    Room {
        name: "transport",
        may_know: &[],
        why_no_other: "sockets are an outside thing and know no protocol",
    },
    Room { name: "host", may_know: &[], why_no_other: "this machine's links and routes never see a packet" },
    Room {
        name: "sandbox",
        may_know: &[],
        why_no_other: "what a process gives up is decided without knowing what it is for",
    },
    Room {
        name: "store",
        may_know: &["ownership"],
        why_no_other: "a store keeps bytes under keys and knows nothing of what they mean",
    },
    Room {
        name: "config",
        may_know: &["policy", "events"],
        why_no_other: "text becomes values; what is done with them is not its business",
    },
    Room {
        name: "runtime",
        may_know: &[
            "events",
            "wire",
            "session",
            "policy",
            "ownership",
            "store",
            "engine",
            "tun",
            "transport",
            "host",
            "config",
        ],
        why_no_other: "the runtime pumps; the machine and the file reach it as values from the door above",
    },
    Room {
        name: "lab",
        may_know: &["events", "config", "tun", "host"],
        why_no_other: "the lab drives the program from outside, as a user would, or its stories prove nothing; \
                       devices and links it makes with the code of the house",
    },
    Room {
        name: "sim",
        may_know: &["events", "wire", "session", "policy", "ownership", "engine"],
        why_no_other: "the simulated world replaces everything above the engine",
    },
    Room {
        name: "attack",
        may_know: &[
            "events",
            "wire",
            "session",
            "lab",
            // Crowds of genuine clients beside the attacker: the real agent over real sockets, ten thousand at a time.
            "policy",
            "ownership",
            "engine",
            "transport",
            "host",
            "config",
            "runtime",
            // Checksums of the packets it makes.
            "tun",
        ],
        why_no_other: "the attacker speaks the wire format, holds keys of its own and has the lab's network; \
                       the program it attacks it sees from outside, or it would share that program's mistakes",
    },
    Room {
        name: "model",
        may_know: &["events", "wire", "session", "policy", "ownership", "engine"],
        why_no_other: "the model checker explores what is pure; everything above the engine is its adversary",
    },
    Room {
        name: "jumpvpn",
        may_know: &[
            "events",
            "wire",
            "session",
            "policy",
            "ownership",
            "store",
            "engine",
            "config",
            "host",
            "runtime",
            "sandbox",
            "lab",
        ],
        why_no_other: "the binary opens doors; it has no sockets or devices of its own",
    },
];

/// Outside crates that a floor may not use.
struct OutsideBan {
    krate: &'static str,
    only_in: &'static [&'static str],
    why: &'static str,
}

const OUTSIDE: &[OutsideBan] = &[
    OutsideBan {
        krate: "tokio",
        only_in: &["store"],
        why: "the program polls its own sockets; one thread that speaks gRPC is the exception",
    },
    OutsideBan { krate: "tonic", only_in: &["store"], why: "what is kept elsewhere is kept in one room" },
    OutsideBan { krate: "openssl", only_in: &[], why: "one provider of cryptography: aws-lc-rs" },
    OutsideBan { krate: "ring", only_in: &[], why: "one provider of cryptography: aws-lc-rs" },
    OutsideBan { krate: "aws-lc-rs", only_in: &["session"], why: "cryptography lives in one room" },
    OutsideBan { krate: "aws-lc-sys", only_in: &["kem"], why: "raw calls into the library have one address" },
    OutsideBan { krate: "snow", only_in: &["session"], why: "cryptography lives in one room" },
    OutsideBan {
        krate: "getrandom",
        only_in: &["runtime", "jumpvpn"],
        why: "randomness is an argument below the first floor",
    },
    OutsideBan { krate: "rand", only_in: &[], why: "randomness is rand_core::CryptoRng, passed in" },
    OutsideBan {
        krate: "mio",
        only_in: &["tun", "transport", "host", "runtime", "lab"],
        why: "no I/O on the ground floor, no own loops in the doors",
    },
    OutsideBan {
        krate: "socket2",
        only_in: &["transport", "host", "runtime", "lab", "attack"],
        why: "sockets live on the first floor",
    },
    OutsideBan { krate: "rusqlite", only_in: &["store"], why: "what is kept on disk is kept in one room" },
    OutsideBan {
        krate: "libc",
        only_in: &["tun", "transport", "host", "sandbox", "lab"],
        why: "raw system calls have an address",
    },
    OutsideBan {
        krate: "rustix",
        // The room of the hints makes one call, which is a hint.
        only_in: &[
            "prefetch",
            "tun",
            "transport",
            "host",
            "sandbox",
            "store",
            "runtime",
            "lab",
            "jumpvpn",
            "attack",
        ],
        why: "no system calls on the shelf and the ground floor",
    },
];

/// Dependencies of a manifest by section: (line, section, name).
fn dependencies(text: &str) -> Vec<(usize, String, String)> {
    let mut section = String::new();
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']').to_owned();
            // `[dependencies.name]` declares one dependency with a table of its own.
            if let Some((kind, name)) = section.clone().split_once("dependencies.") {
                section = format!("{kind}dependencies");
                found.push((index + 1, section.clone(), name.to_owned()));
                section.push_str(" (single)");
            }
            continue;
        }
        if section.ends_with("dependencies") && !line.is_empty() && !line.starts_with('#') {
            let name: String =
                line.chars().take_while(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect();
            found.push((index + 1, section.clone(), name));
        }
    }
    found
}

fn manifests_of_rooms(files: &[SourceFile]) -> impl Iterator<Item = (&str, &SourceFile)> {
    files.iter().filter_map(|file| {
        let room = file.room()?;
        let manifests = [format!("crates/{room}/Cargo.toml"), format!("{room}/Cargo.toml")];
        manifests.contains(&file.path).then_some((room, file))
    })
}

/// Arrows between rooms. Tests of a room may look at rooms beside it, but not reach the doors.
pub(super) fn arrows(files: &[SourceFile]) -> Vec<Finding> {
    let rooms: BTreeMap<&str, &Room> = ROOMS.iter().map(|room| (room.name, room)).collect();
    let mut findings = Vec::new();
    for (name, file) in manifests_of_rooms(files) {
        let Some(room) = rooms.get(name) else {
            findings
                .push(Finding::of(file, format!("room `{name}` has no place in xtask/src/tidy/layers.rs")));
            continue;
        };
        for (line, section, dependency) in dependencies(&file.text) {
            let Some(target) = dependency.strip_prefix("jumpvpn-") else { continue };
            let tests_only = section.contains("dev-") && target != "runtime";
            if target != name && !tests_only && !room.may_know.contains(&target) {
                let message = format!("{name} -> {target} is banned: {}", room.why_no_other);
                findings.push(Finding::at(file, line, message));
            }
        }
    }
    findings
}

/// Outside crates where they may not be.
pub(super) fn outside(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, file) in manifests_of_rooms(files) {
        for (line, section, dependency) in dependencies(&file.text) {
            let ban = OUTSIDE.iter().find(|ban| ban.krate == dependency && !section.contains("dev-"));
            if let Some(ban) = ban.filter(|ban| !ban.only_in.contains(&name)) {
                findings.push(Finding::at(
                    file,
                    line,
                    format!("{name} -> {dependency} is banned: {}", ban.why),
                ));
            }
        }
    }
    findings
}

/// Every manifest takes edition, version, licence and lints from the workspace.
pub(super) fn manifests(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, file) in manifests_of_rooms(files) {
        for line in ["version.workspace = true", "edition.workspace = true", "license.workspace = true"] {
            if !file.text.contains(line) {
                findings.push(Finding::of(file, format!("`{line}` is missing")));
            }
        }
        if !file.text.contains("[lints]\nworkspace = true") {
            findings.push(Finding::of(file, "the lints of the workspace are not taken over"));
        }
        let package = if name == "jumpvpn" { name.to_owned() } else { format!("jumpvpn-{name}") };
        if !file.text.contains(&format!("name = \"{package}\"")) {
            findings.push(Finding::of(file, format!("the package is not called {package}")));
        }
        for (line, _, dependency) in dependencies(&file.text) {
            let declared = file.text.lines().nth(line - 1).unwrap_or_default();
            if declared.contains("version =") || declared.contains("= \"") && !declared.contains("workspace")
            {
                let message = format!("the version of {dependency} belongs in the root's Cargo.toml");
                findings.push(Finding::at(file, line, message));
            }
        }
    }
    findings
}
