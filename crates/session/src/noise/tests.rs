//! Our primitives under the state machine, against the published vectors of both patterns (cacophony collection).

use super::*;
use crate::aead::AeadKey;
use crate::testing::{array, hex, rng};
use crate::{PresharedKey, Suite};

fn seeded(private: &str) -> Seed {
    Seed(Arc::new(Mutex::new(Some(Zeroizing::new(array(private))))))
}

#[test]
fn the_published_vector_of_ikpsk2_comes_out() {
    let psk =
        PresharedKey::from_bytes(&array("54686973206973206d7920417573747269616e20706572737065637469766521"));
    let prologue = hex("4a6f686e2047616c74");
    let client = hex("e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1");
    let gateway = hex("4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893");
    let gateway_public = hex("31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62");
    let seed = seeded("893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a");
    let builder =
        builder(BIRTH, &seed).unwrap().prologue(&prologue).unwrap().local_private_key(&client).unwrap();
    let builder = builder.remote_public_key(&gateway_public).unwrap().psk(2, psk.expose()).unwrap();
    let mut initiator = builder.build_initiator().unwrap();
    let seed = seeded("bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b");
    let builder = super::builder(BIRTH, &seed).unwrap().prologue(&prologue).unwrap();
    let mut responder = builder.local_private_key(&gateway).unwrap().build_responder().unwrap();

    let (mut message, mut payload) = ([0; 256], [0; 256]);
    let len = initiator.write_message(b"Ludwig von Mises", &mut message).unwrap();
    assert_eq!(
        message[..len],
        hex(
            "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79442ec9b09893d0f510791784c10cbc959f
             25b1766e0def6e301d14fbca1c7790ac829b8b3674f5f649a5f0e98479662cbfbf2b2c47cd4b09fcd266cd29d7cb675f
             1808849707847840f6d178ec4d3733aa"
        )
    );
    let read = responder.read_message(&message[..len], &mut payload).unwrap();
    assert_eq!(&payload[..read], b"Ludwig von Mises");
    responder.set_psk(PSK_SLOT, psk.expose()).unwrap();
    let len = responder.write_message(b"Murray Rothbard", &mut message).unwrap();
    assert_eq!(
        message[..len],
        hex(
            "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f1448088439a1b3cebf680b2c74217fcb5eba4ff58
             a9468cd90c4aca6194f57479b379a7"
        )
    );
    initiator.read_message(&message[..len], &mut payload).unwrap();

    let (hash, keys) = raw_split(&mut initiator);
    assert_eq!(hash, array("8310f86394dc0dabb40beb8210031556db4403ab1202db7034c526232147a700"));
    let (other_hash, other_keys) = raw_split(&mut responder);
    assert_eq!((hash, &keys), (other_hash, &other_keys));
    // The vector's transport messages show the raw split: client → gateway under k1, back under k2.
    for (half, text, sealed) in [
        (0, "F. A. Hayek", "a8fde7a0accec190cd306c5950d4fd8e04a205ec288aa747d8b347"),
        (1, "Carl Menger", "59caddd9984a3bbe24c4fb31a2bd455b7eba3fa0980674b1a3a5f9"),
    ] {
        let key: [u8; 32] = keys[half * 32..][..32].try_into().unwrap();
        let key = AeadKey::new(Suite::ChaCha20Poly1305, &key, [0; 12]);
        let mut buffer = text.as_bytes().to_vec();
        buffer.extend([0; 16]);
        key.seal(0, 0, &[], &mut buffer).unwrap();
        assert_eq!(buffer, hex(sealed));
    }
}

