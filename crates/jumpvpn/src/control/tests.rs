//! Refusals and their exit codes.

use serde_json::json;

use super::*;

fn code_of(answer: &Value) -> (Code, String) {
    let failure = accepted(answer.clone(), false).unwrap_err();
    (failure.code, failure.to_string())
}

#[test]
fn refusals() {
    let refused = json!({ "schema": "jumpvpn.error/1", "error": {
        "kind": "refused", "reason": "SWITCH_COOLDOWN", "retry_after_ms": 1500, "message": "The last move is too recent." } });
    assert_eq!(
        code_of(&refused),
        (Code::Refused, "SWITCH_COOLDOWN: The last move is too recent.\n    hint: try again in 1.5 s".into())
    );
    assert_eq!(
        code_of(&json!({ "error": { "kind": "permission", "message": "no" } })),
        (Code::Permission, "no".into())
    );
    assert_eq!(code_of(&json!({ "error": { "kind": "failed", "message": "no" } })).0, Code::Failed);
    assert_eq!(code_of(&json!({ "error": "what" })).0, Code::Failed);
    assert!(accepted(json!({ "schema": "jumpvpn.done/1", "done": true }), false).is_ok());
}

#[test]
fn one_socket_is_found_and_several_are_not_guessed() {
    let folder = std::env::temp_dir().join(format!("jumpvpn-sockets-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    assert_eq!(only_socket(&folder.join("none")).unwrap_err().code, Code::Unreachable);
    assert_eq!(only_socket(&folder).unwrap_err().code, Code::Unreachable);
    std::fs::write(folder.join("alice.sock"), "").unwrap();
    std::fs::write(folder.join("alice.pid"), "").unwrap();
    assert_eq!(only_socket(&folder).unwrap(), folder.join("alice.sock"));
    std::fs::write(folder.join("gw.sock"), "").unwrap();
    let failure = only_socket(&folder).unwrap_err();
    assert_eq!(failure.code, Code::Usage);
    assert!(failure.message.contains("alice.sock") && failure.message.contains("gw.sock"));
    std::fs::remove_dir_all(&folder).unwrap();
}
