//! One target at work.

use std::error::Error;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jumpvpn_fuzz::Target;
use jumpvpn_fuzz::coverage::{Edges, News};
use jumpvpn_fuzz::mutate::{Random, mutate};

use super::folder;

/// Names of inputs that were found begin with this; all others are written by `seeds` or by hand.
const FOUND: &str = "found-";
/// Inputs kept of what was found, per target: the repository holds corpora, not archives.
const FOUND_MAX: usize = 40;

pub(super) struct Run {
    pub target: Target,
    /// Name and content of what is checked in: the corpus, then the inputs that once failed.
    checked_in: Vec<(String, Vec<u8>)>,
    /// All of that and what was found since.
    corpus: Vec<Vec<u8>>,
    edges: Edges,
    random: Random,
    pub executions: u64,
}

impl Run {
    pub fn new(target: Target, seed: u64) -> io::Result<Self> {
        let mut checked_in = read(&folder("corpus", target.name))?;
        // A target that never failed has no such folder.
        let regressions = folder("regressions", target.name);
        if regressions.is_dir() {
            checked_in.extend(read(&regressions)?);
        }
        let corpus = checked_in.iter().map(|(_, bytes)| bytes.clone()).collect();
        // Each target has its own sequence, whatever other targets run beside it.
        let salt =
            target.name.bytes().fold(seed, |salt, byte| salt.wrapping_mul(31).wrapping_add(u64::from(byte)));
        Ok(Self { target, checked_in, corpus, edges: Edges::new(), random: Random::new(salt), executions: 0 })
    }

    pub fn corpus_count(&self) -> usize {
        self.checked_in.len()
    }

    pub fn found_count(&self) -> usize {
        self.corpus.len() - self.checked_in.len()
    }

    pub fn edges_taken(&self) -> usize {
        self.edges.taken_count()
    }

    /// What is checked in, once. What a target sets up when it is first called is not counted.
    pub fn replay(&mut self) -> bool {
        let corpus = self.corpus.clone();
        let sound = self.execute(&[]);
        self.edges = Edges::new();
        sound && corpus.iter().all(|bytes| self.execute(bytes))
    }

    /// Mutations, for so long.
    pub fn fuzz(&mut self, span: Duration) -> bool {
        let start = Instant::now();
        while start.elapsed() < span {
            let bytes = mutate(&self.corpus, &mut self.random);
            Edges::clear();
            if !self.call(&bytes) {
                return false;
            }
            if self.edges.take() > News::Nothing {
                self.corpus.push(bytes);
            }
        }
        true
    }

    fn execute(&mut self, bytes: &[u8]) -> bool {
        Edges::clear();
        let sound = self.call(bytes);
        self.edges.take();
        sound
    }

    fn call(&mut self, bytes: &[u8]) -> bool {
        self.executions += 1;
        let sound = catch_unwind(AssertUnwindSafe(|| (self.target.run)(bytes))).is_ok();
        if !sound {
            match keep(&folder("artifacts", self.target.name), "crash-", bytes) {
                Ok(path) => eprintln!("input kept in {}", path.display()),
                Err(error) => eprintln!("input could not be kept ({error}): {bytes:02x?}"),
            }
        }
        sound
    }

    /// Writes the corpus anew: the seeds, and the shortest of the other inputs that each take an edge
    /// more.
    pub fn minimize(&self) -> Result<(), Box<dyn Error>> {
        let folder = folder("corpus", self.target.name);
        let mut edges = Edges::new();
        let mut reaches = |bytes: &[u8]| {
            Edges::clear();
            catch_unwind(AssertUnwindSafe(|| (self.target.run)(bytes))).is_ok() && edges.take() == News::Edge
        };
        let mut others = Vec::new();
        for (name, bytes) in &self.checked_in {
            if name.starts_with(FOUND) {
                fs::remove_file(folder.join(name))?;
                others.push(bytes.clone());
            } else {
                reaches(bytes);
            }
        }
        others.extend_from_slice(&self.corpus[self.checked_in.len()..]);
        others.sort_by_key(Vec::len);
        for bytes in others.iter().filter(|bytes| reaches(bytes)).take(FOUND_MAX) {
            keep(&folder, FOUND, bytes)?;
        }
        Ok(())
    }
}

/// Files of a folder by name.
fn read(folder: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", folder.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(named)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        files.push((name, fs::read(&path)?));
    }
    files.sort();
    Ok(files)
}

/// Writes an input under a name made of its content (FNV-1a).
fn keep(folder: &Path, prefix: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let hash = bytes
        .iter()
        .fold(0xCBF2_9CE4_8422_2325u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3));
    let path = folder.join(format!("{prefix}{hash:016x}"));
    fs::write(&path, bytes)?;
    Ok(path)
}
