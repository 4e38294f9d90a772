//! Key separation: no two purposes, sessions, epochs, owners, bindings or directions share a key.

use std::collections::BTreeSet;

use jumpvpn_wire::Cid;

use super::*;
use crate::testing::{Pair, context, hex};
use crate::{OpenError, open_control, seal_control};

fn secret() -> EpochSecret {
    EpochSecret::new(&[0x42; 32])
}

fn base() -> EpochContext {
    let suite = Suite::ChaCha20Poly1305;
    EpochContext { sid: SessionId([1; 16]), n: 2, owner_epoch: 3, owner_salt: [4; 16], suite, lanes: 1 }
}

fn binding() -> BindingContext {
    BindingContext { cseq: 5, path_id: PathId(6), client_nonce: [7; 16], ticket: Some(Ticket([8; 32])) }
}

fn sealed(mut traffic: Traffic) -> Vec<u8> {
    let mut buffer = vec![0; 48];
    traffic.send.seal(Cid(1), 0, &mut buffer).unwrap();
    buffer
}

/// Contexts that differ from [`base`] in one field each.
fn contexts() -> Vec<EpochContext> {
    vec![
        base(),
        EpochContext { sid: SessionId([2; 16]), ..base() },
        EpochContext { n: 3, ..base() },
        EpochContext { owner_epoch: 4, ..base() },
        EpochContext { owner_salt: [5; 16], ..base() },
        EpochContext { suite: Suite::Aes256Gcm, ..base() },
    ]
}

#[test]
fn each_field_of_a_binding_changes_its_keys() {
    let mut outputs = BTreeSet::new();
    let bindings = [
        binding(),
        BindingContext { cseq: 6, ..binding() },
        BindingContext { path_id: PathId(7), ..binding() },
        BindingContext { client_nonce: [8; 16], ..binding() },
        BindingContext { ticket: Some(Ticket([9; 32])), ..binding() },
        BindingContext { ticket: None, ..binding() },
        BindingContext::birth(),
    ];
    let mut count = 0;
    for side in [Side::Client, Side::Server] {
        for binding in &bindings {
            outputs.insert(sealed(secret().binding(&base(), binding, side)));
            count += 1;
        }
        for context in contexts().iter().skip(1) {
            outputs.insert(sealed(secret().binding(context, &binding(), side)));
            count += 1;
        }
    }
    outputs.insert(sealed(EpochSecret::new(&[0x43; 32]).binding(&base(), &binding(), Side::Client)));
    assert_eq!(outputs.len(), count + 1);
}

#[test]
fn control_keys_depend_on_what_the_protocol_names() {
    let seal = |key: &AeadKey| {
        let mut datagram = [0; 44];
        datagram[0] = 0x1C;
        seal_control(key, &mut datagram).unwrap();
        datagram
    };
    let c2s: Vec<_> = contexts().iter().map(|context| seal(&secret().control(context).c2s)).collect();
    let s2c: BTreeSet<_> = contexts().iter().map(|context| seal(&secret().control(context).s2c)).collect();
    assert_eq!(s2c.len(), contexts().len(), "the owner's key hangs on everything");
    assert_eq!(c2s[0], c2s[3], "the client's key does not hang on the owner epoch");
    assert_eq!(c2s[0], c2s[4], "nor on its salt");
    assert_eq!(c2s.iter().collect::<BTreeSet<_>>().len(), contexts().len() - 2);
    assert!(c2s.iter().all(|datagram| !s2c.contains(datagram)));
}

#[test]
fn the_schedule_does_not_change_by_accident() {
    // Fixed by an independent computation of section 5.2 with the Python standard library's HMAC-SHA-256.
    let key = secret().binding_key(&base(), &binding());
    assert_eq!(key.as_slice(), hex("2258c274e3e15d5d8a4d0887534bd444370b99e0c194cc6637fb9ae7bcc19c82"));
    let control =
        Expander::from_secret(&[0x42; 32]).expand::<32>("ctl c2s", &[&[1; 16], &2u32.to_le_bytes()]);
    assert_eq!(control.as_slice(), hex("6daf9a4a8c5ea3c03c797c10fdccadb95219ead6dd4acab66d75a6df72532147"));
}

#[test]
fn a_packet_of_one_session_does_not_open_in_another() {
    let (a, _) = Pair::new(1).establish();
    let (_, b) = Pair::new(2).establish();
    let mut packet = sealed(a.secret.binding(&context(&a), &BindingContext::birth(), Side::Client));
    let mut other = b.secret.binding(&context(&b), &BindingContext::birth(), Side::Server);
    assert_eq!(other.recv.open(&mut packet), Err(OpenError::Seal));
    // Nor does a control message, even under the other session's epoch number and route token.
    let mut close = [0; 60];
    close[0] = 0x1B;
    seal_control(&a.secret.control(&context(&a)).c2s, &mut close).unwrap();
    assert!(open_control(&b.secret.control(&context(&b)).c2s, &mut close).is_err());
}

#[test]
fn a_packet_of_one_binding_does_not_open_in_another() {
    let (client, server) = Pair::new(3).establish();
    let context = context(&client);
    let mut packet = sealed(client.secret.binding(&context, &BindingContext::birth(), Side::Client));
    let mut moved = server.secret.binding(&context, &binding(), Side::Server);
    assert_eq!(moved.recv.open(&mut packet.clone()), Err(OpenError::Seal));
    let mut birth = server.secret.binding(&context, &BindingContext::birth(), Side::Server);
    assert!(birth.recv.open(&mut packet).is_ok());
}

#[test]
fn a_reflected_packet_does_not_open() {
    let mut client = secret().binding(&base(), &binding(), Side::Client);
    let mut packet = vec![0; 64];
    client.send.seal(Cid(1), 0, &mut packet).unwrap();
    assert_eq!(client.recv.open(&mut packet), Err(OpenError::Seal));
}
