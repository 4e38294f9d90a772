//! Forged evidence: a sound history passes, and every way to lie is found.

use super::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn fact(at: u64, gateway: usize, epoch: u64) -> Fact {
    Fact { at: ms(at), gateway, session: "5e55".into(), epoch, birth: epoch == 1 }
}

fn packet(at: u64, gateway: usize) -> Packet {
    Packet { at: ms(at), gateway, side: Side::Inner }
}

/// Born at gateway 0, taken by 1 at 1000, by 2 at 2000, by 0 at 3000; a packet each 10 ms but for gaps of 20 ms.
fn sound() -> Evidence {
    let owners = [(0, 0, 1), (1_000, 1, 2), (2_000, 2, 3), (3_000, 0, 4)];
    let packets = owners.iter().flat_map(|(from, gateway, _)| {
        (from + 10..from + 990).step_by(10).flat_map(move |at| {
            [Side::Inner, Side::Outer].map(|side| Packet { side, ..packet(at, *gateway) })
        })
    });
    Evidence {
        facts: owners.iter().map(|(at, gateway, epoch)| fact(*at, *gateway, *epoch)).collect(),
        packets: packets.collect(),
        silences: Vec::new(),
        key_uses: Vec::new(),
    }
}

fn findings(change: impl FnOnce(&mut Evidence)) -> Vec<Finding> {
    let mut evidence = sound();
    change(&mut evidence);
    // The order in which evidence is brought does not matter.
    evidence.facts.reverse();
    evidence.packets.reverse();
    judge(&evidence).1
}

#[test]
fn a_sound_history_passes_and_is_counted() {
    let (figures, found) = judge(&sound());
    assert_eq!(found, []);
    assert_eq!(figures, Figures { step_count: 4, move_count: 3, packet_counts: [392, 392], key_count: 0 });
    assert_eq!(judge(&Evidence::default()), (Figures::default(), Vec::new()));
}

#[test]
fn an_epoch_that_was_acquired_twice_is_found() {
    let by_another = findings(|evidence| evidence.facts.push(fact(2_500, 1, 3)));
    assert_eq!(by_another, [Finding::Twice { fact: fact(2_500, 1, 3), before: 2 }]);
    let by_itself = findings(|evidence| evidence.facts.push(fact(2_500, 2, 3)));
    assert_eq!(by_itself, [Finding::Twice { fact: fact(2_500, 2, 3), before: 2 }]);
    assert_eq!(
        by_another[0].to_string(),
        "owner epoch 3 of session 5e55 was acquired by gateway3 and by gateway2"
    );
}

#[test]
fn a_missing_epoch_is_found_unless_somebody_was_silent() {
    let forget = |evidence: &mut Evidence| {
        evidence.facts.retain(|fact| fact.epoch != 3);
        evidence.packets.retain(|packet| packet.gateway != 2);
    };
    assert_eq!(findings(forget), [Finding::Missing { session: "5e55".into(), epoch: 3 }]);
    let silent = |from, to| {
        findings(|evidence| {
            forget(evidence);
            evidence.silences.push(Silence { gateway: 2, from: ms(from), to: ms(to) });
        })
    };
    assert_eq!(silent(1_500, 1_600), []);
    assert_eq!(silent(100, 900).len(), 1, "silent at another time");
}

#[test]
fn an_older_epoch_after_a_newer_one_is_found_unless_its_gateway_was_paused() {
    let late = |evidence: &mut Evidence| {
        evidence.packets.clear();
        evidence.facts[1].at = ms(2_200);
    };
    let backwards = [Finding::Backwards { fact: fact(2_200, 1, 2), late: ms(200) }];
    assert_eq!(findings(late), backwards);
    let paused = |gateway| {
        findings(|evidence| {
            late(evidence);
            evidence.silences.push(Silence { gateway, from: ms(1_000), to: ms(2_100) });
        })
    };
    assert_eq!(paused(1), []);
    assert_eq!(paused(0), backwards, "another one's pause excuses nothing");
}

#[test]
fn a_birth_that_is_none_is_found() {
    let again = Fact { birth: true, ..fact(3_500, 0, 5) };
    let found = findings(|evidence| evidence.facts.push(again.clone()));
    assert_eq!(found, [Finding::Birth { fact: again }]);
    // Another session of the client is born under epoch 1 again, and is newer than all before.
    let other = Fact { session: "07e4".into(), ..fact(3_995, 1, 1) };
    let found = findings(|evidence| {
        evidence.facts.push(other);
        evidence.packets.push(packet(4_000, 1));
    });
    assert_eq!(found, []);
}

#[test]
fn packets_of_an_older_owner_are_found_and_counted() {
    // Gateway 1 goes on for 100 ms after gateway 2 began: from its 11th packet on they alternate.
    let found = findings(|evidence| {
        evidence.packets.extend((2_015..2_115).step_by(10).map(|at| packet(at, 1)));
    });
    // Each of them stands between two of the owner's.
    let stale = |at, count, overlap| Finding::Stale {
        packet: packet(at, 1),
        epochs: [2, 3],
        count,
        overlap: ms(overlap),
    };
    assert_eq!(found, [stale(2_015, 10, 95)]);
    let last = findings(|evidence| evidence.packets.extend((2_991..2_999).map(|at| packet(at, 1))));
    assert_eq!(last, [stale(2_991, 8, 988)]);
    // Beside another newer owner it is another finding.
    let two = findings(|evidence| evidence.packets.extend([packet(2_500, 1), packet(3_500, 1)]));
    assert!(
        matches!(two[..], [Finding::Stale { epochs: [2, 3], .. }, Finding::Stale { epochs: [2, 4], .. }]),
        "{two:?}"
    );
    // Before the new owner's first packet the older one may still speak: nobody has seen the newer epoch yet.
    assert_eq!(findings(|evidence| evidence.packets.push(packet(2_005, 1))), []);
    // Each side is judged by itself, and the outer one as well as the inner one.
    let outer = |at| Packet { side: Side::Outer, ..packet(at, 1) };
    assert_eq!(findings(|evidence| evidence.packets.push(outer(2_005))), []);
    assert_eq!(findings(|evidence| evidence.packets.push(outer(2_015))).len(), 1);
}

#[test]
fn a_gateway_that_owned_it_before_and_again_is_judged_by_what_it_owns_now() {
    // Gateway 0 has epoch 1 until it acquires epoch 4 at 3000.
    let stale = findings(|evidence| evidence.packets.push(packet(2_999, 0)));
    assert!(matches!(stale[..], [Finding::Stale { epochs: [1, 3], count: 1, .. }]), "{stale:?}");
    assert_eq!(findings(|evidence| evidence.packets.push(packet(3_001, 0))), []);
}

#[test]
fn a_gateway_that_never_owned_anything_is_found() {
    let found =
        findings(|evidence| evidence.packets.extend([packet(502, 2), packet(506, 2), packet(702, 1)]));
    let stranger = |at, gateway, count| Finding::Stranger { packet: packet(at, gateway), count };
    assert_eq!(found, [stranger(502, 2, 2), stranger(702, 1, 1)]);
}

#[test]
fn an_older_session_of_the_client_is_stale_whatever_its_epoch() {
    let other = Fact { session: "07e4".into(), ..fact(3_995, 1, 1) };
    let found = findings(|evidence| {
        evidence.facts.push(other);
        evidence.packets.extend([packet(4_000, 1), packet(4_001, 0)]);
    });
    assert!(matches!(found[..], [Finding::Stale { epochs: [4, 1], count: 1, .. }]), "{found:?}");
}
