//! The configuration of a gateway or an agent: text → tree with places → validated types.
//!
//! The file is TOML. All findings are reported at once, each with line, column and what to do about it; an unknown key
//! is an error. What comes out is valid: addresses lie in their networks, keys are keys, nothing is given twice, the
//! policy keeps its bounds, and at least one listener or endpoint is usable in this version.
//!
//! [`keys`] declares every key once; the reader, `docs/config.md` and the JSON Schema are made from it. Nothing here
//! opens a socket, changes the machine, or keeps a secret in a value that can be printed.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use toml::de::DeTable;

mod agent;
mod context;
mod docs;
mod gateway;
pub mod key;
pub mod keys;
mod list;
mod policy;
mod pool;
mod reader;
mod report;
mod schema;
mod store;
mod value;

pub use agent::{AgentConfig, ListConfig, RemoteGateway, RoutesConfig};
pub use context::SOCKET_FOLDER;
pub use docs::docs_markdown;
pub use gateway::{GatewayConfig, GatewayStore, Peer};
pub use key::SecretKey;
pub use list::{
    GatewayList, LIST_MAX_LEN, LIST_SIGNATURE_LEN, ListedGateway, Moment, SignedList, parse_list,
};
pub use reader::suggestion;
pub use report::{Finding, Report, Severity};
pub use schema::json_schema;
pub use store::{EmbeddedStore, EtcdStore, Pace, StoreConfig};
pub use value::{Endpoint, Host, Sandbox, Scheme};

use context::Source;
use report::Notes;

/// Hint beside a listener or endpoint of another kind.
const UDP_ONLY: &str = "tcp and tls are not supported in this version";

/// Longest file in bytes: 64 MiB, several times a gateway's with 100,000 peers. A device that never ends is none.
const FILE_MAX_LEN: u64 = 64 << 20;

/// A validated file.
#[derive(Clone, Debug)]
pub enum Config {
    /// It has a table `[gateway]`.
    Gateway(Box<GatewayConfig>),
    /// It has a table `[agent]`.
    Agent(Box<AgentConfig>),
}

/// A usable file, together with what is doubtful about it.
#[derive(Clone, Debug)]
pub struct Loaded<T> {
    /// The validated content.
    pub config: T,
    /// Warnings alone; often empty.
    pub warnings: Report,
}

/// Reads and validates the file at `path`, and the key files it names.
///
/// # Errors
/// All findings of the file, at least one of which is an error.
pub fn load(path: &Path) -> Result<Loaded<Config>, Report> {
    load_with(path, read)
}

/// Makes something of a file's tables, noting what is wrong with them; nothing if they are unusable.
type Reading<T> = fn(&Source<'_>, &mut Notes) -> Option<T>;

fn load_with<T>(path: &Path, reading: Reading<T>) -> Result<Loaded<T>, Report> {
    let refused = |why: &str| {
        let mut notes = Notes::default();
        notes.error(&(0..0), format!("cannot read the file: {why}"));
        notes.into_report(&path.display().to_string(), "")
    };
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(FILE_MAX_LEN + 1).read_to_string(&mut text));
    match read {
        Ok(len) if len as u64 > FILE_MAX_LEN => Err(refused("longer than 64 MiB")),
        Ok(_) => parse_with(&text, path, reading),
        Err(error) => Err(refused(&key::describe(&error))),
    }
}

/// Validates `text` as the content of the file at `path`, which itself is not opened; the key files it names are.
///
/// # Errors
/// All findings of the file, at least one of which is an error.
pub fn parse(text: &str, path: &Path) -> Result<Loaded<Config>, Report> {
    parse_with(text, path, read)
}

fn parse_with<T>(text: &str, path: &Path, reading: Reading<T>) -> Result<Loaded<T>, Report> {
    let mut notes = Notes::default();
    let (root, complaints) = DeTable::parse_recoverable(text);
    for complaint in &complaints {
        notes.error(&complaint.span().unwrap_or(0..0), complaint.message());
    }
    // A tree with holes would only give rise to errors about what has been lost in them.
    let source = Source { root: root.get_ref(), path };
    let config = if complaints.is_empty() { reading(&source, &mut notes) } else { None };
    let refused = notes.error_count() > 0;
    let report = notes.into_report(&path.display().to_string(), text);
    match config {
        Some(config) if !refused => Ok(Loaded { config, warnings: report }),
        _ => Err(report),
    }
}

/// Reads the file as what its tables say it is.
fn read(source: &Source<'_>, notes: &mut Notes) -> Option<Config> {
    let root = source.root;
    if root.contains_key("agent") {
        agent::read(source, notes).map(|config| Config::Agent(Box::new(config)))
    } else if root.get("gateway").is_some_and(|value| value.get_ref().is_table()) {
        gateway::read(source, notes).map(|config| Config::Gateway(Box::new(config)))
    } else {
        let hint = "an agent's file has [agent] and [[gateway]], a gateway's file has [gateway] and [[peer]]";
        notes.error_hint(&(0..0), "neither the file of an agent nor of a gateway", hint);
        None
    }
}

/// Reads the file of a gateway.
///
/// # Errors
/// As [`load`]; and the file of an agent.
pub fn load_gateway(path: &Path) -> Result<Loaded<GatewayConfig>, Report> {
    match load(path)? {
        Loaded { config: Config::Gateway(config), warnings } => Ok(Loaded { config: *config, warnings }),
        Loaded { config: Config::Agent(_), .. } => Err(wrong_kind(path, "this is the file of an agent")),
    }
}

/// Reads of the file of a gateway who it runs as and where its store is, and opens no file of a key: for who has to get at the
/// store when the gateway's process, to which its keys were passed, is gone. What stands elsewhere in the file is not judged, but
/// for unknown and missing keys.
///
/// # Errors
/// All findings; the file of an agent among them.
pub fn load_gateway_store(path: &Path) -> Result<Loaded<GatewayStore>, Report> {
    load_with(path, gateway::read_store)
}

/// Reads the file of an agent.
///
/// # Errors
/// As [`load`]; and the file of a gateway.
pub fn load_agent(path: &Path) -> Result<Loaded<AgentConfig>, Report> {
    match load(path)? {
        Loaded { config: Config::Agent(config), warnings } => Ok(Loaded { config: *config, warnings }),
        Loaded { config: Config::Gateway(_), .. } => Err(wrong_kind(path, "this is the file of a gateway")),
    }
}

fn wrong_kind(path: &Path, message: &str) -> Report {
    let mut notes = Notes::default();
    notes.error(&(0..0), message);
    notes.into_report(&path.display().to_string(), "")
}

#[cfg(test)]
mod tests;
