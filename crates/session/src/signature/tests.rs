//! The published vectors, and that nothing but the signed bytes passes.

use super::*;

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    let mut out = [0; N];
    assert_eq!(hex.len(), 2 * N);
    for (byte, digits) in out.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(core::str::from_utf8(digits).unwrap(), 16).unwrap();
    }
    out
}

/// RFC 8032 section 7.1, test 3: two bytes.
const SEED: &str = "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7";
const PUBLIC: &str = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025";
const SIGNATURE: &str = "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a";

#[test]
fn the_primitive_is_that_of_the_standard() {
    let key = SigningKey::from_bytes(&bytes(SEED));
    assert_eq!(key.public().0, bytes(PUBLIC));
    assert_eq!(key.pair().sign(&[0xaf, 0x82]).as_ref(), bytes::<64>(SIGNATURE));
}

#[test]
fn a_signature_is_for_its_purpose_key_and_content_alone() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let content = b"gateways";
    let signature = key.sign(Purpose::GatewayList, content);
    let public = key.public();
    assert_eq!(public.verify(Purpose::GatewayList, content, &signature), Ok(()));
    // Made for another purpose, or for none.
    let bare: [u8; 64] = key.pair().sign(content).as_ref().try_into().unwrap();
    assert_eq!(public.verify(Purpose::GatewayList, content, &bare), Err(BadSignature));
    let other = SigningKey::from_bytes(&[8; 32]).public();
    assert_eq!(other.verify(Purpose::GatewayList, content, &signature), Err(BadSignature));
    for bit in 0..content.len() * 8 {
        let mut changed = *content;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(public.verify(Purpose::GatewayList, &changed, &signature), Err(BadSignature));
    }
    for bit in 0..signature.len() * 8 {
        let mut changed = signature;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(public.verify(Purpose::GatewayList, content, &changed), Err(BadSignature), "{bit}");
    }
    for cut in 0..content.len() {
        assert_eq!(public.verify(Purpose::GatewayList, &content[..cut], &signature), Err(BadSignature));
    }
}

#[test]
fn a_second_form_of_a_good_signature_is_refused() {
    // RFC 8032 section 5.1.7: S has to be below the order of the group. S + L would be as good without that.
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let key = SigningKey::from_bytes(&[9; 32]);
    let mut signature = key.sign(Purpose::GatewayList, b"x");
    let mut carry = 0;
    for (byte, add) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    assert_eq!(key.public().verify(Purpose::GatewayList, b"x", &signature), Err(BadSignature));
}

/// That they are what they are taken for is shown by forging: with S = 0 and R of small order some message fits.
#[test]
fn keys_under_which_anybody_can_sign_are_known() {
    let both = |y: &[u8; 32]| {
        let mut point = *y;
        point[31] |= 0x80;
        [*y, point]
    };
    let points: Vec<[u8; 32]> = SMALL_ORDER.iter().flat_map(both).collect();
    let forged = |key: &VerifyingKey, message: u32| {
        points.iter().any(|point| {
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(point);
            key.verify(Purpose::GatewayList, &message.to_be_bytes(), &signature).is_ok()
        })
    };
    assert!(points.iter().all(|point| VerifyingKey(*point).is_weak()));
    // The points of order 4, 1, 2 and 8; the others are further spellings of the first two.
    for at in [0, 1, 2, 5, 6] {
        let key = VerifyingKey(SMALL_ORDER[at]);
        assert!((0..64).any(|message| forged(&key, message)), "{key}");
    }
    let sound = SigningKey::from_bytes(&[7; 32]).public();
    assert!(!sound.is_weak() && !(0..64).any(|message| forged(&sound, message)));
}

#[test]
fn keys_as_text() {
    let key = SigningKey::from_bytes(&[7; 32]);
    assert_eq!(key.to_base64().parse::<SigningKey>().unwrap().public(), key.public());
    assert_eq!(key.public().to_string().parse(), Ok(key.public()));
    assert_eq!(format!("{key:?}"), "SigningKey(..)");
    assert!("AQID".parse::<SigningKey>().is_err() && "".parse::<VerifyingKey>().is_err());
}
