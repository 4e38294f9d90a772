//! One property each, in operations that follow each other.

use super::{Client, is, key, put, stored};
use crate::{Change, Compare, Key, Rev, Stored, Transaction};

pub(super) const ALL: &[fn(&mut Client<'_>)] = &[
    an_empty_store_is_empty,
    compares_mean_what_they_say,
    a_conflict_names_everything_and_changes_nothing,
    a_transaction_is_whole,
    revisions_rise_and_never_return,
    a_repetition_is_not_applied_again,
    any_bytes_are_a_key,
    lists_are_in_order_and_paged,
    values_may_be_empty_or_big,
];

fn an_empty_store_is_empty(client: &mut Client<'_>) {
    assert_eq!(client.read(&key("a")), None);
    assert_eq!(client.list(&key("a"), None, 10), (Vec::new(), false));
}

fn compares_mean_what_they_say(client: &mut Client<'_>) {
    let (there, not_there) = (key("there"), key("not"));
    let rev = client.put(&there, b"value");
    let cases = [
        (is(&there, rev, b"value"), true),
        (is(&there, rev, b"valu"), false),
        (is(&there, rev, b""), false),
        (is(&there, Rev(rev.0 + 1), b"value"), false),
        (is(&there, Rev(rev.0.saturating_sub(1)), b"value"), false),
        (is(&not_there, rev, b"value"), false),
        (is(&not_there, Rev(0), b""), false),
        (Compare::Absent { key: not_there.clone() }, true),
        (Compare::Absent { key: there.clone() }, false),
        (Compare::Present { key: there.clone() }, true),
        (Compare::Present { key: not_there }, false),
    ];
    for (number, (compare, holds)) in cases.into_iter().enumerate() {
        let mark = key(&format!("mark/{number}"));
        let absent = Compare::Absent { key: mark.clone() };
        for compares in [vec![compare.clone(), absent.clone()], vec![absent, compare.clone()]] {
            client.delete(&mark);
            let result = client.commit(&Transaction { compares, changes: vec![put(&mark, b"mark")] });
            assert_eq!(result.is_ok(), holds, "{compare:?}: {result:?}");
            assert_eq!(client.read(&mark).is_some(), holds, "{compare:?}");
        }
    }
    assert_eq!(client.read(&there), Some(stored(rev, b"value")), "comparing changed something");
}

fn a_conflict_names_everything_and_changes_nothing(client: &mut Client<'_>) {
    let (one, two, gone, new) = (key("one"), key("two"), key("gone"), key("new"));
    let (first, second) = (client.put(&one, b"1"), client.put(&two, b"2"));
    let compares = vec![
        is(&one, first, b"1"),
        is(&gone, first, b"g"),
        is(&two, first, b"old"),
        Compare::Absent { key: new.clone() },
        Compare::Present { key: one.clone() },
    ];
    let changes = vec![put(&one, b"9"), put(&new, b"9"), Change::Delete { key: two.clone() }];
    let current = client.commit(&Transaction { compares, changes }).expect_err("two compares are false");
    let (one_now, two_now) = (Some(stored(first, b"1")), Some(stored(second, b"2")));
    assert_eq!(current, vec![one_now.clone(), None, two_now.clone(), None, one_now.clone()]);
    assert_eq!((client.read(&one), client.read(&two), client.read(&new)), (one_now, two_now, None));
}

fn a_transaction_is_whole(client: &mut Client<'_>) {
    let old = key("old");
    client.put(&old, b"old");
    let keys: Vec<Key> = (0..32).map(|number| key(&format!("many/{number:02}"))).collect();
    let mut changes: Vec<Change> = keys.iter().map(|key| put(key, &key.0)).collect();
    changes.push(Change::Delete { key: old.clone() });
    changes.push(Change::Delete { key: key("never there") });
    let compares = vec![Compare::Absent { key: keys[0].clone() }];
    let rev = client.commit(&Transaction { compares, changes }).expect("it is absent");
    for key in &keys {
        assert_eq!(client.read(key), Some(stored(rev, &key.0)), "every key has the transaction's revision");
    }
    assert_eq!(client.read(&old), None);
}

fn revisions_rise_and_never_return(client: &mut Client<'_>) {
    let (one, two) = (key("one"), key("two"));
    let mut last = Rev(0);
    for round in 0..20_u8 {
        let rev = client.put(&one, b"the same");
        assert!(rev > last, "{rev:?} after {last:?}, round {round}");
        let stale =
            Transaction { compares: vec![is(&one, last, b"the same")], changes: vec![put(&two, b"x")] };
        client.commit(&stale).expect_err("the value is the same, the revision is not");
        let other = client.put(&two, &[round]);
        assert!(other > rev);
        client.delete(&one);
        last = rev;
    }
    let again = client.put(&one, b"the same");
    assert!(again > last, "a key that was deleted begins with a new revision");
}

fn a_repetition_is_not_applied_again(client: &mut Client<'_>) {
    let one = key("one");
    let create = Transaction {
        compares: vec![Compare::Absent { key: one.clone() }],
        changes: vec![put(&one, b"op 1")],
    };
    let first = client.commit(&create).expect("it is absent");
    not_again(client, &create, &stored(first, b"op 1"));
    let update = Transaction { compares: vec![is(&one, first, b"op 1")], changes: vec![put(&one, b"op 2")] };
    let second = client.commit(&update).expect("it is as it was");
    for late in [&create, &update] {
        not_again(client, late, &stored(second, b"op 2"));
    }
}

/// A repetition meets what is there. Where its answer was lost on the way, its own former write is what is found, and it counts as
/// that one.
fn not_again(client: &mut Client<'_>, repeated: &Transaction, there: &Stored) {
    match client.commit(repeated) {
        Err(current) => assert_eq!(current, vec![Some(there.clone())]),
        Ok(rev) => assert_eq!(rev, there.rev, "it was applied again"),
    }
}

fn any_bytes_are_a_key(client: &mut Client<'_>) {
    let mut keys: Vec<Key> = [
        &[0][..],
        &[0, 0],
        &[0, 1],
        &[1],
        b"a",
        b"a\0",
        b"a\0b",
        b"a/",
        b"aa",
        &[0x7f],
        &[0x80],
        &[0xfe, 0xff],
        &[0xff],
        &[0xff, 0],
        &[0xff, 0xff],
        &[b'k'; Key::MAX_LEN],
    ]
    .into_iter()
    .map(Key::new)
    .collect();
    let revs: Vec<Rev> = keys.iter().map(|key| client.put(key, &key.0)).collect();
    for (key, rev) in keys.iter().zip(&revs) {
        assert_eq!(client.read(key), Some(stored(*rev, &key.0)), "{key:?}");
    }
    keys.sort();
    for prefix in [&b"a"[..], b"a\0", &[0], &[0xff], &[0xff, 0xff], b"k"] {
        let listed = client.list(&Key::new(prefix), None, 100).0;
        let listed: Vec<Key> = listed.into_iter().map(|(key, _)| key).collect();
        let expected: Vec<Key> = keys.iter().filter(|key| key.0.starts_with(prefix)).cloned().collect();
        assert_eq!(listed, expected, "keys that begin with {prefix:?}");
    }
}

fn lists_are_in_order_and_paged(client: &mut Client<'_>) {
    let prefix = key("s/");
    client.put(&key("s"), b"before");
    client.put(&key("s0"), b"behind");
    let mut expected = Vec::new();
    // Written in another order than the keys'.
    for number in (0..25_u8).map(|number| number.wrapping_mul(7) % 25) {
        let key = Key::new([b"s/", &[number][..]].concat());
        let rev = client.put(&key, &[number]);
        expected.push((key, stored(rev, &[number])));
    }
    expected.sort_by(|(a, _), (b, _)| a.cmp(b));
    for limit in [1, 7, 24, 25, 26, 1_000] {
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let (page, more) = client.list(&prefix, after.as_ref(), limit);
            let rest = expected.len() - listed.len();
            assert_eq!((page.len(), more), (rest.min(limit), rest > limit), "pages of {limit}");
            listed.extend(page);
            after = listed.last().map(|(key, _)| key.clone());
            if !more {
                break;
            }
        }
        assert_eq!(listed, expected, "in pages of {limit}");
    }
    let (between, _) = client.list(&prefix, Some(&Key::new([b"s/", &[3, 0][..]].concat())), 1);
    assert_eq!(between, expected[4..5], "a page may begin between keys");
    assert_eq!(client.list(&prefix, Some(&key("a")), 100).0, expected, "before the prefix");
    assert_eq!(client.list(&prefix, Some(&key("t")), 100), (Vec::new(), false), "behind it");
}

fn values_may_be_empty_or_big(client: &mut Client<'_>) {
    let one = key("one");
    for len in [0, 1, 600, 65_536] {
        let value: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        let rev = client.put(&one, &value);
        assert_eq!(client.read(&one), Some(stored(rev, &value)), "{len} bytes");
    }
}

impl Client<'_> {
    /// Deletes a key that may be there.
    fn delete(&mut self, key: &Key) {
        while let Some(current) = self.read(key) {
            let compares = vec![is(key, current.rev, &current.value)];
            let changes = vec![Change::Delete { key: key.clone() }];
            // Whether it was this copy or one before: a read that follows tells, as nobody else writes.
            self.commit(&Transaction { compares, changes }).ok();
        }
    }
}
