//! `jumpvpn bury`: declares the gateway of a file dead after its process has ended, so that the others need not wait for it.
//!
//! For service managers and for people. It holds what the gateway would hold (the lock of its folder), so it is refused while
//! the gateway lives, and keeps it from starting for as long as it takes.

use std::io::Write;
use std::time::Duration;

use jumpvpn_config::{GatewayConfig, StoreConfig};
use jumpvpn_runtime::{Buried, StoreOptions, bury};
use jumpvpn_sandbox::{CapabilitySet, become_user, protect_memory};
use serde_json::json;

use crate::args::BuryArgs;
use crate::daemon;
use crate::exit::{Code, Failure, Outcome};
use crate::store;

/// How long the store may be asked: through the election of a new leader (2.5 s measured), and within the time a service
/// manager gives (`TimeoutStopSec` in packaging/systemd).
const PATIENCE: Duration = Duration::from_secs(3);

/// Runs the verb.
pub(crate) fn run(args: &BuryArgs) -> Outcome {
    // The file names keys.
    protect_memory();
    let config = daemon::accepted(jumpvpn_config::load_gateway(&args.config))?;
    if let Some(user) = config.user.as_deref() {
        become_user(user, CapabilitySet::empty()).map_err(|error| {
            Failure::new(Code::Permission, error.to_string()).hint("run it as root, as the gateway is")
        })?;
    }
    let buried = declare(&config)?;
    let (node, said) = match (&config.store, buried) {
        (StoreConfig::Etcd(store), Buried::Now(_)) => {
            (Some(&store.node), format!("{} is declared dead: others may take its sessions over", store.node))
        }
        (StoreConfig::Etcd(store), _) => {
            (Some(&store.node), format!("nothing to do: nobody waits for {}", store.node))
        }
        _ => (None, "nothing to do: this gateway shares its sessions with nobody".to_owned()),
    };
    if args.json {
        let buried = matches!(buried, Buried::Now(_));
        let answer = json!({ "schema": "jumpvpn.bury/1", "ok": true, "node": node, "buried": buried });
        writeln!(std::io::stdout(), "{answer}")?;
    } else {
        writeln!(std::io::stdout(), "{said}")?;
    }
    Ok(())
}

fn declare(config: &GatewayConfig) -> Result<Buried, Failure> {
    // In a file of its own nobody else reads that it is dead, and its successor knows.
    if !matches!(config.store, StoreConfig::Etcd(_)) {
        return Ok(Buried::Before);
    }
    let public = daemon::private(&config.private_key).public().0;
    let StoreOptions::Durable(durable) = store::open(&config.store, public, &config.policy)? else {
        return Ok(Buried::Before);
    };
    let later = "the others notice by themselves, after the time that `pace` says";
    match bury(*durable, PATIENCE) {
        Ok(Buried::Elsewhere) => {
            let message = "the gateway's last life is, or was, not here: on another machine, before this one started, or \
                           with another state folder";
            Err(Failure::new(Code::Refused, message).hint(later))
        }
        Ok(buried) => Ok(buried),
        Err(why) => {
            let message = format!("the gateway could not be declared dead: {why}");
            Err(Failure::new(Code::Failed, message).hint(later))
        }
    }
}
