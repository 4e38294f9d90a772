//! What counts as code in a line.

use super::*;

#[test]
fn comments_and_strings_are_no_code() {
    assert_eq!(code("let a = 1; // unsafe"), "let a = 1; ");
    assert_eq!(code(r#"print("unsafe \" unsafe"); x"#), r#"print(""); x"#);
    assert_eq!(code(r##"x(r#"a "unsafe" b"#, 1)"##), r#"x("", 1)"#);
    assert_eq!(code("if c == '\"' { y }"), "if c == \"\" { y }");
    assert_eq!(code("let open = \"unsafe and on"), "let open = \"\"");
    assert_eq!(code("/// unsafe"), "");
}

#[test]
fn words_have_ends() {
    assert!(has_word("a unsafe {", "unsafe"));
    assert!(has_word("Instant::now()", "Instant"));
    assert!(!has_word("unsafe_code", "unsafe"));
    assert!(!has_word("InstantX", "Instant"));
}
