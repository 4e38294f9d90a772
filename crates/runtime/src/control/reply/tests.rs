//! Tests of refusals.

use super::*;

#[test]
fn shape_of_a_refusal() {
    let refused = Refused::by_engine(Reason::SwitchCooldown, Some(Duration::from_micros(1500)));
    let value = refused.to_json();
    assert_eq!(value["error"]["kind"], "refused");
    assert_eq!(value["error"]["reason"], "SWITCH_COOLDOWN");
    assert_eq!(value["error"]["retry_after_ms"], 2);
    assert!(value["error"]["message"].is_string());
    let other = Refused::permission().to_json();
    assert_eq!(other["schema"], "jumpvpn.error/1");
    assert!(other["error"].get("retry_after_ms").is_none() && other["error"].get("reason").is_none());
}
