//! Hints about memory, which change nothing but how long a read takes: fetch this line, use large pages there.
//!
//! Asking the processor to fetch memory before it is read is one instruction. An ordinary read does that too, but it
//! holds back all instructions behind it once the processor's window is full; a hint is done with at once, so that many
//! fetches overlap whatever stands between them (docs/decisions/0043). The instruction is `unsafe` in Rust because it
//! takes a pointer; here it takes a reference. So is the call for large pages ([`huge`]). No other room needs to.
#![allow(unsafe_code)]

mod huge;

pub use huge::huge;

/// Bytes that the processors this is made for fetch at once.
pub const LINE_LEN: usize = 64;

/// Fetches the line of memory in which `place` begins.
#[inline(always)]
pub fn line<T>(place: &T) {
    fetch(core::ptr::from_ref(place).cast());
}

/// Fetches the first `len` bytes from the beginning of `place` on, no more than it has.
#[inline(always)]
pub fn lines<T>(place: &T, len: usize) {
    let first = core::ptr::from_ref(place).cast::<u8>();
    for offset in (0..len.min(size_of::<T>())).step_by(LINE_LEN) {
        fetch(first.wrapping_add(offset));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn fetch(address: *const u8) {
    use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch reads no value, faults on no address, and every x86_64 processor has it (SSE).
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
}

/// Elsewhere nothing is fetched: stable Rust has no such instruction for other processors.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn fetch(_address: *const u8) {}

#[cfg(test)]
mod tests;
