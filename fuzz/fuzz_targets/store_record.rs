//! libFuzzer entry of the target `store_record`; its body is in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jumpvpn_fuzz::store_record(data));
