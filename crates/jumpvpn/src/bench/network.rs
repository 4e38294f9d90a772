//! `bench throughput`, `pps` and `latency`: the whole program, two daemons and the kernel, measured by the lab.

use std::fs;
use std::path::PathBuf;

use jumpvpn_lab::bench::{Measurement, measure as measure_in_lab};
use jumpvpn_runtime::SystemRandom;
use rand_core::Rng;

use super::progress::Progress;
use super::report::Figure;
use crate::exit::{Code, Failure};

/// What a person has to know to read the figures.
pub(super) fn note(measurement: Measurement) -> &'static str {
    match measurement {
        Measurement::Throughput => {
            "\
TCP from laptop to gateway over a cable without delay, rate or loss, between namespaces of this machine: generators,
both daemons and the kernel share its processors. raw is the same transfer beside the tunnel; cpu is the time of each
daemon per 10^9 bytes of one flow."
        }
        Measurement::Pps => {
            "\
Datagrams of 200 bytes that arrive at the gateway's side of the tunnel per second, over a cable without delay, rate or
loss, between namespaces of this machine."
        }
        Measurement::Latency => {
            "\
Median round trip through the tunnel over a cable without delay, between namespaces of this machine: by itself, and
beside a TCP flow that takes all it can get."
        }
    }
}

/// Measures. To be called inside the lab's namespaces.
pub(super) fn measure(measurement: Measurement, progress: &mut Progress) -> Result<Vec<Figure>, Failure> {
    let folder = folder();
    let figures =
        measure_in_lab(measurement, &folder, "laptop", &mut |what| progress.say(what)).map_err(|error| {
            Failure::new(Code::Failed, error.to_string()).hint(format!("logs are in {}", folder.display()))
        })?;
    // At worst a few small files stay behind; the figures are worth more.
    fs::remove_dir_all(&folder).unwrap_or_default();
    let measured = figures.into_iter().filter(|figure| !figure.values.is_empty());
    Ok(measured.map(|figure| Figure::of(figure.name, figure.unit, figure.values)).collect())
}

/// A new folder for keys and logs, under a name that nobody can have taken before.
fn folder() -> PathBuf {
    std::env::temp_dir().join(format!("jumpvpn-bench-{:016x}", SystemRandom.next_u64()))
}
