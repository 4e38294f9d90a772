//! libFuzzer entry of the target `engine_gateway`; its body is in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jumpvpn_fuzz::engine_gateway(data));
