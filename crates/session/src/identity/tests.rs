//! Key text is strict and secrets stay out of debug output.

use super::*;
use proptest::prelude::*;

#[test]
fn the_public_key_is_that_of_rfc_7748_section_6_1() {
    let private = PrivateKey::from_bytes(&[
        0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45, 0xdf,
        0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a,
    ]);
    let expected = [
        0x85, 0x20, 0xf0, 0x09, 0x89, 0x30, 0xa7, 0x54, 0x74, 0x8b, 0x7d, 0xdc, 0xb4, 0x3e, 0xf7, 0x5a, 0x0d,
        0xbf, 0x3a, 0x0d, 0x26, 0x38, 0x1a, 0xf4, 0xeb, 0xa4, 0xa9, 0x8e, 0xaa, 0x9b, 0x4e, 0x6a,
    ];
    assert_eq!(private.public(), PublicKey(expected));
}

#[test]
fn key_text_has_44_characters_and_one_spelling() {
    let text = PublicKey([0xFF; 32]).to_string();
    assert_eq!(text.len(), 44);
    for bad in ["", "AAAA", &text[..43], &format!("{text}="), &format!(" {text}"), &text.replace('8', "9")] {
        assert_eq!(bad.parse::<PublicKey>(), Err(KeyTextError), "{bad:?}");
    }
}

#[test]
fn derived_secrets_hang_on_key_and_label() {
    let (key, other) = (PrivateKey::from_bytes(&[7; 32]), PrivateKey::from_bytes(&[8; 32]));
    assert_eq!(key.derive("a"), key.derive("a"));
    assert_ne!(key.derive("a"), key.derive("b"));
    assert_ne!(key.derive("a"), other.derive("a"));
    assert_ne!(key.derive("a").as_slice(), key.expose());
}

#[test]
fn secrets_are_not_printed() {
    assert_eq!(format!("{:?}", PrivateKey::from_bytes(&[7; 32])), "PrivateKey(..)");
    assert_eq!(format!("{:?}", PresharedKey::from_bytes(&[7; 32])), "PresharedKey(..)");
}

proptest! {
    #[test]
    fn text_round_trip(bytes: [u8; 32]) {
        let private = PrivateKey::from_bytes(&bytes);
        let parsed: PrivateKey = private.to_base64().parse().unwrap();
        prop_assert_eq!(parsed.expose(), &bytes);
        prop_assert_eq!(PublicKey(bytes).to_string().parse::<PublicKey>(), Ok(PublicKey(bytes)));
        let psk = PresharedKey::from_bytes(&bytes);
        prop_assert_eq!(psk.to_base64().parse::<PresharedKey>(), Ok(psk));
    }

    #[test]
    fn any_text_is_a_key_or_an_error(text in ".{0,60}") {
        if let Ok(key) = text.parse::<PublicKey>() { prop_assert_eq!(key.to_string(), text); }
    }
}
