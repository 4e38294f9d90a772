//! Functions are found with their lengths.

use super::*;

#[test]
fn functions_and_their_lines() {
    let text = "//! x\nfn one() {}\nimpl A {\n    pub fn two(\n        a: u8,\n    ) {\n        b();\n    }\n\
                }\ntype F = fn(u8);\ntrait T {\n    fn three();\n}\n";
    assert_eq!(functions(text), [(4, "two".to_owned(), 5)]);
}
