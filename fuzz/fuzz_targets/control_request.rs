//! libFuzzer entry of the target `control_request`; its body is in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jumpvpn_fuzz::control_request(data));
