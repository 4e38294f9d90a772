//! What is generated or looked up: help, reasons, schemas, manual, completions, audits.

use crate::bed::Bed;

#[test]
fn help_and_usage() {
    let bed = Bed::new();
    let help = bed.run(&["--help"]);
    assert_eq!((help.code, help.err.as_str()), (0, ""));
    assert!(help.out.contains("Exit codes:") && help.out.contains("genkey"), "{}", help.out);
    assert!(!help.out.contains('\u{1b}'), "no colour without a terminal");
    assert!(bed.run(&["--version"]).out.starts_with("jumpvpn "));
    for wrong in [&[][..], &["fly"], &["check"], &["status", "--fast"]] {
        let ended = bed.run(wrong);
        assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{wrong:?}");
    }
}

#[test]
fn reasons() {
    let bed = Bed::new();
    let page = bed.run(&["explain", "path-silent"]);
    assert_eq!(page.code, 0);
    assert!(
        page.out.starts_with("PATH_SILENT (path, ") && page.out.contains("\nWhat to do: "),
        "{}",
        page.out
    );
    let json = bed.run(&["explain", "PATH_SILENT", "--json"]).json();
    assert_eq!((&json["schema"], &json["code"]), (&"jumpvpn.explain/1".into(), &"PATH_SILENT".into()));
    assert_eq!(bed.run(&["explain", &json["number"].to_string()]).out, page.out);
    let wrong = bed.run(&["explain", "PATH_SILNT"]);
    assert_eq!((wrong.code, wrong.err.contains("did you mean PATH_SILENT?")), (2, true), "{}", wrong.err);
    assert!(bed.run(&["explain"]).out.contains("REPLAY_DETECTED"));
}

#[test]
fn schemas_are_json_with_every_table() {
    let bed = Bed::new();
    let config = bed.run(&["schema"]).json();
    assert_eq!(config["oneOf"].as_array().map(Vec::len), Some(3));
    assert!(config["oneOf"][0]["properties"]["peer"]["items"]["properties"]["public_key"].is_object());
    assert!(
        config["$defs"]["policy"]["properties"]["switching"]["properties"]["switch_cooldown"].is_object()
    );
    assert!(config["$defs"]["policy"]["properties"]["preset"].is_object());
    assert!(bed.run(&["schema", "events"]).json().is_object());
}

#[test]
fn manual_and_completions() {
    let bed = Bed::new();
    assert!(bed.run(&["man"]).out.contains(".TH"));
    assert_eq!(bed.run(&["man", "--out", "pages"]).code, 0);
    assert!(bed.0.join("pages/jumpvpn.1").is_file() && bed.0.join("pages/jumpvpn-check.1").is_file());
    for shell in ["bash", "zsh", "fish"] {
        assert!(bed.run(&["completions", shell]).out.contains("jumpvpn"), "{shell}");
    }
}

#[test]
fn audits() {
    let bed = Bed::new();
    bed.file("broken.jsonl", "{\"seq\":1\n");
    let ended = bed.run(&["events", "verify", "broken.jsonl"]);
    assert_eq!(ended.code, 1);
    assert!(
        ended.out.starts_with("broken.jsonl:1: Shape: ") && ended.err.contains("not proven: 1 finding"),
        "{ended:?}"
    );
    let json = bed.run(&["events", "verify", "--json", "broken.jsonl"]).json();
    assert_eq!((json["ok"].as_bool(), json["findings"][0]["rule"].as_str()), (Some(false), Some("shape")));
    bed.file("empty.jsonl", "");
    let ended = bed.run(&["events", "verify", "empty.jsonl"]);
    assert_eq!((ended.code, ended.out.starts_with("ok: ")), (0, true), "{ended:?}");
    assert_eq!(bed.run(&["events", "verify", "none.jsonl"]).code, 1);
    assert_eq!(bed.run(&["events", "verify"]).code, 2);
}
