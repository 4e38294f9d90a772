//! Text from people and files: configuration, requests on the control socket, event files.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use jumpvpn_config::{Config, ListedGateway, Severity, SignedList, parse_list};
use jumpvpn_events::verify::verify_lines;
use jumpvpn_runtime::control::Request;

use crate::engines;
use crate::seeds::text;

/// What a client wrote about a life with two jumps.
static EVENTS: LazyLock<String> = LazyLock::new(|| {
    let [_, agent] = engines::event_files();
    agent
});

/// A folder with the key files that the example configurations name; it is made once and left to the system.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("jumpvpn-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for temporary files");
    for name in ["gw.key", "alice.key", "alice.psk"] {
        secret(&folder.join(name));
    }
    folder
});

fn secret(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text::KEY).expect("room for 44 bytes");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("our own file");
}

/// The text of a configuration file.
pub fn config_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // Only files of the fixture are ever opened, whatever path an input names.
    if text.contains("..") || text.contains("file = \"/") {
        return;
    }
    let path = FOLDER.join("fuzz.toml");
    let outcome = jumpvpn_config::parse(text, &path);
    let report = match &outcome {
        Ok(loaded) => &loaded.warnings,
        Err(report) => report,
    };
    let line_count = text.lines().count().max(1) + 1;
    for finding in &report.findings {
        assert!((1..=line_count).contains(&finding.line) && finding.column >= 1, "{finding:?}");
        assert!(!finding.message.is_empty());
        let secret = text::KEY.trim();
        let shown = format!("{} {:?}", finding.message, finding.hint);
        assert!(!shown.contains(secret) || text.contains(secret), "a key is printed: {shown}");
    }
    match outcome {
        Ok(loaded) => {
            assert_eq!(loaded.warnings.error_count(), 0, "an accepted file has errors");
            assert_valid(&loaded.config);
        }
        Err(report) => {
            let errors = report.findings.iter().filter(|finding| finding.severity == Severity::Error);
            assert!(errors.count() >= 1, "refused without saying why");
            assert!(report.to_string().contains("error: "));
        }
    }
}

/// What `jumpvpn_config` promises of a file that it accepts.
fn assert_valid(config: &Config) {
    match config {
        Config::Gateway(gateway) => {
            let mut inner: Vec<_> = gateway.peers.iter().flat_map(|peer| peer.inner.iter()).collect();
            let count = inner.len();
            inner.sort_unstable();
            inner.dedup();
            assert_eq!(inner.len(), count, "an inner address is given twice");
            for address in inner {
                assert!(
                    gateway.address.iter().any(|net| net.contains(address)),
                    "{address} is in no network"
                );
            }
        }
        Config::Agent(agent) => {
            assert!(!agent.gateways.is_empty());
            assert!(agent.gateways.iter().all(|gateway| !gateway.endpoints.is_empty()));
        }
    }
}

/// A signed list of gateways, or the content of one.
pub fn gateway_list(data: &[u8]) {
    let content = match SignedList::split(data) {
        Ok(list) => {
            assert_eq!(list.join(), data, "two spellings of one list");
            list.content
        }
        Err(why) => {
            assert!(!why.is_empty());
            data
        }
    };
    let Ok(text) = std::str::from_utf8(content) else { return };
    match parse_list(text, Path::new("list")) {
        Ok(loaded) => {
            let list = loaded.config;
            assert!(list.serial >= 1 && list.issued < list.expires && !list.cell.is_empty());
            assert!((1..=64).contains(&list.gateways.len()));
            for (at, gateway) in list.gateways.iter().enumerate() {
                assert!((1..=100).contains(&gateway.weight) && !gateway.endpoints.is_empty());
                let before = &list.gateways[..at];
                let same = |other: &ListedGateway| {
                    other.public_key == gateway.public_key || other.name == gateway.name
                };
                assert!(!before.iter().any(same), "a gateway is there twice");
            }
        }
        Err(report) => assert!(report.error_count() >= 1, "refused without saying why"),
    }
}

/// One line of the control socket.
pub fn control_request(data: &[u8]) {
    match Request::parse(data) {
        Ok(request) => {
            let changes = matches!(request, Request::Jump { .. } | Request::Pin { .. } | Request::Unpin);
            assert_eq!(request.changes(), changes, "who may look must not change: {request:?}");
        }
        Err(sentence) => assert!(!sentence.is_empty() && sentence.len() <= 4096 + data.len() * 8),
    }
}

/// One or two event files. The first byte chooses: bytes as they are, or a genuine file with lines changed.
pub fn event_file(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else { return };
    if mode & 1 == 0 {
        let files = rest.split(|byte| *byte == 0xFF).take(2).enumerate();
        let outcome = verify_lines(files.map(|(number, bytes)| (format!("{number}"), bytes)));
        if let Err(findings) = &outcome {
            assert!(!findings.is_empty() && findings.len() <= 1_000);
            assert!(findings.iter().all(|finding| finding.line <= rest.len() as u64 + 1));
        }
        return;
    }
    tampered(rest);
}

/// Lines of a genuine file removed, repeated, exchanged: each of it is found.
fn tampered(edits: &[u8]) {
    let genuine: Vec<&str> = EVENTS.lines().collect();
    let mut lines = genuine.clone();
    for edit in edits.as_chunks::<2>().0.iter().take(4) {
        let [what, where_] = *edit;
        let at = usize::from(where_) % lines.len();
        let next = (at + 1) % lines.len();
        match what % 3 {
            0 if lines.len() > 2 => _ = lines.remove(at),
            1 => lines.insert(at, lines[at]),
            2 => lines.swap(at, next),
            _ => {}
        }
    }
    let file = lines.join("\n") + "\n";
    let outcome = verify_lines([("file", file.as_bytes())]);
    // A file that ends early is that of a program that was killed, and its first line again is that of its next start:
    // whether such a start was real is not in the file.
    let starts = lines.iter().filter(|line| **line == genuine[0]).count();
    let mut runs = lines.split(|line| *line == genuine[0]);
    let whole = runs.next().is_some_and(<[_]>::is_empty) && runs.all(|run| genuine[1..].starts_with(run));
    match (whole, starts) {
        (true, 1) => assert!(outcome.is_ok(), "{outcome:?}"),
        (true, _) => {}
        (false, _) => assert!(outcome.is_err(), "lines are missing, repeated or exchanged:\n{file}"),
    }
}
