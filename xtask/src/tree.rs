//! The files of the repository, as git sees them: tracked ones, and new ones that are not ignored.

use std::path::PathBuf;
use std::process::Command;

use crate::run::root;

/// Rooms beside `crates/`: programs that are aimed at the house and no part of it.
const OUTSIDE_ROOMS: &[&str] = &["attack"];

/// A text file.
pub(crate) struct SourceFile {
    /// Path from the root of the repository, with `/`.
    pub(crate) path: String,
    /// Its content.
    pub(crate) text: String,
}

impl SourceFile {
    /// The crate it belongs to: `Some("wire")` for `crates/wire/src/lib.rs`, `Some("attack")` for `attack/src/main.rs`.
    pub(crate) fn room(&self) -> Option<&str> {
        let outside = OUTSIDE_ROOMS.iter().find(|room| self.path.starts_with(&format!("{room}/")));
        let inside = || self.path.strip_prefix("crates/").and_then(|rest| rest.split('/').next());
        outside.copied().or_else(inside)
    }

    /// Whether it is Rust.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether it is compiled for tests alone: `…/tests.rs`, `…/tests/…`, `…/benches/…`.
    pub(crate) fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs")
            || self.path.split('/').any(|folder| folder == "tests" || folder == "benches")
    }
}

/// Reads all text files of the repository, ordered by path; binary ones are left out.
pub(crate) fn files() -> Result<Vec<SourceFile>, String> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .map_err(|error| format!("cannot run git: {error}"))?;
    if !listed.status.success() {
        return Err("git ls-files failed; the command works in a clone only".into());
    }
    let names = String::from_utf8_lossy(&listed.stdout);
    let mut files: Vec<SourceFile> = names.split('\0').filter_map(read).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// One file, unless it is empty in the listing, deleted in the work tree, or not text.
fn read(name: &str) -> Option<SourceFile> {
    let path: PathBuf = root().join(name);
    let text = std::fs::read_to_string(&path).ok().filter(|_| path.is_file())?;
    Some(SourceFile { path: name.to_owned(), text })
}
