//! A hint cannot be seen from here; that it harms nothing can.

#[test]
fn places_keep_their_values_and_their_neighbours_are_not_needed() {
    let place = [7_u8; 3 * super::LINE_LEN + 1];
    super::line(&place[place.len() - 1]);
    super::lines(&place, usize::MAX);
    super::lines(&(), 1);
    assert!(place.iter().all(|byte| *byte == 7));
}

#[test]
fn a_vector_on_huge_pages_is_the_same_vector() {
    for capacity in [0, 1, 4096, 5 << 20] {
        let mut vec = vec![7_u8; capacity / 2];
        vec.reserve_exact(capacity - capacity / 2);
        super::huge(&mut vec);
        assert!(vec.iter().all(|byte| *byte == 7));
        vec.resize(capacity, 8);
        assert_eq!(vec.iter().filter(|byte| **byte == 8).count(), capacity - capacity / 2);
    }
}
