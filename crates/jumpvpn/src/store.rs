//! From `[store]` to a store that is open, and to who this gateway is among those that share it.

use std::path::Path;
use std::time::Duration;

use jumpvpn_config::{EmbeddedStore, EtcdStore, Pace, StoreConfig};
use jumpvpn_ownership::Profile;
use jumpvpn_policy::Policy;
use jumpvpn_runtime::{Bells, Departed, Durable, Member, Memory, OpenStore, StoreOptions, SystemRandom};
use jumpvpn_store::etcd::{ConnectError, Etcd, Login, Settings, Tls};
use jumpvpn_store::{DataDir, OpenError, Place, Sqlite};
use rand_core::Rng;
use zeroize::Zeroizing;

use crate::exit::{Code, Failure};
use crate::store_key;

/// Name of a gateway that shares its store with nobody.
const ALONE: &str = "gateway";

/// Sessions of a gateway that is gone wait at least this long for their clients: its restart, and the patience of those that
/// were not reachable themselves.
const ORPHAN_TTL_MIN: Duration = Duration::from_secs(60);

/// Longest file of a password, bytes.
const PASSWORD_MAX_LEN: u64 = 1024;

/// Opens what the file names. Runs as the user that the gateway is going to be, and before it gives up its files.
pub(crate) fn open(config: &StoreConfig, public: [u8; 32], policy: &Policy) -> Result<StoreOptions, Failure> {
    let orphan_ttl = policy.session.transport_lost_ttl.max(ORPHAN_TTL_MIN);
    match config {
        StoreConfig::Memory => Ok(StoreOptions::Memory),
        StoreConfig::Embedded(store) => embedded(store, public, orphan_ttl),
        StoreConfig::Etcd(store) => etcd(store, public, orphan_ttl),
    }
}

fn embedded(config: &EmbeddedStore, public: [u8; 32], orphan_ttl: Duration) -> Result<StoreOptions, Failure> {
    let key = store_key::read_or_make(&config.key_file, &config.path)?;
    let opened = Sqlite::open(&config.path, fresh()).map_err(|error| not_opened(&error))?;
    let place = opened.place();
    Ok(StoreOptions::Durable(Box::new(Durable {
        kind: "embedded",
        member: Member {
            name: ALONE.to_owned(),
            public,
            cell: 0,
            boot_id: place.boot_id,
            data_dir: place.data_dir_id,
            profile: Profile::DEFAULT,
            orphan_ttl,
        },
        key: Some(Zeroizing::new(*key.bytes())),
        store: Box::new(move |bells: Bells| {
            let store = opened.start(bells.outcome).map_err(|error| no_thread(&error))?;
            Ok(Box::new(store))
        }),
        memory: None,
        // Nobody else can own its sessions.
        dead_man: false,
    })))
}

fn etcd(config: &EtcdStore, public: [u8; 32], orphan_ttl: Duration) -> Result<StoreOptions, Failure> {
    let directory = folder(config)?;
    // Should the thread that owns the store fail, the folder still says that this process lives.
    directory.hold_until_exit().map_err(|error| not_opened(&error))?;
    let connected = connect(config, directory)?;
    let place = connected.place();
    let memory = remembered(connected.memory());
    Ok(StoreOptions::Durable(Box::new(Durable {
        kind: "etcd",
        member: Member {
            name: config.node.clone(),
            public,
            cell: config.cell,
            boot_id: place.boot_id,
            data_dir: place.data_dir_id,
            profile: profile(config.pace),
            orphan_ttl,
        },
        key: config.key.as_ref().map(|key| Zeroizing::new(*key.bytes())),
        store: started(connected),
        memory: Some(memory),
        dead_man: true,
    })))
}

/// The gateway whose process was here, with its folder, which nobody holds any more.
pub(crate) fn departed(config: &EtcdStore) -> Result<Departed, Failure> {
    let connected = connect(config, folder(config)?)?;
    let Place { boot_id, data_dir_id: data_dir } = connected.place();
    Ok(Departed { name: config.node.clone(), boot_id, data_dir, store: started(connected) })
}

