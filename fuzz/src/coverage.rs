//! Which edges of the product's code an input takes: the counters that `instrument.sh` compiles in.
//!
//! The compiler puts one 8-bit counter on each edge of the control flow and tells where they lie before `main` runs.
//! Everything here is for one thread. libFuzzer defines the same symbol, so with it this file is left out.
#![expect(unsafe_code, reason = "the compiler hands the counters over as two addresses")]

use std::sync::Mutex;

/// First and one past the last counter.
static REGION: Mutex<Option<(usize, usize)>> = Mutex::new(None);

/// Called by every instrumented object before `main`, always with the same region: the linker joins them.
///
/// # Safety
/// Only the compiler's constructors call it, with the borders of a section that lives as long as the process.
#[unsafe(no_mangle)]
unsafe extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, end: *mut u8) {
    if let Ok(mut region) = REGION.lock() {
        let (first, last) = region.unwrap_or((start as usize, end as usize));
        *region = Some((first.min(start as usize), last.max(end as usize)));
    }
}

/// How often an edge was taken, as one of eight bits: 1, 2, 3, 4, 8, 16, 32, 128 times or more. Loops that run a few
/// times more are no news, loops that run twice as often are (the classes of AFL).
fn class(count: u8) -> u8 {
    match count {
        0 => 0,
        1 => 1,
        2 => 2,
        3 => 4,
        4..=7 => 8,
        8..=15 => 16,
        16..=31 => 32,
        32..=127 => 64,
        _ => 128,
    }
}

fn edge_count() -> usize {
    region().map_or(0, |(start, end)| end - start)
}

fn region() -> Option<(usize, usize)> {
    REGION.lock().ok().and_then(|region| *region)
}

/// What was new about a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum News {
    /// Nothing.
    Nothing,
    /// It took an edge more or less often than any run before.
    Count,
    /// It took an edge that no run before took.
    Edge,
}

/// Edges, and how often each was taken at most in one run.
#[derive(Debug, Default)]
pub struct Edges {
    classes: Vec<u8>,
    counts: Vec<u8>,
}

impl Edges {
    /// None taken yet.
    pub fn new() -> Self {
        let len = edge_count();
        Self { classes: vec![0; len], counts: vec![0; len] }
    }

    /// Sets the counters to zero, before a run.
    pub fn clear() {
        let Some((start, end)) = region() else { return };
        // SAFETY: the region is the section of counters, which lives as long as the process; its other writers are
        // instrumented functions, and none of those runs while this one does.
        unsafe { std::ptr::write_bytes(start as *mut u8, 0, end - start) };
    }

    /// Takes in what the last run counted. Answers what was new.
    pub fn take(&mut self) -> News {
        let Some((start, _)) = region() else { return News::Nothing };
        // SAFETY: as above; `counts` has the length of the region and does not overlap it.
        unsafe {
            std::ptr::copy_nonoverlapping(start as *const u8, self.counts.as_mut_ptr(), self.counts.len());
        }
        let mut news = News::Nothing;
        for (chunk, classes) in self.counts.chunks(8).zip(self.classes.chunks_mut(8)) {
            if chunk == [0; 8] {
                continue;
            }
            for (count, known) in chunk.iter().zip(classes) {
                let class = class(*count);
                if class & !*known != 0 {
                    news = news.max(if *known == 0 { News::Edge } else { News::Count });
                }
                *known |= class;
            }
        }
        news
    }

    /// How many edges were taken.
    pub fn taken_count(&self) -> usize {
        self.classes.iter().filter(|classes| **classes != 0).count()
    }
}
