//! Colour on a terminal, and only there.

use std::io::IsTerminal;

/// Whether words on standard output may carry colour: a terminal that understands it, and nobody said no
/// (<https://no-color.org>: any non-empty NO_COLOR).
pub(crate) fn colour_wanted() -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    std::io::stdout().is_terminal() && !no_color && !dumb
}

/// `text` with the colour of a state or severity: green is well, yellow in doubt, red is bad.
pub(crate) fn coloured(word: &str, colour: bool) -> String {
    let number = match word {
        "ATTACHED" | "ACTIVE" | "healthy" => 32,
        "BIRTH" | "VOLATILE" | "RECOVERING" | "warning" => 33,
        "DEGRADED" | "TERMINATED" | "error" => 31,
        _ => return word.to_owned(),
    };
    if colour { format!("\x1b[{number}m{word}\x1b[0m") } else { word.to_owned() }
}
