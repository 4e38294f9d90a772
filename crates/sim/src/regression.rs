//! Worlds that once broke a promise, as small files that can be kept.
use std::fmt;
use std::str::FromStr;

/// A world to live through again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Regression {
    /// Which.
    pub seed: u64,
    /// Virtual seconds of trouble, as in [`crate::Options::seconds`].
    pub seconds: u64,
    /// It is a cell, of several gateways and their store.
    pub cell: bool,
}

impl fmt::Display for Regression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed = {}\nseconds = {}\n", self.seed, self.seconds)?;
        if self.cell { f.write_str("cell = 1\n") } else { Ok(()) }
    }
}

impl FromStr for Regression {
    type Err = String;

    /// Reads `name = number` lines; empty lines and those that begin with `#` say why the world is kept.
    fn from_str(text: &str) -> Result<Regression, String> {
        let (mut seed, mut seconds, mut cell) = (None, None, false);
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, number) = line.split_once('=').ok_or_else(|| format!("no `=` in `{line}`"))?;
            let number: u64 = number.trim().parse().map_err(|_| format!("no number in `{line}`"))?;
            match name.trim() {
                "seed" => seed = Some(number),
                "seconds" => seconds = Some(number),
                "cell" => cell = number == 1,
                other => return Err(format!("unknown name `{other}`")),
            }
        }
        match (seed, seconds) {
            (Some(seed), Some(seconds)) => Ok(Regression { seed, seconds, cell }),
            _ => Err("seed and seconds are needed".to_owned()),
        }
    }
}
