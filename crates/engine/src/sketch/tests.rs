//! Tests of the sketch and the bucket.
use super::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

#[test]
fn a_bucket_gives_its_burst_then_its_rate() {
    let mut bucket = Bucket::new(10, 20);
    let start = Time::from_millis(5000);
    assert_eq!((0..100).filter(|_| bucket.take(start)).count(), 20);
    assert_eq!(bucket.used_eighths(start), 8);
    assert!(
        bucket.is_empty(start + Duration::from_millis(99))
            && !bucket.is_empty(start + Duration::from_millis(100))
    );
    let later = start + Duration::from_secs(1);
    assert_eq!((0..100).filter(|_| bucket.take(later)).count(), 10);
}

#[test]
fn a_slow_bucket_gives_one_token_per_period() {
    let mut bucket = Bucket::every(Duration::from_secs(2), 3);
    let start = Time::from_millis(5000);
    assert_eq!((0..10).filter(|_| bucket.take(start)).count(), 3);
    assert!(!bucket.take(start + Duration::from_millis(1900)));
    assert!(bucket.take(start + Duration::from_secs(2)));
}

#[test]
fn the_sketch_limits_each_key_by_itself() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut sketch = Sketch::new(50, 50, &mut rng);
    let now = Time::from_millis(70_000);
    assert_eq!((0..500).filter(|_| sketch.take(7u64, now)).count(), 50);
    assert!(sketch.take(8u64, now), "another key is untouched");
    assert_eq!((0..500).filter(|_| sketch.take(7u64, now + Duration::from_secs(1))).count(), 50);
}

#[test]
fn flooding_one_key_leaves_the_others_alone() {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let mut sketch = Sketch::new(50, 50, &mut rng);
    let now = Time::from_millis(1);
    for _ in 0..10_000 {
        sketch.take(0u64, now);
    }
    assert_eq!((1..1000u64).filter(|key| !sketch.take(key, now)).count(), 0);
}

#[test]
fn each_row_has_cells_of_its_own() {
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let mut sketch = Sketch::new(50, 50, &mut rng);
    for key in 0..1000u64 {
        sketch.take(key, Time::from_millis(1));
    }
    // Of 1000 keys some eight share a cell with another one.
    for row in sketch.cells.chunks(CELL_COUNT) {
        let used = row.iter().filter(|cell| cell.full_at_millis > 0).count();
        assert!((950..=1000).contains(&used), "{used}");
    }
}

#[test]
fn the_longest_period_is_for_ever() {
    let mut bucket = Bucket::every(Duration::MAX, 1);
    assert!(bucket.take(Time::ZERO));
    assert!(!bucket.take(Time::ZERO + Duration::from_secs(1 << 20)));
}

#[test]
fn where_a_key_lands_is_a_secret_of_each_row() {
    let places = |seed| {
        let mut sketch = Sketch::new(50, 50, &mut ChaCha20Rng::seed_from_u64(seed));
        sketch.take(7u64, Time::from_millis(1));
        let used = |cell: &Cell| cell.full_at_millis > 0;
        [0, CELL_COUNT].map(|row| sketch.cells[row..][..CELL_COUNT].iter().position(used).unwrap())
    };
    let [one, other] = [places(5), places(6)];
    assert!(one[0] != one[1] && one[0] != other[0] && one[1] != other[1], "{one:?} {other:?}");
}
