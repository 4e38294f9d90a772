//! Looks for what the tests need on this machine, and says in one line how to get what is missing.

use std::path::Path;

use crate::run::{cargo_has, works};
use crate::{Outcome, run};

/// Programs the build and the tests need, with the Debian package that has them.
const PROGRAMS: &[(&str, &str, &str)] = &[
    ("cc", "build-essential", "compiles the cryptographic library"),
    ("nft", "nftables", "the gateway's address translation and the agent's kill switch"),
    ("ip", "iproute2", "tests of links and routes look with it"),
    ("ssh", "openssh-client", "the lab keeps a shell open through every jump"),
    ("sshd", "openssh-server", "the lab keeps a shell open through every jump"),
    ("setpriv", "util-linux", "tests run daemons as an ordinary user"),
    ("ping", "iputils-ping", "tests send echo requests through a tunnel"),
    ("pgrep", "procps", "its package has the kill that tests call"),
    ("bird", "bird2", "routers follow the gateways' routes in the lab"),
    ("etcd", "etcd-server", "the lab's cell of three gateways keeps its sessions in it"),
    ("mkfs.ext4", "e2fsprogs", "each member of the lab's store has a disk of its own"),
    ("systemd-analyze", "systemd", "the exposure of the services is measured"),
];

/// Folders that are searched beside PATH: administrators' programs are often not in it.
const MORE_FOLDERS: &[&str] = &["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Extra subcommands of cargo that are used when they are there.
const OPTIONAL: &[(&str, &str)] =
    &[("nextest", "faster tests"), ("deny", "licences and advisories"), ("mutants", "cargo xtask mutants")];

/// Runs the command.
pub(crate) fn run() -> Result<Outcome, String> {
    let mut missing = Vec::new();
    for (program, package, purpose) in PROGRAMS {
        let found = present(program);
        println!("  {:<8} {program:<10} {purpose}", if found { "ok" } else { "MISSING" });
        if !found && !missing.contains(package) {
            missing.push(*package);
        }
    }
    for (name, purpose) in OPTIONAL {
        let found = cargo_has(name);
        println!("  {:<8} {:<10} {purpose}", if found { "ok" } else { "absent" }, format!("cargo {name}"));
    }
    let namespaces = works("unshare", &["--user", "--map-root-user", "--net", "true"]);
    println!("  {:<8} {:<10} the lab and many tests live in namespaces", state(namespaces), "namespaces");
    let tun = run::works("test", &["-c", "/dev/net/tun"]);
    println!("  {:<8} {:<10} the tunnel's device", state(tun), "tun");
    if !missing.is_empty() {
        println!("get them with: sudo apt-get install -y {}", missing.join(" "));
    }
    let finding_count = missing.len() + usize::from(!namespaces) + usize::from(!tun);
    Ok(Outcome { figures: format!("{} programs looked for", PROGRAMS.len()), finding_count })
}

fn state(found: bool) -> &'static str {
    if found { "ok" } else { "MISSING" }
}

/// Whether `program` lies in a folder where programs lie.
fn present(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::env::split_paths(&path).chain(MORE_FOLDERS.iter().map(|folder| Path::new(folder).to_owned()));
    folders.into_iter().any(|folder| folder.join(program).is_file())
}
