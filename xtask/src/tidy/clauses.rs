//! The table that leads from each clause of the founding documents to its evidence names only what is there.
//!
//! A test that is renamed or removed must not leave a claim behind that nothing shows.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use crate::tree::SourceFile;

/// The table.
const TABLE: &str = "docs/security/clauses.md";

/// The founding documents, kept as they were written.
pub(super) const FOUNDING: &[&str] =
    &["docs/security/boundary-model.md", "docs/security/threat-assumptions.md"];

/// Where the promises of the simulator have their names.
const INVARIANTS: &str = "crates/sim/src/invariants.rs";

/// Where the attacks on the running program have their names.
const ATTACKS: [&str; 2] = ["attack/src/table.rs", "attack/src/load.rs"];

/// What a row may say of its clause.
const STATUSES: &[&str] = &["shown", "partly", "not yet", "assumed", "out of scope"];

/// Beginnings of paths of this repository.
const ROOTS: &[&str] = &["attack/", "crates/", "docs/", "fuzz/", "stories/", "xtask/"];

/// What a word in backticks points to.
#[derive(Debug, PartialEq, Eq)]
enum Pointer<'a> {
    /// `crates/session/src/verify.rs`, `crates/sim/src/`: a file or a folder.
    Path(&'a str),
    /// `Invariant::Replay`: a promise of the simulator.
    Invariant(&'a str),
    /// `Attack::replay-capture`: an attack on the running program.
    Attack(&'a str),
    /// `session::verify::tests::name` or `engine::it::birth::name`: a test, and the files it may stand in.
    Test { name: &'a str, files: [String; 2] },
    /// Anything else.
    Unknown,
}

/// Files, tests and promises exist; every row has a status; what is called shown has a test.
pub(super) fn evidence(files: &[SourceFile]) -> Vec<Finding> {
    let Some(table) = files.iter().find(|file| file.path == TABLE) else {
        return vec![Finding { path: TABLE.into(), line: 0, message: "the table is gone".into() }];
    };
    let texts: BTreeMap<&str, &str> =
        files.iter().map(|file| (file.path.as_str(), file.text.as_str())).collect();
    let mut findings = Vec::new();
    let mut clauses = BTreeSet::new();
    for (index, line) in table.text.lines().enumerate() {
        let mut find = |message: String| findings.push(Finding::at(table, index + 1, message));
        quoted(line).filter_map(|word| missing(word, &texts)).for_each(&mut find);
        let Some((clause, status)) = row(line) else { continue };
        if !clauses.insert(clause) {
            find(format!("{clause} has a row already"));
        }
        if !STATUSES.contains(&status) {
            find(format!("{clause} is `{status}`; a row ends with one of: {}", STATUSES.join(", ")));
        }
        if status == "shown" && !quoted(line).any(is_evidence) {
            find(format!("{clause} is called shown, but no test, promise or story is named"));
        }
    }
    findings
}

/// What the pages beside the table point to exists too.
pub(super) fn paths(files: &[SourceFile]) -> Vec<Finding> {
    let texts: BTreeMap<&str, &str> =
        files.iter().map(|file| (file.path.as_str(), file.text.as_str())).collect();
    let pages = files.iter().filter(|file| file.path.starts_with("docs/security/") && file.path != TABLE);
    let mut findings = Vec::new();
    for page in pages {
        for (index, line) in page.text.lines().enumerate() {
            let gone = quoted(line).filter(|word| is_pointer(word)).filter_map(|word| missing(word, &texts));
            findings.extend(gone.map(|message| Finding::at(page, index + 1, message)));
        }
    }
    findings
}

/// Beginnings and middles of words that are meant to lead somewhere; other pages quote commands and names as well.
fn is_pointer(word: &str) -> bool {
    ROOTS.iter().chain(&["Invariant::", "Attack::"]).any(|start| word.starts_with(start))
        || ["::tests::", "::it::"].iter().any(|middle| word.contains(middle))
}

/// First and last cell of a row that is about a clause: `| B4.1 | … | shown |`.
fn row(line: &str) -> Option<(&str, &str)> {
    let cells: Vec<&str> = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
    let (clause, status) = (*cells.first()?, *cells.last()?);
    let numbered = clause.strip_prefix(['B', 'T'])?.starts_with(|c: char| c.is_ascii_digit());
    numbered.then_some((clause, status))
}

/// The words in backticks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn pointer(word: &str) -> Pointer<'_> {
    if let Some(name) = word.strip_prefix("Invariant::") {
        return Pointer::Invariant(name);
    }
    if let Some(name) = word.strip_prefix("Attack::") {
        return Pointer::Attack(name);
    }
    let segments: Vec<&str> = word.split("::").collect();
    match segments[..] {
        [room, "it", ref modules @ .., name] if !modules.is_empty() => {
            let file = format!("crates/{room}/tests/it/{}.rs", modules.join("/"));
            Pointer::Test { name, files: [file.clone(), file] }
        }
        [room, "it", name] => {
            let file = format!("crates/{room}/tests/it/main.rs");
            Pointer::Test { name, files: [file.clone(), file] }
        }
        [room, ref modules @ .., name] if !modules.is_empty() => {
            let file = format!("{room}/src/{}.rs", modules.join("/"));
            Pointer::Test { name, files: [format!("crates/{file}"), file] }
        }
        [path] if path.contains('/') => Pointer::Path(path),
        _ => Pointer::Unknown,
    }
}

/// Whether a word points to something that was run, not to a mechanism.
fn is_evidence(word: &str) -> bool {
    match pointer(word) {
        Pointer::Test { .. } | Pointer::Invariant(_) | Pointer::Attack(_) => true,
        Pointer::Path(path) => path.starts_with("stories/") || path.starts_with("fuzz/fuzz_targets/"),
        Pointer::Unknown => false,
    }
}

/// What is wrong with a word in backticks.
fn missing(word: &str, texts: &BTreeMap<&str, &str>) -> Option<String> {
    match pointer(word) {
        Pointer::Path(path) => {
            let exists = if path.ends_with('/') {
                texts.keys().any(|file| file.starts_with(path))
            } else {
                texts.contains_key(path)
            };
            (!exists).then(|| format!("{path} does not exist"))
        }
        Pointer::Invariant(name) => {
            let named = |text: &&str| text.lines().any(|line| line.trim() == format!("{name},"));
            let exists = texts.get(INVARIANTS).is_some_and(named);
            (!exists).then(|| format!("{INVARIANTS} has no promise {name}"))
        }
        Pointer::Attack(name) => {
            let named = |text: &&str| text.contains(&format!("name: \"{name}\""));
            let exists = ATTACKS.iter().filter_map(|file| texts.get(file)).any(named);
            (!exists).then(|| format!("{} has no attack {name}", ATTACKS.join(", ")))
        }
        Pointer::Test { name, files } => {
            let exists =
                files.iter().filter_map(|file| texts.get(file.as_str())).any(|text| has_test(text, name));
            (!exists).then(|| format!("{word}: no such test in {}", files[0]))
        }
        Pointer::Unknown => Some(format!("`{word}` is neither a path, nor a test, nor a promise")),
    }
}

/// Whether `text` has a function of that name under `#[test]`.
fn has_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let head = format!("fn {name}(");
    lines.iter().enumerate().filter(|(_, line)| line.trim_start_matches("pub ").starts_with(&head)).any(
        |(at, _)| {
            let above = lines[..at].iter().rev();
            above
                .take_while(|line| line.starts_with("#[") || line.starts_with("//"))
                .any(|line| *line == "#[test]")
        },
    )
}

#[cfg(test)]
mod tests;
