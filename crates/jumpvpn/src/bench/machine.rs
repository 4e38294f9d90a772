//! On what a measurement was made: without it a figure is worth nothing.

use serde_json::{Value, json};

/// The machine and the build.
pub(super) struct Machine {
    cpu: String,
    cores: usize,
    memory_bytes: Option<u64>,
    kernel: String,
}

impl Machine {
    /// This one. What the kernel does not tell is called unknown.
    pub(super) fn here() -> Machine {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kernel = rustix::system::uname();
        Machine {
            cpu: field(&cpuinfo, "model name").unwrap_or("unknown").to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: field(&meminfo, "MemTotal").and_then(kibibytes),
            kernel: format!("{} {}", kernel.sysname().to_string_lossy(), kernel.release().to_string_lossy()),
        }
    }

    /// For `--json`.
    pub(super) fn as_json(&self) -> Value {
        json!({
            "cpu": self.cpu,
            "cores": self.cores,
            "memory_bytes": self.memory_bytes,
            "kernel": self.kernel,
            "arch": std::env::consts::ARCH,
            "build": build(),
        })
    }

    /// For people.
    pub(super) fn as_text(&self) -> String {
        let cores = if self.cores == 1 { "core" } else { "cores" };
        format!("{}, {} {cores}, {}, {} build", self.cpu, self.cores, self.kernel, build())
    }
}

fn build() -> &'static str {
    if cfg!(debug_assertions) { "debug" } else { "release" }
}

/// The first line `name : value` of a file of that kind.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
}

/// `16384 kB` in bytes.
fn kibibytes(value: &str) -> Option<u64> {
    value.strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests;
