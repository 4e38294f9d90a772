//! Tests of the table.

use std::collections::BTreeSet;

use super::*;
use crate::PRESETS;

/// The names people rely on; all of them published.
const PUBLISHED: [&str; 16] = [
    "session.max_lifetime",
    "session.transport_lost_ttl",
    "volatility.heartbeat_interval",
    "volatility.heartbeat_volatile",
    "volatility.loss_window",
    "volatility.loss_volatile_threshold",
    "volatility.max_consecutive_drops",
    "volatility.volatile_to_degraded",
    "switching.max_switches_per_min",
    "switching.switch_cooldown",
    "switching.recovery_window",
    "switching.switch_improvement_factor",
    "transport.allowed",
    "transport.max_candidate_count",
    "security.reattach_proof_max_age",
    "security.replay_window_size",
];

#[test]
fn names_are_unique_and_the_published_ones_are_there() {
    let names: BTreeSet<&str> = KEYS.iter().map(|key| key.name).collect();
    assert_eq!(names.len(), KEYS.len());
    for name in PUBLISHED {
        assert!(names.contains(name), "{name}");
    }
}

/// Each key writes the field it reads, and no other.
#[test]
fn every_key_has_a_field_of_its_own() {
    let before = Policy::spec_default();
    for key in KEYS {
        let other = match key.value(&before) {
            Value::Duration(span) => Value::Duration(span + Duration::from_millis(7)),
            Value::Count(n) => Value::Count(n + 1),
            Value::Thousandths(n) => Value::Thousandths(n + 1),
            Value::Flag(flag) => Value::Flag(!flag),
            Value::Word(index, words) => Value::Word((index + 1) % words.len(), words),
            Value::Classes(_) => Value::Classes(ClassSet::EMPTY.with(Class::Tls)),
        };
        let mut after = before.clone();
        (key.write)(&mut after, other);
        assert_eq!(key.value(&after), other, "{}", key.name);
        for same in KEYS.iter().filter(|same| same.name != key.name) {
            assert_eq!(same.value(&after), same.value(&before), "{} changes {}", key.name, same.name);
        }
    }
}

/// What a preset shows, read back, is the same preset.
#[test]
fn every_value_survives_the_way_through_text() {
    for name in PRESETS {
        let policy = Policy::by_name(name).unwrap();
        let mut copy = Policy::spec_default();
        for key in KEYS {
            copy.set(key.name, &Input::Text(&key.value(&policy).to_string())).unwrap();
        }
        assert_eq!(copy, policy, "{name}");
    }
}

#[test]
fn values_of_every_type_are_accepted() {
    let mut policy = Policy::spec_default();
    policy.set("switching.switch_cooldown", &Input::Text("2s")).unwrap();
    assert_eq!(policy.switching.switch_cooldown, Duration::from_secs(2));
    policy.set("switching.switch_cooldown_ms", &Input::Integer(1_700)).unwrap();
    assert_eq!(policy.switching.switch_cooldown, Duration::from_millis(1_700));
    policy.set("switching.switch_improvement_factor", &Input::Float(1.15)).unwrap();
    assert_eq!(policy.switching.switch_improvement_factor, 1_150);
    policy.set("switching.switch_improvement_factor", &Input::Integer(2)).unwrap();
    assert_eq!(policy.switching.switch_improvement_factor, 2_000);
    policy.set("volatility.loss_volatile_threshold", &Input::Float(0.3)).unwrap();
    assert_eq!(policy.volatility.loss_volatile_threshold, 300);
    policy.set("volatility.max_consecutive_drops", &Input::Integer(5)).unwrap();
    assert_eq!(policy.volatility.max_consecutive_drops, 5);
    policy.set("switching.early_uplink", &Input::Bool(false)).unwrap();
    assert!(!policy.switching.early_uplink);
    policy.set("transport.allowed", &Input::List(&["udp", "tls"])).unwrap();
    assert_eq!(policy.transport.allowed, ClassSet::EMPTY.with(Class::Udp).with(Class::Tls));
    policy.set("security.pq", &Input::Text("required")).unwrap();
    assert_eq!(policy.security.pq, PostQuantum::Required);
    assert_eq!(policy.validate(), []);
}

#[test]
fn values_of_the_wrong_type_change_nothing() {
    let before = Policy::spec_default();
    for (name, input) in [
        ("switching.switch_cooldown", Input::Integer(5)),
        ("switching.switch_cooldown", Input::Text("5")),
        ("switching.switch_cooldown_ms", Input::Integer(-1)),
        ("switching.switch_cooldown_ms", Input::Text("5ms")),
        ("switching.max_switches_per_min", Input::Float(8.0)),
        ("switching.max_switches_per_min", Input::Integer(-8)),
        ("switching.switch_improvement_factor", Input::Float(f64::NAN)),
        ("switching.switch_improvement_factor", Input::Float(1.000_1)),
        ("switching.early_uplink", Input::Integer(1)),
        ("security.pq", Input::Text("maybe")),
        ("security.pq", Input::Bool(true)),
        ("transport.allowed", Input::List(&["udp", "quic"])),
        ("transport.allowed", Input::Bool(true)),
    ] {
        let mut policy = before.clone();
        let result = policy.set(name, &input);
        assert!(matches!(result, Err(SetError::WrongType { .. })), "{name} = {input:?}: {result:?}");
        assert_eq!(policy, before);
    }
}

