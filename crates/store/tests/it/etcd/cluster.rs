//! Members of etcd on the loopback interface, with all they keep in a folder that is gone with the test.

use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jumpvpn_store::DataDir;
use jumpvpn_store::etcd::{ConnectError, Etcd, EtcdStore, Settings, Tls};
use rustix::process::{Pid, Signal, kill_process};

use crate::bed::{Asked, Bed, PATIENCE, waker};

/// A cluster.
pub struct Cluster {
    pub bed: Bed,
    pub members: Vec<Member>,
    /// Arguments of every member beyond its addresses.
    more: Vec<String>,
    scheme: &'static str,
}

/// A member, which runs or does not.
pub struct Member {
    name: String,
    pub client: u16,
    peer: u16,
    process: Option<Child>,
}

impl Cluster {
    /// So many members that answer. Nothing, and a word about it, where etcd is not installed.
    pub fn new(test: &str, count: usize) -> Option<Cluster> {
        Cluster::with(test, count, "http", |_| Vec::new())
    }

    /// With further arguments, which are made when there is a folder.
    pub fn with(
        test: &str,
        count: usize,
        scheme: &'static str,
        more: impl FnOnce(&Bed) -> Vec<String>,
    ) -> Option<Cluster> {
        if Command::new("etcd").arg("--version").stdout(Stdio::null()).spawn().is_err() {
            let line = format!("SKIPPED {test}: there is no etcd (Debian has it as etcd-server)\n");
            std::io::stderr().write_all(line.as_bytes()).unwrap();
            return None;
        }
        let bed = Bed::new();
        let more = more(&bed);
        let ports = free_ports(2 * count);
        let member = |number: usize| Member {
            name: format!("m{number}"),
            client: ports[2 * number],
            peer: ports[2 * number + 1],
            process: None,
        };
        let members = (0..count).map(member).collect();
        let mut cluster = Cluster { bed, members, more, scheme };
        (0..count).for_each(|number| cluster.start(number));
        (0..count).for_each(|number| cluster.wait_for(number));
        Some(cluster)
    }

    /// Starts a member with what it has kept.
    pub fn start(&mut self, number: usize) {
        let peers: Vec<String> = self
            .members
            .iter()
            .map(|member| format!("{}=http://127.0.0.1:{}", member.name, member.peer))
            .collect();
        let (scheme, more, folder) = (self.scheme, self.more.clone(), self.folder(number));
        let log = File::options().append(true).create(true).open(folder.with_extension("log")).unwrap();
        let member = &mut self.members[number];
        let client = format!("{scheme}://127.0.0.1:{}", member.client);
        let peer = format!("http://127.0.0.1:{}", member.peer);
        let mut command = Command::new("etcd");
        command.args(["--name", &member.name, "--initial-cluster", &peers.join(",")]);
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(more).arg("--data-dir").arg(folder);
        // etcd 3.4 asks for this on every machine but one kind.
        command.env("ETCD_UNSUPPORTED_ARCH", if cfg!(target_arch = "aarch64") { "arm64" } else { "" });
        command.stdout(Stdio::null()).stderr(log).stdin(Stdio::null());
        member.process = Some(command.spawn().unwrap());
    }

    /// Starts the first member as the founder of a cluster, whose identity is another one or not.
    pub fn renew(&mut self, is_another: bool) {
        if is_another {
            self.more.extend(["--initial-cluster-token".into(), "another".into()]);
        }
        self.start(0);
        self.wait_for(0);
    }

    /// Waits until a member takes connections.
    fn wait_for(&mut self, number: usize) {
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.members[number].client)).is_err() {
            let log = self.folder(number).with_extension("log");
            let ended = self.members[number].process.as_mut().unwrap().try_wait().unwrap();
            let text = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(ended.is_none() && began.elapsed() < PATIENCE, "member {number}: {ended:?} {}", text());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn folder(&self, number: usize) -> PathBuf {
        self.bed.0.join(&self.members[number].name)
    }

    /// Ends a member at once.
    pub fn kill(&mut self, number: usize) {
        let mut process = self.members[number].process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Stops a member as it stands, or lets it go on.
    pub fn signal(&self, number: usize, signal: Signal) {
        let id = self.members[number].process.as_ref().unwrap().id();
        kill_process(Pid::from_raw(id.cast_signed()).unwrap(), signal).unwrap();
    }

    pub fn endpoint(&self, number: usize) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.members[number].client)
    }

    /// Settings for all members, in their order.
    pub fn settings(&self, prefix: &str) -> Settings {
        let endpoints = (0..self.members.len()).map(|number| self.endpoint(number)).collect();
        settings(endpoints, prefix)
    }

    /// One try, with a folder of that name.
    pub fn connect(&self, folder: &str, settings: Settings) -> Result<Etcd, ConnectError> {
        Etcd::connect(DataDir::open(&self.bed.0.join(folder), [1; 16])?, settings)
    }

    /// A store that works: a cluster that has just begun may still have no leader.
    pub fn store(&self, folder: &str, settings: &Settings) -> Asked<EtcdStore> {
        let began = Instant::now();
        loop {
            match self.connect(folder, settings.clone()) {
                Ok(etcd) => {
                    let (waker, woken) = waker();
                    return Asked::new(etcd.start(waker).unwrap(), woken);
                }
                Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
            }
        }
    }

    /// What an administrator does.
    pub fn etcdctl(&self, arguments: &[&str]) {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").args(["--endpoints", &self.endpoint(0)]).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for member in &mut self.members {
            if let Some(mut process) = member.process.take() {
                process.kill().unwrap();
                process.wait().unwrap();
            }
        }
    }
}

pub fn settings(endpoints: Vec<String>, prefix: &str) -> Settings {
    Settings { endpoints, prefix: prefix.as_bytes().to_vec(), tls: None, login: None }
}

/// Certificates of a cell: `ca.pem`, `server.pem`, `client.pem`, and keys beside them.
pub fn certificates(bed: &Bed) -> Tls {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let write = |name: &str, text: &str| {
        let path = bed.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let mut paths = Vec::new();
    for name in ["server", "client"] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap();
        let certificate = params.signed_by(&key, &ca).unwrap();
        paths.push((
            write(&format!("{name}.pem"), &certificate.pem()),
            write(&format!("{name}.key"), &key.serialize_pem()),
        ));
    }
    Tls { ca: write("ca.pem", &ca.pem()), identity: paths.pop() }
}

/// Arguments by which etcd asks for the certificates of [`certificates`].
pub fn tls_arguments(bed: &Bed) -> Vec<String> {
    let path = |name: &str| bed.0.join(name).display().to_string();
    let pairs =
        [("--cert-file", "server.pem"), ("--key-file", "server.key"), ("--trusted-ca-file", "ca.pem")];
    let mut arguments: Vec<String> =
        pairs.iter().flat_map(|(flag, name)| [(*flag).to_owned(), path(name)]).collect();
    arguments.push("--client-cert-auth".into());
    arguments
}

/// Ports that nobody uses now.
fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}
