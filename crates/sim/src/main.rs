//! Runs worlds and says what they broke: `jumpvpn-sim --seeds 100`, `--hours 10`, `--seed 7 --trace`, `--cell --seeds 100`.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jumpvpn_sim::{
    Failure, Figures, Invariant, Options, Regression, Report, run_cell, run_seed, tell_cell, tell_seed,
};

const USAGE: &str = "\
jumpvpn-sim [--seeds N | --hours H] [--first SEED] [--seconds V] [--jobs J] [--out FOLDER]
jumpvpn-sim --seed SEED [--seconds V] [--trace]
jumpvpn-sim --cell ... [--plant N] [--table]

  --seeds N     so many worlds (100)
  --hours H     as many worlds as make H hours of virtual time
  --first SEED  the first one (0)
  --seed SEED   this one only
  --seconds V   virtual seconds of trouble in each, at most (120)
  --out FOLDER  a file for each world that broke a promise goes there (target/sim)
  --jobs J      worlds at the same time (one for each processor)
  --trace       tell the whole story of the one
  --cell        cells of several gateways and their store, instead of one gateway with a ledger
  --plant N     something is wrong in each cell, which invariant N (1 to 14) should notice
  --table       how often each fault happened and each invariant was judged";

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
    cell: bool,
    plant: Option<Invariant>,
    table: bool,
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
    let options = Options { seconds: arguments.seconds, trace_lines: 0 };
    let plant = arguments.plant;
    match (arguments.cell, arguments.one) {
        (false, Some(seed)) => {
            run_one(seed, &arguments, |options| run_seed(seed, options), |options| tell_seed(seed, options))
        }
        (true, Some(seed)) => {
            let tell = |options| tell_cell(seed, options, plant);
            run_one(seed, &arguments, |options| run_cell(seed, options, plant), tell)
        }
        (false, None) => run_many(&arguments, |seed| run_seed(seed, options)),
        (true, None) => run_many(&arguments, |seed| run_cell(seed, options, plant)),
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    let seconds = Options::default().seconds;
    let out = PathBuf::from("target/sim");
    let mut found = Arguments {
        first: 0,
        count: 100,
        hours: None,
        seconds,
        jobs,
        one: None,
        trace: false,
        cell: false,
        plant: None,
        table: false,
        out,
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--help" | "-h" => return Ok(None),
            "--trace" => found.trace = true,
            "--cell" => found.cell = true,
            "--table" => found.table = true,
            "--plant" => found.plant = Some(planted(number(&word, words.next())?)?),
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

fn planted(number: usize) -> Result<Invariant, String> {
    let found = number.checked_sub(1).and_then(|index| Invariant::CELL.get(index));
    found.copied().ok_or_else(|| format!("there is no I{number}"))
}

fn run_one<F: Figures>(
    seed: u64,
    arguments: &Arguments,
    run: impl Fn(Options) -> Result<Report<F>, Box<Failure>>,
    tell: impl Fn(Options) -> (Result<Report<F>, String>, Vec<String>),
) -> ExitCode {
    let trace_lines = if arguments.trace { WHOLE_STORY } else { 0 };
    let options = Options { seconds: arguments.seconds, trace_lines };
    let outcome = if arguments.trace {
        let (outcome, story) = tell(options);
        story.iter().for_each(|line| println!("{line}"));
        outcome
    } else {
        run(options).map_err(|failure| failure.to_string())
    };
    match outcome {
        Ok(report) => {
            if arguments.table {
                println!("{}", report.table());
            }
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(words) => {
            println!("seed {seed} failed: {words}");
            ExitCode::FAILURE
        }
    }
}

/// What all workers share.
struct Progress<F> {
    next: AtomicU64,
    enough: AtomicBool,
    sum: Mutex<(Report<F>, Vec<Failure>)>,
}

fn run_many<F: Figures>(
    arguments: &Arguments,
    run: impl Fn(u64) -> Result<Report<F>, Box<Failure>> + Sync,
) -> ExitCode {
    let progress = Progress {
        next: AtomicU64::new(arguments.first),
        enough: AtomicBool::new(false),
        sum: Mutex::new((Report::default(), Vec::new())),
    };
    let started = Instant::now();
    thread::scope(|scope| {
        let workers: Vec<_> =
            (0..arguments.jobs.max(1)).map(|_| scope.spawn(|| work(&progress, arguments, &run))).collect();
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
        let cell = if arguments.cell { "--cell " } else { "" };
        println!("\n{failure}\nreplay: jumpvpn-sim {cell}--seed {seed} --seconds {seconds} --trace\n");
    }
    for failure in &failures {
        match keep(arguments, failure) {
            Ok(path) => println!("kept as {}; it belongs into crates/sim/regressions", path.display()),
            Err(error) => println!("seed {} cannot be kept: {error}", failure.seed),
        }
    }
    for failure in failures.iter().skip(FAILURES_TOLD) {
        println!("seed {}: [{}] {}", failure.seed, failure.invariant.name(), failure.what);
    }
    if arguments.table {
        println!("{}", report.table());
    }
    let missing = report.missing();
    for what in &missing {
        println!("never happened: {what}");
    }
    let (failed, never, seconds) = (failures.len(), missing.len(), started.elapsed().as_secs_f64());
    println!("{report}, {failed} failures, {never} things that never happened, {seconds:.0} s");
    if failed + never == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Writes a failing world down, so that it can be put among the regressions.
fn keep(arguments: &Arguments, failure: &Failure) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(&arguments.out)?;
    let kind = if arguments.cell { "cell-" } else { "" };
    let path = arguments.out.join(format!("{kind}{}.seed", failure.seed));
    let why = failure.what.replace('\n', " ");
    let kept = Regression { seed: failure.seed, seconds: arguments.seconds, cell: arguments.cell };
    std::fs::write(&path, format!("# [{}] {why}\n{kept}", failure.invariant.name()))?;
    Ok(path)
}

fn work<F: Figures>(
    progress: &Progress<F>,
    arguments: &Arguments,
    run: &impl Fn(u64) -> Result<Report<F>, Box<Failure>>,
) {
    while !progress.enough.load(Ordering::Relaxed) {
        let seed = progress.next.fetch_add(1, Ordering::Relaxed);
        if arguments.hours.is_none() && seed >= arguments.first.saturating_add(arguments.count) {
            return;
        }
        let outcome = run(seed);
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

fn locked<F>(progress: &Progress<F>) -> std::sync::MutexGuard<'_, (Report<F>, Vec<Failure>)> {
    progress.sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
