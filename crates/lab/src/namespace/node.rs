//! A node: a network namespace with a name, in which threads and programs can be run.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::panic;
use std::process::{Child, Command};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{STAGE, outer};

/// Where the names of the nodes are, as `ip netns` expects them.
pub(super) const FOLDER: &str = "/run/netns";

/// A machine of the lab, as far as the network is concerned.
#[derive(Debug)]
pub struct Node {
    name: &'static str,
    namespace: File,
}

impl Node {
    /// A new machine without any link but its loopback.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn create(name: &'static str) -> io::Result<Node> {
        let path = format!("{FOLDER}/{name}");
        File::create(&path)?;
        let made = thread::scope(|scope| {
            let thread = scope.spawn(|| -> io::Result<()> {
                outer::unshare_network()?;
                rustix::mount::mount_bind("/proc/thread-self/ns/net", path.as_str())?;
                Ok(())
            });
            thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
        });
        made?;
        Node::open(name)
    }

    /// A machine that was made before.
    ///
    /// # Errors
    /// `NotFound` when there is none of that name.
    pub fn open(name: &'static str) -> io::Result<Node> {
        Ok(Node { name, namespace: File::open(format!("{FOLDER}/{name}"))? })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The namespace, to put interfaces into.
    #[must_use]
    pub fn namespace(&self) -> &File {
        &self.namespace
    }

    /// Runs `work` on a thread inside the node. What it opens (sockets, devices) stays in the node and may be used
    /// from anywhere.
    ///
    /// # Errors
    /// The node cannot be entered, or no thread can be had.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        thread::scope(|scope| {
            let thread =
                thread::Builder::new().name(format!("in-{}", self.name)).spawn_scoped(scope, || {
                    move_into_link_name_space(self.namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
                    Ok(work())
                })?;
            thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
        })
    }

    /// Starts a program inside the node.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        command.env_remove(STAGE);
        self.run(|| command.spawn())?
    }

    /// Writes a kernel setting of the node, given as in `sysctl`: `net.ipv4.ip_forward`.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn set(&self, key: &str, value: &str) -> io::Result<()> {
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        self.run(|| fs::write(&path, value))?.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot set {key} in {}: {error}", self.name))
        })
    }
}
