//! Columns line up.

use super::*;

#[test]
fn columns_line_up() {
    let columns = [Column::left("NAME"), Column::right("RTT_MS"), Column::left("NOTE")];
    let rows = [["wlan0/udp4", "12.5", ""], ["ü", "3", "x"]].map(|row| row.map(str::to_owned).to_vec());
    let text = render(&columns, &rows);
    assert_eq!(text, "  NAME        RTT_MS  NOTE\n  wlan0/udp4    12.5\n  ü                3  x\n");
}
