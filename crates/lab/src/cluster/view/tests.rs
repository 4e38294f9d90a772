//! Keys of the view.

use super::*;

#[test]
fn every_key_means_one_thing_and_none_is_taken_by_the_view_itself() {
    for (index, (key, ..)) in KEYS.iter().enumerate() {
        assert!(KEYS[..index].iter().all(|(other, ..)| other != key), "{}", char::from(*key));
        assert!(!b"q123".contains(key), "{}", char::from(*key));
    }
}

#[test]
fn faults_meet_the_chosen_gateway() {
    for (_, act, what) in KEYS {
        let Act::Fault(fault) = act else { continue };
        if let Some(before) = fault.gateway() {
            assert_eq!((before, fault.at(2).gateway()), (0, Some(2)), "{what}");
        } else {
            assert_eq!(fault.at(2).gateway(), None, "{what}");
        }
    }
}
