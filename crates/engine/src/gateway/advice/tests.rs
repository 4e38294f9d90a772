//! Tests of how advice is spread over time.
use super::*;

#[test]
fn the_share_grows_with_time_and_never_beyond_the_whole() {
    let span = Duration::from_secs(10);
    assert_eq!(share(1000, Duration::ZERO, span), 0);
    assert_eq!(share(1000, Duration::from_secs(5), span), 500);
    assert_eq!(share(1000, span, span), 1000);
    assert_eq!(share(1000, span * 3, span), 1000);
    assert_eq!(share(u32::MAX, Duration::MAX, Duration::ZERO), u32::MAX);
    assert_eq!(share(0, Duration::from_secs(5), span), 0);
}
