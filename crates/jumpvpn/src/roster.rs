//! The signed list of a cell's gateways as an agent takes it: what is believed, and that nothing older is believed later.
//!
//! The signature is checked over the bytes as they came, before anything else in them is read. Then the list has to be of the
//! cell, of now by this machine's clock, and not older than any that was kept. Whatever fails leaves the agent with the gateways
//! of its own file.

mod shelf;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use jumpvpn_config::keys::GATEWAYS_MAX;
use jumpvpn_config::{GatewayList, LIST_MAX_LEN, ListConfig, SignedList, parse_list};
use jumpvpn_session::{Purpose, VerifyingKey};

use shelf::Shelf;

/// How far ahead of this machine's clock a list may begin, seconds: it was signed on a machine whose clock is not exactly ours.
const SKEW_S: u64 = 300;

/// Why a list is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is not a signed list.
    Shape(&'static str),
    /// The key of the agent's file is one under which anybody can sign.
    Weak,
    /// It was not signed with the operator's key, or was changed since.
    Signature,
    /// What was signed is no valid list: the findings.
    Content(String),
    /// It is of another cell.
    Cell(String),
    /// It begins later.
    Early(String),
    /// It is over.
    Expired(String),
    /// One with a higher serial is known.
    Older { serial: u64, kept: u64 },
    /// Another one with that serial is known.
    Twice(u64),
    /// Together with those of the agent's file they are too many.
    TooMany(usize),
    /// It could not be read.
    Unread(String),
    /// It could not be kept; believed without that, an older one could be believed later.
    Unkept(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Shape(what) => write!(out, "{what}"),
            Refused::Weak => write!(out, "`key` in [gateway_list] is a key under which anybody can sign"),
            Refused::Signature => write!(out, "not signed with this key, or changed since"),
            Refused::Content(findings) => write!(out, "signed, but no valid list: {findings}"),
            Refused::Cell(cell) => write!(out, "of another cell, `{cell}`"),
            Refused::Early(issued) => {
                write!(out, "begins at {issued}, which is to come by this machine's clock")
            }
            Refused::Expired(expires) => write!(out, "over since {expires} by this machine's clock"),
            Refused::Older { serial, kept } => {
                write!(out, "older (serial {serial}) than one that was there already (serial {kept})")
            }
            Refused::Twice(serial) => write!(out, "another list with the serial {serial} was there already"),
            Refused::TooMany(count) => {
                write!(out, "{count} gateways with those of the agent's file; {GATEWAYS_MAX} are possible")
            }
            Refused::Unread(why) => write!(out, "cannot be read: {why}"),
            Refused::Unkept(why) => {
                write!(out, "cannot be kept, so an older one could be believed later: {why}")
            }
        }
    }
}

/// Checks the signature over the bytes as they are, and only then reads the list.
///
/// # Errors
/// It is no list of this key.
pub(crate) fn authentic(bytes: &[u8], key: &VerifyingKey) -> Result<GatewayList, Refused> {
    let signed = SignedList::split(bytes).map_err(Refused::Shape)?;
    key.verify(Purpose::GatewayList, signed.content, &signed.signature).map_err(|_| Refused::Signature)?;
    let text = std::str::from_utf8(signed.content).map_err(|_| Refused::Content("not text".into()))?;
    let loaded =
        parse_list(text, Path::new("list")).map_err(|report| Refused::Content(report.to_string()))?;
    Ok(loaded.config)
}

/// Seconds since 1970 by this machine's clock; a clock that is before that says 0, when no list holds.
pub(crate) fn wall_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The bytes of a file that holds a list, and no more than a list may have.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Refused> {
    let mut bytes = Vec::new();
    let file = File::open(path).and_then(|file| file.take(LIST_MAX_LEN as u64 + 1).read_to_end(&mut bytes));
    file.map_err(|error| Refused::Unread(format!("{}: {error}", path.display())))?;
    Ok(bytes)
}

/// A list that was kept.
#[derive(Debug)]
struct Kept {
    bytes: Vec<u8>,
    list: GatewayList,
}

