//! `jumpvpn bury`: declares the gateway of a file dead after its process has ended, so that the others need not wait for it.
//!
//! For service managers and for people. It holds what the gateway would hold (the lock of its folder), so it is refused while
//! the gateway lives, and keeps it from starting for as long as it takes. It reads none of the gateway's keys: what a service
//! manager passed to the gateway alone may be gone with it.

use std::io::Write;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use jumpvpn_config::{EtcdStore, StoreConfig};
use jumpvpn_runtime::{Buried, bury};
use jumpvpn_sandbox::{CapabilitySet, become_user, protect_memory};
use serde_json::json;

use crate::args::BuryArgs;
use crate::daemon;
use crate::exit::{Code, Failure, Outcome};
use crate::store;

/// How long the store may be asked: through the election of a new leader (2.5 s measured).
const PATIENCE: Duration = Duration::from_secs(3);

/// How long all of it may take, with names to look up and members that do not answer (3 s each): a second less than a service manager
/// gives (`TimeoutStopSec` in packaging/systemd), so that it is this program that says why.
const LIMIT: Duration = Duration::from_secs(4);

/// What becomes of a gateway that is not declared dead.
const LATER: &str = "the others notice by themselves, after the time that `pace` says";

/// Runs the verb.
pub(crate) fn run(args: &BuryArgs) -> Outcome {
    // The file may name a password and a key for the store.
    protect_memory();
    let config = daemon::accepted(jumpvpn_config::load_gateway_store(&args.config))?;
    if let Some(user) = config.user.as_deref() {
        become_user(user, CapabilitySet::empty()).map_err(|error| {
            Failure::new(Code::Permission, error.to_string()).hint("run it as root, as the gateway is")
        })?;
    }
    // In a file of its own nobody else reads that it is dead, and its successor knows.
    let StoreConfig::Etcd(store) = config.store else {
        return answer(args, None, false, "nothing to do: this gateway shares its sessions with nobody");
    };
    let node = store.node.clone();
    match within(LIMIT, move || declare(&store))? {
        Buried::Now(_) => {
            let said = format!("{node} is declared dead: others may take its sessions over");
            answer(args, Some(&node), true, &said)
        }
        Buried::Before => {
            answer(args, Some(&node), false, &format!("nothing to do: nobody waits for {node}"))
        }
        Buried::Elsewhere => {
            let message = "the gateway's last life is, or was, not here: on another machine, before this one started, or \
                           with another state folder";
            Err(Failure::new(Code::Refused, message).hint(LATER))
        }
    }
}

fn answer(args: &BuryArgs, node: Option<&str>, buried: bool, said: &str) -> Outcome {
    if args.json {
        let answer = json!({ "schema": "jumpvpn.bury/1", "ok": true, "node": node, "buried": buried });
        writeln!(std::io::stdout(), "{answer}")?;
    } else {
        writeln!(std::io::stdout(), "{said}")?;
    }
    Ok(())
}

/// What comes of it, if that comes in time. Else it goes on until the process ends, which is about to.
fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let (tell, told) = channel();
    // Who asked may have given up waiting.
    thread::Builder::new()
        .name("jumpvpn-bury".into())
        .spawn(move || tell.send(work()).unwrap_or_default())?;
    told.recv_timeout(limit).unwrap_or_else(|_| {
        let message = format!(
            "the gateway could not be declared dead within {} s: the store does not answer",
            limit.as_secs_f32()
        );
        Err(Failure::new(Code::Failed, message).hint(LATER))
    })
}

fn declare(config: &EtcdStore) -> Result<Buried, Failure> {
    bury(store::departed(config)?, PATIENCE).map_err(|why| {
        let message = format!("the gateway could not be declared dead: {why}");
        Failure::new(Code::Failed, message).hint(LATER)
    })
}

#[cfg(test)]
mod tests;
