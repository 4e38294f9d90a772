//! libFuzzer entry of the target `data_open`; its body is in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jumpvpn_fuzz::data_open(data));
