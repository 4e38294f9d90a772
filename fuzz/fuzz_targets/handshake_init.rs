//! libFuzzer entry of the target `handshake_init`; its body is in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jumpvpn_fuzz::handshake_init(data));
