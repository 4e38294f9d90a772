//! Durations, shares and rates as people write them in a story.

use std::time::Duration;

/// Reads `10ms`, `1.5s`, `250us` or `2min`.
///
/// # Errors
/// A sentence with an example.
pub fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
    let (number, unit) = text.split_at(digits);
    let seconds_per_unit = match unit.trim() {
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "min" => 60.0,
        _ => return Err(format!("{text:?} is no duration; write it like \"250ms\" or \"2s\"")),
    };
    let number: f64 =
        number.parse().map_err(|_| format!("{text:?} is no duration; write it like \"250ms\" or \"2s\""))?;
    Duration::try_from_secs_f64(number * seconds_per_unit).map_err(|_| format!("{text:?} is too long"))
}

/// Reads `5%` or `0.1%` into parts of a million.
///
/// # Errors
/// A sentence with an example.
pub fn share_ppm(text: &str) -> Result<u32, String> {
    let wrong = || format!("{text:?} is no share; write it like \"5%\" or \"0.1%\"");
    let percent: f64 = text.trim().strip_suffix('%').and_then(|n| n.trim().parse().ok()).ok_or_else(wrong)?;
    if !(0.0..=100.0).contains(&percent) {
        return Err(wrong());
    }
    Ok((percent * 10_000.0).round() as u32)
}

/// Reads `20mbit`, `500kbit` or `1gbit` into bits per second.
///
/// # Errors
/// A sentence with an example.
pub fn rate_bps(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no rate; write it like \"20mbit\" or \"500kbit\"");
    let text = text.trim();
    let (number, factor) = [("kbit", 1_000), ("mbit", 1_000_000), ("gbit", 1_000_000_000)]
        .iter()
        .find_map(|(unit, factor)| text.strip_suffix(unit).map(|number| (number, *factor)))
        .ok_or_else(wrong)?;
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    if !(number > 0.0 && number <= 1e6) {
        return Err(wrong());
    }
    Ok((number * factor as f64) as u64)
}

/// The known word that `word` was probably meant to be.
pub fn closest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    // Two slips in a short word are still recognisably that word; three are another word.
    const MOST_SLIPS: usize = 2;
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), *candidate))
        .filter(|(slips, _)| *slips <= MOST_SLIPS)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}
