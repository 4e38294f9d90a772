//! libFuzzer entry of the target `event_file`; its body is in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jumpvpn_fuzz::event_file(data));
