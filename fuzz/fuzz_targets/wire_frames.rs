//! libFuzzer entry of the target `wire_frames`; its body is in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jumpvpn_fuzz::wire_frames(data));
