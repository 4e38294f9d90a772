//! How many edges the corpora reach, kept in `fuzz/coverage.toml` so that a fall is noticed.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Edges by target.
pub(super) type Record = BTreeMap<String, usize>;

/// A target may lose so many percent: with the same compiler an unrelated change of its crate was seen to move the figure
/// by 7 %, by inlining. A parser that refuses everything, or a lost corpus, moves it by far more.
const NOISE_PERCENT: usize = 10;

/// And so many edges whatever its size: one function that is inlined or not is worth as many.
const NOISE_EDGES: usize = 8;

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("coverage.toml")
}

/// The compiler, because edges are those of its code.
fn compiler() -> Result<String, Box<dyn Error>> {
    let output = Command::new("rustc").arg("--version").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Writes the figures down.
pub(super) fn write(reached: &Record) -> Result<(), Box<dyn Error>> {
    let mut text = format!(
        "# Edges of the product's code that the checked-in inputs of each target reach, written by\n\
         # `cargo xtask fuzz --record`. `cargo xtask fuzz --coverage` fails when one falls by more than {NOISE_PERCENT} %\n\
         # and more than {NOISE_EDGES} edges.\n\
         compiler = \"{}\"\n",
        compiler()?
    );
    for (target, edges) in reached {
        writeln!(text, "{target} = {edges}")?;
    }
    Ok(std::fs::write(path(), text)?)
}

/// A sentence for every target that reaches less than recorded. Edges of two compilers cannot be compared: then there is
/// one sentence on the output and no judgement.
pub(super) fn fallen(reached: &Record) -> Result<Vec<String>, Box<dyn Error>> {
    let text = std::fs::read_to_string(path())?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
        line.map(|value| value.trim_matches('"').to_owned())
    };
    let (recorded_by, compiler) = (field("compiler").unwrap_or_default(), compiler()?);
    if recorded_by != compiler {
        println!("coverage was recorded by {recorded_by}, this is {compiler}: not compared");
        return Ok(Vec::new());
    }
    let mut sentences = Vec::new();
    for (target, edges) in reached {
        let recorded: usize = field(target).ok_or(format!("{target} is not recorded"))?.parse()?;
        let noise = (recorded * NOISE_PERCENT / 100).max(NOISE_EDGES);
        if *edges + noise < recorded {
            sentences.push(format!("{target} reaches {edges} edges, {recorded} are recorded"));
        }
    }
    Ok(sentences)
}
