//! Keys that `wg` understands, and that understand those of `wg`.

use crate::bed::Bed;

/// Alice's key pair of RFC 7748 section 6.1.
const PRIVATE: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
const PUBLIC: &str = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";

#[test]
fn public_key_of_the_standard() {
    let ended = Bed::new().run_with(&["pubkey"], &format!("{PRIVATE}\n"));
    assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (0, format!("{PUBLIC}\n").as_str(), ""));
}

#[test]
fn new_keys_are_new_and_well_formed() {
    let bed = Bed::new();
    for verb in ["genkey", "genpsk"] {
        let (first, second) = (bed.run(&[verb]), bed.run(&[verb]));
        assert_eq!((first.code, first.err.as_str()), (0, ""));
        assert_eq!((first.out.len(), first.out.ends_with("=\n")), (45, true));
        assert_ne!(first.out, second.out);
    }
    let private = bed.run(&["genkey"]).out;
    assert_eq!(bed.run_with(&["pubkey"], &private).out.len(), 45);
}

#[test]
fn what_is_no_key_is_refused_and_not_repeated() {
    let bed = Bed::new();
    for input in ["", "AQID", "secret secret secret secret secret secret sec=", &PRIVATE.repeat(10)] {
        let ended = bed.run_with(&["pubkey"], input);
        assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{input}");
        assert!(!ended.err.contains("secret"), "{}", ended.err);
    }
}
