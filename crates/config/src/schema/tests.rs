//! The schema is JSON, and its own printer keeps what it prints.

use super::*;

#[test]
fn printer_changes_white_space_alone() {
    let compact = r#"{"a":[],"b":{},"c":[1,{"d":"x, y: \"{[\\"}],"e":true}"#;
    let printed = indented(compact);
    assert_eq!(
        printed,
        "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    {\n      \"d\": \"x, y: \\\"{[\\\\\"\n    }\n  ],\n  \"e\": true\n}\n"
    );
}

#[test]
fn every_key_is_in_the_schema() {
    let schema = json_schema();
    for spec in [&GATEWAY, &AGENT] {
        for key in spec.tables.iter().flat_map(|table| table.keys) {
            assert!(schema.contains(&format!("\"{}\": {{", key.name)), "{}", key.name);
        }
    }
    for key in jumpvpn_policy::keys::KEYS {
        let last = key.name.rsplit('.').next().unwrap_or_default();
        assert!(schema.contains(&format!("\"{last}\": {{")), "{}", key.name);
    }
    assert_eq!(schema.matches(['{', '[']).count(), schema.matches(['}', ']']).count());
}
