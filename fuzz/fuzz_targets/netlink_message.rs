//! libFuzzer entry of the target `netlink_message`; its body is in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jumpvpn_fuzz::netlink_message(data));