#[test]
fn mistyped_names_get_a_suggestion() {
    let mut policy = Policy::spec_default();
    let mut suggestion = |name: &str| match policy.set(name, &Input::Integer(1)) {
        Err(SetError::UnknownKey { suggestion }) => suggestion,
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(suggestion("switching.switch_coldown"), Some("switching.switch_cooldown"));
    assert_eq!(suggestion("switching.cooldown"), Some("switching.switch_cooldown"));
    assert_eq!(suggestion("session.max_life_time"), Some("session.max_lifetime"));
    assert_eq!(suggestion("volatility.max_consecutive_drops_ms"), Some("volatility.max_consecutive_drops"));
    assert_eq!(suggestion("colour"), None);
    assert_eq!(suggestion(""), None);
}

/// One step beyond either bound is refused, the bound itself is not, and all violations are reported at once.
#[test]
fn bounds_are_inclusive_and_all_are_reported() {
    for key in KEYS {
        let (inside, outside) = match key.kind {
            Kind::Duration { min, max } => {
                let step = Duration::from_nanos(1);
                let below = min.checked_sub(step).map(Value::Duration);
                (
                    vec![Value::Duration(min), Value::Duration(max)],
                    vec![below, Some(Value::Duration(max + step))],
                )
            }
            Kind::Count { min, max } => {
                let below = min.checked_sub(1).map(Value::Count);
                (vec![Value::Count(min), Value::Count(max)], vec![below, Some(Value::Count(max + 1))])
            }
            Kind::Thousandths { min, max } => {
                let below = min.checked_sub(1).map(Value::Thousandths);
                (
                    vec![Value::Thousandths(min), Value::Thousandths(max)],
                    vec![below, Some(Value::Thousandths(max + 1))],
                )
            }
            Kind::Classes => {
                (vec![Value::Classes(ClassSet::ALL)], vec![Some(Value::Classes(ClassSet::EMPTY))])
            }
            Kind::Flag | Kind::Word(_) => continue,
        };
        let mut policy = Policy::spec_default();
        for value in inside {
            (key.write)(&mut policy, value);
            assert_eq!(key.check(&policy), None, "{} = {value}", key.name);
        }
        for value in outside.into_iter().flatten() {
            (key.write)(&mut policy, value);
            assert_eq!(key.check(&policy).map(|found| found.key), Some(key.name), "{} = {value}", key.name);
        }
    }
    let mut policy = Policy::spec_default();
    policy.switching.max_switches_per_min = 1_000;
    policy.session.max_lifetime = Duration::ZERO;
    policy.transport.allowed = ClassSet::EMPTY;
    assert_eq!(policy.validate().len(), 3);
}

#[test]
fn numbers_too_large_for_their_field_are_out_of_bounds_not_wrapped() {
    let mut policy = Policy::spec_default();
    policy.set("switching.max_switches_per_min", &Input::Integer(65_536 + 8)).unwrap();
    assert_eq!(policy.validate().len(), 1);
}

#[test]
fn contradictions_between_keys_are_found() {
    let mut policy = Policy::spec_default();
    policy.volatility.heartbeat_interval = Duration::from_secs(3);
    policy.switching.flap_hold = Duration::from_secs(600);
    policy.volatility.detection.min_silence = Duration::from_secs(1);
    let keys: Vec<&str> = policy.validate().iter().map(|found| found.key).collect();
    assert_eq!(keys, RELATIONS.map(|relation| relation.lower));
    assert_eq!(
        policy.validate()[0].to_string(),
        "volatility.heartbeat_interval = 3s is out of bounds: at most volatility.heartbeat_volatile = 2s"
    );
}

#[test]
fn the_page_and_the_schema_name_every_key() {
    let page = docs_markdown();
    let schema: serde_json::Value = serde_json::from_str(&json_schema()).unwrap();
    for key in KEYS {
        assert!(page.contains(&format!("\n| `{}` |", key.name)), "{}", key.name);
        let path = format!("/properties/{}", key.name.replace('.', "/properties/"));
        let entry = schema.pointer(&path).unwrap_or_else(|| panic!("{path}"));
        assert!(entry["description"].as_str().is_some_and(|text| text.starts_with(key.doc)));
        let alias = schema.pointer(&format!("{path}_ms")).is_some();
        assert_eq!(alias, matches!(key.kind, Kind::Duration { .. }), "{}", key.name);
    }
    assert_eq!(schema["additionalProperties"], false);
}
