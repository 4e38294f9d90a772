//! Taking datagrams apart that are not as they should be.

use super::*;

#[test]
fn nonsense_ends_the_datagram() {
    for bytes in [&[][..], &[0; 3], &[0; 16], &[255; 40], &[17, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]
    {
        let (messages, _) = take_apart(bytes);
        assert!(messages.is_empty(), "{bytes:?}");
    }
}

#[test]
fn a_message_that_is_not_understood_is_counted_and_skipped() {
    let mut bytes = Vec::new();
    let done = [20_u32.to_ne_bytes(), [3, 0, 2, 0], [1, 0, 0, 0], [0; 4], [0; 4]].concat();
    // A link message (16) without its header.
    bytes.extend([16_u32.to_ne_bytes(), [16, 0, 0, 0], [0; 4], [0; 4]].concat());
    bytes.extend(&done);
    let (messages, strange_count) = take_apart(&bytes);
    assert_eq!((messages.len(), strange_count), (1, 1));
}

#[test]
fn the_sentence_of_the_kernel_is_found() {
    let attribute = |kind: u16, text: &[u8]| {
        let mut bytes = ((text.len() + 4) as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(text);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    let attributes = [attribute(2, &[0; 4]), attribute(1, b"Nexthop has invalid gateway\0")].concat();
    assert_eq!(explanation(&attributes), "Nexthop has invalid gateway");
    assert_eq!(explanation(&attributes[..10]), "");
    assert_eq!(explanation(&[]), "");
}
