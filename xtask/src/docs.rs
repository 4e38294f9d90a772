//! The documents that are made from declarations in the code: `cargo xtask docs` writes them, `tidy` compares them.

use crate::run::root;
use crate::{Outcome, pairs};

/// Path of a generated document, and what writes it.
type Document = (&'static str, fn() -> String);

const DOCUMENTS: &[Document] = &[
    ("docs/config.md", jumpvpn_config::docs_markdown),
    ("docs/reasons.md", jumpvpn_events::docs_markdown),
    ("docs/schema/config.json", jumpvpn_config::json_schema),
    ("docs/schema/events.json", jumpvpn_events::json_schema),
];

/// Writes the documents, or with `--check` says which are stale.
pub(crate) fn run(rest: &[String]) -> Result<Outcome, String> {
    match rest {
        [] => write(),
        [flag] if flag == "--check" => {
            let stale = stale()?;
            for path in &stale {
                println!("{path}: not what the sources say");
            }
            Ok(Outcome { figures: format!("{} documents", DOCUMENTS.len()), finding_count: stale.len() })
        }
        _ => pairs(rest, &["--check"]).map(|_| Outcome { figures: String::new(), finding_count: 1 }),
    }
}

fn write() -> Result<Outcome, String> {
    let mut written = 0;
    for path in stale()? {
        let text = DOCUMENTS.iter().find(|(name, _)| *name == path).map(|(_, make)| ended(make()));
        let target = root().join(path);
        let folder = target.parent().unwrap_or(root());
        std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&target, text.unwrap_or_default()))
            .map_err(|error| format!("cannot write {path}: {error}"))?;
        println!("{path}: written");
        written += 1;
    }
    Ok(Outcome { figures: format!("{written} of {} documents written", DOCUMENTS.len()), finding_count: 0 })
}

/// Paths of the documents that are not what the sources say.
pub(crate) fn stale() -> Result<Vec<&'static str>, String> {
    let mut stale = Vec::new();
    for (path, make) in DOCUMENTS {
        let present = match std::fs::read_to_string(root().join(path)) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(format!("cannot read {path}: {error}")),
        };
        if present != Some(ended(make())) {
            stale.push(*path);
        }
    }
    Ok(stale)
}

/// The text with exactly one newline at its end.
fn ended(text: String) -> String {
    text.trim_end().to_owned() + "\n"
}
