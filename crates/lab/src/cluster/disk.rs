//! A disk of its own for each member of the store, so that one can be frozen or filled without the others.
//!
//! It is an ext4 file system in a file. Mounting one takes root's rights and a loop device; an ordinary user's lab, and
//! many a container, has neither. Then the disk is a plain folder, and whoever wants to freeze it has to stop the program.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Size of a disk. etcd 3.4 reserves two segments of 64 MB for its log, the rest is room to grow; the file is sparse.
const DISK_LEN: u64 = 320 << 20;
/// Name of the file that fills a disk.
const BALLAST: &str = "ballast";

/// Where a member keeps its data.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// A file system of its own, mounted.
    Own,
    /// A folder among others, with the reason.
    Shared(String),
}

impl Disk {
    /// An empty disk, mounted below `folder`.
    ///
    /// # Errors
    /// Not even a folder can be made.
    pub fn create(folder: &Path, name: &str) -> io::Result<Disk> {
        let at = folder.join(name);
        match fs::remove_dir_all(&at) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&at)?,
        }
        let kind = match mount(&folder.join(format!("{name}.ext4")), &at) {
            Ok(()) => Kind::Own,
            Err(why) => Kind::Shared(why),
        };
        Ok(Disk { folder: at, kind })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Why it has no file system of its own; none when it has one.
    #[must_use]
    pub fn why_shared(&self) -> Option<&str> {
        match &self.kind {
            Kind::Own => None,
            Kind::Shared(why) => Some(why),
        }
    }

    /// Whoever writes has to wait from now on.
    ///
    /// # Errors
    /// It has no file system of its own.
    pub fn freeze(&self) -> io::Result<()> {
        self.must_be_own()?;
        run(Command::new("fsfreeze").arg("--freeze").arg(&self.folder)).map_err(io::Error::other)
    }

    /// Whoever waited goes on. One that is not frozen is left alone.
    pub fn thaw(&self) {
        if self.kind == Kind::Own {
            run(Command::new("fsfreeze").arg("--unfreeze").arg(&self.folder)).ok(); // an error says: not frozen
        }
    }

    /// There is no room any more.
    ///
    /// # Errors
    /// It has no file system of its own, or cannot be filled.
    pub fn fill(&self) -> io::Result<()> {
        self.must_be_own()?;
        let ballast = File::create(self.folder.join(BALLAST))?;
        // By halves, as the file system keeps some blocks for itself and says so only by refusing.
        let mut step = DISK_LEN;
        let mut len = 0;
        while step >= 4096 {
            match rustix::fs::fallocate(&ballast, rustix::fs::FallocateFlags::empty(), len, step) {
                Ok(()) => len += step,
                Err(rustix::io::Errno::NOSPC) => step /= 2,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// There is room again.
    ///
    /// # Errors
    /// What was filled cannot be emptied.
    pub fn make_room(&self) -> io::Result<()> {
        match fs::remove_file(self.folder.join(BALLAST)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn must_be_own(&self) -> io::Result<()> {
        match self.why_shared() {
            None => Ok(()),
            Some(why) => Err(io::Error::new(io::ErrorKind::Unsupported, why)),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A frozen file system stays so for ever, and its loop device with it.
        self.thaw();
    }
}

fn mount(image: &Path, at: &Path) -> Result<(), String> {
    let file = File::create(image).map_err(|error| error.to_string())?;
    file.set_len(DISK_LEN).map_err(|error| error.to_string())?;
    drop(file);
    // No blocks kept for root, as everybody is root in the lab, and lazily initialised, as it lives for minutes.
    run(Command::new("mkfs.ext4")
        .args(["-q", "-F", "-m", "0", "-J", "size=4", "-E", "lazy_itable_init=1"])
        .arg(image))?;
    run(Command::new("mount").args(["-o", "loop"]).arg(image).arg(at))
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    // Administrators' programs are often not on the search path of others.
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
