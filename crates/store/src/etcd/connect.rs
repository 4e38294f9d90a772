//! First contact: who answers, for which cluster, and whether we may.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use super::member::{Member, Trouble};
use super::messages::{RANGE, RangeAnswer, RangeAsked, STATUS, StatusAnswer, StatusAsked};
use super::pin::{Pin, PinFile};
use super::shared::Shared;
use super::translate::Space;
use super::{ConnectError, Settings, Tls};
use crate::{DataDir, Place};

/// How long a member may take at the start, where a connection is made first and nothing waits.
const PATIENCE: Duration = Duration::from_secs(3);

/// A number that the store's user wants to find again at the next start, whatever it means. It goes with the identity of the cluster.
#[derive(Clone)]
pub struct Memory(Arc<PinFile>);

impl Memory {
    /// What was kept; nothing the first time.
    pub fn mark(&self) -> Option<u64> {
        self.0.mark()
    }

    /// Keeps another one, durably. Needs no path.
    ///
    /// # Errors
    /// The disk's.
    pub fn keep(&self, mark: u64) -> std::io::Result<()> {
        self.0.keep_mark(mark)
    }

    /// The file it lies in. Who removes it while the gateway is stopped has the next start take whatever it finds.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// A cluster that has answered, for this folder, to this user. No thread was started.
pub struct Etcd {
    pub(super) directory: DataDir,
    pub(super) runtime: Runtime,
    pub(super) shared: Arc<Shared>,
    pin: Arc<PinFile>,
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
        let known = Pin::read(&directory)?;
        if let Some(known) = &known {
            // Before anything is asked of it.
            known.check(&directory, cluster, i64::MAX)?;
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
            pin: OnceLock::new(),
        };
        let revision = runtime.block_on(prove(&shared))?;
        if let Some(known) = &known {
            known.check(&directory, cluster, revision)?;
        }
        let pin = Pin { cluster, revision, mark: known.and_then(|known| known.mark) };
        let pin = Arc::new(PinFile::create(&directory, pin)?);
        shared.pin.get_or_init(|| Arc::clone(&pin));
        shared.revision.store(revision, Ordering::Relaxed);
        Ok(Etcd { directory, runtime, shared: Arc::new(shared), pin })
    }

    /// A number that is kept beside the cluster's identity, as long as both lie in this folder.
    pub fn memory(&self) -> Memory {
        Memory(Arc::clone(&self.pin))
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
