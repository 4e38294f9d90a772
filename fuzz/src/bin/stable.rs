//! Runs every fuzz target on a stable compiler: first what is checked in, then seeded mutations of it for a while, guided
//! by the edges of the product's code that they take.
//!
//! `stable [--seconds N | --minutes N] [--seed S] [--target NAME] [--coverage | --record] [--minimize]
//! [--write-corpus]`. Exit status 1 when a target panicked (its input is kept in `fuzz/artifacts/<target>/`) or when the
//! corpora reach less than recorded, 2 for wrong arguments.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs};

use jumpvpn_fuzz::{TARGETS, Target, seeds};

#[path = "stable/record.rs"]
mod record;
#[path = "stable/run.rs"]
mod run;

use record::Record;
use run::Run;

/// What the command line asks for.
#[derive(Default)]
struct Options {
    seconds: u64,
    seed: u64,
    target: Option<String>,
    /// Compare what the corpora reach with what is recorded.
    coverage: bool,
    /// Record what the corpora reach.
    record: bool,
    /// Keep the inputs that reach something new, and drop those that do not.
    minimize: bool,
    write_corpus: bool,
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { seconds: 10, seed: 1, ..Options::default() };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|_| format!("`{text}` is not a number"));
        match word.as_str() {
            "--seconds" => options.seconds = number(value()?)?,
            "--minutes" => options.seconds = number(value()?)?.saturating_mul(60),
            "--seed" => options.seed = number(value()?)?,
            "--target" => options.target = Some(value()?),
            "--coverage" => options.coverage = true,
            "--record" => options.record = true,
            "--minimize" => options.minimize = true,
            "--write-corpus" => options.write_corpus = true,
            _ => return Err(format!("unknown argument `{word}`")),
        }
    }
    if let Some(name) = &options.target
        && !TARGETS.iter().any(|target| target.name == name)
    {
        return Err(format!("no target `{name}`"));
    }
    Ok(options)
}

fn main() -> ExitCode {
    let options = match options(env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn folder(kind: &str, target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(target)
}

fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    if options.write_corpus {
        return write_corpus().map(|()| true);
    }
    let wanted = |target: &&Target| options.target.as_ref().is_none_or(|name| name == target.name);
    let mut runs = Vec::new();
    for target in TARGETS.iter().filter(wanted) {
        runs.push(Run::new(*target, options.seed)?);
    }
    let start = Instant::now();
    let mut sound = runs.iter_mut().all(Run::replay);
    if let Some(blind) = runs.iter().find(|run| sound && run.edges_taken() == 0) {
        return Err(format!(
            "{} was built without counters: run it with `cargo xtask fuzz`",
            blind.target.name
        )
        .into());
    }
    let reached: Record = runs.iter().map(|run| (run.target.name.to_owned(), run.edges_taken())).collect();
    // Each target gets the same time, whatever one of its inputs costs.
    let share = Duration::from_secs(options.seconds) / runs.len().max(1) as u32;
    for run in &mut runs {
        sound = sound && run.fuzz(share);
    }
    if options.minimize && sound {
        runs.iter().try_for_each(Run::minimize)?;
    }
    if options.record && sound {
        record::write(&reached)?;
    }
    let fallen = if options.coverage { record::fallen(&reached)? } else { Vec::new() };
    fallen.iter().for_each(|sentence| println!("{sentence}"));
    report(options, &runs, start.elapsed(), sound);
    Ok(sound && fallen.is_empty())
}

fn report(options: &Options, runs: &[Run], elapsed: Duration, sound: bool) {
    for run in runs {
        println!(
            "  {:<18} {:>9} executions, {:>4} inputs, {:>4} found, {:>6} edges",
            run.target.name,
            run.executions,
            run.corpus_count(),
            run.found_count(),
            run.edges_taken()
        );
    }
    let (total, inputs) =
        runs.iter().fold((0, 0), |(a, b), run| (a + run.executions, b + run.corpus_count()));
    let verdict = if sound { "no panic" } else { "PANIC" };
    println!(
        "fuzz: {verdict}, {total} executions of {} targets, {inputs} inputs checked in, seed {}, {:.1} s",
        runs.len(),
        options.seed,
        elapsed.as_secs_f32()
    );
}

fn write_corpus() -> Result<(), Box<dyn Error>> {
    for (target, name, bytes) in seeds::all() {
        let folder = folder("corpus", target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}
