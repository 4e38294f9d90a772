//! The published shape of a measurement.

use crate::bed::Bed;

#[test]
fn a_measurement_has_the_published_shape() {
    let bed = Bed::new();
    let ended = bed.run(&["bench", "reject", "--json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let json = ended.json();
    assert_eq!((&json["schema"], &json["bench"]), (&"jumpvpn.bench/1".into(), &"reject".into()));
    assert!(json["machine"]["kernel"].is_string());
    let figures = json["figures"].as_array().unwrap();
    let names: Vec<_> = figures.iter().map(|figure| figure["name"].as_str().unwrap()).collect();
    for stable in ["reject_unknown_token_ns", "reject_bad_aead_ns", "reject_no_mac1_ns"] {
        assert!(names.contains(&stable), "{names:?}");
    }
    for figure in figures {
        let number = |key: &str| figure[key].as_f64().unwrap();
        assert!(0.0 < number("min") && number("min") <= number("value"), "{figure}");
        assert!(number("value") <= number("max") && number("median_of") > 1.0, "{figure}");
    }
}

#[test]
fn text_is_a_table_and_an_unknown_name_is_a_matter_of_usage() {
    let bed = Bed::new();
    let text = bed.run(&["bench", "reject"]);
    assert!(text.out.starts_with("reject on ") && text.out.contains("  FIGURE "), "{text:?}");
    assert!(!text.err.contains('\r'), "no progress without a terminal");
    assert_eq!(bed.run(&["bench", "everything"]).code, 2);
}
