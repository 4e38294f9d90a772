//! Credentials: what they depend on, and that sealed ones open in their own place only.

use super::*;
use crate::testing::{Pair, context, rng};

const PLACE: CredentialsPlace<'_> =
    CredentialsPlace { cell: b"cell", sid: SessionId([7; 16]), owner_epoch: 3 };

fn keys() -> StoreKeys {
    StoreKeys::from_secret(&[9; 32]).unwrap()
}

fn credentials(n: u32) -> Credentials {
    let (client, _) = Pair::new(1).establish();
    client.secret.credentials(&EpochContext { n, ..context(&client) })
}

fn bytes(credentials: &Credentials) -> [u8; ENTRY_LEN] {
    let mut out = [0; ENTRY_LEN];
    credentials.write(&mut out);
    out
}

#[test]
fn both_sides_have_the_same_and_no_two_secrets_of_them_are_alike() {
    let (client, server) = Pair::new(1).establish();
    let epoch = context(&client);
    let mine = client.secret.credentials(&epoch);
    assert_eq!(bytes(&mine), bytes(&server.secret.credentials(&epoch)));
    assert_ne!(mine.resume, mine.c2s);
    assert_ne!(mine.resume, mine.s2c);
    assert_ne!(mine.c2s, mine.s2c);
    assert_ne!(mine.resume.as_slice(), client.secret.bytes());
    // Another owner of the same epoch has the same: nothing but the client's exchange with it tells them apart.
    let other = EpochContext { owner_epoch: 9, owner_salt: [1; 16], ..epoch };
    assert_eq!(bytes(&mine), bytes(&client.secret.credentials(&other)));
    assert_ne!(bytes(&mine)[4..], bytes(&client.secret.credentials(&EpochContext { n: 1, ..epoch }))[4..]);
    let moved = EpochContext { sid: SessionId([0; 16]), ..epoch };
    assert_ne!(bytes(&mine), bytes(&client.secret.credentials(&moved)));
}

#[test]
fn one_or_two_come_back_newest_first() {
    let (keys, new, old) = (keys(), credentials(2), credentials(1));
    for before in [None, Some(&old)] {
        let sealed = keys.seal(&PLACE, &new, before, &mut rng(1));
        let opened: Vec<_> = keys.open(&PLACE, &sealed).unwrap().iter().map(bytes).collect();
        let expected: Vec<_> = [Some(&new), before].into_iter().flatten().map(bytes).collect();
        assert_eq!(opened, expected);
        assert!(sealed.len() <= SEALED_CREDENTIALS_LEN);
    }
    let twice = [1, 2].map(|seed| keys.seal(&PLACE, &new, None, &mut rng(seed)));
    assert_ne!(twice[0], twice[1], "each seal has its own nonce");
}

#[test]
fn they_open_in_their_own_place_only() {
    let keys = keys();
    let sealed = keys.seal(&PLACE, &credentials(1), Some(&credentials(0)), &mut rng(1));
    for elsewhere in [
        CredentialsPlace { cell: b"call", ..PLACE },
        CredentialsPlace { cell: b"", ..PLACE },
        CredentialsPlace { sid: SessionId([8; 16]), ..PLACE },
        CredentialsPlace { owner_epoch: 4, ..PLACE },
        CredentialsPlace { owner_epoch: 2, ..PLACE },
    ] {
        assert_eq!(keys.open(&elsewhere, &sealed).err(), Some(SealedError::Forged), "{elsewhere:?}");
    }
    let other = StoreKeys::from_secret(&[10; 32]).unwrap();
    assert_eq!(other.open(&PLACE, &sealed).err(), Some(SealedError::OtherKey));
    for index in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[index] ^= 0x10;
        let expected = match index {
            0 => SealedError::Malformed,
            1..5 => SealedError::OtherKey,
            _ => SealedError::Forged,
        };
        assert_eq!(keys.open(&PLACE, &changed).err(), Some(expected), "byte {index}");
    }
    for len in 0..sealed.len() {
        assert!(keys.open(&PLACE, &sealed[..len]).is_err(), "cut to {len}");
    }
    let longer = [&sealed[..], &[0; ENTRY_LEN]].concat();
    assert_eq!(keys.open(&PLACE, &longer).err(), Some(SealedError::Malformed), "three");
}

#[test]
fn what_a_store_key_gives_is_distinct_and_never_zero() {
    assert_eq!(StoreKeys::from_secret(&[0; 32]).err(), Some(WeakRandomness));
    let (keys, other) = (keys(), StoreKeys::from_secret(&[10; 32]).unwrap());
    assert_ne!(keys.id(), other.id());
    assert_ne!(keys.reset_key(), other.reset_key());
    assert_ne!(keys.reset_key(), &*keys.seal);
    assert_ne!(keys.token.as_slice(), &keys.seal[..16]);
    assert_ne!(keys.token.as_slice(), &keys.reset_key()[..16]);
    let handle = jumpvpn_wire::Handle::from_bytes([1; 6]);
    let token = keys.token_key(1).unwrap().seal(handle, 2, &mut rng(1));
    assert_eq!(keys.token_key(1).unwrap().open(&token), Some((handle, 2)));
    assert_eq!(other.token_key(1).unwrap().open(&token), None);
}

#[test]
fn nothing_secret_is_printed() {
    let (credentials, keys) = (credentials(5), keys());
    assert_eq!(format!("{credentials:?}"), "Credentials { n: 5 }");
    assert_eq!(format!("{keys:?}"), format!("StoreKeys {{ id: {:02x?} }}", keys.id()));
}