#[test]
fn the_published_vector_of_kkpsk0_comes_out() {
    let psk = array("54686973206973206d7920417573747269616e20706572737065637469766521");
    let prologue = hex("4a6f686e2047616c74");
    let client = hex("e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1");
    let gateway = hex("4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893");
    let client_public = hex("6bc3822a2aa7f4e6981d6538692b3cdf3e6df9eea6ed269eb41d93c22757b75a");
    let gateway_public = hex("31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62");
    let built = |private: &str, own: &[u8], peer: &[u8]| {
        let seed = seeded(private);
        let builder = builder(TAKEOVER, &seed).unwrap().prologue(&prologue).unwrap().psk(0, &psk).unwrap();
        let builder = builder.local_private_key(own).unwrap().remote_public_key(peer).unwrap();
        if peer == gateway_public { builder.build_initiator() } else { builder.build_responder() }.unwrap()
    };
    let seed = "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a";
    let mut initiator = built(seed, &client, &gateway_public);
    let seed = "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b";
    let mut responder = built(seed, &gateway, &client_public);

    let (mut message, mut payload) = ([0; 256], [0; 256]);
    let len = initiator.write_message(b"Ludwig von Mises", &mut message).unwrap();
    let first = "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c794423f19812300a6051f02195db0722
                 909fc920796814cfc886ab3a8083c66a5961";
    assert_eq!(message[..len], hex(first));
    let read = responder.read_message(&message[..len], &mut payload).unwrap();
    assert_eq!(&payload[..read], b"Ludwig von Mises");
    let len = responder.write_message(b"Murray Rothbard", &mut message).unwrap();
    let second = "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f14480884320acfe866b4ede922f007d89db
                  f507216d6aa8646c7fba098da374b1784d4b";
    assert_eq!(message[..len], hex(second));
    initiator.read_message(&message[..len], &mut payload).unwrap();

    let (hash, keys) = raw_split(&mut initiator);
    assert_eq!(hash, array("32afcdbb63cf90f25409090bc11f7546c534dfb03f37c1626a0cf758881e746f"));
    let (other_hash, other_keys) = raw_split(&mut responder);
    assert_eq!((hash, &keys), (other_hash, &other_keys));
    let key: [u8; 32] = keys[..32].try_into().unwrap();
    let mut buffer = b"F. A. Hayek".to_vec();
    buffer.extend([0; 16]);
    AeadKey::new(Suite::ChaCha20Poly1305, &key, [0; 12]).seal(0, 0, &[], &mut buffer).unwrap();
    assert_eq!(buffer, hex("d213fdd768eeef05ee236c6d2983b2029bb472567a5831f4ff592c"));
}

#[test]
fn a_seed_serves_one_key_and_no_more() {
    let mut seed = Seed::default();
    let mut out = [0; 32];
    assert_eq!(seed.try_fill_bytes(&mut out), Err(snow::Error::Rng), "empty");
    seed.fill(&mut rng(1));
    assert_eq!(seed.try_fill_bytes(&mut out), Ok(()));
    assert_ne!(out, [0; 32]);
    assert_eq!(seed.try_fill_bytes(&mut out), Err(snow::Error::Rng), "used up");
    seed.fill(&mut rng(1));
    assert_eq!(seed.try_fill_bytes(&mut [0; 31]), Err(snow::Error::Rng), "not a key");
}

#[test]
fn only_our_three_primitives_resolve() {
    let resolver = Resolver(Seed::default());
    assert!(resolver.resolve_dh(&DHChoice::Curve448).is_none());
    assert!(resolver.resolve_hash(&HashChoice::SHA512).is_none());
    assert!(resolver.resolve_cipher(&CipherChoice::AESGCM).is_none());
}

#[test]
fn a_small_order_public_key_is_an_error_for_the_state_machine() {
    let mut key = X25519::default();
    key.set(&[3; 32]);
    assert_eq!(key.dh(&[0; 32], &mut [0; 32]), Err(snow::Error::Dh));
}

#[test]
fn a_cipher_without_key_sends_nothing_readable() {
    let cipher = ChaChaPoly::default();
    let mut out = [9; 32];
    assert_eq!(cipher.encrypt(0, &[], b"0123456789abcdef", &mut out), 32);
    assert_eq!(out, [0; 32]);
    assert_eq!(cipher.decrypt(0, &[], &out, &mut [0; 16]), Err(snow::Error::Decrypt));
}
