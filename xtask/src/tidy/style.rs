//! How files open, lie, and are worded.

use super::clauses::FOUNDING;
use super::{Finding, code, has_word};
use crate::run::root;
use crate::tree::SourceFile;

/// Marks of work that is not finished. Split, so that this file does not find itself.
const UNFINISHED: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("todo", "!"),
    concat!("unimplemented", "!"),
    concat!("dbg", "!"),
];

/// Beginnings of paths that exist on one machine only. Split, so that this file does not find itself.
const MACHINE_PATHS: &[&str] =
    &[concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/"), concat!("/wo", "rk/")];

/// Ends of type names that say nothing about the thing.
const EMPTY_NAMES: &[&str] = &["Manager", "Helper", "Helpers", "Util", "Utils", "Handler", "Service"];

fn rust(files: &[SourceFile]) -> impl Iterator<Item = &SourceFile> {
    files.iter().filter(|file| file.is_rust())
}

/// Every file says in its first line what it is for.
pub(super) fn opening(files: &[SourceFile]) -> Vec<Finding> {
    rust(files)
        .filter(|file| !file.text.starts_with("//! "))
        .map(|file| Finding::at(file, 1, "the file does not open with `//!` and what it is for"))
        .collect()
}

/// Where modules and tests lie.
pub(super) fn layout(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in rust(files) {
        if file.path.ends_with("/mod.rs") {
            findings.push(Finding::of(file, "no mod.rs: the module lies beside its folder"));
        }
        let segments: Vec<&str> = file.path.split('/').collect();
        if let ["crates", _, "tests", name] = segments[..] {
            let message =
                format!("{name} is an integration binary of its own; there is one, tests/it/main.rs");
            findings.push(Finding::of(file, message));
        }
        for (index, line) in file.text.lines().enumerate() {
            if line.trim_start().starts_with("mod tests {") {
                findings.push(Finding::at(file, index + 1, "tests lie in a file of their own, foo/tests.rs"));
            }
        }
    }
    findings
}

/// Unfinished work and paths of one machine.
pub(super) fn words(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path != "Cargo.lock") {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(word) = UNFINISHED
                .iter()
                .find(|word| has_word(line, word.trim_end_matches('!')) && line.contains(**word))
            {
                findings.push(Finding::at(file, index + 1, format!("`{word}`: finish it or leave it out")));
            }
            if let Some(path) = MACHINE_PATHS.iter().find(|path| begins_a_path(line, path)) {
                findings.push(Finding::at(file, index + 1, format!("`{path}…` is a path of one machine")));
            }
        }
    }
    findings
}

/// Whether `start` stands in `line` as the beginning of a path, not in the middle of one.
fn begins_a_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-}/".contains(c))
    })
}

/// Names of the project's vocabulary.
pub(super) fn names(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in rust(files) {
        for (index, line) in file.text.lines().enumerate() {
            let code = code(line);
            if code.contains(concat!("fn ", "get_")) {
                findings.push(Finding::at(file, index + 1, "no get_: the name of the thing is enough"));
            }
            if let Some(name) = declared_type(&code)
                && let Some(end) = EMPTY_NAMES.iter().find(|end| name.ends_with(**end))
            {
                findings.push(Finding::at(
                    file,
                    index + 1,
                    format!("{name}: `{end}` says nothing about the thing"),
                ));
            }
        }
    }
    findings
}

/// The name in `pub struct Name`, `enum Name`, `trait Name`.
fn declared_type(code: &str) -> Option<&str> {
    let (_, rest) = ["struct ", "enum ", "trait "].iter().find_map(|word| {
        let (before, rest) = code.split_once(word)?;
        let declares = before.split_whitespace().all(|word| word.starts_with("pub"));
        declares.then_some((before, rest))
    })?;
    rest.split(|c: char| !c.is_alphanumeric()).next()
}

/// White space at ends of lines, foreign line ends, no newline at the end; a corpus and the founding documents are kept
/// as they are.
pub(super) fn space(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let kept = |file: &SourceFile| file.path.contains("/corpus/") || FOUNDING.contains(&file.path.as_str());
    for file in files.iter().filter(|file| !kept(file)) {
        if !file.text.is_empty() && !file.text.ends_with('\n') {
            findings.push(Finding::of(file, "no newline at the end"));
        }
        for (index, line) in file.text.split('\n').enumerate() {
            if line.ends_with([' ', '\t', '\r']) {
                findings.push(Finding::at(file, index + 1, "white space at the end of the line"));
            }
        }
    }
    findings
}

/// Links of Markdown files to files that are not there.
pub(super) fn links(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        let folder = root().join(&file.path).parent().map(ToOwned::to_owned).unwrap_or_default();
        for (index, line) in file.text.lines().enumerate() {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let path = target.split('#').next().unwrap_or_default();
                let outside = target.contains("://") || target.starts_with("mailto:") || path.is_empty();
                if !outside && !folder.join(path).exists() {
                    findings.push(Finding::at(file, index + 1, format!("{path} does not exist")));
                }
            }
        }
    }
    findings
}
