//! Medians, rounding, and the published shape.

use super::*;

fn report() -> Report {
    let figures = vec![
        Figure::of("reject_no_mac1_ns", "ns", vec![310.06, 290.0, 1234.56]),
        Figure::of("reattach_per_s_core", "1/s", vec![70_123.4, 60_000.0]),
    ];
    Report { bench: "reject", figures, note: "As measured." }
}

#[test]
fn a_figure_is_the_median_with_its_spread() {
    let odd = Figure::of("a", "ns", vec![3.0, 1.0, 2.0]);
    assert_eq!((odd.median(), odd.min, odd.max, odd.rounds), (2.0, 1.0, 3.0, 3));
    assert_eq!(Figure::of("a", "ns", vec![4.0, 1.0]).median(), 2.5);
    assert_eq!(Figure::of("a", "ns", Vec::new()).median(), 0.0);
}

#[test]
fn numbers_have_four_digits() {
    let pairs = [
        (0.0, 0.0),
        (1.234_56, 1.235),
        (310.06, 310.1),
        (0.012_345, 0.012_35),
        (70_123.4, 70_123.0),
        (-2.000_04, -2.0),
        (f64::NAN, 0.0),
    ];
    for (value, expected) in pairs {
        assert_eq!(rounded(value), expected, "{value}");
    }
}

#[test]
fn json_has_the_published_shape() {
    let json = report().as_json(&Machine::here());
    let keys = |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(keys(&json), ["bench", "figures", "machine", "schema"]);
    assert_eq!((&json["schema"], &json["bench"]), (&"jumpvpn.bench/1".into(), &"reject".into()));
    let first = &json["figures"][0];
    assert_eq!(keys(first), ["max", "median_of", "min", "name", "unit", "value"]);
    let expected = json!({
        "name": "reject_no_mac1_ns", "value": 310.1, "unit": "ns", "median_of": 3, "min": 290.0, "max": 1235.0,
    });
    assert_eq!(*first, expected);
}

#[test]
fn text_is_an_aligned_table() {
    let text = report().as_text(&Machine::here());
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("reject on "), "{text}");
    assert_eq!(lines[2], "  FIGURE               MEDIAN  UNIT    MIN    MAX  ROUNDS");
    assert_eq!(lines[3], "  reject_no_mac1_ns     310.1  ns      290   1235       3");
    assert_eq!(lines[4], "  reattach_per_s_core   65062  1/s   60000  70123       2");
    assert_eq!(lines.last(), Some(&"As measured."));
}
