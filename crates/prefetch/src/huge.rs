//! Large pages for memory that is read in no order: an address in one of 4 KiB has to be translated anew nearly each time, in one
//! of 2 MiB hardly ever.

use rustix::mm::{Advice, madvise};

/// Length of a huge page where there are any: what is not a whole one gains nothing. Linux, x86_64 and aarch64 with 4 KiB pages.
const HUGE_LEN: usize = 2 << 20;

/// Asks the system for huge pages behind the memory that `vec` has and does not use yet. The first use of each takes longer then. It may not
/// have any: then nothing changes but the time that reads take.
pub fn huge<T>(vec: &mut Vec<T>) {
    let spare = vec.spare_capacity_mut();
    let len = size_of_val(spare);
    let start = spare.as_mut_ptr().cast::<u8>();
    let to_page = start.align_offset(HUGE_LEN);
    let len = len.saturating_sub(to_page) / HUGE_LEN * HUGE_LEN;
    if len == 0 {
        return;
    }
    // SAFETY: whole pages of memory that the vector owns; the advice changes neither their content nor who may use them.
    let advised = unsafe { madvise(start.wrapping_add(to_page).cast(), len, Advice::LinuxHugepage) };
    // It is advice: a kernel without huge pages refuses it.
    advised.unwrap_or_default();
}
