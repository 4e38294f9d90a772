//! Lines that fit.

use super::*;

#[test]
fn a_line_is_cut_by_columns_and_keeps_its_sequences() {
    let line = format!("ab{GREEN}cd{PLAIN}ef");
    assert_eq!(fitted(&line, 3, true), format!("ab{GREEN}c{PLAIN}"));
    assert_eq!(fitted(&line, 80, false), "abcdef");
    assert_eq!(fitted("─┬─ wlan0", 3, true), "─┬─");
}
