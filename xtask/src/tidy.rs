//! The rules of the house as a failing test: layers, bans, lengths, wording, generated documents.
//!
//! Each rule looks at the files as text; what the compiler and clippy can tell is left to them.

mod clauses;
mod layers;
mod length;
mod purity;
mod style;

use crate::tree::{self, SourceFile};
use crate::{Outcome, docs};

/// A place that breaks a rule.
pub(crate) struct Finding {
    path: String,
    /// Counted from 1; 0 if the whole file is meant.
    line: usize,
    message: String,
}

impl Finding {
    fn at(file: &SourceFile, line: usize, message: impl Into<String>) -> Finding {
        Finding { path: file.path.clone(), line, message: message.into() }
    }

    fn of(file: &SourceFile, message: impl Into<String>) -> Finding {
        Finding::at(file, 0, message)
    }
}

type Rule = fn(&[SourceFile]) -> Vec<Finding>;

/// All rules, by the name that is printed beside a finding.
const RULES: &[(&str, Rule)] = &[
    ("layers", layers::arrows),
    ("layers", layers::outside),
    ("manifests", layers::manifests),
    ("purity", purity::ground_floor),
    ("purity", purity::same_bans),
    ("unsafe", purity::unsafe_code),
    ("length", length::files_and_functions),
    ("opening", style::opening),
    ("layout", style::layout),
    ("words", style::words),
    ("names", style::names),
    ("space", style::space),
    ("links", style::links),
    ("clauses", clauses::evidence),
    ("clauses", clauses::paths),
];

/// Applies all rules.
pub(crate) fn run() -> Result<Outcome, String> {
    let files = tree::files()?;
    let mut finding_count = 0;
    for (name, rule) in RULES {
        for finding in rule(&files) {
            finding_count += 1;
            let Finding { path, line, message } = finding;
            let place = if line == 0 { path } else { format!("{path}:{line}") };
            println!("{place}: {name}: {message}");
        }
    }
    for stale in docs::stale()? {
        finding_count += 1;
        println!("{stale}: docs: not what the sources say; run cargo xtask docs");
    }
    let line_count: usize =
        files.iter().filter(|file| file.is_rust()).map(|file| file.text.lines().count()).sum();
    let figures = format!("{} files, {line_count} lines of Rust, {} rules", files.len(), RULES.len() + 1);
    Ok(Outcome { figures, finding_count })
}

/// The code of a line: without its comment, and with strings emptied so that their words do not count as code.
fn code(line: &str) -> String {
    let mut code = String::new();
    let mut rest = line;
    while let Some(character) = rest.chars().next() {
        if rest.starts_with("//") {
            break;
        }
        let skipped = match character {
            'r' if rest.starts_with("r#\"") => raw_string_len(rest),
            '"' => string_len(rest),
            // A quote as a character opens no string.
            '\'' if rest.starts_with("'\"'") || rest.starts_with("'\\\"'") => "'\"'".len(),
            other => {
                code.push(other);
                rest = &rest[other.len_utf8()..];
                continue;
            }
        };
        code.push_str("\"\"");
        rest = rest.get(skipped..).unwrap_or_default();
    }
    code
}

/// Length of the string that `text` begins with, quotes included; all of it if the string goes on in the next line.
fn string_len(text: &str) -> usize {
    let mut escaped = false;
    let close = text.char_indices().skip(1).find(|&(_, character)| {
        let closes = character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        closes
    });
    close.map_or(text.len(), |(at, _)| at + 1)
}

/// As [`string_len`], of a string like `r#"…"#`.
fn raw_string_len(text: &str) -> usize {
    text[3..].find("\"#").map_or(text.len(), |at| 3 + at + 2)
}

/// Whether `text` has `word` with no letter, digit or underscore on either side.
fn has_word(text: &str, word: &str) -> bool {
    let part_of_name = |character: char| character.is_alphanumeric() || character == '_';
    text.match_indices(word).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + word.len()..].chars().next();
        !before.is_some_and(part_of_name) && !after.is_some_and(part_of_name)
    })
}

#[cfg(test)]
mod tests;
