//! Runs worlds and says what they broke: `jumpvpn-sim --seeds 100`, `--hours 10`, `--seed 7 --trace`.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jumpvpn_sim::{COVERED_AFTER, Failure, Options, Regression, Report, run_seed, tell_seed};

const USAGE: &str = "\
jumpvpn-sim [--seeds N | --hours H] [--first SEED] [--seconds V] [--jobs J] [--out FOLDER]
jumpvpn-sim --seed SEED [--seconds V] [--trace]

  --seeds N     so many worlds (100)
  --hours H     as many worlds as make H hours of virtual time
  --first SEED  the first one (0)
  --seed SEED   this one only
  --seconds V   virtual seconds of trouble in each, at most (120)
  --out FOLDER  a file for each world that broke a promise goes there (target/sim)
  --jobs J      worlds at the same time (one for each processor)
  --trace       tell the whole story of the one";

/// Lines of a whole story: none of the worlds makes more.
const WHOLE_STORY: usize = 10_000_000;
/// Failures that are told; the others are counted.
const FAILURES_TOLD: usize = 5;
/// Between two signs of life on the terminal.
const PROGRESS: Duration = Duration::from_secs(5);

struct Arguments {
    first: u64,
    count: u64,
    hours: Option<f64>,
    seconds: u64,
    jobs: usize,
    one: Option<u64>,
    trace: bool,
    out: PathBuf,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("{problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    // A panic inside a world is a finding with a seed and a story; the default message would have neither.
    std::panic::set_hook(Box::new(|_| {}));
    match arguments.one {
        Some(seed) => run_one(seed, &arguments),
        None => run_many(&arguments),
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    let seconds = Options::default().seconds;
    let out = PathBuf::from("target/sim");
    let mut found =
        Arguments { first: 0, count: 100, hours: None, seconds, jobs, one: None, trace: false, out };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--help" | "-h" => return Ok(None),
            "--trace" => found.trace = true,
            "--seeds" => found.count = number(&word, words.next())?,
            "--first" => found.first = number(&word, words.next())?,
            "--seed" => found.one = Some(number(&word, words.next())?),
            "--seconds" => found.seconds = number(&word, words.next())?,
            "--hours" => found.hours = Some(number(&word, words.next())?),
            "--jobs" => found.jobs = number(&word, words.next())?,
            "--out" => found.out = words.next().ok_or("`--out` needs a folder")?.into(),
            _ => return Err(format!("unknown argument `{word}`")),
        }
    }
    Ok(Some(found))
}

fn number<T: std::str::FromStr>(name: &str, word: Option<String>) -> Result<T, String> {
    let word = word.ok_or_else(|| format!("`{name}` needs a number"))?;
    word.parse().map_err(|_| format!("`{name} {word}`: not a number"))
}

fn run_one(seed: u64, arguments: &Arguments) -> ExitCode {
    let trace_lines = if arguments.trace { WHOLE_STORY } else { 0 };
    let options = Options { seconds: arguments.seconds, trace_lines };
    if arguments.trace {
        let (outcome, story) = tell_seed(seed, options);
        story.iter().for_each(|line| println!("{line}"));
        return match outcome {
            Ok(report) => told(&report),
            Err(failure) => broken(seed, &failure),
        };
    }
    match run_seed(seed, options) {
        Ok(report) => told(&report),
        Err(failure) => broken(seed, &failure.to_string()),
    }
}

fn told(report: &Report) -> ExitCode {
    println!("{report}");
    ExitCode::SUCCESS
}

fn broken(seed: u64, words: &str) -> ExitCode {
    println!("seed {seed} failed: {words}");
    ExitCode::FAILURE
}

/// What all workers share.
struct Progress {
    next: AtomicU64,
    enough: AtomicBool,
    sum: Mutex<(Report, Vec<Failure>)>,
}

fn run_many(arguments: &Arguments) -> ExitCode {
    let progress = Progress {
        next: AtomicU64::new(arguments.first),
        enough: AtomicBool::new(false),
        sum: Mutex::new((Report::default(), Vec::new())),
    };
    let started = Instant::now();
    thread::scope(|scope| {
        let workers: Vec<_> =
            (0..arguments.jobs.max(1)).map(|_| scope.spawn(|| work(&progress, arguments))).collect();
        let mut said = Instant::now();
        while !workers.iter().all(thread::ScopedJoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(20));
            if said.elapsed() >= PROGRESS {
                said = Instant::now();
                let sum = locked(&progress);
                println!("{}, {} failures", sum.0, sum.1.len());
            }
        }
    });
    let (report, failures) = progress.sum.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    for failure in failures.iter().take(FAILURES_TOLD) {
        let Failure { seed, .. } = failure;
        let seconds = arguments.seconds;
        println!("\n{failure}\nreplay: jumpvpn-sim --seed {seed} --seconds {seconds} --trace\n");
    }
    for failure in &failures {
        match keep(&arguments.out, failure, arguments.seconds) {
            Ok(path) => println!("kept as {}; it belongs into crates/sim/regressions", path.display()),
            Err(error) => println!("seed {} cannot be kept: {error}", failure.seed),
        }
    }
    for failure in failures.iter().skip(FAILURES_TOLD) {
        println!("seed {}: [{}] {}", failure.seed, failure.invariant.name(), failure.what);
    }
    let missing = if report.seeds >= COVERED_AFTER { report.missing() } else { Vec::new() };
    for what in &missing {
        println!("never happened: {what}");
    }
    let (failed, never, seconds) = (failures.len(), missing.len(), started.elapsed().as_secs_f64());
    println!("{report}, {failed} failures, {never} things that never happened, {seconds:.0} s");
    if failed + never == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Writes a failing world down, so that it can be put among the regressions.
fn keep(folder: &Path, failure: &Failure, seconds: u64) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("{}.seed", failure.seed));
    let why = failure.what.replace('\n', " ");
    let kept = Regression { seed: failure.seed, seconds };
    std::fs::write(&path, format!("# [{}] {why}\n{kept}", failure.invariant.name()))?;
    Ok(path)
}

fn work(progress: &Progress, arguments: &Arguments) {
    let options = Options { seconds: arguments.seconds, trace_lines: 0 };
    while !progress.enough.load(Ordering::Relaxed) {
        let seed = progress.next.fetch_add(1, Ordering::Relaxed);
        if arguments.hours.is_none() && seed >= arguments.first.saturating_add(arguments.count) {
            return;
        }
        let outcome = run_seed(seed, options);
        let mut sum = locked(progress);
        match outcome {
            Ok(report) => sum.0.add(&report),
            Err(failure) => sum.1.push(*failure),
        }
        let hours = sum.0.virtual_time.as_secs_f64() / 3600.0;
        if arguments.hours.is_some_and(|wanted| hours >= wanted) {
            progress.enough.store(true, Ordering::Relaxed);
        }
    }
}

fn locked(progress: &Progress) -> std::sync::MutexGuard<'_, (Report, Vec<Failure>)> {
    progress.sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
