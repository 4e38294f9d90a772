//! Whether the secret comparisons take a time that depends on what they compare.
//!
//! `cargo xtask timing` runs both forms. `counts` runs each comparison under callgrind twice, with a difference in the
//! first byte and with one in the last, and counts the instructions: no noise, so equal means equal. `clock` measures
//! real time after the method of dudect (Reparaz, Balasch, Verbauwhede 2017): two classes of input in random order, Welch's
//! t-test on what lies below several percentiles. Both have to find the deliberately variable comparison `naive`, or they
//! show nothing.

use std::hint::black_box;
use std::process::ExitCode;

mod probes;
mod statistics;

use probes::{Class, PROBES, Probe};

/// What every probe is called through, so that callgrind counts nothing else.
#[inline(never)]
fn timing_probe(check: &dyn Fn() -> bool) -> bool {
    black_box(check())
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["probe", name, class] => run_once(name, class),
        ["counts"] => judge(counts),
        ["clock", samples] => match samples.parse() {
            Ok(count) => judge(|probe| clock(probe, count)),
            Err(_) => Err(format!("`{samples}` is not a number")),
        },
        _ => Err("usage: timing counts | clock SAMPLES | probe NAME first|last".into()),
    };
    match outcome {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(line) => {
            println!("{line}");
            ExitCode::FAILURE
        }
    }
}

/// How a comparison looked: whether its two classes can be told apart, and the figures.
struct Seen {
    differs: bool,
    figures: String,
}

/// Every probe, each held against what it must be.
fn judge(look: impl Fn(&Probe) -> Result<Seen, String>) -> Result<String, String> {
    let mut wrong = Vec::new();
    for probe in PROBES {
        let seen = look(probe)?;
        println!("  {:<8} {}", probe.name, seen.figures);
        match (seen.differs, probe.constant) {
            (true, true) => wrong.push(format!("{} can be told apart", probe.name)),
            (false, false) => wrong.push(format!("{} was not found: the method is blind", probe.name)),
            _ => {}
        }
    }
    let figures = format!("{} comparisons and one deliberately variable", PROBES.len() - 1);
    if wrong.is_empty() { Ok(figures) } else { Err(format!("{}; {figures}", wrong.join(", "))) }
}

fn run_once(name: &str, class: &str) -> Result<String, String> {
    let probe = PROBES.iter().find(|probe| probe.name == name).ok_or("no such probe")?;
    let class = Class::ALL.into_iter().find(|known| known.name() == class).ok_or("no such class")?;
    let check = (probe.prepare)();
    if timing_probe(&|| check(class)) {
        return Err("the input should have been refused".into());
    }
    Ok(String::new())
}

/// Instructions of one call for each class.
fn counts(probe: &Probe) -> Result<Seen, String> {
    let [first, last] = Class::ALL.map(|class| instructions(probe, class));
    let (first, last) = (first?, last?);
    Ok(Seen { differs: first != last, figures: format!("{first} and {last} instructions") })
}

fn instructions(probe: &Probe, class: Class) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = std::process::Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*timing_probe*"])
        .arg(program)
        .args(["probe", probe.name, class.name()])
        .output()
        .map_err(|error| format!("cannot run valgrind: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split("Collected : ").nth(1));
    let count = collected.and_then(|figure| figure.trim().parse().ok()).filter(|count| *count > 0);
    count.filter(|_| output.status.success()).ok_or_else(|| format!("callgrind counted nothing:\n{said}"))
}

/// The largest t over all crops.
fn clock(probe: &Probe, samples: usize) -> Result<Seen, String> {
    let check = (probe.prepare)();
    let (t, mean) = statistics::largest_t(samples, |class| timing_probe(&|| check(class)));
    let figures = format!("t = {t:.1}, {mean:.0} ns, {samples} samples");
    Ok(Seen { differs: t > statistics::THRESHOLD, figures })
}
