//! What goes into a request to the kernel. These run under Miri too (`cargo xtask miri`).

use super::*;

#[test]
fn a_request_holds_its_name_and_zeros() {
    for name in ["j", "jump0", "fifteen-letters"] {
        let request = request_for(name).unwrap();
        let bytes: Vec<u8> = request.ifr_name.iter().map(|byte| *byte as u8).collect();
        assert_eq!(bytes.len(), libc::IFNAMSIZ);
        let (written, zeros) = bytes.split_at(name.len());
        assert_eq!(written, name.as_bytes());
        assert!(!zeros.is_empty() && zeros.iter().all(|byte| *byte == 0), "the kernel finds its end");
    }
}

#[test]
fn names_that_the_kernel_would_expand_or_refuse_are_refused() {
    for name in ["", ".", "..", "sixteen-letters-", "a b", "a/b", "a:b", "jump%d", "a\n", "a\0b"] {
        assert!(matches!(request_for(name), Err(TunError::InvalidName { .. })), "{name:?}");
    }
}
