//! First contact: who answers, for which cluster, and whether we may.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use super::member::{Member, Trouble};
use super::messages::{RANGE, RangeAnswer, RangeAsked, STATUS, StatusAnswer, StatusAsked};
use super::shared::Shared;
use super::translate::Space;
use super::{ConnectError, Settings, Tls};
use crate::{DataDir, Place};

/// How long a member may take at the start, where a connection is made first and nothing waits.
const PATIENCE: Duration = Duration::from_secs(3);

/// The file with the cluster's identity, as sixteen digits, and with the revision it had when it was last connected to.
const PIN: &str = "etcd-cluster";

/// A cluster that has answered, for this folder, to this user. No thread was started.
pub struct Etcd {
    pub(super) directory: DataDir,
    pub(super) runtime: Runtime,
    pub(super) shared: Arc<Shared>,
}

impl Etcd {
    /// Speaks with the members once: looks up their names, sees that they are of the cluster that this folder knows (which
    /// is this one, the first time), signs in, and reads something.
    ///
    /// # Errors
    /// What is wrong, in words. Nothing was written to the cluster.
    pub fn connect(directory: DataDir, settings: Settings) -> Result<Etcd, ConnectError> {
        // Names are looked up and files are read by this thread: the runtime's own ways of doing so start others.
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let tls = settings.tls.as_ref().map(tls).transpose()?;
        let guard = runtime.enter();
        let members = settings.endpoints.iter().map(|name| Member::new(name, tls.as_ref()));
        let members = members.collect::<Result<Vec<_>, _>>()?;
        drop(guard);
        let answers = runtime.block_on(introduce(&members))?;
        let cluster = one_cluster(&answers)?;
        let pin = Pin::read(&directory)?;
        if let Some(pin) = &pin {
            pin.check_cluster(&directory, cluster)?;
        }
        let first = members.iter().position(|member| answers.contains_key(&member.name)).unwrap_or_default();
        let shared = Shared {
            members,
            first: AtomicUsize::new(first),
            space: Space(settings.prefix),
            cluster,
            revision: AtomicI64::new(0),
            login: settings.login,
            token: Mutex::new(None),
            signing_in: AtomicBool::new(false),
            lost: Mutex::new(None),
            trouble: Arc::default(),
        };
        let revision = runtime.block_on(prove(&shared))?;
        if let Some(pin) = &pin {
            pin.check_revision(&directory, revision)?;
        }
        Pin { cluster, revision }.write(&directory)?;
        shared.revision.store(revision, Ordering::Relaxed);
        Ok(Etcd { directory, runtime, shared: Arc::new(shared) })
    }

    /// Where this process runs and keeps its state.
    pub const fn place(&self) -> Place {
        self.directory.place()
    }
}

impl std::fmt::Debug for Etcd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Etcd").field("directory", &self.directory).finish_non_exhaustive()
    }
}

fn tls(files: &Tls) -> Result<ClientTlsConfig, ConnectError> {
    let read = |path: &std::path::PathBuf| {
        std::fs::read(path).map_err(|source| ConnectError::File { path: path.clone(), source })
    };
    let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(&files.ca)?));
    Ok(match &files.identity {
        Some((certificate, key)) => config.identity(Identity::from_pem(read(certificate)?, read(key)?)),
        None => config,
    })
}

/// Asks all members at a time who they are. Some may be away.
async fn introduce(members: &[Member]) -> Result<BTreeMap<String, StatusAnswer>, ConnectError> {
    if members.is_empty() {
        return Err(ConnectError::NoEndpoint);
    }
    let mut asked = JoinSet::new();
    for member in members.iter().cloned() {
        asked.spawn(async move {
            let answer = member.call::<_, StatusAnswer>(STATUS, StatusAsked {}, None, PATIENCE).await;
            (member.name, answer)
        });
    }
    let (mut answers, mut attempts) = (BTreeMap::new(), Vec::new());
    for (name, answer) in asked.join_all().await {
        match answer {
            Ok(answer) => {
                answers.insert(name, answer);
            }
            Err(trouble) => attempts.push((name, trouble.to_string())),
        }
    }
    if answers.is_empty() {
        attempts.sort();
        return Err(ConnectError::Unreachable { attempts });
    }
    Ok(answers)
}

fn one_cluster(answers: &BTreeMap<String, StatusAnswer>) -> Result<u64, ConnectError> {
    let mut clusters = answers
        .iter()
        .map(|(name, answer)| (name, answer.header.as_ref().map_or(0, |header| header.cluster_id)));
    // invariant: somebody has answered.
    let (one, cluster) = clusters.next().expect("an answer");
    match clusters.find(|(_, other)| *other != cluster) {
        Some((other, _)) => Err(ConnectError::Mixed { one: one.clone(), other: other.clone() }),
        None => Ok(cluster),
    }
}

/// What the folder knows of the cluster.
struct Pin {
    cluster: u64,
    revision: i64,
}

impl Pin {
    /// Nothing the first time. What makes no sense is the pin of no cluster.
    fn read(directory: &DataDir) -> Result<Option<Pin>, ConnectError> {
        let Some(content) = directory.read(PIN)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&content);
        let (cluster, revision) = text.trim().split_once(' ').unwrap_or_default();
        let cluster = u64::from_str_radix(cluster, 16).unwrap_or_default();
        Ok(Some(Pin { cluster, revision: revision.parse().unwrap_or_default() }))
    }

    fn check_cluster(&self, directory: &DataDir, found: u64) -> Result<(), ConnectError> {
        if self.cluster == found {
            return Ok(());
        }
        Err(ConnectError::Foreign { expected: self.cluster, found, pin: directory.file(PIN) })
    }

    fn check_revision(&self, directory: &DataDir, found: i64) -> Result<(), ConnectError> {
        if self.revision <= found {
            return Ok(());
        }
        Err(ConnectError::WentBack { expected: self.revision, found, pin: directory.file(PIN) })
    }

    fn write(&self, directory: &DataDir) -> Result<(), ConnectError> {
        Ok(directory.write(PIN, format!("{:016x} {}\n", self.cluster, self.revision).as_bytes())?)
    }
}

/// Signs in and reads, at the first member that lets us; the revision of the store.
async fn prove(shared: &Shared) -> Result<i64, ConnectError> {
    let mut last = ConnectError::NoEndpoint;
    for offset in 0..shared.members.len() {
        let at = &shared.members[shared.member(offset)];
        if let Err(trouble) = shared.sign_in(at, PATIENCE).await {
            last = match trouble {
                Trouble::Unanswered(detail) => ConnectError::NoQuorum { detail },
                refused => return Err(ConnectError::Credentials { detail: refused.to_string() }),
            };
            continue;
        }
        let (key, range_end) = shared.space.range(&jumpvpn_ownership::Key::new([]));
        let asked = RangeAsked { key, range_end, limit: 1 };
        match at.call::<_, RangeAnswer>(RANGE, asked, shared.token().as_ref(), PATIENCE).await {
            Ok(answer) => return Ok(answer.header.map_or(0, |header| header.revision)),
            Err(Trouble::Unanswered(detail)) => last = ConnectError::NoQuorum { detail },
            Err(Trouble::SignedOut(detail)) => return Err(ConnectError::Credentials { detail }),
            Err(refused) => return Err(ConnectError::Denied { detail: refused.to_string() }),
        }
    }
    Err(last)
}
