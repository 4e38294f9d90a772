//! What a daemon gives up, and when: its user right after its files were read, everything else when it is open for
//! business.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use jumpvpn_config::Sandbox;
use jumpvpn_runtime::machine::{Confine, Confined, MachineError};
use jumpvpn_sandbox::{
    CapabilitySet, Demand, FileRules, Files, Memory, Report, SandboxError, become_user, confine, held,
    is_readable,
};
use serde_json::{Value, json};

use crate::exit::{Code, Failure};

/// The first port that everybody may listen on.
const UNPRIVILEGED_PORT: u16 = 1024;

/// A daemon on its way to fewer rights.
pub(crate) struct Confinement {
    sandbox: Sandbox,
    memory: Memory,
}

impl Confinement {
    /// Becomes the user, if one is named, with no more of root's rights than it takes to make the tunnel, and `keep`.
    pub(crate) fn begin(
        sandbox: Sandbox,
        user: Option<&str>,
        keep: CapabilitySet,
        memory: Memory,
    ) -> Result<Confinement, Failure> {
        let keep = keep | CapabilitySet::NET_ADMIN;
        if let Some(user) = user {
            become_user(user, keep).map_err(|error| {
                Failure::new(Code::Permission, error.to_string()).hint("start it as root, or remove `user`")
            })?;
        }
        Ok(Confinement { sandbox, memory })
    }

    /// The last step, which leaves the two paths as the only ones in reach, and TCP to these ports: a store that was out of
    /// reach has to be connected to again. `keeper` is what the other process has given up.
    pub(crate) fn when_open(
        self,
        control_socket: &Path,
        events: Option<&Path>,
        tcp: Vec<u16>,
        keeper: Value,
    ) -> Confine {
        let files = Files {
            append: events.into_iter().map(folder).collect(),
            remove: vec![folder(control_socket)],
            tcp,
            ..Files::default()
        };
        Box::new(move || self.end(&files, &keeper).map_err(|error| refusal(&error)))
    }

    fn end(self, files: &Files, keeper: &Value) -> Result<Confined, SandboxError> {
        // The filter of calls answers no such questions.
        let readable = is_readable();
        let report = demand(self.sandbox).map(|demand| confine(files, demand)).transpose()?;
        let Memory { locked, note } = self.memory;
        let mut shown = described(report.as_ref(), readable)?;
        shown["mode"] = self.sandbox.as_str().into();
        shown["memory"] = if locked { "locked" } else { "not locked" }.into();
        shown["memory_note"] = note.into();
        shown["keeper"] = keeper.clone();
        Ok(Confined { report: shown, warnings: report.map(|report| report.warnings).unwrap_or_default() })
    }
}

/// The right it takes to listen there.
pub(crate) fn to_listen(listen: &[SocketAddr]) -> CapabilitySet {
    if listen.iter().any(|address| address.port() < UNPRIVILEGED_PORT) {
        CapabilitySet::NET_BIND_SERVICE
    } else {
        CapabilitySet::empty()
    }
}

/// What a process has given up, as `status` shows it; `readable` is whether others may read its memory.
///
/// # Errors
/// The kernel does not say which rights there are.
pub(crate) fn described(report: Option<&Report>, readable: bool) -> Result<Value, SandboxError> {
    let capabilities = match report {
        Some(report) => report.capabilities.clone(),
        None => held()?,
    };
    let names = capabilities.permitted.iter_names().map(|(name, _)| format!("CAP_{name}"));
    let files = match report.map(|report| report.files) {
        Some(FileRules::All) => "restricted".to_owned(),
        Some(FileRules::Part(abi)) => format!("restricted as far as version {abi} of Landlock goes"),
        Some(FileRules::None) | None => "free".to_owned(),
    };
    Ok(json!({
        "user": rustix::process::geteuid().as_raw(),
        "capabilities": names.collect::<Vec<_>>(),
        "files": files,
        "calls": if report.is_some_and(|report| report.calls) { "filtered" } else { "free" },
        "core_dumps": readable,
    }))
}

/// How much of it must be had; nothing when it is switched off.
pub(crate) fn demand(sandbox: Sandbox) -> Option<Demand> {
    match sandbox {
        Sandbox::On => Some(Demand::BestEffort),
        Sandbox::Required => Some(Demand::Everything),
        Sandbox::Off => None,
    }
}

fn refusal(error: &SandboxError) -> MachineError {
    let message =
        format!("{error}; with `sandbox = \"on\"` the daemon goes on without what the kernel lacks");
    MachineError { message, permission: false }
}

/// The folder a file lies in.
fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}
