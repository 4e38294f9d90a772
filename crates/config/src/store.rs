//! The table `[store]`: where a gateway keeps who owns which session.

use std::path::PathBuf;

use crate::context::{self, Context};
use crate::key::SecretKey;
use crate::keys::CELL_MAX;
use crate::reader::{Placed, Section};
use crate::report::Notes;
use crate::value;

/// Beginning of all keys in an etcd store that names none.
const DEFAULT_PREFIX: &str = "/jumpvpn";

/// Where a gateway keeps who owns which session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreConfig {
    /// In memory: sessions end with the process.
    Memory,
    /// In a file of this machine: sessions outlive the process.
    Embedded(EmbeddedStore),
    /// In an etcd cluster: sessions outlive the gateway.
    Etcd(Box<EtcdStore>),
}

impl StoreConfig {
    /// The kind as it stands in the file.
    pub fn kind(&self) -> &'static str {
        match self {
            StoreConfig::Memory => "memory",
            StoreConfig::Embedded(_) => "embedded",
            StoreConfig::Etcd(_) => "etcd",
        }
    }
}

/// A store in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedStore {
    /// The file; it is made at the first start.
    pub path: PathBuf,
    /// File of the key that seals what is secret in it; made together with the store, and never without it.
    pub key_file: PathBuf,
}

/// A store in an etcd cluster, shared by the gateways of one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdStore {
    /// Its members, `http://` or `https://`; at least one.
    pub endpoints: Vec<String>,
    /// Beginning of all keys.
    pub prefix: String,
    /// Name of this gateway among those of the cell.
    pub node: String,
    /// The cell: a group of gateways that can take sessions over from each other.
    pub cell: u16,
    /// How fast a silent gateway is given up.
    pub pace: Pace,
    /// Folder for what this gateway has to remember about the cluster.
    pub state: PathBuf,
    /// The key that all gateways of the cell share; without one it lies in the store itself, made by the first of them.
    pub key: Option<SecretKey>,
    /// Certificate of the authority that the servers' certificates come from, PEM.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate and its key, PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Name and file of the password of an etcd user.
    pub user: Option<(String, PathBuf)>,
}

/// How fast a silent gateway is given up: the profiles of the ownership room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// A store on the site's own network, after 7 s.
    #[default]
    Default,
    /// A store spread over a wide area, after 17 s.
    Calm,
    /// A store on one fast network with short election timeouts, after 3.6 s.
    Fast,
}

