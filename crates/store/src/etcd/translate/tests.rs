//! Tests of the translation where a real etcd would have to be lucky to show a mistake.

use super::super::messages::Header;
use super::*;

fn key(name: &str) -> Key {
    Key::new(name.as_bytes())
}

fn space() -> Space {
    Space(b"/cell/".to_vec())
}

fn entry(name: &str) -> KeyValue {
    KeyValue { key: name.into(), mod_revision: 7, value: b"value".to_vec() }
}

fn range(kvs: Vec<KeyValue>, more: bool) -> RangeAnswer {
    RangeAnswer { header: None, kvs, more }
}

#[test]
fn a_prefix_ends_where_the_next_one_begins() {
    for (prefix, end) in [
        (&b"a"[..], &b"b"[..]),
        (b"a/", b"a0"),
        (b"a\xff", b"b"),
        (b"a\xff\xff", b"b"),
        (b"\xff", b"\0"),
        (b"", b"\0"),
    ] {
        assert_eq!(end_of(prefix), end, "{}", prefix.escape_ascii());
    }
    assert_eq!(
        Space(Vec::new()).range(&key("")),
        (vec![0], vec![0]),
        "all keys; an empty one is none in etcd"
    );
}

/// A revision that was handed out again by a restored store must not do, nor a value that came back.
#[test]
fn a_record_is_compared_by_revision_and_value() {
    let is = Compare::Is { key: key("s/1"), rev: Rev(7), value: b"value"[..].into() };
    let operands: Vec<_> = space().comparisons(is).into_iter().map(|one| (one.key, one.operand)).collect();
    let full = b"/cell/s/1".to_vec();
    assert_eq!(
        operands,
        [(full.clone(), Some(Operand::ModRevision(7))), (full, Some(Operand::Value(b"value".to_vec())))]
    );
}

#[test]
fn a_page_goes_on_behind_the_last_key_even_if_that_is_gone() {
    let list = Operation::List { prefix: key("s/"), after: Some(key("s/1")), limit: 2 };
    let (Call::Range(asked), reading) = space().ask(list) else { panic!("a range") };
    assert_eq!((&asked.key[..], asked.limit), (&b"/cell/s/1"[..], 3));
    let names = |answer| match space().found(answer, &reading) {
        Some(Outcome::Listed { entries, more }) => {
            (entries.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), more)
        }
        other => panic!("{other:?}"),
    };
    let (two, three, four) = (entry("/cell/s/2"), entry("/cell/s/3"), entry("/cell/s/4"));
    let there = vec![entry("/cell/s/1"), two.clone(), three.clone()];
    let wanted = vec![key("s/2"), key("s/3")];
    assert_eq!(names(range(there.clone(), false)), (wanted.clone(), false));
    assert_eq!(names(range(there, true)), (wanted.clone(), true));
    assert_eq!(names(range(vec![two.clone(), three.clone()], false)), (wanted.clone(), false));
    assert_eq!(names(range(vec![two, three, four], false)), (wanted, true));
}

#[test]
fn a_page_begins_with_the_prefix_whatever_came_before() {
    for (after, from) in [("a", "/cell/s/"), ("s", "/cell/s/"), ("t", "/cell/t")] {
        let list = Operation::List { prefix: key("s/"), after: Some(key(after)), limit: 0 };
        let (Call::Range(asked), _) = space().ask(list) else { panic!("a range") };
        assert_eq!(asked.key, from.as_bytes(), "after {after}");
        assert_eq!(asked.range_end, b"/cell/s0");
        assert!(asked.limit > 0, "no limit would be all of them");
    }
}

#[test]
fn only_what_puts_a_heartbeat_and_looks_at_it_is_one() {
    let commit = |compares, changes| Operation::Commit(Transaction { compares, changes });
    let put = |name: &str| Change::Put { key: key(name), value: Box::default() };
    let is = |name: &str| Compare::Is { key: key(name), rev: Rev(1), value: Box::default() };
    let absent = |name: &str| Compare::Absent { key: key(name) };
    assert!(is_heartbeat(&commit(vec![absent("dead/me"), is("hb/me")], vec![put("hb/me")])));
    assert!(is_heartbeat(&commit(vec![absent("hb/me")], vec![put("hb/me")])));
    // Two copies of these would both be carried out.
    assert!(!is_heartbeat(&commit(Vec::new(), vec![put("hb/me")])));
    assert!(!is_heartbeat(&commit(vec![is("hb/other")], vec![put("hb/me")])));
    assert!(!is_heartbeat(&commit(vec![Compare::Present { key: key("hb/me") }], vec![put("hb/me")])));
    // A tombstone deletes it.
    let deletes = vec![put("dead/me"), Change::Delete { key: key("hb/me") }];
    assert!(!is_heartbeat(&commit(vec![is("hb/me")], deletes)));
    assert!(!is_heartbeat(&commit(vec![is("hb/me")], vec![put("s/1")])));
    assert!(!is_heartbeat(&Operation::Read(key("hb/me"))));
}

#[test]
fn answers_that_do_not_fit_are_none() {
    let commit = Reading::Commit { compares: 2 };
    let answer = TxnAnswer { header: Some(Header::default()), succeeded: false, responses: Vec::new() };
    assert_eq!(space().committed(answer, &commit), None, "a conflict says what stands there");
    let answer = TxnAnswer { header: None, succeeded: true, responses: Vec::new() };
    assert_eq!(space().committed(answer, &commit), None, "a commit has a revision");
    let list = Reading::List { after: None, limit: 1 };
    assert_eq!(space().found(range(vec![entry("/other/s/1")], false), &list), None, "a key of somebody else");
    assert_eq!(space().found(range(Vec::new(), false), &commit), None);
}
