//! The services in `packaging/systemd`: what `systemd-analyze` makes of them, and how they do under a systemd of their own.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::run::{last_line_and_status, root, tested_program};
use crate::stories::{NO_PERMISSION, Played};

/// Highest exposure that passes, in tenths: 2.0 of 10, where systemd itself calls everything below 4.5 "OK".
const EXPOSURE_MAX: &str = "20";

/// Runs the command.
pub(crate) fn run() -> Result<Outcome, String> {
    let folder = root().join("packaging/systemd");
    let listed = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut units: Vec<_> = listed.flatten().map(|entry| entry.path()).collect();
    units.retain(|path| path.extension().is_some_and(|ending| ending == "service"));
    units.sort();
    let mut finding_count = 0;
    let mut figures = Vec::new();
    for unit in &units {
        let name = unit.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (passed, exposure) = exposure(unit)?;
        println!("  {name:<24} {exposure}");
        finding_count += usize::from(!passed);
        let complaints = complaints(unit, &name)?;
        complaints.iter().for_each(|line| println!("  {name:<24} {line}"));
        finding_count += complaints.len();
        figures.push(format!("{name} {}", exposure.split(": ").last().unwrap_or_default()));
    }
    if units.is_empty() {
        return Err(format!("no services in {}", folder.display()));
    }
    Ok(Outcome { figures: figures.join(", "), finding_count })
}

/// Runs the services: where no systemd can be booted, nothing is proven.
pub(crate) fn services() -> Result<Outcome, String> {
    match boot()? {
        Played::Through(outcome) => Ok(outcome),
        Played::NotHere(why) => Err(why),
    }
}

/// Boots a systemd in namespaces with the services, installed with the program as the tests have built it.
pub(crate) fn boot() -> Result<Played, String> {
    let program = tested_program()?;
    let mut script = Command::new(root().join("scripts/boot-services"));
    let (last, status) = last_line_and_status(script.arg(program))?;
    match status.code() {
        Some(0) => Ok(Played::Through(Outcome { figures: last, finding_count: 0 })),
        Some(NO_PERMISSION) => Ok(Played::NotHere(last)),
        _ => Err(last),
    }
}

/// Whether the unit passes, and the line with its exposure.
fn exposure(unit: &Path) -> Result<(bool, String), String> {
    let threshold = format!("--threshold={EXPOSURE_MAX}");
    let mut command = Command::new("systemd-analyze");
    command.args(["security", "--offline=true", "--no-pager", &threshold]).arg(unit);
    let output = command.output().map_err(|error| format!("cannot run systemd-analyze: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|line| line.contains("Overall exposure"));
    let words = line.map_or_else(
        || String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        |line| {
            line.trim_start_matches(|c: char| !c.is_ascii_alphabetic())
                .trim_end_matches(|c: char| !c.is_ascii())
                .trim()
                .to_owned()
        },
    );
    Ok((line.is_some() && output.status.success(), words))
}

/// What `systemd-analyze verify` says about a copy of the unit whose program exists on every machine.
fn complaints(unit: &Path, name: &str) -> Result<Vec<String>, String> {
    let failed = |error: std::io::Error| format!("{name}: {error}");
    let text = fs::read_to_string(unit).map_err(failed)?;
    let folder = std::env::temp_dir().join(format!("jumpvpn-units-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(failed)?;
    let copy = folder.join(name.replace("@.", "@alice."));
    let text =
        text.replace("ExecStart=/usr/bin/jumpvpn", "ExecStart=/bin/true").replace("Documentation=man:", "# ");
    fs::write(&copy, text).map_err(failed)?;
    let output = Command::new("systemd-analyze").args(["verify", "--no-pager"]).arg(&copy).output();
    fs::remove_dir_all(&folder).map_err(failed)?;
    let output = output.map_err(|error| format!("cannot run systemd-analyze: {error}"))?;
    // Units of the machine are read along; only ours are our business.
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let ours = said.lines().filter(|line| line.contains("jumpvpn")).map(str::to_owned);
    Ok(ours.collect())
}
