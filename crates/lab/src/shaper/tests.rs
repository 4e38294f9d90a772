//! What a link does to packets, with time as a number.

use super::*;

const MS: Duration = Duration::from_millis(1);

fn calm() -> Conditions {
    Conditions { delay: 10 * MS, ..Conditions::default() }
}

/// Sends `count` packets of 100 bytes, one per millisecond, and returns (index, delay) of those that arrive.
fn send(conditions: Conditions, seed: u64, count: u32) -> Vec<(u32, Duration)> {
    let start = Instant::now();
    let mut pipe = Pipe::new(Shaper::new(conditions, seed));
    for index in 0..count {
        pipe.handle_packet(start + index * MS, index.to_be_bytes().repeat(25), true, Duration::ZERO);
    }
    let mut arrived = Vec::new();
    while let Some(at) = pipe.poll_timeout() {
        let packet = pipe.poll_delivery(at).expect("due");
        let index = u32::from_be_bytes([packet[0], packet[1], packet[2], packet[3]]);
        arrived.push((index, at - (start + index * MS)));
    }
    arrived
}

#[test]
fn delay_is_exact_and_nothing_comes_early() {
    let start = Instant::now();
    let mut pipe = Pipe::new(Shaper::new(calm(), 1));
    pipe.handle_packet(start, vec![1], false, Duration::ZERO);
    assert_eq!(pipe.poll_timeout(), Some(start + 10 * MS));
    assert_eq!(pipe.poll_delivery(start + 10 * MS - Duration::from_nanos(1)), None);
    assert_eq!(pipe.poll_delivery(start + 10 * MS), Some(vec![1]));
    assert_eq!(pipe.poll_delivery(start + 20 * MS), None);
    assert_eq!(pipe.counts(), PipeCounts { entered_count: 1, delivered_count: 1, lost_count: 0 });
}

#[test]
fn jitter_keeps_order_and_stays_in_bounds() {
    let arrived = send(Conditions { jitter: 5 * MS, ..calm() }, 7, 2000);
    assert_eq!(arrived.len(), 2000);
    assert!(arrived.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert!(arrived.iter().all(|(_, delay)| (10 * MS..=15 * MS).contains(delay)));
    assert!(arrived.iter().any(|(_, delay)| *delay > 13 * MS));
}

#[test]
fn loss_is_the_share_asked_for_and_seeded() {
    let lossy = Conditions { loss_ppm: 50_000, ..calm() };
    let arrived = send(lossy, 3, 10_000);
    assert!((9400..=9600).contains(&arrived.len()), "{}", arrived.len());
    assert_eq!(arrived, send(lossy, 3, 10_000));
    assert_ne!(arrived, send(lossy, 4, 10_000));
    assert!(send(Conditions { loss_ppm: 1_000_000, ..calm() }, 3, 100).is_empty());
}

#[test]
fn reordered_packets_are_overtaken_and_not_lost() {
    let arrived = send(Conditions { reorder_ppm: 100_000, ..calm() }, 5, 1000);
    assert_eq!(arrived.len(), 1000);
    let overtaken = arrived.iter().filter(|(_, delay)| *delay == 10 * MS + REORDER_HOLD).count();
    assert!((60..=140).contains(&overtaken), "{overtaken}");
    assert!(arrived.windows(2).any(|pair| pair[0].0 > pair[1].0));
}

#[test]
fn a_bottleneck_spaces_packets_and_drops_what_its_queue_cannot_hold() {
    let start = Instant::now();
    // 1000 bytes at 1 Mbit/s take 8 ms; a queue of 250 ms holds about 32 of them.
    let mut shaper = Shaper::new(Conditions { rate_bps: Some(1_000_000), ..calm() }, 1);
    let fates: Vec<_> = (0..40).map(|_| shaper.handle_packet(start, 1000, true)).collect();
    assert_eq!(fates[0], Ok(start + 18 * MS));
    assert_eq!(fates[1], Ok(start + 26 * MS));
    assert_eq!(fates.iter().filter(|fate| fate.is_ok()).count(), 32);
    assert_eq!(fates[39], Err(Loss::QueueFull));
    assert_eq!(shaper.handle_packet(start + 1000 * MS, 1000, true), Ok(start + 1018 * MS));
}

#[test]
fn filters_drop_what_they_name() {
    let now = Instant::now();
    let fate = |conditions, len, is_udp| Shaper::new(conditions, 1).handle_packet(now, len, is_udp);
    assert_eq!(fate(Conditions { udp_blocked: true, ..calm() }, 100, true), Err(Loss::Udp));
    assert!(fate(Conditions { udp_blocked: true, ..calm() }, 100, false).is_ok());
    assert_eq!(fate(Conditions { max_packet_len: Some(1280), ..calm() }, 1281, true), Err(Loss::TooBig));
    assert!(fate(Conditions { max_packet_len: Some(1280), ..calm() }, 1280, true).is_ok());
    assert_eq!(fate(Conditions { black_hole: true, ..calm() }, 100, false), Err(Loss::BlackHole));
}

#[test]
fn a_fault_does_not_shift_the_luck_of_later_packets() {
    let lossy = Conditions { loss_ppm: 200_000, ..calm() };
    let start = Instant::now();
    let play = |hole: bool| {
        let mut shaper = Shaper::new(lossy, 11);
        (0..200u32)
            .map(|index| {
                shaper.set_conditions(Conditions { black_hole: hole && (50..60).contains(&index), ..lossy });
                shaper.handle_packet(start + index * MS, 100, true).is_ok()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(play(true)[60..], play(false)[60..]);
    assert!(play(true)[50..60].iter().all(|arrived| !arrived));
}

#[test]
fn flush_loses_what_is_under_way() {
    let start = Instant::now();
    let mut pipe = Pipe::new(Shaper::new(calm(), 1));
    pipe.handle_packet(start, vec![1], false, Duration::ZERO);
    pipe.handle_packet(start + MS, vec![2], false, Duration::ZERO);
    pipe.flush();
    assert_eq!(pipe.poll_timeout(), None);
    assert_eq!(pipe.counts().lost_count, 2);
}
