//! Declaring a gateway dead that ran here, with its own store, while nothing of it runs.

use std::thread;
use std::time::Duration;

use jumpvpn_ownership::{Burial, Deceased, Incarnation, Outcome, Verdict};

use super::registry::{self, OpenStore};
use crate::clock;

#[cfg(test)]
mod tests;

/// Between two attempts whose outcomes are unknown: a store that refuses is not asked in a circle.
const RETRY: Duration = Duration::from_millis(100);

/// A gateway whose process has ended, and who says so.
pub struct Departed {
    /// Its name in the cell.
    pub name: String,
    /// Id of the kernel's life.
    pub boot_id: [u8; 16],
    /// Id of its data directory, which whoever says so holds alone.
    pub data_dir: [u8; 16],
    /// Its store.
    pub store: OpenStore,
}

/// What became of a gateway that was to be declared dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buried {
    /// It is declared dead, under the name of its last life.
    Now(Incarnation),
    /// Nobody was waiting for it.
    Before,
    /// Its last life is, or was, somewhere else: who ends here has no say in it.
    Elsewhere,
}

/// Declares the gateway dead: the others take its sessions over at once.
/// The store is asked for so long, and each answer takes at most two seconds.
///
/// # Errors
/// One sentence: the store did not answer, or cannot be believed. Nothing is lost by that: the others notice by themselves, later.
pub fn bury(departed: Departed, patience: Duration) -> Result<Buried, String> {
    let until = clock::now() + patience;
    let Departed { name, boot_id, data_dir, store } = departed;
    let mut store = registry::open(store)?;
    let of = Deceased { node_id: registry::node_id(&name), boot_id, data_dir };
    let mut burial = Burial::new(of, registry::wall_clock(), clock::now());
    let mut ticket = 0;
    loop {
        ticket += 1;
        let silent = || "the store does not answer".to_owned();
        let outcome = store.ask(ticket, burial.operation()).ok_or_else(silent)?;
        let is_unknown = outcome == Outcome::Unknown;
        match burial.advance(outcome).map_err(|error| error.to_string())? {
            Some(Verdict::Buried(incarnation)) => return Ok(Buried::Now(incarnation)),
            Some(Verdict::NothingLeft) => return Ok(Buried::Before),
            Some(Verdict::Elsewhere(_)) => return Ok(Buried::Elsewhere),
            Some(Verdict::Unreadable) => {
                return Err("a later version of this program has written what is in the store".to_owned());
            }
            None if clock::now() >= until => return Err(silent()),
            None if is_unknown => thread::sleep(RETRY),
            None => {}
        }
    }
}
