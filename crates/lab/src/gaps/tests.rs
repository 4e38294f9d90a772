//! Accounts with known answers.

use super::*;

const MS: Duration = Duration::from_millis(1);

/// 100 datagrams, one per 5 ms, each 10 ms under way, changed by `fate`.
fn record(start: Instant, fate: impl Fn(u64) -> Option<Duration>) -> Record {
    let sent: Vec<Instant> = (0..100).map(|number| start + 5 * MS * number).collect();
    let mut arrivals: Vec<Arrival> = (0..100)
        .filter_map(|number| {
            let at = sent[usize::try_from(number).expect("small")] + fate(number)?;
            Some(Arrival { number, at })
        })
        .collect();
    arrivals.sort_by_key(|arrival| arrival.at);
    Record { sent, arrivals, ..Record::default() }
}

#[test]
fn a_calm_stream_has_the_gap_of_its_spacing() {
    let start = Instant::now();
    let account = record(start, |_| Some(10 * MS)).account(start + 100 * MS, start + 500 * MS);
    let calm =
        Account { sent_count: 100, delay: 10 * MS, gap: 5 * MS, sending_gap: 5 * MS, ..Account::default() };
    assert_eq!(account, calm);
}

#[test]
fn a_hole_is_lost_and_its_gap_is_from_the_last_arrival_before_to_the_first_after() {
    let start = Instant::now();
    let record = record(start, |number| (!(20..30).contains(&number)).then_some(10 * MS));
    let account = record.account(start + 100 * MS, start + 500 * MS);
    assert_eq!((account.lost_count, account.gap), (10, 55 * MS));
    // The same hole before the fault does not count as its gap, but what is lost is lost.
    let later = record.account(start + 300 * MS, start + 500 * MS);
    assert_eq!((later.lost_count, later.gap), (10, 5 * MS));
}

#[test]
fn silence_to_the_end_is_a_gap() {
    let start = Instant::now();
    let record = record(start, |number| (number < 20).then_some(10 * MS));
    let account = record.account(start + 100 * MS, start + 495 * MS);
    assert_eq!((account.lost_count, account.gap), (80, 390 * MS));
    let never = Record { arrivals: Vec::new(), ..record };
    assert_eq!(never.account(start + 100 * MS, start + 495 * MS).gap, 395 * MS);
}

#[test]
fn late_and_repeated_datagrams_are_told_apart() {
    let start = Instant::now();
    let mut record = record(start, |number| Some(if number % 10 == 3 { 22 * MS } else { 10 * MS }));
    let again = record.arrivals[50];
    record.arrivals.push(Arrival { at: again.at + 400 * MS, ..again });
    record.arrivals.push(Arrival { number: 5000, at: again.at + 400 * MS });
    let account = record.account(start + 100 * MS, start + 500 * MS);
    assert_eq!((account.reordered_count, account.duplicate_count, account.lost_count), (10, 1, 0));
}

#[test]
fn a_repeated_datagram_does_not_end_a_gap() {
    let start = Instant::now();
    let mut record = record(start, |number| (!(20..40).contains(&number)).then_some(10 * MS));
    let old = Arrival { at: start + 150 * MS, ..record.arrivals[19] };
    record.arrivals.insert(20, old);
    assert_eq!(record.account(start + 100 * MS, start + 500 * MS).gap, 105 * MS);
}

#[test]
fn what_is_forgotten_stays_in_the_counts() {
    let start = Instant::now();
    let mut record = record(start, |number| (!(20..30).contains(&number)).then_some(10 * MS));
    let again = record.arrivals[10];
    record.arrivals.push(again);
    let whole = record.account(start + 300 * MS, start + 500 * MS);
    record.forget_before(start + 200 * MS);
    assert_eq!((record.sent.len(), record.next_number()), (60, 100));
    assert_eq!(record.account(start + 300 * MS, start + 500 * MS), whole);
    record.forget_before(start + 200 * MS);
    assert_eq!(record.account(start + 300 * MS, start + 500 * MS), whole);
}
