//! Scripts for the engines: the ordinary life of a session, and the attacks everybody thinks of first.

use crate::engines::{Operation, compose};
use Operation::{
    Ask, Cut, End, Field, Flip, Leap, Links, Lose, Own, Raw, Rebind, Replay, Run, Splice, Traffic, Tunnel,
};

/// Milliseconds as operations carry them.
const fn span(ms: u16) -> [u8; 3] {
    let [low, high] = ms.to_le_bytes();
    [low, high, 0]
}

/// From an address that is nobody's.
const STRANGER: u8 = 16;

fn life() -> Vec<(Operation, [u8; 3])> {
    vec![
        (Traffic, [20, 0, 0]),
        (Ask, [0, 8, 0]),
        (Run, span(200)),
        (Traffic, [20, 0, 0]),
        (Rebind, [0, 1, 0]),
        (Traffic, [31, 0, 0]),
        (Run, span(1900)),
        (Links, [0, 1, 0]),
        (Traffic, [20, 0, 0]),
        (Links, [0, 3, 0]),
        (Run, span(1900)),
        (Ask, [1, 7, 0]),
        (Run, span(500)),
    ]
}

pub(super) fn scripts() -> Vec<(&'static str, Vec<u8>)> {
    let jump = [(Traffic, [5, 0, 0]), (Ask, [0, 8, 0])];
    let replays = (0..20).map(|index| (Replay, [index, 0, if index % 2 == 0 { 0 } else { STRANGER }]));
    let flips = (0..24).map(|index| (Flip, [index / 4, 0, index * 11]));
    let splices = (0..20).map(|index| (Splice, [index, index + 3, 20 + index]));
    let fields = (0..24).map(|index| (Field, [index / 8, index + 1, index]));
    let after_jump = |tail: Vec<_>| compose(&[&jump[..], &[(Run, span(30))], &tail].concat());
    let mut raw = compose(&[(Raw, [24, STRANGER, 0])]);
    raw.extend([0x11; 24]);
    raw.extend(compose(&[(Tunnel, [20, 0, 0])]));
    raw.extend([0x45, 0, 0, 20, 0, 0, 0, 0, 64, 6, 0, 0, 10, 77, 0, 3, 10, 77, 0, 1]);
    vec![
        ("life", compose(&life())),
        ("replays", after_jump(replays.collect())),
        ("flips", after_jump(flips.collect())),
        ("splices", after_jump(splices.collect())),
        ("fields", after_jump(fields.collect())),
        ("cuts", after_jump((0..16).map(|index| (Cut, [index / 4, 0, index * 9])).collect())),
        ("raw", raw),
        (
            "outage",
            compose(&[
                (Traffic, [5, 1, 0]),
                (Lose, [200, 0, 0]),
                (Traffic, [31, 1, 0]),
                (Run, span(1999)),
                (Lose, [0, 0, 0]),
                (Run, span(1999)),
            ]),
        ),
        (
            "sleep",
            compose(&[
                (Leap, [100, 0, 1]),
                (Run, span(1000)),
                (Leap, [255, 5, 0]),
                (Run, span(1999)),
                (Traffic, [9, 0, 0]),
            ]),
        ),
        ("rekey", compose(&[(Leap, [200, 5, 0]), (Run, span(1000)), (Replay, [3, 0, 0]), (Run, span(1000))])),
        (
            "store",
            compose(&[(Own, [0; 3]), (Ask, [0, 7, 0]), (Run, span(1999)), (Own, [4; 3]), (Run, span(999))]),
        ),
        (
            "fence",
            compose(&[(Own, [3; 3]), (Run, span(1500)), (Replay, [0; 3]), (Own, [4; 3]), (Run, span(9))]),
        ),
        ("end", compose(&[(End, [0; 3]), (Run, span(900)), (Replay, [9, 0, 0]), (End, [1, 1, 0])])),
    ]
    .into_iter()
    .chain(owners())
    .collect()
}

/// Gateways that start again, lose what they have, give it away, and send their clients away.
fn owners() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (
            "restart",
            compose(&[(Traffic, [5, 0, 0]), (Own, [5, 0, 0]), (Run, span(1999)), (Traffic, [9, 0, 0])]),
        ),
        ("lost", compose(&[(Own, [7, 0, 0]), (Run, span(1999)), (Replay, [2, 0, 0]), (Run, span(1999))])),
        (
            "handoff",
            compose(&[
                (Own, [0; 3]),
                (Own, [6, 0, 0]),
                (Traffic, [9, 0, 0]),
                (Leap, [255, 3, 0]),
                (Own, [8, 0, 0]),
                (Own, [4, 0, 0]),
                (Run, span(1999)),
                (Run, span(1999)),
            ]),
        ),
        ("drain", compose(&[(Own, [9, 0, 0]), (Own, [10, 0, 0]), (Run, span(1999)), (Traffic, [9, 0, 0])])),
    ]
}
