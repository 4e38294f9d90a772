//! Tests of reading and writing values.

use proptest::prelude::*;

use super::*;

#[test]
fn durations_are_read() {
    for (text, millis) in [
        ("500ms", 500),
        ("8h", 8 * 3_600_000),
        ("1m30s", 90_000),
        ("1h 30m", 5_400_000),
        ("1.5s", 1_500),
        ("0s", 0),
        ("2d", 172_800_000),
        (" 20s ", 20_000),
    ] {
        assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
    }
    assert_eq!(parse_duration("250us"), Some(Duration::from_micros(250)));
    assert_eq!(parse_duration("7ns"), Some(Duration::from_nanos(7)));
}

#[test]
fn what_is_no_duration_is_refused() {
    for text in [
        "",
        " ",
        "5",
        "s",
        "-1s",
        "1,5s",
        "5 s",
        "5sec",
        "1.s",
        ".5s",
        "1.1ns",
        "1e3s",
        "999999999d",
        "5s5",
        "٥s",
    ] {
        assert_eq!(parse_duration(text), None, "{text}");
    }
}

#[test]
fn thousandths_are_exact() {
    for (text, n) in [("1.1", 1_100), ("0.2", 200), ("1", 1_000), ("0.001", 1), ("2.50", 2_500)] {
        assert_eq!(parse_thousandths(text), Some(n), "{text}");
        assert_eq!(parse_thousandths(&format_thousandths(n)), Some(n));
    }
    for text in ["", "-1", "1.0001", "1e-3", "NaN", "inf", ".1", "1."] {
        assert_eq!(parse_thousandths(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn durations_survive_the_way_through_text(nanos in any::<u64>()) {
        let span = Duration::from_nanos(nanos);
        prop_assert_eq!(parse_duration(&format_duration(span)), Some(span));
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,40}") {
        let _ = (parse_duration(&text), parse_thousandths(&text));
    }
}
