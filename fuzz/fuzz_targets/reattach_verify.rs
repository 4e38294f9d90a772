//! libFuzzer entry of the target `reattach_verify`; its body is in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jumpvpn_fuzz::reattach_verify(data));
