//! libFuzzer entry of the target `config_text`; its body is in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jumpvpn_fuzz::config_text(data));