/// The folder of this gateway, held.
fn folder(config: &EtcdStore) -> Result<DataDir, Failure> {
    // Several gateways of one machine may share a state folder.
    let folder = config.state.join(format!("{}.etcd", config.node));
    DataDir::open(&folder, fresh()).map_err(|error| not_opened(&error))
}

fn connect(config: &EtcdStore, directory: DataDir) -> Result<Etcd, Failure> {
    let settings = Settings {
        endpoints: config.endpoints.clone(),
        prefix: format!("{}/", config.prefix).into_bytes(),
        tls: tls(config),
        login: login(config)?,
    };
    Etcd::connect(directory, settings).map_err(|error| not_connected(&error))
}

fn started(connected: Etcd) -> OpenStore {
    Box::new(move |bells: Bells| {
        let store = connected.start(bells.outcome).map_err(|error| no_thread(&error))?;
        store.watch(jumpvpn_ownership::mailboxes(), bells.mail);
        Ok(Box::new(store))
    })
}

/// The generation of the store, which is made anew with an emptied prefix, is kept beside the identity of the cluster.
fn remembered(kept: jumpvpn_store::etcd::Memory) -> Memory {
    let hint = format!(
        "if that is meant, stop all gateways of the cell, empty the prefix, and remove {} on each",
        kept.path().display()
    );
    Memory { generation: kept.mark(), keep: Box::new(move |generation| kept.keep(generation)), hint }
}

/// The TCP ports of a store that is elsewhere; none of one that is not.
pub(crate) fn ports(config: &StoreConfig) -> Vec<u16> {
    let StoreConfig::Etcd(store) = config else { return Vec::new() };
    store.endpoints.iter().map(|endpoint| port(endpoint)).collect()
}

/// Of `http://host:port`, with or without a path behind it; what the scheme says where none is named.
fn port(endpoint: &str) -> u16 {
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("http", endpoint));
    let authority = rest.split('/').next().unwrap_or(rest);
    // The last colon, unless it belongs to an IPv6 address.
    let named = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    named.unwrap_or(if scheme == "https" { 443 } else { 80 })
}

fn profile(pace: Pace) -> Profile {
    match pace {
        Pace::Default => Profile::DEFAULT,
        Pace::Calm => Profile::CALM,
        Pace::Fast => Profile::FAST,
    }
}

fn tls(config: &EtcdStore) -> Option<Tls> {
    let ca = config.ca_file.clone()?;
    Some(Tls { ca, identity: config.identity.clone() })
}

fn login(config: &EtcdStore) -> Result<Option<Login>, Failure> {
    let Some((user, file)) = &config.user else { return Ok(None) };
    let password = password(file).map_err(|error| {
        Failure::new(Code::Config, format!("cannot read the password {}: {error}", file.display()))
    })?;
    Ok(Some(Login { user: user.clone(), password }))
}

/// The first line of the file.
fn password(file: &Path) -> std::io::Result<Zeroizing<String>> {
    use std::io::Read;
    let mut text = Zeroizing::new(String::with_capacity(PASSWORD_MAX_LEN as usize));
    std::fs::File::open(file)?.take(PASSWORD_MAX_LEN).read_to_string(&mut text)?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

fn fresh() -> [u8; 16] {
    let mut bytes = [0; 16];
    SystemRandom.fill_bytes(&mut bytes);
    bytes
}

fn not_opened(error: &OpenError) -> Failure {
    let code = match error {
        OpenError::Denied { .. } | OpenError::Stranger { .. } => Code::Permission,
        _ => Code::Failed,
    };
    Failure::new(code, format!("cannot open the store: {error}"))
}

fn not_connected(error: &ConnectError) -> Failure {
    Failure::new(Code::Failed, format!("cannot use the store: {error}"))
}

fn no_thread(error: &std::io::Error) -> String {
    format!("cannot start a thread for the store: {error}")
}

#[cfg(test)]
mod tests;
