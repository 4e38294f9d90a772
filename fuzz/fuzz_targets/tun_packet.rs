//! libFuzzer entry of the target `tun_packet`; its body is in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jumpvpn_fuzz::tun_packet(data));
