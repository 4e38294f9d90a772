//! Runs every fuzz target on a stable compiler: first the corpora, then seeded mutations of them for a while.
//!
//! `stable [--seconds N | --minutes N] [--seed S] [--target NAME] [--write-corpus]`. Exit status 1 when a target panicked (its
//! input is kept in `fuzz/artifacts/<target>/`), 2 for wrong arguments.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs};

use jumpvpn_fuzz::mutate::{Random, mutate};
use jumpvpn_fuzz::{TARGETS, Target, seeds};

/// Mutations between two looks at the clock and the next target: about 10 ms of work.
const BATCH: u64 = 200;

/// What the command line asks for.
struct Options {
    seconds: u64,
    seed: u64,
    target: Option<String>,
    write_corpus: bool,
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { seconds: 10, seed: 1, target: None, write_corpus: false };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|_| format!("`{text}` is not a number"));
        match word.as_str() {
            "--seconds" => options.seconds = number(value()?)?,
            "--minutes" => options.seconds = number(value()?)?.saturating_mul(60),
            "--seed" => options.seed = number(value()?)?,
            "--target" => options.target = Some(value()?),
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
    while sound && start.elapsed() < Duration::from_secs(options.seconds) {
        sound = runs.iter_mut().all(Run::batch);
    }
    let counts: Vec<_> = runs.iter().map(|run| format!("{} {}", run.target.name, run.executions)).collect();
    let (total, inputs) = runs.iter().fold((0, 0), |(a, b), run| (a + run.executions, b + run.corpus.len()));
    let verdict = if sound { "no panic" } else { "PANIC" };
    let (seed, seconds) = (options.seed, start.elapsed().as_secs_f32());
    println!(
        "fuzz: {verdict}, {total} executions ({}), {inputs} corpus files, seed {seed}, {seconds:.1} s",
        counts.join(", ")
    );
    Ok(sound)
}

/// One target at work.
struct Run {
    target: Target,
    corpus: Vec<Vec<u8>>,
    random: Random,
    executions: u64,
}

impl Run {
    fn new(target: Target, seed: u64) -> Result<Self, Box<dyn Error>> {
        let folder = folder("corpus", target.name);
        let mut files: Vec<_> = fs::read_dir(&folder)
            .map_err(|error| format!("{}: {error}", folder.display()))?
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .map(|entry| entry.path())
            .collect();
        files.sort();
        let corpus = files.iter().map(fs::read).collect::<Result<_, _>>()?;
        // Each target has its own sequence, whatever other targets run beside it.
        let salt =
            target.name.bytes().fold(seed, |salt, byte| salt.wrapping_mul(31).wrapping_add(u64::from(byte)));
        Ok(Self { target, corpus, random: Random::new(salt), executions: 0 })
    }

    fn replay(&mut self) -> bool {
        let corpus = self.corpus.clone();
        corpus.iter().all(|bytes| self.execute(bytes))
    }

    fn batch(&mut self) -> bool {
        (0..BATCH).all(|_| {
            let bytes = mutate(&self.corpus, &mut self.random);
            self.execute(&bytes)
        })
    }

    fn execute(&mut self, bytes: &[u8]) -> bool {
        self.executions += 1;
        let sound = catch_unwind(AssertUnwindSafe(|| (self.target.run)(bytes))).is_ok();
        if !sound {
            match keep(self.target.name, bytes) {
                Ok(path) => eprintln!("input kept in {}", path.display()),
                Err(error) => eprintln!("input could not be kept ({error}): {bytes:02x?}"),
            }
        }
        sound
    }
}

fn keep(target: &str, bytes: &[u8]) -> Result<PathBuf, std::io::Error> {
    let folder = folder("artifacts", target);
    fs::create_dir_all(&folder)?;
    let name = bytes
        .iter()
        .fold(0xCBF2_9CE4_8422_2325u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3));
    let path = folder.join(format!("crash-{name:016x}"));
    fs::write(&path, bytes)?;
    Ok(path)
}

fn write_corpus() -> Result<(), Box<dyn Error>> {
    for (target, name, bytes) in seeds::all() {
        let folder = folder("corpus", target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}
