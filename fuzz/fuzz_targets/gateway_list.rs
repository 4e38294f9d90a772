//! libFuzzer entry of the target `gateway_list`; its body is in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jumpvpn_fuzz::gateway_list(data));
