//! A hint cannot be seen from here; that it harms nothing can.

#[test]
fn places_keep_their_values_and_their_neighbours_are_not_needed() {
    let place = [7_u8; 3 * super::LINE_LEN + 1];
    super::line(&place[place.len() - 1]);
    super::lines(&place, usize::MAX);
    super::lines(&(), 1);
    assert!(place.iter().all(|byte| *byte == 7));
}
