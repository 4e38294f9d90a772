//! Files and functions that nobody can keep in mind.
//!
//! rustfmt has been here: a function that begins with `fn` at some depth ends with `}` at the same depth.

use super::{Finding, code, has_word};
use crate::tree::SourceFile;

/// Lines of a file that is not a test: what one reads in a sitting, twice over.
const FILE_LINES_MAX: usize = 800;

/// Lines of a function, from `fn` to its closing brace: one screen.
const FUNCTION_LINES_MAX: usize = 70;

/// Functions that may be longer: one dispatcher per state machine, each arm a call.
const DISPATCHERS: &[(&str, &str)] = &[];

/// Both rules.
pub(super) fn files_and_functions(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is_rust() && !file.is_test()) {
        let line_count = file.text.lines().count();
        if line_count > FILE_LINES_MAX {
            findings.push(Finding::of(file, format!("{line_count} lines, at most {FILE_LINES_MAX}")));
        }
        for (line, name, line_count) in functions(&file.text) {
            let listed = DISPATCHERS.contains(&(file.path.as_str(), name.as_str()));
            if line_count > FUNCTION_LINES_MAX && !listed {
                let message = format!("fn {name} has {line_count} lines, at most {FUNCTION_LINES_MAX}");
                findings.push(Finding::at(file, line, message));
            }
        }
    }
    findings
}

/// All functions with a body: (line of `fn`, name, number of lines).
fn functions(text: &str) -> Vec<(usize, String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = code(line);
        let Some(name) = has_word(&code, "fn").then(|| name_after_fn(&code)).flatten() else { continue };
        let indent = line.len() - line.trim_start().len();
        let closing = format!("{}}}", " ".repeat(indent));
        // A declaration without a body, or a body on one line, ends where it begins.
        let ends_here = code.trim_end().ends_with(';') || code.trim_end().ends_with('}');
        let length = match lines[start..].iter().position(|line| *line == closing) {
            Some(length) if !ends_here => length + 1,
            _ => continue,
        };
        found.push((start + 1, name, length));
    }
    found
}

/// `name` in `pub fn name(…`, but nothing for the type `fn(…)`.
fn name_after_fn(code: &str) -> Option<String> {
    let (_, rest) = code.split_once("fn ")?;
    let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests;
