//! Evidence that is gone is found.

use super::*;

fn tree(table: &str) -> Vec<SourceFile> {
    let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
    vec![
        file(TABLE, table),
        file(INVARIANTS, "pub enum Invariant {\n    Replay,\n}\n"),
        file("crates/a/src/b/tests.rs", "#[test]\n#[ignore]\n/// Says why.\nfn one() {}\n\nfn two() {}\n"),
        file("crates/a/tests/it/c.rs", "#[test]\nfn three() {}\n"),
        file("stories/flap.toml", ""),
        file(ATTACKS[0], "    Scenario {\n        name: \"replay\",\n"),
    ]
}

fn messages(table: &str) -> Vec<String> {
    evidence(&tree(table)).into_iter().map(|finding| finding.message).collect()
}

#[test]
fn what_is_there_is_accepted() {
    let table = "| B1.1 | x | `crates/a/src/` | `a::b::tests::one`, `a::it::c::three` | shown |\n\
                 | B1.2 | x | `crates/a/src/b/tests.rs` | `Invariant::Replay` | shown |\n\
                 | B1.3 | x | – | `Attack::replay` | shown |\n\
                 | T1.1 | x | – | `stories/flap.toml` | shown |\n| T1.2 | x | – | – | not yet |\n\
                 | clause | in short | mechanism | evidence | status |\n| --- | --- |\n";
    assert_eq!(messages(table), [""; 0]);
}

#[test]
fn what_is_gone_is_found() {
    for word in [
        "a::b::tests::two",
        "a::b::tests::on",
        "a::it::c::one",
        "b::b::tests::one",
        "Invariant::Repla",
        "Attack::repla",
        "crates/a/src/d.rs",
        "crates/d/",
        "one",
        "a::one",
    ] {
        let found = messages(&format!("Text with `{word}`.\n"));
        assert_eq!(found.len(), 1, "{word}: {found:?}");
    }
}

#[test]
fn rows_have_one_status_each_and_what_is_shown_has_evidence() {
    assert_eq!(messages("| B1.1 | x | – | `a::it::c::three` | fine |\n").len(), 1);
    assert_eq!(messages("| B1.1 | x | – | – | not yet |\n| B1.1 | x | – | – | not yet |\n").len(), 1);
    assert_eq!(messages("| B1.1 | x | `crates/a/src/` | – | shown |\n").len(), 1);
}

#[test]
fn paths_in_the_pages_beside_the_table_exist() {
    let mut files = tree("");
    let text = "`crates/a/src/`, `crates/gone.rs`, and `udp://x`\n".into();
    files.push(SourceFile { path: "docs/security/keys.md".into(), text });
    let found = paths(&files);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].message, "crates/gone.rs does not exist");
    assert_eq!(evidence(&files[1..]).len(), 1, "a table that is gone is a finding");
}