/// What an agent believes, and the newest list it has.
#[derive(Debug)]
pub(crate) struct Roster {
    key: VerifyingKey,
    cell: String,
    /// The gateways of the agent's file, which stay.
    pinned: Vec<[u8; 32]>,
    shelf: Shelf,
    kept: Option<Kept>,
}

impl Roster {
    /// Opens what was kept for this interface.
    ///
    /// # Errors
    /// Nothing can be kept, or what was kept is damaged: one sentence.
    pub(crate) fn open(
        config: &ListConfig,
        interface: &str,
        pinned: Vec<[u8; 32]>,
    ) -> Result<Roster, Refused> {
        let key = VerifyingKey(config.key);
        if key.is_weak() {
            return Err(Refused::Weak);
        }
        // Serials are those of one key: with another one they begin anew.
        let short: String = config.key[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        // A colon is in no name of an interface or a cell.
        let name = format!("{interface}:{}:{short}.list", config.cell);
        let shown = config.state.join(&name);
        let unkept = |why: String| Refused::Unkept(format!("{}: {why}", shown.display()));
        let (mut shelf, contents) =
            Shelf::open(&config.state, &name).map_err(|error| unkept(error.to_string()))?;
        let used = contents.iter().filter(|bytes| !bytes.is_empty()).count();
        let good = |(slot, bytes): (usize, Vec<u8>)| Some((slot, authentic(&bytes, &key).ok()?, bytes));
        let good = contents.into_iter().enumerate().filter_map(good);
        let newest = good.max_by_key(|(_, list, _)| list.serial);
        if newest.is_none() && used == 2 {
            // A write that was cut off damages one of them.
            return Err(unkept("damaged; remove both files to begin anew".into()));
        }
        let kept = newest.map(|(slot, list, bytes)| {
            shelf.keep(slot);
            Kept { bytes, list }
        });
        Ok(Roster { key, cell: config.cell.clone(), pinned, shelf, kept })
    }

    /// Takes a list that came: the newest one, or the one that is kept already. It is kept before it is believed. Whether it is
    /// new.
    ///
    /// # Errors
    /// Why it is refused; what was kept before stays.
    pub(crate) fn take(&mut self, bytes: Vec<u8>, now: u64) -> Result<bool, Refused> {
        if self.kept.as_ref().is_some_and(|kept| kept.bytes == bytes) {
            return Ok(false);
        }
        let list = authentic(&bytes, &self.key)?;
        self.check(&list, now)?;
        if let Some(Kept { list: kept, .. }) = &self.kept {
            match list.serial.cmp(&kept.serial) {
                std::cmp::Ordering::Less => {
                    return Err(Refused::Older { serial: list.serial, kept: kept.serial });
                }
                std::cmp::Ordering::Equal => return Err(Refused::Twice(list.serial)),
                std::cmp::Ordering::Greater => {}
            }
        }
        self.shelf.put(&bytes).map_err(|error| Refused::Unkept(error.to_string()))?;
        self.kept = Some(Kept { bytes, list });
        Ok(true)
    }

    /// The newest list, if it holds now; nothing if there never was one.
    ///
    /// # Errors
    /// It does not hold now.
    pub(crate) fn current(&self, now: u64) -> Result<Option<&GatewayList>, Refused> {
        let Some(Kept { list, .. }) = &self.kept else { return Ok(None) };
        self.check(list, now).map(|()| Some(list))
    }

    /// The serial of the newest list; 0 for none.
    pub(crate) fn serial(&self) -> u64 {
        self.kept.as_ref().map_or(0, |kept| kept.list.serial)
    }

    /// Whether an authentic list is one for this agent, now.
    fn check(&self, list: &GatewayList, now: u64) -> Result<(), Refused> {
        if list.cell != self.cell {
            return Err(Refused::Cell(list.cell.clone()));
        }
        if list.issued.unix_s > now.saturating_add(SKEW_S) {
            return Err(Refused::Early(list.issued.text.clone()));
        }
        if list.expires.unix_s <= now {
            return Err(Refused::Expired(list.expires.text.clone()));
        }
        let added = list.gateways.iter().filter(|gateway| !self.pinned.contains(&gateway.public_key)).count();
        let count = self.pinned.len() + added;
        if count > GATEWAYS_MAX { Err(Refused::TooMany(count)) } else { Ok(()) }
    }
}