impl Pace {
    const ALL: [(&'static str, Pace); 3] =
        [("default", Pace::Default), ("calm", Pace::Calm), ("fast", Pace::Fast)];
}

/// The store of a file; nothing if the table is unusable, which is then noted.
pub(crate) fn read(context: &Context<'_>, interface: &str, notes: &mut Notes) -> Option<StoreConfig> {
    let service = context::service_folder();
    let Some(section) = context.only("store") else {
        // Nobody said where: only a service manager's folder is certain to be ours.
        return Some(match service {
            Some(folder) => StoreConfig::Embedded(beside(folder.join(format!("{interface}.store")))),
            None => StoreConfig::Memory,
        });
    };
    let kind = match section.value("kind") {
        None => "embedded".to_owned(),
        Some(_) => {
            section
                .text("kind", notes, |text| match text {
                    "memory" | "embedded" | "etcd" => Ok(text.to_owned()),
                    other => {
                        Err(format!("`{other}` is not a kind of store; there are memory, embedded and etcd"))
                    }
                })?
                .value
        }
    };
    refuse_keys_of_others(section, &kind, notes);
    let state = context::state_folder();
    match kind.as_str() {
        "embedded" => {
            let path = match section.value("path") {
                Some(_) => context.path(section, "path", notes)?,
                None => state.join(format!("{interface}.store")),
            };
            let mut store = beside(path);
            if let Some(key_file) = context.key_path(section, "key_file", notes) {
                store.key_file = key_file;
            }
            Some(StoreConfig::Embedded(store))
        }
        "etcd" => etcd(context, section, state, notes).map(|store| StoreConfig::Etcd(Box::new(store))),
        _ => Some(StoreConfig::Memory),
    }
}

/// A store with its key beside it.
fn beside(path: PathBuf) -> EmbeddedStore {
    let mut key_file = path.clone().into_os_string();
    key_file.push(".key");
    EmbeddedStore { path, key_file: key_file.into() }
}

/// Keys of one kind of store.
const ETCD_ONLY: &[&str] = &[
    "endpoints",
    "prefix",
    "node",
    "cell",
    "pace",
    "ca_file",
    "cert_file",
    "cert_key_file",
    "username",
    "password_file",
];

/// A key that does nothing under this kind is a misunderstanding.
fn refuse_keys_of_others(section: &Section<'_>, kind: &str, notes: &mut Notes) {
    let foreign: &[&str] = if kind == "etcd" { &[] } else { ETCD_ONLY };
    let own: &[&str] = if kind == "memory" { &["path", "key_file"] } else { &[] };
    for name in foreign.iter().chain(own) {
        if let Some(value) = section.value(name) {
            let message = format!("`{name}` does nothing with a store of kind \"{kind}\"");
            notes.error_hint(&value.span(), message, "remove it, or choose the kind it belongs to");
        }
    }
}

fn etcd(
    context: &Context<'_>,
    section: &Section<'_>,
    state: PathBuf,
    notes: &mut Notes,
) -> Option<EtcdStore> {
    for name in ["endpoints", "node"] {
        if section.value(name).is_none() {
            let message = format!("missing key `{name}` in [store] of kind \"etcd\"");
            notes.error(&section.span, message);
        }
    }
    let noted_before = notes.error_count();
    let endpoints = section.list("endpoints", notes, value::url);
    let nothing_noted = notes.error_count() == noted_before;
    if let (Some([]), Some(value), true) = (endpoints.as_deref(), section.value("endpoints"), nothing_noted) {
        notes.error_hint(&value.span(), "no endpoint", "add one like \"http://10.0.0.1:2379\"");
    }
    let node = section.text("node", notes, value::peer_name);
    let prefix = section.text("prefix", notes, value::prefix);
    let cell = section.auto_or_count("cell", 0, CELL_MAX, notes);
    let pace = section.text("pace", notes, |text| {
        let found = Pace::ALL.iter().find(|(name, _)| *name == text).map(|(_, pace)| *pace);
        found.ok_or_else(|| format!("`{text}` is none of default, calm and fast"))
    });
    let key = context.key_file(section, "key_file", notes);
    if section.value("key_file").is_none() {
        let message = "without `key_file` whoever can read the store can read the secrets in it";
        notes.warning(
            &section.span,
            message,
            "make one with `jumpvpn genkey` and give it to all gateways of the cell",
        );
    }
    let ca_file = context.path(section, "ca_file", notes);
    let certificate = ("cert_file", context.path(section, "cert_file", notes));
    let certificate_key = ("cert_key_file", context.path(section, "cert_key_file", notes));
    let identity = together(section, certificate, certificate_key, notes);
    let password = ("password_file", context.path(section, "password_file", notes));
    let username = section.text("username", notes, |text| Ok(text.to_owned())).map(|name| name.value);
    let user = together(section, ("username", username), password, notes);
    let state = match section.value("path") {
        Some(_) => context.path(section, "path", notes)?,
        None => state,
    };
    let endpoints: Vec<String> = endpoints?.into_iter().map(|endpoint| endpoint.value).collect();
    Some(EtcdStore {
        endpoints: (!endpoints.is_empty()).then_some(endpoints)?,
        prefix: prefix.map_or_else(|| DEFAULT_PREFIX.to_owned(), |prefix| prefix.value),
        node: node?.value,
        cell: cell.and_then(|cell| u16::try_from(cell).ok()).unwrap_or(0),
        pace: pace.map(|Placed { value, .. }| value).unwrap_or_default(),
        state,
        key,
        ca_file,
        identity,
        user,
    })
}

/// Two values, with their keys, of which one is of no use without the other.
fn together<A, B>(
    section: &Section<'_>,
    (one, first): (&str, Option<A>),
    (other, second): (&str, Option<B>),
    notes: &mut Notes,
) -> Option<(A, B)> {
    if first.is_some() != second.is_some() {
        notes.error(&section.span, format!("`{one}` and `{other}` belong together"));
    }
    first.zip(second)
}
